"""Questions asked of thousands of settings at once: steps to a target, and the best settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optwise.core.counts import real_number, real_numbers, whole_number
from optwise.core.errors import BadMethod, BadProtocol, UnknownName
from optwise.core.finding import Interval
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.showing import Terse
from optwise.core.space import Space
from optwise.theory.courses import course
from optwise.theory.first_steps import additive, found_steps, noiseless_steps
from optwise.theory.matrices import Floats
from optwise.theory.models import nodes_of, offset_of, opened, quadratic_of
from optwise.theory.searches import Asked

if TYPE_CHECKING:
    import pandas as pd

NO_NOISE = 1e300
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
    return found_steps(problem, methods, Asked.of(target, batch_sizes, max_steps)).steps


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
            return 0.0 if least[0] < limit or limit == 0 else float(self.batch_sizes[0])
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
        batch_size = real_number(batch_size, "Batch size", "give one of those surveyed")
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
    quadratic_of(problem)
    method = opened(method)
    if not method.space.fields:
        raise BadMethod(
            f"{method.label} has no open field to survey; leave one open, as in SGD(lr=LogUniform(1e-3, 2))."
        )
    return surveyed(problem, method, target, increasing(batch_sizes), points=points, max_steps=max_steps)


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


def increasing(batch_sizes: Sequence[float]) -> Floats:
    """Batch sizes as an array.

    Raises:
        BadProtocol: They do not increase.
    """
    sizes = real_numbers(batch_sizes, "Batch sizes", "give a list of numbers of at least 1, as [1, 8, 64]")
    if sizes.size == 0 or not np.all(np.diff(sizes) > 0):
        raise BadProtocol(f"Batch sizes {sizes.tolist()} are not in increasing order; sort them and name each once.")
    return sizes


def settings_of(method: Method, points: int) -> tuple[list[dict[str, Any]], list[Method]]:
    """The points of a grid over a method's open fields, and the method closed at each; one where none is open."""
    points = whole_number(points, "points", least=1)
    settings = grid(method.space, points) if method.space.fields else [{}]
    return settings, [method.close(point) for point in settings]


def surveyed(problem: Problem, method: Method, target: float, sizes: Floats, *, points: int, max_steps: int) -> Survey:
    """A survey of a method that need not be open."""
    settings, methods = settings_of(method, points)
    whole = Asked.of(target, sizes, max_steps)
    target, max_steps = whole.target, whole.most
    if additive(problem):
        asked = Asked(target, np.append(sizes, NO_NOISE), max_steps)
        found = found_steps(problem, methods, asked)
        if found.bound > 0:
            _look_up_the_best(problem, methods, found.steps, asked)
        steps, noiseless = found.steps[:, :-1], found.steps[:, -1]
    else:
        found = found_steps(problem, methods, Asked(target, sizes, max_steps))
        steps, noiseless = found.steps, noiseless_steps(problem, methods, target, max_steps)
    return Survey(
        problem=problem.name,
        method=method.label,
        space=method.space,
        points=tuple(settings),
        batch_sizes=sizes,
        steps=steps,
        target=target,
        max_steps=max_steps,
        noiseless=noiseless,
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
