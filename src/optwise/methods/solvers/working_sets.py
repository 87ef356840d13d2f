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

SHARE = 0.05
"""Share of all columns that is gathered at a time, at least, so that a pass over the block remains cheap."""
WHOLE = 0.5
"""Share of all columns from which the design itself is used instead of a copy."""
NEAR = 2.0
"""Factor on the gradient at which columns that would then violate optimality are worth gathering as well."""
SPREAD = 0.5
"""Share of the moving columns by which they may grow at a time."""
KEPT = 0.8
"""Share of the moving columns that must be needed; otherwise the others are taken out when new ones come."""
WIDE = 2
"""Moving columns per example above which H is kept by its factors, since its entries would be more numbers."""
INEXACT = 0.1
"""Share of the largest violation that a small problem may leave."""
STEPS, LAST_STEPS = 200, 20
"""Newton steps for one small problem, at most, and where its violations are within ``CLOSE`` times rounding."""
CLOSE = 100.0
"""Times rounding."""
DAMPING = 1e-2
"""Curvature that every example is given at first, relative to the largest, where the loss has some without any."""
RAISED, LOWERED = 4.0, 10.0
"""Factors of that curvature after a step that had to be shortened, and after one that had not."""
DECREASE = 1e-4
"""Share of the promised decrease that a step must achieve."""
HALVINGS = 40
"""Of a step that does not make the objective fall, at most."""


