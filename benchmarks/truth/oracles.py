"""The 35 problems of Moré, Garbow and Hillstrom once more, in numpy and in whatever precision the point has.

They judge: nothing here is shared with optwise but the tables of measurements, and those are checked by the published
minima.
"""

import numpy as np

from optwise.problems.classics import _BARD, _GAUSSIAN, _KOWALIK, _KOWALIK_U, _MEYER, _OSBORNE_1, _OSBORNE_2


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] * x[0]), 1 - x[0]])


def freudenstein_roth(x):
    return np.array([x[0] - x[1] ** 3 + 5 * x[1] ** 2 - 2 * x[1] - 13, x[0] + x[1] ** 3 + x[1] ** 2 - 14 * x[1] - 29])


def powell_badly_scaled(x):
    return np.array([10000 * x[0] * x[1] - 1, np.exp(-x).sum() - _number(x, "1.0001")])


def brown_badly_scaled(x):
    return np.array([x[0] - 10**6, x[1] - _number(x, "2e-6"), x[0] * x[1] - 2])


def beale(x):
    return np.array([y - x[0] * (1 - x[1] ** i) for i, y in ((1, 1.5), (2, 2.25), (3, 2.625))])


def jennrich_sampson(x):
    i = _upto(10, x)
    return 2 * (1 + i) - np.exp(i * x[0]) - np.exp(i * x[1])


def helical_valley(x):
    pi = 4 * np.arctan(x.dtype.type(1))
    if x[0] == 0:
        theta = np.copysign(x.dtype.type(0.25), x[1])
    else:
        theta = np.arctan(x[1] / x[0]) / (2 * pi) + (0.5 if x[0] < 0 else 0)
    return np.array([10 * (x[2] - 10 * theta), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


def bard(x):
    u = _upto(15, x)
    v = 16 - u
    return _table(_BARD, x) - x[0] - u / (v * x[1] + np.minimum(u, v) * x[2])


def gaussian(x):
    half = list(_GAUSSIAN)
    t = (8 - _upto(15, x)) / 2
    return x[0] * np.exp(-x[1] / 2 * (t - x[2]) ** 2) - _table(half + half[:-1][::-1], x)


def meyer(x):
    return x[0] * np.exp(x[1] / (45 + 5 * _upto(16, x) + x[2])) - _table(_MEYER, x)


def gulf(x):
    t = _upto(99, x) / 100
    y = 25 + np.cbrt(-50 * np.log(t)) ** 2
    return np.exp(-(np.abs(y - x[1]) ** x[2]) / x[0]) - t


def box_three(x):
    t = _upto(10, x) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x):
    five, ten = np.sqrt(x.dtype.type(5)), np.sqrt(x.dtype.type(10))
    return np.array(
        [x[0] + 10 * x[1], five * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, ten * (x[0] - x[3]) * (x[0] - x[3])]
    )


def wood(x):
    ten, ninety = np.sqrt(x.dtype.type(10)), np.sqrt(x.dtype.type(90))
    return np.array(
        [
            10 * (x[1] - x[0] ** 2),
            1 - x[0],
            ninety * (x[3] - x[2] ** 2),
            1 - x[2],
            ten * (x[1] + x[3] - 2),
            (x[1] - x[3]) / ten,
        ]
    )


def kowalik_osborne(x):
    y, u = _table(_KOWALIK, x), _table(_KOWALIK_U, x)
    return y - x[0] * u * (u + x[1]) / (u * (u + x[2]) + x[3])


def brown_dennis(x):
    t = _upto(20, x) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def osborne_1(x):
    t = 10 * (_upto(33, x) - 1)
    return _table(_OSBORNE_1, x) - x[0] - x[1] * np.exp(-t * x[3]) - x[2] * np.exp(-t * x[4])


def biggs_exp6(x):
    t = _upto(13, x) / 10
    model = x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4])
    return model - np.exp(-t) + 5 * np.exp(-10 * t) - 3 * np.exp(-4 * t)


def osborne_2(x):
    t = (_upto(65, x) - 1) / 10
    model = x[0] * np.exp(-t * x[4])
    for k in range(3):
        model = model + x[1 + k] * np.exp(-((t - x[8 + k]) ** 2) * x[5 + k])
    return _table(_OSBORNE_2, x) - model


