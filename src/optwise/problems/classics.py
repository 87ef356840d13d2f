"""Sums of squares that solvers are judged by: problems of Moré, Garbow and Hillstrom with their published minima."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from optwise.core.errors import UnknownName
from optwise.core.problem import Problem
from optwise.problems.formulations.general import nonlinear_least_squares

Residual = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Classic:
    """A problem of the collection.

    Args:
        residual: r(w) [m].
        start: Standard start.
        minima: Published sums of squares at local minima, the best first; limits at infinity are not among them.
        number: In the collection.
    """

    residual: Residual
    start: tuple[float, ...]
    minima: tuple[float, ...]
    number: int


def more_garbow_hillstrom(name: str = "rosenbrock") -> Problem:
    r"""A sum of squares of the collection of Moré, Garbow and Hillstrom, from its standard start, in float64.

    .. math:: f(w) = \tfrac12 \sum_i r_i(w)^2

    Note the half: published minima are sums of squares, twice the value.

    Args:
        name: Of the problem, as in ``bard`` or ``powell-singular``; :data:`CLASSICS` lists them.

    Raises:
        UnknownName: No such problem.

    Example:
        >>> problem = more_garbow_hillstrom("beale")
        >>> problem.name, round(2 * float(problem.function().value(torch.tensor([3.0, 0.5]).double())), 12)
        ('more-garbow-hillstrom:name=beale', 0.0)

    References:
        Moré, Garbow and Hillstrom (1981), Testing unconstrained optimization software.
    """
    if name not in CLASSICS:
        raise UnknownName("problem of Moré, Garbow and Hillstrom", name, CLASSICS)
    classic = CLASSICS[name]
    start = torch.tensor(classic.start, dtype=torch.float64)
    problem = nonlinear_least_squares(classic.residual, start, reduction="sum")
    reference = f"more-garbow-hillstrom:name={name}"
    return replace(problem, name=reference, reference=reference)


def _rosenbrock(w: Tensor) -> Tensor:
    return torch.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]])


def _freudenstein_roth(w: Tensor) -> Tensor:
    a, b = w[0], w[1]
    return torch.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def _powell_badly_scaled(w: Tensor) -> Tensor:
    return torch.stack([1e4 * w[0] * w[1] - 1, torch.exp(-w[0]) + torch.exp(-w[1]) - 1.0001])


def _brown_badly_scaled(w: Tensor) -> Tensor:
    return torch.stack([w[0] - 1e6, w[1] - 2e-6, w[0] * w[1] - 2])


def _beale(w: Tensor) -> Tensor:
    powers = torch.stack([w[1], w[1] ** 2, w[1] ** 3])
    return torch.tensor([1.5, 2.25, 2.625]).to(w) - w[0] * (1 - powers)


def _jennrich_sampson(w: Tensor) -> Tensor:
    i = _counting(10, w)
    return 2 + 2 * i - (torch.exp(i * w[0]) + torch.exp(i * w[1]))


def _helical_valley(w: Tensor) -> Tensor:
    angle = torch.atan2(w[1], w[0]) / (2 * torch.pi)
    angle = torch.where(angle < -0.25, angle + 1, angle)  # the branch of the original: arctan(b/a), plus 1/2 for a < 0
    return torch.stack([10 * (w[2] - 10 * angle), 10 * (torch.hypot(w[0], w[1]) - 1), w[2]])


_BARD = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)


def _bard(w: Tensor) -> Tensor:
    u = _counting(15, w)
    v = 16 - u
    return torch.tensor(_BARD, dtype=torch.float64).to(w) - (w[0] + u / (v * w[1] + torch.minimum(u, v) * w[2]))


_GAUSSIAN = (0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989)


def _gaussian(w: Tensor) -> Tensor:
    t = (8 - _counting(15, w)) / 2
    y = torch.tensor([*_GAUSSIAN, *_GAUSSIAN[-2::-1]], dtype=torch.float64).to(w)
    return w[0] * torch.exp(-w[1] * (t - w[2]) ** 2 / 2) - y


_MEYER = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872)


def _meyer(w: Tensor) -> Tensor:
    t = 45 + 5 * _counting(16, w)
    return w[0] * torch.exp(w[1] / (t + w[2])) - torch.tensor(_MEYER).to(w)


def _powell_singular(w: Tensor) -> Tensor:
    return torch.stack([w[0] + 10 * w[1], 5**0.5 * (w[2] - w[3]), (w[1] - 2 * w[2]) ** 2, 10**0.5 * (w[0] - w[3]) ** 2])


def _wood(w: Tensor) -> Tensor:
    return torch.stack(
        [
            10 * (w[1] - w[0] ** 2),
            1 - w[0],
            90**0.5 * (w[3] - w[2] ** 2),
            1 - w[2],
            10**0.5 * (w[1] + w[3] - 2),
            10**-0.5 * (w[1] - w[3]),
        ]
    )


_KOWALIK = (0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
_KOWALIK_U = (4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)


def _kowalik_osborne(w: Tensor) -> Tensor:
    y, u = (torch.tensor(numbers, dtype=torch.float64).to(w) for numbers in (_KOWALIK, _KOWALIK_U))
    return y - w[0] * (u**2 + u * w[1]) / (u**2 + u * w[2] + w[3])


def _brown_dennis(w: Tensor) -> Tensor:
    t = _counting(20, w) / 5
    return (w[0] + t * w[1] - torch.exp(t)) ** 2 + (w[2] + w[3] * torch.sin(t) - torch.cos(t)) ** 2


_OSBORNE_1 = (
    *(0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751),
    *(0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490),
    *(0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406),
)


def _osborne_1(w: Tensor) -> Tensor:
    t = 10 * (_counting(33, w) - 1)
    y = torch.tensor(_OSBORNE_1, dtype=torch.float64).to(w)
    return y - (w[0] + w[1] * torch.exp(-t * w[3]) + w[2] * torch.exp(-t * w[4]))


_OSBORNE_2 = (
    *(1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608),
    *(0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661),
    *(0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428),
    *(0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559),
    *(0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054),
)


def _osborne_2(w: Tensor) -> Tensor:
    t = (_counting(65, w) - 1) / 10
    y = torch.tensor(_OSBORNE_2, dtype=torch.float64).to(w)
    bumps = w[1:4, None] * torch.exp(-((t - w[8:11, None]) ** 2) * w[5:8, None])
    return y - (w[0] * torch.exp(-t * w[4]) + bumps.sum(0))


def _watson(w: Tensor) -> Tensor:
    t = _counting(29, w)[:, None] / 29  # [29, 1]
    j = torch.arange(w.numel(), dtype=w.dtype)  # powers
    slope = (j[1:] * w[1:] * t ** (j[1:] - 1)).sum(1)
    return torch.cat([slope - (w * t**j).sum(1) ** 2 - 1, w[:1], (w[1] - w[0] ** 2 - 1)[None]])


def _box_three(w: Tensor) -> Tensor:
    t = _counting(10, w) / 10
    return torch.exp(-t * w[0]) - torch.exp(-t * w[1]) - w[2] * (torch.exp(-t) - torch.exp(-10 * t))


def _counting(last: int, like: Tensor) -> Tensor:
    return torch.arange(1, last + 1).to(like)


CLASSICS: Mapping[str, Classic] = {
    "rosenbrock": Classic(_rosenbrock, (-1.2, 1.0), (0.0,), 1),
    "freudenstein-roth": Classic(_freudenstein_roth, (0.5, -2.0), (0.0, 48.9842), 2),
    "powell-badly-scaled": Classic(_powell_badly_scaled, (0.0, 1.0), (0.0,), 3),
    "brown-badly-scaled": Classic(_brown_badly_scaled, (1.0, 1.0), (0.0,), 4),
    "beale": Classic(_beale, (1.0, 1.0), (0.0,), 5),
    "jennrich-sampson": Classic(_jennrich_sampson, (0.3, 0.4), (124.362,), 6),
    "helical-valley": Classic(_helical_valley, (-1.0, 0.0, 0.0), (0.0,), 7),
    "bard": Classic(_bard, (1.0, 1.0, 1.0), (8.21487e-3,), 8),
    "gaussian": Classic(_gaussian, (0.4, 1.0, 0.0), (1.12793e-8,), 9),
    "meyer": Classic(_meyer, (0.02, 4000.0, 250.0), (87.9458,), 10),
    "box-three": Classic(_box_three, (0.0, 10.0, 20.0), (0.0,), 12),
    "powell-singular": Classic(_powell_singular, (3.0, -1.0, 0.0, 1.0), (0.0,), 13),
    "wood": Classic(_wood, (-3.0, -1.0, -3.0, -1.0), (0.0,), 14),
    "kowalik-osborne": Classic(_kowalik_osborne, (0.25, 0.39, 0.415, 0.39), (3.07505e-4,), 15),
    "brown-dennis": Classic(_brown_dennis, (25.0, 5.0, -5.0, -1.0), (85822.2,), 16),
    "osborne-1": Classic(_osborne_1, (0.5, 1.5, -1.0, 0.01, 0.02), (5.46489e-5,), 17),
    "osborne-2": Classic(_osborne_2, (1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5), (4.01377e-2,), 19),
    "watson": Classic(_watson, (0.0,) * 6, (2.28767e-3,), 20),
}
"""Name to problem; numbers are those of the collection."""