@final
class WorkingSet:
    r"""The columns of a design that a solution may need, and the weights on them.

    Columns are gathered into one block by how much they violate optimality, and a step costs as much as the block is
    wide. Within it only columns B that violated optimality move, a few more each time. Theirs is the small problem

    .. math:: \min_d \; \langle \nabla f(w), d \rangle + \tfrac12 \langle d, H d \rangle + g(w + d), \qquad
        H = s X_B^\top \operatorname{diag}(\ell''(z)) X_B + \lambda_2 I

    For a quadratic loss H grows with B. For another it is made anew at each step, along which the objective is
    searched; examples without curvature are given some as long as steps have to be shortened.

    Args:
        problem: Books the work.
        model: The structure of f.
        penalty: g, separable.
        w: The start [p].
        gathered: Columns gathered at a time, at least.
        moving: Columns that begin to move at a time, at least.

    Attributes:
        z: Predictions at the weights [n].
        step: Length of the last step, 1 where it was not shortened.
    """

    def __init__(
        self, problem: Composite, model: LinearModel, penalty: Penalty, w: Tensor, *, gathered: int, moving: int
    ) -> None:
        matrix = model.X.matrix
        assert matrix is not None
        self._problem, self._model, self._all_penalty = problem, model, penalty
        self._design = matrix.mT  # [p, n]: columns are its rows
        self._least_gathered, self._least_moving = gathered, moving
        self.z, self.step = torch.zeros_like(model.y), 1.0
        if bool(w.any()):
            problem.count("products")
            self.z = model.X.forward(w)
        self._index = torch.zeros(0, dtype=torch.long, device=w.device)  # of the block
        self._inside = torch.zeros(w.shape[0], dtype=torch.bool, device=w.device)
        self._gathered, self._columns = ColumnBlock(), ColumnBlock()
        self._rows, self._penalty = self._design[:0], penalty
        self._start, self._w, self._gradient = w, w[:0], w[:0]  # the latter two of the block
        self._moving = self._index  # positions in the block
        self._moves = self._inside[:0]  # by position in the block
        self._gram: GramSystem | None = None
        self._damping: float | None = None

    @property
    def _size(self) -> int:
        """Number p of columns."""
        return self._start.shape[0]

    @property
    def _is_whole(self) -> bool:
        return self._index.numel() == self._size

    def point(self) -> Tensor:
        """The weights [p]."""
        if self._is_whole:
            return self._w.clone()
        if self._index.numel() == 0:
            return self._start
        return torch.zeros_like(self._start).index_copy_(0, self._index, self._w)

    def gradient(self) -> Tensor:
        """The gradient of f at the weights, of all columns [p]: one product unless all are in the block."""
        self._problem.count("gradients")
        if self._is_whole:
            return self._gradient
        self._problem.count("products")
        return self._with_ridge(self._model.X.adjoint(self.slopes()), self.point())

    def value(self) -> float:
        """The value of f at the weights."""
        self._problem.count("evaluations")
        model = self._model
        ridge = 0.5 * model.l2 * float(self._w @ self._w) if model.l2 else 0.0
        return model.scale * float(model.loss.values(self.z, model.y).sum()) + ridge

    def slopes(self) -> Tensor:
        """Derivatives of f in the predictions [n]."""
        return self._model.scale * self._model.loss.derivative(self.z, self._model.y)

    def outside(self, violations: Tensor) -> float:
        """The largest of the violations [p] that lie outside the block."""
        return 0.0 if self._is_whole else float(violations.masked_fill(self._inside, 0.0).max())

    def gather(self, w: Tensor, gradient: Tensor) -> int:
        """Gather columns that violate optimality or nearly do, and those with a weight; return how many came.

        Args:
            w: The weights [p].
            gradient: Of f there [p].
        """
        scores = self._all_penalty.violation(w, NEAR * gradient).masked_fill_(self._inside, 0.0)
        weighted = 0 if self._index.numel() else int((w != 0).sum())
        if weighted:
            scores.masked_fill_(w != 0, math.inf)
        wanted = max(self._least_gathered, int(SHARE * self._size), int((self._w != 0).sum()), weighted)
        count = min(int((scores > 0).sum()), wanted)
        if self._is_whole or count == 0:
            return 0
        before = self._index.numel()
        if before + count >= WHOLE * self._size:
            self._take_all()
        else:
            self._take(scores.topk(count).indices)
        self._w, self._gradient = w.index_select(0, self._index), gradient.index_select(0, self._index)
        return self._index.numel() - before

    def _take(self, new: Tensor) -> None:
        self._gathered.append(self._design, new)
        self._rows = self._gathered.columns
        self._index, self._inside[new] = torch.cat([self._index, new]), True
        self._penalty = self._all_penalty.restricted(self._index)
        self._moves = torch.cat([self._moves, torch.zeros_like(new, dtype=torch.bool)])

    def _take_all(self) -> None:
        self._moving = self._index.index_select(0, self._moving)
        self._index = torch.arange(self._size, device=self._index.device)
        self._inside.fill_(True)
        self._gathered, self._rows, self._penalty = ColumnBlock(), self._design, self._all_penalty
        self._moves = torch.zeros_like(self._inside)
        self._moves[self._moving] = True

    def improve(self, goal: float, *, rounding: float) -> None:
        """Improve the weights until no violation in the block exceeds ``goal``, or nothing helps.

        Args:
            goal: In the units of the gradient.
            rounding: What it leaves of a gradient.
        """
        goal = max(goal, rounding)
        best, idle = math.inf, 0
        while self._index.numel() and idle < 2:
            violations = self._penalty.violation(self._w, self._gradient)
            largest = float(violations.max())
            if not largest > goal:
                return
            came = self._set_moving(violations, goal)
            idle = 0 if came or largest <= 0.5 * best else idle + 1
            best = min(best, largest)
            if not self._move(largest, most=STEPS if largest > CLOSE * rounding else LAST_STEPS):
                return

    def _set_moving(self, violations: Tensor, goal: float) -> int:
        """Let further columns move, the largest violations first; return how many came."""
        still = violations.masked_fill(self._moves, 0.0)
        count, moving = int((still > goal).sum()), self._moving.numel()
        if moving == 0:
            weighted = self._w != 0
            still.masked_fill_(weighted, math.inf)
            count = max(min(count, self._least_moving), int(weighted.sum()))
        else:
            count = min(count, max(self._least_moving, int(SPREAD * moving)))
        if count == 0:
            return 0
        self._rest(violations)
        new = still.topk(count).indices
        self._columns.append(self._rows, new)
        self._moving, self._moves[new] = torch.cat([self._moving, new]), True
        if self._model.loss.quadratic:
            self._extend(count)
        return count

    def _rest(self, violations: Tensor) -> None:
        """Let columns rest that have no weight and would get none, if they are many."""
        left = ((self._w != 0) | (violations > 0)).index_select(0, self._moving)
        if float(left.sum()) > KEPT * left.numel():
            return
        if self._gram is not None:
            left = self._gram.keep(left)
        self._moves[self._moving[~left]] = False
        self._moving = self._moving[left]
        self._columns.keep(left)

    def _extend(self, count: int) -> None:
        """Extend the Gram block of a quadratic loss by the last ``count`` columns."""
        columns, n = self._columns.columns, self._design.shape[1]
        if columns.shape[0] > WIDE * n:
            self._gram = None
            return
        count = columns.shape[0] if self._gram is None else count
        before, new = columns[:-count], columns[-count:]
        corner = self._model.scale * gram(new)
        corner.diagonal().add_(self._model.l2)
        self._problem.count("products", columns.shape[0] * count / self._size)
        if self._gram is None:
            self._gram = GramSystem(corner)
        else:
            self._gram.extend(self._model.scale * (before @ new.mT), corner)

    def _system(self) -> ActiveSystem:
        """H at the weights."""
        if self._gram is not None:
            return self._gram
        model = self._model
        curvature = model.loss.curvature(self.z, model.y)  # [n]
        if self._damping is None:
            self._damping = 0.0 if bool((curvature > 0).all()) else DAMPING
        if self._damping:
            largest = model.loss.smoothness  # of all there is: with it the model lies above the losses
            largest = largest if math.isfinite(largest) else float(curvature.max()) or 1.0
            curvature = curvature.clamp(min=self._damping * largest)
        rows = self._columns.columns * (model.scale * curvature).sqrt()
        k, n = rows.shape
        if k > WIDE * n:
            return DesignSystem(rows, l2=model.l2)
        entries = gram(rows)
        entries.diagonal().add_(model.l2)
        self._problem.count("products", k * k / self._size)
        return GramSystem(entries)

    def _move(self, largest: float, *, most: int) -> bool:
        """Solve one small problem and go there; whether the weights changed."""
        penalty = self._all_penalty.restricted(self._index.index_select(0, self._moving))
        x, gradient = (part.index_select(0, self._moving) for part in (self._w, self._gradient))
        while True:
            system, damping = self._system(), self._damping
            made = system.factorizations
            following = SmallProblem(system, penalty).minimise(x, gradient, tol=INEXACT * largest, most=most)
            self._problem.count("factorizations", system.factorizations - made)
            if not self._model.loss.quadratic:
                following = self._searched(penalty, x, following, gradient)
            if self.step > 0.0 or self._damping == damping:
                break
        if torch.equal(following, x):
            return False
        self._w = self._w.index_copy(0, self._moving, following)
        self.z = self._columns.columns.mT @ following
        self._gradient = self._with_ridge(self._rows @ self.slopes(), self._w)
        self._problem.count("products", (self._moving.numel() + self._index.numel()) / self._size)
        return True

    def _searched(self, penalty: Penalty, x: Tensor, following: Tensor, gradient: Tensor) -> Tensor:
        """The point on the way from ``x`` to ``following`` where the objective has fallen sufficiently."""
        model, d = self._model, following - x
        turn = self._columns.columns.mT @ d  # [n]
        self._problem.count("products", self._moving.numel() / self._size)
        losses, own = model.loss.values(self.z, model.y), float(penalty.value(x))
        slope = float(gradient @ d) + float(penalty.value(following)) - own
        noise = 8.0 * torch.finfo(x.dtype).eps * (model.scale * float(losses.abs().sum()) + abs(own))
        t, trial = 1.0, following
        for _ in range(HALVINGS):
            change = model.scale * float((model.loss.values(self.z + t * turn, model.y) - losses).sum())
            change += 0.5 * model.l2 * float((trial - x) @ (trial + x)) + float(penalty.value(trial)) - own
            if change <= DECREASE * t * slope + noise:
                break
            t *= 0.5
            trial = x + t * d
        else:
            t, trial = 0.0, x
        self.step, damping = t, self._damping or 0.0
        self._damping = min(max(RAISED * damping, DAMPING), 1.0) if t < 1.0 else damping / LOWERED
        return trial

    def _with_ridge(self, gradient: Tensor, w: Tensor) -> Tensor:
        return torch.add(gradient, w, alpha=self._model.l2) if self._model.l2 else gradient
