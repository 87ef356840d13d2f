"""Working sets of columns: those gathered from the design, and among them those whose weights move."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.penalty import Penalty
from optwise.methods.solvers.active_systems import ActiveSystem, DesignSystem, GramSystem
from optwise.methods.solvers.column_blocks import ColumnBlock, gram
from optwise.methods.solvers.semismooth import SmallProblem

GATHERED = (100, 0.05)
"""Columns gathered at a time: at least this many, and at least this share of all, so that a pass over them is cheap."""
MOVING = 50
"""Columns that begin to move at a time, at least; up to half of those that move already."""
SPREAD = 0.5
""" """
KEPT = 0.8
"""Share of the moving columns that must be needed; otherwise the others are taken out when new ones come."""
WHOLE = 0.5
"""Share of the columns from which the design itself is used instead of a copy."""
NEAR = 2.0
"""Factor on the gradient at which columns that would then violate optimality are gathered as well."""
INEXACT = 0.1
"""Share of the largest violation that the small problems may leave."""
DAMPING = 1e-2
""" """
RAISED, LOWERED = 4.0, 10.0
""" """
HALVINGS = 40
"""Of a step that does not make the objective fall."""


@final
class WorkingSet:
    r"""The columns of a design that a solution may need, and the weights on them.

    Columns are gathered into one block, by how much they violate optimality; the products of a step cost as much as the
    block is wide. Within it only the columns that violated optimality move, a few more each time; theirs is the small
    problem

    .. math:: \min_d \; \langle \nabla f(w), d \rangle + \tfrac12 \langle d, H d \rangle + g(w + d), \qquad
        H = s X_B^\top \operatorname{diag}(\ell''(z)) X_B + \lambda_2 I

    whose Gram block grows with them for a quadratic loss, and is made anew at each step for another, along which the
    objective is searched. The block of two columns is computed by numpy where it lies in the host's memory: for a
    matrix and its own transpose that takes half the time.

    Args:
        problem: Books the work.
        model: The structure of f.
        penalty: g, separable.
        w: The start [p].
        z: Predictions there [n].
    """

    def __init__(self, problem: Composite, model: LinearModel, penalty: Penalty, w: Tensor, z: Tensor) -> None:
        matrix = model.X.matrix
        assert matrix is not None
        self._problem, self._model, self._whole_penalty = problem, model, penalty
        self._design = matrix.mT  # [p, n]: columns are its rows
        self._all, self._start = w.shape[0], w
        self.z = z
        self.index = torch.zeros(0, dtype=torch.long, device=w.device)
        self._inside = torch.zeros(self._all, dtype=torch.bool, device=w.device)
        self._gathered, self._columns = ColumnBlock(), ColumnBlock()
        self._rows = self._design[:0]
        self._penalty = penalty
        self._w = self._gradient = w[:0]
        self._moving, self._moves = self.index, self._inside[:0]  # positions in the block, and whether there
        self._system: GramSystem | None = None
        self.step = 1.0
        self._damping: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all columns are in it."""
        return self.index.numel() == self._all

    def point(self) -> Tensor:
        """The weights [p]."""
        if self.is_whole:
            return self._w.clone()
        w = torch.zeros_like(self._start)
        return w.index_copy_(0, self.index, self._w)

    def grow(self, w: Tensor, gradient: Tensor) -> int:
        """Gather columns that violate optimality or nearly do, and those with a weight; return how many came.

        Args:
            w: The weights [p].
            gradient: Of f there [p].
        """
        scores = self._whole_penalty.violation(w, NEAR * gradient).masked_fill(self._inside, 0.0)
        if self.index.numel() == 0:
            scores = scores.masked_fill(w != 0, math.inf)
            needed = int((w != 0).sum())
        else:
            needed = 0
        promising = int((scores > 0).sum())
        wanted = max(GATHERED[0], int(GATHERED[1] * self._all), int((self._w != 0).sum()), needed)
        count = min(promising, wanted)
        if self.is_whole or count == 0:
            return 0
        if self.index.numel() + count >= WHOLE * self._all:
            return self._take_all(w, gradient)
        new = scores.topk(count).indices
        self._gathered.append(self._design, new)
        self._rows = self._gathered.columns
        self._problem.count("products", count / self._all)
        self.index = torch.cat([self.index, new])
        self._inside[new] = True
        self._penalty = self._whole_penalty.restricted(self.index)
        self._w, self._gradient = w.index_select(0, self.index), gradient.index_select(0, self.index)
        self._moves = torch.cat([self._moves, torch.zeros_like(new, dtype=torch.bool)])
        return count

    def _take_all(self, w: Tensor, gradient: Tensor) -> int:
        came = self._all - self.index.numel()
        self._moving = self.index.index_select(0, self._moving)
        self.index = torch.arange(self._all, device=w.device)
        self._inside.fill_(True)
        self._rows, self._penalty = self._design, self._whole_penalty
        self._w, self._gradient = w, gradient
        self._moves = torch.zeros_like(self._inside)
        self._moves[self._moving] = True
        return came

    def outside(self, violations: Tensor) -> float:
        """The largest of the violations [p] of columns that are not in it."""
        return 0.0 if self.is_whole else float(violations.masked_fill(self._inside, 0.0).max())

    def gradient(self) -> Tensor:
        """The gradient of f at the weights, all columns [p]: one product unless it is whole."""
        if self.is_whole:
            return self._gradient
        self._problem.count("products")
        u = self._model.scale * self._model.loss.derivative(self.z, self._model.y)
        g = self._model.X.adjoint(u)
        return torch.add(g, self.point(), alpha=self._model.l2) if self._model.l2 else g

    def solve(self, goal: float) -> float:
        """Improve the weights on it until no violation there exceeds ``goal``, or they cannot be improved; return it."""
        if self.index.numel() == 0:
            return 0.0
        best, idle = math.inf, 0
        while True:
            violations = self._penalty.violation(self._w, self._gradient)
            largest = float(violations.max())
            if largest <= goal or idle >= 2:
                return largest
            came = self._set_moving(violations, goal)
            idle = 0 if came or largest <= 0.5 * best else idle + 1
            best = min(best, largest)
            if not self._move(largest):
                return largest

    def _set_moving(self, violations: Tensor, goal: float) -> int:
        """Let further columns move, the largest violations first; return how many came."""
        still = violations.masked_fill(self._moves, 0.0)
        count = int((still > goal).sum())
        if self._moving.numel() == 0:
            weighted = self._w != 0
            still = still.masked_fill(weighted, math.inf)
            count = max(min(count, MOVING), int(weighted.sum()))
        else:
            count = min(count, max(MOVING, int(SPREAD * self._moving.numel())))
        if count == 0:
            return 0
        self._prune(violations)
        new = still.topk(count).indices
        self._columns.append(self._rows, new)
        if self._model.loss.quadratic:
            self._extend(count)
        self._moving = torch.cat([self._moving, new])
        self._moves[new] = True
        return count

    def _prune(self, violations: Tensor) -> None:
        """Let columns rest that have no weight and would get none."""
        needed = (self._w != 0) | (violations > 0)
        left = needed.index_select(0, self._moving)
        if float(left.sum()) > KEPT * left.numel():
            return
        if self._system is not None:
            left = self._system.keep(left)
        self._moves[self._moving[~left]] = False
        self._moving = self._moving[left]
        self._columns.keep(left)

    def _extend(self, count: int) -> None:
        """Extend the Gram block by the last ``count`` columns."""
        before, new = self._columns.columns[:-count], self._columns.columns[-count:]
        corner = self._model.scale * gram(new)
        corner.diagonal().add_(self._model.l2)
        self._problem.count("products", (before.shape[0] + count) * count / self._all)
        if self._system is None:
            self._system = GramSystem(corner)
        else:
            self._system.extend(self._model.scale * (before @ new.mT), corner)

    def _curvature(self) -> ActiveSystem:
        if self._system is not None:
            return self._system
        model = self._model
        curvature = model.loss.curvature(self.z, model.y)  # [n]
        if self._damping is None:
            self._damping = 0.0 if bool((curvature > 0).all()) else DAMPING
        weight = (model.scale * curvature.clamp(min=self._damping * model.loss.smoothness)).sqrt()
        rows = self._columns.columns * weight
        if rows.shape[0] > 2 * rows.shape[1]:
            return DesignSystem(rows, l2=model.l2)
        corner = gram(rows)
        corner.diagonal().add_(model.l2)
        self._problem.count("products", rows.shape[0] ** 2 / self._all)
        return GramSystem(corner)

    def _move(self, largest: float) -> bool:
        """One step of the moving weights; whether they moved."""
        model = self._model
        penalty = self._whole_penalty.restricted(self.index.index_select(0, self._moving))
        x = self._w.index_select(0, self._moving)
        system = self._curvature()
        small = SmallProblem(system, penalty)
        made = system.factorizations
        gradient = self._gradient.index_select(0, self._moving)
        following = small.minimise(x, gradient, tol=INEXACT * largest, most=200)
        self._problem.count("factorizations", system.factorizations - made)
        if torch.equal(following, x):
            return False
        if not model.loss.quadratic:
            following = self._search(penalty, x, following, gradient)
        self._w = self._w.index_copy(0, self._moving, following)
        self.z = self._columns.columns.mT @ following
        u = model.scale * model.loss.derivative(self.z, model.y)
        self._gradient = self._rows @ u
        if model.l2:
            self._gradient = torch.add(self._gradient, self._w, alpha=model.l2)
        self._problem.count("products", (self._moving.numel() + self._rows.shape[0]) / self._all)
        return True

    def _search(self, penalty: Penalty, x: Tensor, following: Tensor, gradient: Tensor) -> Tensor:
        """The point on the way from ``x`` to ``following`` where the objective has fallen sufficiently."""
        model, d = self._model, following - x
        turn = self._columns.columns.mT @ d  # [n]
        losses, own = model.loss.values(self.z, model.y), float(penalty.value(x))
        slope = float(gradient @ d) + float(penalty.value(following)) - own
        noise = 8.0 * torch.finfo(x.dtype).eps * (model.scale * float(losses.abs().sum()) + abs(own))
        t = 1.0
        for _ in range(HALVINGS):
            trial = following if t == 1.0 else x + t * d
            change = model.scale * float((model.loss.values(self.z + t * turn, model.y) - losses).sum())
            change += 0.5 * model.l2 * (float(trial @ trial) - float(x @ x)) + float(penalty.value(trial)) - own
            if change <= 1e-4 * t * slope + noise:
                break
            t *= 0.5
        self.step = t
        self._damping = max(RAISED * self._damping, DAMPING) if t < 1.0 else self._damping / LOWERED
        self._damping = min(self._damping, 1.0)
        return trial
