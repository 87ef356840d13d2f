"""The learning rate of each step that makes the expected risk least, for one problem, rule and number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from optwise.core.counts import listed, real_numbers
from optwise.core.errors import BadMethod, BadProtocol
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise
from optwise.core.showing import Terse
from optwise.core.tabled import Table
from optwise.theory.adjoints import Cost
from optwise.theory.affine_steps import affine_run, unit_of
from optwise.theory.batches_in_time import Batches, batch_table
from optwise.theory.coordinates import Coordinates
from optwise.theory.matrices import Floats
from optwise.theory.models import closed, drawn_once, offset_of, opened, quadratic_of, refuse_far_units
from optwise.theory.whole_runs import hold_in_a_run

SCANNED = (1e-7, 16.0, 97)
"""Constant learning rates that are looked at first, over the largest curvature: least, largest, how many."""

ROUNDS = 8
"""Rounds of sweeps and of quasi-Newton steps at most."""

SETTLED = 1e-9
"""A round that lowers the risk by less than this share of it is the last."""

MOST_NUMBERS = 2**33
"""Steps times numbers of second moments of the largest search: some minutes."""


@dataclass(frozen=True, eq=False)
class BestSchedule(Terse):
    """Learning rates, and what they lead to.

    Args:
        lrs: The learning rate of each step [steps].
        risk: Expected excess with them: at the end, or the mean over steps 1 to the end.
        constant_lr: The best constant learning rate.
        constant_risk: The same excess with that.
        method: The method with ``lrs`` as its schedule, for ``compare``, ``predict`` or ``solve``.
        largest_risk: The largest expected excess on the way: first steps beyond the stability of a constant rate may
            pay at the end, and what they lead through is no place for numbers of single precision; ``bounds`` keep
            them out.
        settled: Whether the last round lowered the risk by less than a billionth of it.
    """

    lrs: Floats
    risk: float
    constant_lr: float
    constant_risk: float
    method: Method
    largest_risk: float
    settled: bool


def best_schedule(
    problem: Problem,
    method: Method,
    steps: int,
    batch_size: Batches = None,
    *,
    goal: str = "end",
    milestones: Sequence[int] = (),
    bounds: tuple[float, float] = (0.0, math.inf),
) -> BestSchedule:
    r"""The learning rates that make the exact expected risk least.

    .. math:: \min_{\eta_0, \dots, \eta_{K-1}} \mathbb E f(w_K) - f^\star \quad\text{or}\quad
        \min_\eta \frac1K \sum_{k=1}^K \mathbb E f(w_k) - f^\star

    The risk is differentiable in every learning rate, and one pass backward through the second moments gives all
    derivatives. From the best constant learning rate on, every one is set to its best in turn, which never makes the
    risk larger, and all are then moved together by L-BFGS-B. What is found is a local minimum that is no worse than the
    best constant.

    Args:
        problem: One that declares its quadratic; batches of a data set drawn with replacement.
        method: A linear rule whose step is affine in its learning rate; its ``lr`` may be open, its schedule is not
            looked at.
        steps: K.
        batch_size: B, the same for all steps or ``{0: 64, 500: 256}``; ``None`` takes the problem's own.
        goal: ``"end"`` for the risk after the last step, ``"mean"`` for the mean over all steps.
        milestones: Steps from which on another learning rate may hold; none lets every step have its own.
        bounds: Least and largest learning rate.

    Raises:
        CallerError: A problem that is no quadratic; a method that is not linear, or not affine in its rate; batches
            drawn without replacement; milestones that are no steps of the run; bounds without a number between them.

    Example:
        >>> from optwise.methods import SGD
        >>> from optwise.problems import mean_estimation
        >>> best_schedule(mean_estimation(mu=1.0, sigma=1.0, w0=0.0), SGD(), 4).lrs.round(4)
        array([0.5   , 0.3333, 0.25  , 0.2   ])
    """
    problem_at, pieces = _cost(problem, method, steps, batch_size, goal), _pieces(steps, milestones)
    low, high = _ends(bounds)
    if not 0 <= low <= high or low == math.inf:
        raise BadProtocol(f"Bounds ({low:g}, {high:g}) hold no learning rate; give a least and a largest, from 0 on.")
    search = _Search(problem_at, pieces, low, high)
    constant_lr, constant_risk = search.best_constant()
    lrs, risk, settled = search.improved(np.full(steps, constant_lr), constant_risk)
    largest = float(search.cost.risks(lrs).max())
    return BestSchedule(lrs, risk, constant_lr, constant_risk, _scheduled(method, lrs), largest, settled)


def _ends(bounds: tuple[float, float]) -> tuple[float, float]:
    """The least and the largest learning rate."""
    advice = "give a least and a largest learning rate, as (0.0, 1.0)"
    ends = real_numbers(bounds, "Bounds", advice)
    if ends.size != 2:
        raise BadProtocol(f"{ends.size} bounds were given; {advice}.")
    return float(ends[0]), float(ends[1])


def _cost(problem: Problem, method: Method, steps: int, batch_size: Batches, goal: str) -> Cost:
    if goal not in ("end", "mean"):
        raise BadProtocol(f"goal is {goal!r}; give 'end' for the risk after the last step, or 'mean' for that of all.")
    method = opened(method)
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or steps < 1:
        raise BadProtocol(f"A schedule over {steps!r} steps has no learning rate; give a whole number, at least 1.")
    if "lr" not in {*method.values(), *method.space.fields}:
        raise BadMethod(f"{method.label} has no lr of its own to schedule; give a rule that has one, as SGD().")
    quadratic = quadratic_of(problem)
    if drawn_once(problem) and quadratic.examples > 1:
        raise BadProtocol(
            f"{problem.name} draws its batches without replacement, whose noise depends on earlier steps, and no best "
            "schedule is computed for that; draw with replacement, as in mean_estimation(..., replacement=True)."
        )
    if quadratic.noise is Noise.ROWS:
        raise BadProtocol(
            f"{problem.name} has noise that looks at every row, and no best schedule is computed for that; model it by "
            "its curvatures, ow.problems.least_squares_sgd(h, noise), and predict its rows with what is found."
        )
    refuse_far_units(problem.name, quadratic)
    at = Coordinates.of(quadratic, offset_of(problem))
    own = closed(method.close({"lr": unit_of(at.h)}))
    hold_in_a_run([replace(own, schedule=None)], quadratic)
    run = affine_run(own, at.h, int(steps), far=bool(np.any(at.square)))
    if steps * run.start.shape[0] ** 2 * at.h.size > MOST_NUMBERS:
        raise BadProtocol(
            f"{steps} steps of {at.h.size} distinct curvatures are more than a search over schedules can go through; "
            "give fewer steps, or curvatures that stand for many."
        )
    weights = np.zeros(steps + 1)
    weights[-1] = 1.0
    if goal == "mean":
        weights[1:] = 1.0 / steps
    return Cost(run, at, batch_table(problem, batch_size, steps), weights, quadratic.noise is Noise.DESIGN)


def _pieces(steps: int, milestones: Sequence[int]) -> np.ndarray:
    """The first step of each piece of constant learning rate."""
    milestones = listed(milestones, "Milestones", "give steps from which on another rate may hold, as [100]")
    if not milestones:
        return np.arange(steps)
    for milestone in milestones:
        if isinstance(milestone, bool) or not isinstance(milestone, int | np.integer) or not 0 <= milestone < steps:
            raise BadProtocol(
                f"Milestone {milestone!r} is no step of a run of {steps}; give steps from 0 to {steps - 1}."
            )
    return np.unique([0, *milestones])


def _scheduled(method: Method, lrs: Floats) -> Method:
    method = opened(method)
    peak = float(lrs.max())
    factors = lrs / peak if peak > 0 else np.ones_like(lrs)
    return replace(method.close({"lr": peak}), schedule=Table(tuple(float(factor) for factor in factors)))


class _Search:
    def __init__(self, cost: Cost, pieces: np.ndarray, low: float, high: float) -> None:
        self.cost, self.pieces, self.low, self.high = cost, pieces, low, high
        self.lengths = np.diff([*pieces, cost.steps])
        self.free = len(pieces) == cost.steps
        self.unit = unit_of(cost.at.h)

    def best_constant(self) -> tuple[float, float]:
        """The best constant learning rate between the bounds, and its risk."""
        least, most, count = SCANNED
        scanned = np.unique(np.clip([0.0, *np.geomspace(least, most, count) * self.unit], self.low, self.high))
        risks = self.cost.values_of_constants(scanned)
        place = int(np.argmin(risks))
        below, above = scanned[max(place - 1, 0)], scanned[min(place + 1, scanned.size - 1)]
        best = float(scanned[place]), float(risks[place])
        if above > below:
            found = minimize_scalar(
                lambda lr: self.cost.value(np.full(self.cost.steps, lr)),
                bounds=(below, above),
                method="bounded",
                options={"xatol": 1e-10 * above},
            )
            if found.fun < best[1]:
                best = float(found.x), float(found.fun)
        return best

    def improved(self, lrs: Floats, risk: float) -> tuple[Floats, float, bool]:
        """Better learning rates than ``lrs``, as long as there are any."""
        for _ in range(ROUNDS):
            before = risk
            steps: tuple[Callable[[Floats], Floats], ...] = (self._swept, self._together)
            for step in steps:
                tried = step(lrs)
                found = self.cost.value(tried)
                if found < risk:
                    lrs, risk = tried, found
            if not risk < before * (1 - SETTLED):
                return lrs, risk, True
        return lrs, risk, False

    def _swept(self, lrs: Floats) -> Floats:
        if not self.free:
            return lrs
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(2):
                lrs = self.cost.swept_backward(self.cost.swept_forward(lrs, self._best), self._best)
        return lrs

    def _best(self, k: int, lr: float, slope: float, half_curvature: float) -> float:
        """The bottom of the parabola, between the bounds."""
        if not half_curvature > 0 or not math.isfinite(slope / half_curvature):
            return lr
        return min(max(lr - slope / (2 * half_curvature), self.low), self.high)

    def _together(self, lrs: Floats) -> Floats:
        """All pieces moved together, by the logarithm of the risk, so that its size does not matter."""
        scale = max(float(np.mean(lrs)), 1e-12 * self.unit)

        def cost(x: Floats) -> tuple[float, Floats]:
            value, slopes = self.cost.gradient(np.repeat(x * scale, self.lengths))
            if not 0 < value < math.inf or not np.all(np.isfinite(slopes)):
                return (-745.0, np.zeros_like(x)) if value <= 0 else (1e3, np.zeros_like(x))
            return math.log(value), np.add.reduceat(slopes, self.pieces) * (scale / value)

        high = None if self.high == math.inf else self.high / scale
        found = minimize(
            cost,
            lrs[self.pieces] / scale,
            jac=True,
            method="L-BFGS-B",
            bounds=[(self.low / scale, high)] * len(self.pieces),
            options={"maxiter": 200, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-11},
        )
        return np.repeat(np.clip(found.x * scale, self.low, self.high), self.lengths)