def watson(x):
    rows = []
    for i in range(1, 30):
        t = x.dtype.type(i) / 29
        slope = sum(j * x[j] * t ** (j - 1) for j in range(1, len(x)))
        rows.append(slope - sum(x[j] * t**j for j in range(len(x))) ** 2 - 1)
    return np.array([*rows, x[0], x[1] - x[0] ** 2 - 1])


def extended_rosenbrock(x):
    return np.concatenate([rosenbrock(x[k : k + 2]) for k in range(0, len(x), 2)])


def extended_powell_singular(x):
    return np.concatenate([powell_singular(x[k : k + 4]) for k in range(0, len(x), 4)])


def penalty_1(x):
    return np.append(np.sqrt(_number(x, "1e-5")) * (x - 1), x @ x - 0.25)


def penalty_2(x):
    n, root = len(x), np.sqrt(_number(x, "1e-5"))

    def e(a):
        return np.exp(x.dtype.type(a) / 10)

    rows = [x[0] - _number(x, "0.2")]
    rows += [root * (e(x[i - 1]) + e(x[i - 2]) - e(i) - e(i - 1)) for i in range(2, n + 1)]
    rows += [root * (e(x[i - n]) - e(-1)) for i in range(n + 1, 2 * n)]
    return np.array([*rows, sum((n - j) * x[j] ** 2 for j in range(n)) - 1])


def variably_dimensioned(x):
    slack = sum((j + 1) * (x[j] - 1) for j in range(len(x)))
    return np.array([*(x - 1), slack, slack * slack])


def trigonometric(x):
    i = _upto(len(x), x)
    return (1 - np.cos(x)).sum() + i * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):
    return np.append(x[:-1] + x.sum() - len(x) - 1, np.prod(x) - 1)


def discrete_boundary_value(x):
    n = len(x)
    padded, h = np.concatenate([[0], x, [0]]), x.dtype.type(1) / (n + 1)
    return np.array(
        [
            2 * padded[i] - padded[i - 1] - padded[i + 1] + h**2 * (padded[i] + i * h + 1) ** 3 / 2
            for i in range(1, n + 1)
        ]
    )


def discrete_integral_equation(x):
    n = len(x)
    h = x.dtype.type(1) / (n + 1)
    t = h * _upto(n, x)
    cubes = (x + t + 1) ** 3
    kernel = np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))  # the Green's function of the same equation
    return x + h / 2 * kernel @ cubes


def broyden_tridiagonal(x):
    padded = np.concatenate([[0], x, [0]])
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def broyden_banded(x):
    n = len(x)
    rows = []
    for i in range(n):
        others = [j for j in range(max(0, i - 5), min(n, i + 2)) if j != i]
        rows.append(x[i] * (2 + 5 * x[i] ** 2) + 1 - sum(x[j] * (1 + x[j]) for j in others))
    return np.array(rows)


def linear_full_rank(x):
    m = 2 * len(x)
    return np.append(x, np.zeros(len(x), x.dtype)) - 2 * x.sum() / m - 1


def linear_rank_1(x):
    return np.outer(_upto(2 * len(x), x), _upto(len(x), x)) @ x - 1


def linear_rank_1_zero(x):
    matrix = np.outer(_upto(2 * len(x), x) - 1, _upto(len(x), x))
    matrix[[0, -1]] = 0
    matrix[:, [0, -1]] = 0
    return matrix @ x - 1


def chebyquad(x):
    rows = []
    for i in range(1, len(x) + 1):
        coefficients = [0] * i + [1]
        shifted = np.polynomial.chebyshev.chebval(2 * x - 1, np.array(coefficients, dtype=x.dtype))
        rows.append(shifted.mean() + (0 if i % 2 else x.dtype.type(1) / (i * i - 1)))
    return np.array(rows)


def _upto(last, like):
    return np.arange(1, last + 1).astype(like.dtype)


def _number(like, text):
    return like.dtype.type(text)


def _table(numbers, like):
    return np.array([like.dtype.type(repr(number)) for number in numbers])
