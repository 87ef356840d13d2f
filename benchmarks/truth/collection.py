"""The 35 problems of Moré, Garbow and Hillstrom (1981): residuals, oracles, standard starts and published minima.

Dimensions that the paper leaves open: 4, 8, 10, 12 or 20 here. Values are sums of squares, without a half.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optwise.problems.classics import CLASSICS

from . import oracles, residuals


@dataclass(frozen=True)
class Published:
    """A problem and what was published of it.

    Args:
        number: In the paper.
        name: Printed.
        residual: In torch, what solvers see.
        oracle: In numpy, what judges.
        start: Standard start.
        minima: Sums of squares at minima, the best first.
        infinite: Sums of squares that are approached at infinity.
        near: Points from which a minimum is reached where the standard start leads elsewhere, the best minimum's first.
        at_start: Sum of squares at the standard start, by hand or as MINPACK's test drivers print it.
    """

    number: int
    name: str
    residual: Callable
    oracle: Callable
    start: tuple[float, ...]
    minima: tuple[float, ...]
    infinite: tuple[float, ...] = ()
    near: tuple[tuple[float, ...], ...] = ()
    at_start: float | None = None

    def from_start(self, factor):
        """A multiple of the standard start; where that is 0 (Watson), as MINPACK's drivers do, ones times it."""
        start = np.array(self.start)
        if factor != 1 and not start.any():
            start = np.ones_like(start)
        return factor * start

    def value(self, w, dtype=np.longdouble):
        """The sum of squares at a point, in the precision asked for."""
        with np.errstate(all="ignore"):
            r = self.oracle(np.asarray(w).astype(dtype))
            return float(r @ r)


_HERE = {
    "gulf": (11, (5.0, 2.5, 0.15)),
    "biggs-exp6": (18, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0)),
    "extended-rosenbrock": (21, (-1.2, 1.0) * 10),
    "extended-powell-singular": (22, (3.0, -1.0, 0.0, 1.0) * 3),
    "penalty-1": (23, tuple(float(j) for j in range(1, 11))),
    "penalty-2": (24, (0.5,) * 4),
    "variably-dimensioned": (25, tuple(1 - j / 10 for j in range(1, 11))),
    "trigonometric": (26, (0.1,) * 10),
    "brown-almost-linear": (27, (0.5,) * 10),
    "discrete-boundary-value": (28, tuple(j / 11 * (j / 11 - 1) for j in range(1, 11))),
    "discrete-integral-equation": (29, tuple(j / 11 * (j / 11 - 1) for j in range(1, 11))),
    "broyden-tridiagonal": (30, (-1.0,) * 10),
    "broyden-banded": (31, (-1.0,) * 10),
    "linear-full-rank": (32, (1.0,) * 10),
    "linear-rank-1": (33, (1.0,) * 10),
    "linear-rank-1-zero": (34, (1.0,) * 10),
    "chebyquad": (35, tuple(j / 9 for j in range(1, 9))),
}

_MINIMA = {
    "biggs-exp6": (0.0, 5.65565e-3),
    "penalty-1": (7.08765e-5,),
    "penalty-2": (9.37629e-6,),
    "trigonometric": (0.0, 2.79506e-5),
    "brown-almost-linear": (0.0, 1.0),
    "linear-full-rank": (10.0,),  # m - n
    "linear-rank-1": (20 * 19 / (2 * 41),),  # m (m - 1) / (2 (2 m + 1))
    "linear-rank-1-zero": (454 / (2 * 37),),  # (m^2 + 3 m - 6) / (2 (2 m - 3))
    "chebyquad": (3.51687e-3,),
}

_INFINITE = {
    "bard": (17.4286,),  # at (0.8406, -inf, -inf)
    "kowalik-osborne": (1.02734e-3,),  # at (inf, -14.07, -inf, -inf)
}

_NEAR = {
    "powell-badly-scaled": ((1.098e-5, 9.106),),
    "brown-badly-scaled": ((1e6, 2e-6),),
    "freudenstein-roth": ((5.0, 4.0),),
    "beale": ((3.0, 0.5),),
    "box-three": ((1.0, 10.0, 1.0),),
    "gulf": ((50.0, 25.0, 1.5),),
    "biggs-exp6": ((1.0, 10.0, 1.0, 5.0, 4.0, 3.0),),
    "variably-dimensioned": ((1.0,) * 10,),
    "brown-almost-linear": ((1.0,) * 10,),
    "trigonometric": ((0.0,) * 10,),
    "wood": ((1.0,) * 4,),
    "jennrich-sampson": ((0.2578, 0.2578),),
    "brown-dennis": ((-11.59, 13.2, -0.4034, 0.2367),),
    "meyer": ((0.00561, 6181.3, 345.2),),
}

# by hand, or the squares of what the drivers of MINPACK print as initial norms
_AT_START = {
    "rosenbrock": 24.2,
    "freudenstein-roth": 400.5,
    "brown-badly-scaled": (1 - 1e6) ** 2 + (1 - 2e-6) ** 2 + 1,
    "beale": 14.203125,
    "jennrich-sampson": 64.58562**2,
    "helical-valley": 2500.0,
    "bard": 6.456136**2,
    "meyer": 41153.47**2,
    "box-three": 32.11158**2,
    "powell-singular": 215.0,
    "wood": 19192.0,
    "brown-dennis": 2815.439**2,
    "osborne-1": 0.9375640**2,
    "osborne-2": 1.446865**2,
    "watson": 30.0,
    "extended-rosenbrock": 10 * 24.2,
    "extended-powell-singular": 3 * 215.0,
    "penalty-1": 1e-5 * 285 + 384.75**2,
    "variably-dimensioned": 3.85 + 38.5**2 + 38.5**4,
    "brown-almost-linear": 16.53022**2,
    "broyden-tridiagonal": 21.0,
    "broyden-banded": 360.0,
    "linear-full-rank": 50.0,
    "linear-rank-1": sum((55 * i - 1) ** 2 for i in range(1, 21)),
    "linear-rank-1-zero": 2 + sum((44 * i - 1) ** 2 for i in range(1, 19)),
    "chebyquad": 0.1965139**2,
}


def _published(name):
    oracle = getattr(oracles, name.replace("-", "_"))
    facts = {"infinite": _INFINITE.get(name, ()), "near": _NEAR.get(name, ()), "at_start": _AT_START.get(name)}
    if name in CLASSICS:
        held = CLASSICS[name]
        return Published(held.number, name, held.residual, oracle, held.start, held.minima, **facts)
    number, start = _HERE[name]
    residual = getattr(residuals, name.replace("-", "_"))
    return Published(number, name, residual, oracle, start, _MINIMA.get(name, (0.0,)), **facts)


COLLECTION = tuple(sorted(map(_published, [*CLASSICS, *_HERE]), key=lambda problem: problem.number))
"""In the order of the paper."""
