"""Where one method leads a problem under constant hyperparameters, whatever kind its noise is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.errors import BadMethod
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.theory.coordinates import Coordinates
from optwise.theory.design_noise import EDGE, risk_rate, stationary
from optwise.theory.limits import limits, reached_by_gradients
from optwise.theory.matrices import Floats
from optwise.theory.models import drawn_once, offset_of, quadratic_of
from optwise.theory.moments import pull
from optwise.theory.roots import roots_of
from optwise.theory.row_limits import EDGE as ROW_EDGE
from optwise.theory.row_limits import RowLimits, noise_of
from optwise.theory.row_maps import RowMap
from optwise.theory.settled_steps import settled
from optwise.theory.steps import Step
from optwise.theory.whole_runs import hold_in_a_run

ROUNDED = 1e-13
"""Part of a label that a residual must be, else it is rounding and the row is fitted."""

LOPSIDED = 1e-9
"""Part of the sizes of its terms that a third moment of rows and residuals must have to be one."""


@dataclass(frozen=True, eq=False)
class Outlook:
    """Where one method leads a problem under constant hyperparameters.

    Args:
        rates: Factor per step on the mean's error in each coordinate with curvature.
        floor: Limit of the risk, infinite where it grows without end; ``None`` where it has none.
        grows: Whether the risk grows without end.
        edge: Whether it stands on the edge of stability.
        elsewhere: The part of the floor that is there without noise: the mean rests beside the optimum.
        risk_rate: Factor per step on the risk's distance to its floor where noise multiplies; ``None`` where it does
            not. Second moments have a factor of their own, and the mean's counts where they hang on it.
    """

    rates: Floats
    floor: float | None
    grows: bool
    edge: bool
    elsewhere: float
    risk_rate: float | None

    @property
    def rate(self) -> float:
        """The one that counts: that of the risk where noise multiplies, else the largest on the error."""
        return float(self.rates.max(initial=0.0)) if self.risk_rate is None else self.risk_rate


@np.errstate(over="ignore", invalid="ignore")  # what grows beyond the numbers is infinite
def outlook(
    problem: Problem, method: Method, batch: float, *, checked: bool = False, noise: RowMap | None = None
) -> Outlook | None:
    """Where a closed method leads a problem; ``None`` where the step keeps changing, or each epoch has its own order.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch: B.
        checked: Whether the rule is known to be linear.
        noise: What :func:`noise_of` makes of the rows of a data set, where that is at hand.
    """
    quadratic, once = quadratic_of(problem), drawn_once(problem)
    if not checked:
        hold_in_a_run([method], quadratic)
    at = Coordinates.of(quadratic, offset_of(problem))
    constant = settled([method], at.h)
    if constant is None:
        return None
    step, start = constant
    own = roots_of(step, at.h)
    rates = own.radius[0, np.searchsorted(at.h, quadratic.h[quadratic.h > 0])]
    found = limits(step, start, at)
    if quadratic.noise is Noise.ROWS and once:
        if batch < quadratic.examples:
            return None
        still = None if np.isnan(found.bias[0]) else float(found.bias[0])  # all rows at once have no noise
        return Outlook(rates, still, still == np.inf, bool(found.edge[0]), still or 0.0, None)
    if quadratic.noise is Noise.ROWS and at.h.size:
        noise = noise_of(problem.name, quadratic) if noise is None else noise
        return _outlook_of_rows(quadratic, method, batch, rates, noise)
    if quadratic.noise is Noise.DESIGN and at.h.size:
        limit, factor = float(design_floors(step, start, at, batch)[0]), risk_rate(step, at, batch)
        elsewhere = float(limits(step, start, at.noiseless()).bias[0])
        limit_known = None if np.isnan(limit) else limit
        pulled = (at.square > 0) & np.broadcast_to(pull(step.M, start), (len(step.v), 1, at.h.size)).any((0, 1))
        nears = max(factor, float(own.radius[0][pulled].max(initial=0.0)))
        return Outlook(rates, limit_known, limit == np.inf, abs(factor - 1) <= EDGE, elsewhere, nears)
    limit, elsewhere = float(found.floors(np.array([batch]))[0, 0]), float(found.bias[0])
    grows = bool(found.grows[0]) if not once else bool((rates > 1).any() and found.grows[0])
    return Outlook(rates, None if once or np.isnan(limit) else limit, grows, bool(found.edge[0]), elsewhere, None)


def design_floors(step: Step, start: Floats, at: Coordinates, batch: float) -> Floats:
    """Limits of the risk where noise multiplies [T]."""
    found, A = stationary(step, start, at, batch).floor, step.transition(at.h)
    v, u = (np.broadcast_to(each, A.shape[1:]) for each in (step.v, step.u))
    never = ~reached_by_gradients(A, v, u).any(1)
    for t in np.flatnonzero(~np.isfinite(found) | never):  # at the edge, or where nothing moves or is there to grow
        own = step.some(slice(t, t + 1))
        found[t] = _without_end(own, start[:, t : t + 1], at, batch)
    return found


def _without_end(step: Step, start: Floats, at: Coordinates, batch: float) -> float:
    """The limit at one setting whose second moments do not contract: infinite, unless nothing is there that grows."""
    noiseless, A = limits(step, start, at.noiseless()), step.transition(at.h)
    v, u = (np.broadcast_to(each, A.shape[1:]) for each in (step.v, step.u))
    nothing = not np.any(at.start) and not np.any(at.c) and not noiseless.bias.any()
    if nothing or not reached_by_gradients(A, v, u).any():
        return float(noiseless.bias[0])
    at_edge = abs(risk_rate(step, at, batch) - 1) <= EDGE
    return float("nan") if at_edge and not np.any(at.c) and not np.any(at.square) else float("inf")


def _outlook_of_rows(quadratic: Quadratic, method: Method, batch: float, rates: Floats, noise: RowMap) -> Outlook:
    """Where rows of a finite data set, drawn independently, lead."""
    own = rows_at(quadratic, method, batch, noise)
    factor = own.rate()
    if not factor < 1 - ROW_EDGE:
        at_edge = abs(factor - 1) <= ROW_EDGE
        return Outlook(rates, None if at_edge else float("inf"), not at_edge, at_edge, 0.0, factor)
    nears = max(factor, float(rates[_drawn_along(own)].max(initial=0.0)))
    return Outlook(rates, own.floor(), False, False, own.elsewhere(), nears)


def _drawn_along(own: RowLimits) -> NDArray[np.bool_]:
    r"""The coordinates whose mean moves second moments in proportion to itself [d with curvature].

    Such are those that come to rest beside the optimum, and those that noise hangs on: with residuals :math:`r_i` where
    the mean rests, :math:`\frac1n \sum_i x_i x_i^\top r_i x_{ij}` is not 0. Two random directions see it.
    """
    rows, (mean, beside) = own.noise.X, own.rest()
    residuals, labels = own.noise.r - rows @ mean, np.abs(rows) @ np.abs(own.center)
    residuals = np.where(np.abs(residuals) > ROUNDED * labels, residuals, 0.0)
    squares = (rows @ np.random.default_rng(0).standard_normal((len(mean), 2))) ** 2  # [n, 2]
    drawn, size = rows.T @ (residuals[:, None] * squares), np.abs(rows).T @ (np.abs(residuals)[:, None] * squares)
    return np.asarray((np.abs(drawn) > LOPSIDED * size).any(1) | (mean != 0) | (beside != 0))


def rows_at(quadratic: Quadratic, method: Method, batch: float, noise: RowMap) -> RowLimits:
    """The limits of one setting, where a coordinate has curvature.

    Args:
        quadratic: Of a finite data set.
        method: A closed linear rule.
        batch: B.
        noise: What :func:`noise_of` makes of the data set.

    Raises:
        BadMethod: The step keeps changing.
    """
    constant = settled([method], quadratic.h[quadratic.h > 0])
    if constant is None:
        raise BadMethod(f"{method.label} changes its step as it goes, so that it leads nowhere in particular.")
    return RowLimits(quadratic, *constant, batch, noise)
