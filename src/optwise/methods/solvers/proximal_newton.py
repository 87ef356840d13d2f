"""Proximal Newton on working sets, for losses of linear models with a separable penalty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.methods.solvers.working_sets import WorkingSet

AIM = 1e-2
"""Share of the gap asked for, in units of the gradient, that violations within the working set may leave."""
OUTSIDE = 0.5
"""Share of the largest violation outside the working set to which weights within are worth improving."""


@final
@dataclass(frozen=True, kw_only=True)
class ProximalNewton(Solver):
    needs: ClassVar[frozenset[Oracle]] = (
        SMOOTH | CONVEX | {Oracle.LINEAR_MODEL, Oracle.MATRIX, Oracle.PROX, Oracle.SUBDIFFERENTIAL}
    )

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        model, penalty = problem.smooth.model, problem.penalty
        assert model is not None
        assert penalty is not None
        eps = torch.finfo(w.dtype).eps
        if not math.isfinite(float(penalty.value(w))):
            w = penalty.prox(w, torch.finfo(w.dtype).tiny)
        if bool(w.any()):
            z = model.X.forward(w)
            problem.count("products")
        else:
            z = torch.zeros_like(model.y)
        gradient = model.X.adjoint(model.scale * model.loss.derivative(z, model.y))
        problem.count("products")
        if model.l2:
            gradient = torch.add(gradient, w, alpha=model.l2)
        columns = WorkingSet(problem, model, penalty, w, z)
        bounds = GapEstimate(problem, model, penalty)
        measure, aim, best, lowest, idle = math.inf, AIM * problem.tol, math.inf, math.inf, 0
        violations = penalty.violation(w, gradient)
        while True:
            came = columns.grow(w, gradient)
            size = float(gradient.abs().max())
            outside = columns.outside(violations)
            goal = max(4.0 * eps * size, aim * size, OUTSIDE * outside)
            columns.solve(goal)
            w, gradient = columns.point(), columns.gradient()
            problem.count("gradients")
            problem.count("evaluations")
            value, found, dual = bounds.at(w, columns.z, gradient)
            violations = penalty.violation(w, gradient)
            largest = float(violations.max())
            yield Iterate(w, value, columns.step, found, dual)
            progress = came > 0 or largest < 0.5 * best or found < 0.5 * measure
            progress = progress or value < lowest - 4.0 * eps * abs(lowest)
            best, measure, lowest = min(best, largest), min(measure, found), min(lowest, value)
            aim = min(aim, AIM * measure)
            if progress:
                idle = 0
                continue
            idle += 1
            aim = min(AIM * aim, eps)
            if idle >= 2:
                return


@final
class GapEstimate:
    def __init__(self, problem: Composite, model: LinearModel, penalty: Penalty) -> None:
        self._problem, self._model, self._penalty = problem, model, penalty
        self._known = model.has_conjugate and (model.l2 > 0 or Oracle.CONJUGATE in penalty.oracles)
        self._best, self._dual = -math.inf, torch.zeros_like(model.y)

    def at(self, w: Tensor, z: Tensor, gradient: Tensor) -> tuple[float, float, Tensor | None]:
        model = self._model
        losses = model.scale * float(model.loss.values(z, model.y).sum())
        value = losses + 0.5 * model.l2 * float(w @ w) + float(self._penalty.value(w))
        if not self._known:
            violation = self._penalty.violation(w, gradient)
            return value, self._problem.gradient_measure(float(torch.linalg.vector_norm(violation))), None
        u = model.scale * model.loss.derivative(z, model.y)
        pull = -gradient if not model.l2 else torch.add(-gradient, w, alpha=model.l2)
        t, bound = self._bound(u, pull)
        if t == 0.0:
            violation = self._penalty.violation(w, gradient)
            return value, self._problem.gradient_measure(float(torch.linalg.vector_norm(violation))), None
        if bound >= self._best:
            self._best, self._dual = bound, t * u
            dual = None
        else:
            dual = self._dual
        return value, self._problem.gap_measure(max(value - self._best, 0.0), value), dual

    def _bound(self, u: Tensor, pull: Tensor) -> tuple[float, float]:
        model, penalty = self._model, self._penalty
        if model.l2 > 0:
            x = penalty.prox(pull / model.l2, 1.0 / model.l2)
            conjugate = float(pull @ x) - float(penalty.value(x)) - 0.5 * model.l2 * float(x @ x)
            t = 1.0
        else:
            t = penalty.dual_scale(pull)
            conjugate = float(penalty.conjugate(t * pull))
        losses = model.scale * float(model.loss.conjugate(t * u / model.scale, model.y).sum())
        return t, -losses - conjugate
