"""Questions asked of thousands of settings at once: steps to a target, the best settings, the critical batch size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optwise.core.errors import BadMethod, BadProtocol, UnknownName
from optwise.core.finding import Interval
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.showing import Terse
from optwise.core.space import Space
from optwise.theory.courses import course
from optwise.theory.forecasting import forecast
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of, closed, drawn_once, factors_of, nodes_of, offset_of, quadratic_of
from optwise.theory.row_noise import MOST_OPERATIONS
from optwise.theory.searches import Asked, Found, searched
from optwise.theory.whole_runs import hold_in_a_run

if TYPE_CHECKING:
    import pandas as pd

REFINED = 1.01
"""Ratio of neighbouring batch sizes between which a critical one is interpolated."""

FIRST, LONGER = 128, 8
"""Steps of the first forecast of a setting that is followed by itself, and how many times longer the next one is."""

EVERY_STEP = 1e5
"""Operations whose time a step of a forecast takes whatever its size."""

NO_NOISE = 1e30
"""A batch size at which nothing is left of noise: what a method could do at best."""


def steps_to(
    problem: Problem,
    methods: Sequence[Method],
    target: float,
    batch_sizes: Sequence[float],
    *,
    max_steps: int = 20_000,
) -> Floats:
    """First step whose expected risk is at most ``target``, for every setting and batch size.

    More than 256 distinct curvatures are compressed, for each setting to as many nodes as the turning of its roots asks
    for; where the bound on what that misses is more than 1e-10 of the target, more are taken, and at last all.

    Args:
        problem: One that declares its quadratic.
        methods: T closed settings of one linear rule.
        target: Excess over the optimum, above 0.
        batch_sizes: B of them, at least 1 each.
        max_steps: Where to give up; also the horizon of schedules that need one.

    Returns:
        Steps [T, B], infinite for a miss.

    Raises:
        CallerError: A problem that is no quadratic, a method that is not linear, a batch size below 1.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> steps_to(nqm(d=100), [SGD(lr=0.1), SGD(lr=1.0)], 0.02, [1, 64, 4096])
        array([[  inf, 1118., 1079.],
               [  inf,   inf,  108.]])
    """
    return _found(problem, methods, target, batch_sizes, max_steps).steps


def _found(
    problem: Problem, methods: Sequence[Method], target: float, batch_sizes: Sequence[float], max_steps: int
) -> Found:
    """First steps, and the bound on what compressing the spectrum missed."""
    if not methods:
        raise BadProtocol("No setting was given; give at least one closed method.")
    methods, quadratic = [closed(method) for method in methods], quadratic_of(problem)
    sizes = np.array([batch_of(problem, size) for size in batch_sizes])
    if not target > 0:
        raise BadProtocol(f"A risk of {target:g} is never met; give a target above the optimum, as in 0.01.")
    if sizes.size == 0 or max_steps < 1:
        raise BadProtocol("A survey needs at least one batch size and one step.")
    hold_in_a_run(methods, quadratic)
    if quadratic.noise.multiplies or drawn_once(problem):  # noise that does not scale with 1 / B
        return Found(_one_by_one(problem, methods, Asked(target, sizes, max_steps)))
    nodes = nodes_of(quadratic, offset_of(problem))
    return searched(methods, nodes, Asked(target, sizes, max_steps))


def _one_by_one(problem: Problem, methods: Sequence[Method], asked: Asked) -> Floats:
    """First steps [T, B] of forecasts that grow until they meet the target or leave the numbers.

    Raises:
        BadProtocol: More work than about a minute's, counted in steps, rows and coordinates.
    """
    quadratic = quadratic_of(problem)
    each = EVERY_STEP + (1 if quadratic.rows is None else len(quadratic.rows)) * quadratic.dimension**2
    found, spent = np.full((len(methods), asked.sizes.size), np.inf), 0.0
    for i, method in enumerate(methods):
        # a schedule is that of the whole run
        steps = min(FIRST, asked.most) if factors_of(method, asked.most) is None else asked.most
        for j, size in enumerate(asked.sizes):
            length = steps
            while True:
                spent += length * each
                if spent > MOST_OPERATIONS:
                    raise BadProtocol(
                        f"{found.size} settings and batch sizes over up to {asked.most} steps on {problem.name} take "
                        f"more than a minute, {i} settings of {len(methods)} done; give fewer points, batch sizes or "
                        "max_steps, or a smaller data set."
                    )
                own = forecast(problem, method, length, size)
                hit = own.steps_to(asked.target)
                if hit is not None or length == asked.most or not np.isfinite(own.risk[-1]):
                    found[i, j] = np.inf if hit is None else hit
                    break
                length = min(LONGER * length, asked.most)
    return found


@dataclass(frozen=True, eq=False)
class Survey(Terse):
    """Steps to a target over a grid of settings and batch sizes.

    Args:
        problem: Name.
        method: Label.
        space: The open fields.
        points: Values of the open fields of each setting, by path [T].
        batch_sizes: [B].
        steps: First step at the target [T, B], infinite for a miss.
        target: Excess over the optimum.
        max_steps: Where a setting was given up.
        noiseless: First step at the target without noise [T].
        bound: What compressing the spectrum missed at most, relative to the target, at the hits that were looked at;
            the best setting of each batch size was looked up on the whole spectrum besides.
    """

    problem: str
    method: str
    space: Space
    points: tuple[Mapping[str, Any], ...]
    batch_sizes: Floats
    steps: Floats
    target: float
    max_steps: int
    noiseless: Floats
    bound: float = 0.0

    def least(self) -> Floats:
        """Steps of the best setting at each batch size [B], infinite where none meets the target."""
        least: Floats = self.steps.min(0)
        return least

    def best(self, batch_size: float) -> Mapping[str, Any]:
        """Values of the open fields of the best setting at a batch size; the first of several.

        Raises:
            BadProtocol: No setting meets the target there.
        """
        column = self._column(batch_size)
        if not np.isfinite(column).any():
            raise BadProtocol(
                f"No setting of {self.method} meets {self.target:g} at batch size {batch_size:g} within "
                f"{self.max_steps} steps; give an easier target, larger batches or more steps."
            )
        return self.points[int(np.argmin(column))]

    def range_of(self, path: str, batch_size: float, *, within: float = 0.1) -> Interval:
        """Values of a field from which the best of the other fields comes within a share of the least steps.

        Args:
            path: Of an open field.
            batch_size: One of those surveyed.
            within: Share of the least steps that may be added.
        """
        if path not in self.space.fields:
            raise UnknownName(f"open field of {self.method}", path, self.space.fields)
        self.best(batch_size)
        column = self._column(batch_size)
        good = [self.points[i][path] for i in np.flatnonzero(column <= (1 + within) * column.min())]
        return Interval(float(min(good)), float(max(good)))

    def at_edge(self, batch_size: float) -> dict[str, str]:
        """Open fields whose best value is an end of the grid: ``low`` or ``high``; a wider range may do better."""
        point = self.best(batch_size)
        found = {}
        for path in self.space.fields:
            values = sorted({p[path] for p in self.points})
            if point[path] in (values[0], values[-1]) and len(values) > 1:
                found[path] = "low" if point[path] == values[0] else "high"
        return found

    @property
    def critical_batch_size(self) -> float:
        """The batch size at which the best setting needs twice the steps it needs without noise.

        Interpolated between the surveyed sizes on log scales; infinite where all need more, 0 where none does.
        """
        least, limit = self.least(), 2 * float(self.noiseless.min())
        enough = np.flatnonzero(least <= limit)
        if not np.isfinite(limit) or not enough.size:
            return float("inf")
        i = int(enough[0])
        if i == 0:
            return 0.0 if least[0] < limit else float(self.batch_sizes[0])
        if not np.isfinite(least[i - 1]):
            return float(self.batch_sizes[i])
        low, high = np.log(self.batch_sizes[i - 1]), np.log(self.batch_sizes[i])
        share = np.log(least[i - 1] / limit) / np.log(least[i - 1] / least[i])
        return float(np.exp(low + share * (high - low)))

    def frame(self) -> pd.DataFrame:
        """One row a setting and batch size: the open fields, ``batch_size``, ``steps``."""
        import pandas as pd

        settings = pd.DataFrame(self.points)
        blocks = [settings.assign(batch_size=b, steps=self.steps[:, j]) for j, b in enumerate(self.batch_sizes)]
        return pd.concat(blocks, ignore_index=True)

    def _column(self, batch_size: float) -> Floats:
        places = np.flatnonzero(self.batch_sizes == batch_size)
        if not places.size:
            known = ", ".join(f"{b:g}" for b in self.batch_sizes)
            raise BadProtocol(f"Batch size {batch_size:g} was not surveyed; take one of {known}.")
        column: Floats = self.steps[:, places[0]]
        return column


def survey(
    problem: Problem,
    method: Method,
    target: float,
    batch_sizes: Sequence[float],
    *,
    points: int = 1000,
    max_steps: int = 20_000,
) -> Survey:
    """Steps to a target over a grid of the method's open fields and over batch sizes.

    Args:
        problem: One that declares its quadratic.
        method: A linear rule with open fields, as in ``SGD()`` or ``Momentum(lr=LogUniform(1e-3, 2), momentum=0.9)``.
        target: Excess over the optimum, above 0.
        batch_sizes: Increasing, at least 1 each.
        points: Settings at most: a full grid with as many levels of each open field as that allows, ends included.
        max_steps: Where to give up.

    Raises:
        CallerError: As :func:`steps_to`; a closed method.

    Example:
        >>> from optwise.core.space import LogUniform
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> found = survey(nqm(d=100), SGD(lr=LogUniform(1e-3, 2.0)), 0.01, [64, 1024], points=40)
        >>> found.least(), round(found.best(64)["lr"], 3)
        (array([544.,  94.]), 0.346)
    """
    space = method.space
    if not space.fields:
        raise BadMethod(
            f"{method.label} has no open field to survey; leave one open, as in SGD(lr=LogUniform(1e-3, 2))."
        )
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    if np.any(np.diff(sizes) <= 0):
        raise BadProtocol("The batch sizes are not in increasing order; sort them and name each once.")
    return _surveyed(problem, method, target, sizes, points=points, max_steps=max_steps)


def grid(space: Space, points: int) -> list[dict[str, Any]]:
    """A full grid over the open fields, evenly spaced on each one's own scale, ends included.

    Example:
        >>> from optwise.core.space import LogUniform
        >>> [round(p["lr"], 6) for p in grid(Space({"lr": LogUniform(1e-2, 1.0)}), 3)]
        [0.01, 0.1, 1.0]
    """
    if points < 1:
        raise BadProtocol(f"A grid of {points} points is empty; give at least 1.")
    levels = max(1, int(points ** (1 / max(space.dimensions, 1)) + 1e-9))
    axis = [0.5] if levels == 1 else np.linspace(0, 1, levels).tolist()
    return [space.point(u) for u in itertools.product(axis, repeat=space.dimensions)]


def critical_batch_size(
    problem: Problem,
    method: Method,
    target: float,
    *,
    batch_sizes: Sequence[float] | None = None,
    points: int = 1000,
    max_steps: int = 20_000,
) -> float:
    """Where larger batches stop paying: the size at which a tuned method needs twice the steps it needs without noise.

    Below it steps fall almost as 1/B, above it hardly at all. It belongs to the method, the target and the space.

    Args:
        problem: One that declares its quadratic.
        method: A linear rule; a closed one is taken as it is, an open one is tuned at each batch size.
        target: Excess over the optimum, above 0.
        batch_sizes: Between which to look; by default the powers of 2 up to 2^24.
        points: Settings of the grid.
        max_steps: Where to give up.

    Returns:
        Infinity where no surveyed size is large enough, 0 where the smallest is.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> round(critical_batch_size(nqm(d=100), SGD(lr=0.5), 0.02), 1)
        38.1
    """
    sizes = np.array([2.0**i for i in range(25)] if batch_sizes is None else list(batch_sizes))
    while True:
        found = _surveyed(problem, method, target, sizes, points=points, max_steps=max_steps)
        critical = found.critical_batch_size
        place = int(np.searchsorted(sizes, critical))
        if not (np.isfinite(critical) and 0 < place < sizes.size) or sizes[place] <= REFINED * sizes[place - 1]:
            return critical
        sizes = np.geomspace(sizes[place - 1], sizes[place], 9)  # steps fall in steps, so that a line may be far off


def _surveyed(problem: Problem, method: Method, target: float, sizes: Floats, *, points: int, max_steps: int) -> Survey:
    settings = grid(method.space, points) if method.space.fields else [{}]
    methods = [method.close(point) for point in settings]
    asked = [*sizes.tolist(), NO_NOISE]
    found = _found(problem, methods, target, asked, max_steps)
    steps = found.steps
    if found.bound > 0:
        _look_up_the_best(problem, methods, steps, Asked(target, np.array(asked), max_steps))
    return Survey(
        problem=problem.name,
        method=method.label,
        space=method.space,
        points=tuple(settings),
        batch_sizes=sizes,
        steps=steps[:, :-1],
        target=target,
        max_steps=max_steps,
        noiseless=steps[:, -1],
        bound=found.bound,
    )


def _look_up_the_best(problem: Problem, methods: Sequence[Method], steps: Floats, asked: Asked) -> None:
    """Look up the least steps of each batch size on the whole spectrum, until the least is one that was looked up."""
    nodes = nodes_of(quadratic_of(problem), offset_of(problem))
    risks: dict[int, tuple[Floats, Floats]] = {}
    for j, size in enumerate(asked.sizes):
        known: set[int] = set()
        while np.isfinite(steps[:, j]).any() and (i := int(np.argmin(steps[:, j]))) not in known:
            last = min(int(steps[i, j]) + 1, asked.most)
            if i not in risks or len(risks[i][0]) <= last:
                found = course(methods[i], nodes, max(last, 1)).totals(None, 1.0)
                risks[i] = found.bias, found.noise
            bias, noise = risks[i]
            hits = np.flatnonzero(bias + noise / size <= asked.target)
            steps[i, j] = hits[0] if hits.size else np.inf
            known.add(i)
