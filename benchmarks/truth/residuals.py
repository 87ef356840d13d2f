"""The 17 problems of Moré, Garbow and Hillstrom that `optwise.problems.classics` does not hold, as residuals in torch.

Written from the formulas of the paper; dimensions that it leaves open are chosen in `collection`.
"""

import torch

M_GULF = 99
"""Of at most 100; the last one of 100 is 0 wherever w[1] = 25, with a slope that depends on the side."""


def gulf(w):
    t = _counting(M_GULF, w) / 100
    y = 25 + (-50 * torch.log(t)) ** (2 / 3)
    return torch.exp(-((y - w[1]).abs() ** w[2]) / w[0]) - t  # the paper's "y_i m i x_2" is a misprint


def biggs_exp6(w):
    t = _counting(13, w) / 10
    y = torch.exp(-t) - 5 * torch.exp(-10 * t) + 3 * torch.exp(-4 * t)
    return w[2] * torch.exp(-t * w[0]) - w[3] * torch.exp(-t * w[1]) + w[5] * torch.exp(-t * w[4]) - y


def extended_rosenbrock(w):
    odd, even = w[0::2], w[1::2]
    return torch.stack([10 * (even - odd**2), 1 - odd], 1).reshape(-1)


def extended_powell_singular(w):
    a, b, c, d = w[0::4], w[1::4], w[2::4], w[3::4]
    rows = [a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2]
    return torch.stack(rows, 1).reshape(-1)


def penalty_1(w):
    return torch.cat([1e-5**0.5 * (w - 1), (w.square().sum() - 0.25)[None]])


def penalty_2(w):
    n = w.numel()
    root, grown = 1e-5**0.5, torch.exp(w / 10)
    i = _counting(n, w)[1:]
    y = torch.exp(i / 10) + torch.exp((i - 1) / 10)
    weights = n + 1 - _counting(n, w)
    return torch.cat(
        [
            w[:1] - 0.2,
            root * (grown[1:] + grown[:-1] - y),
            root * (grown[1:] - torch.exp(w.new_tensor(-0.1))),
            ((weights * w.square()).sum() - 1)[None],
        ]
    )


def variably_dimensioned(w):
    slack = (_counting(w.numel(), w) * (w - 1)).sum()
    return torch.cat([w - 1, torch.stack([slack, slack**2])])


def trigonometric(w):
    n, i = w.numel(), _counting(w.numel(), w)
    return n - torch.cos(w).sum() + i * (1 - torch.cos(w)) - torch.sin(w)


def brown_almost_linear(w):
    n = w.numel()
    return torch.cat([w[:-1] + w.sum() - (n + 1), (w.prod() - 1)[None]])


def discrete_boundary_value(w):
    h = 1 / (w.numel() + 1)
    t = h * _counting(w.numel(), w)
    return 2 * w - _before(w) - _after(w) + h**2 * (w + t + 1) ** 3 / 2


def discrete_integral_equation(w):
    h = 1 / (w.numel() + 1)
    t = h * _counting(w.numel(), w)
    cubes = (w + t + 1) ** 3
    up_to = torch.cumsum(t * cubes, 0)
    behind = ((1 - t) * cubes).sum() - torch.cumsum((1 - t) * cubes, 0)
    return w + h / 2 * ((1 - t) * up_to + t * behind)


def broyden_tridiagonal(w):
    return (3 - 2 * w) * w - _before(w) - 2 * _after(w) + 1


def broyden_banded(w):
    i = torch.arange(w.numel())
    distance = i[None, :] - i[:, None]  # j - i
    band = ((distance >= -5) & (distance <= 1) & (distance != 0)).to(w)
    return w * (2 + 5 * w**2) + 1 - band @ (w * (1 + w))


def linear_full_rank(w):
    m, mean = 2 * w.numel(), w.sum() / w.numel()  # 2/m times the sum is the mean
    return torch.cat([w - mean - 1, (-mean - 1).expand(m - w.numel())])


def linear_rank_1(w):
    return _counting(2 * w.numel(), w) * (_counting(w.numel(), w) * w).sum() - 1


def linear_rank_1_zero(w):
    m = 2 * w.numel()
    i = _counting(m, w) - 1
    i = torch.where(i == m - 1, torch.zeros_like(i), i)  # the first and the last row are 0
    return i * (_counting(w.numel(), w) * w)[1:-1].sum() - 1


def chebyquad(w):
    n, x = w.numel(), 2 * w - 1
    before, now, rows = torch.ones_like(x), x, []
    for i in range(1, n + 1):
        integral = 0.0 if i % 2 else -1 / (i**2 - 1)
        rows.append(now.mean() - integral)
        before, now = now, 2 * x * now - before
    return torch.stack(rows)


def _counting(last, like):
    return torch.arange(1, last + 1).to(like)


def _before(w):
    return torch.cat([w.new_zeros(1), w[:-1]])


def _after(w):
    return torch.cat([w[1:], w.new_zeros(1)])
