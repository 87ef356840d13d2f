"""The rungs: one step of T rows done eagerly, by a traced replay, or row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.utils import _pytree as pytree

from optwise.core.layout import Leaves
from optwise.core.objective import Objective
from optwise.engine.program import Batch, Program, Rows, Tree, finite_rows, numbers_of, signature, unpadded
from optwise.engine.traces import Traced, traced

RungName = Literal["solo", "vmap", "traced"]


class Stepper(ABC):
    """Steps rows of one program.

    Args:
        program: Rule and problem.
        numbers: Numeric hyperparameters of the rows [T] each; ``lr`` is multiplied by the step's factors.
    """

    def __init__(self, program: Program, numbers: Mapping[str, Tensor]) -> None:
        self.program = program
        self.numbers = dict(numbers)

    def start(self, seeds: Sequence[int]) -> Rows:
        """The rows before step 1, each from its own seed."""
        starts = [self.program.problem.start(seed) for seed in seeds]
        w = torch.stack([self.program.layout.pack(leaves) for leaves, _ in starts])  # [T, P]
        buffers = {name: torch.stack([b[name] for _, b in starts]) for name in starts[0][1]}
        states = [self.program.init_state(self._row_numbers(t), w[t]) for t in range(len(seeds))]
        return Rows(
            w=w,
            state=stack_trees(states),
            buffers=buffers,
            alive=torch.ones(len(seeds), dtype=torch.bool, device=w.device),
            loss=torch.zeros(len(seeds), dtype=w.dtype, device=w.device),
        )

    def step(self, rows: Rows, factors: Tensor, batch: Batch) -> Rows:
        """One step; ``factors`` [T] multiply the learning rates."""
        stepped = self._step(rows, {**self.numbers, "lr": self.numbers["lr"] * factors}, batch)
        return stepped if bool(stepped.alive.all()) else _with_dead_rows(stepped, rows)

    @abstractmethod
    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        """One step; what it makes of rows that end is not looked at."""

    def measured(self, rows: Rows) -> Leaves:
        """The leaves that are measured [T, ...]."""
        return self.program.layout.unpack(self.program.measured_rows(rows, self.numbers))

    def measure(self, rows: Rows, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        """Every metric of every row and example [T, N]."""
        objective = self.program.problem.objective
        measure = torch.func.vmap(objective.measure, in_dims=(0, 0, None, None))
        measured: dict[str, Tensor] = measure(self.measured(rows), rows.buffers, x, y)
        return measured

    def _row_numbers(self, t: int) -> dict[str, float]:
        return {path: float(values[t]) for path, values in self.numbers.items()}


class EagerVmap(Stepper):
    """The batched step, dispatched anew every time."""

    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        return self.program.step_rows(rows, numbers, batch)


class TracedReplay(Stepper):
    """The whole batched step traced once to plain ATen operations, then replayed; so is measuring.

    A branch on the state cannot be traced wrongly: under vmap it raises, and the trial runs solo. Everything that
    differs between chunks is an input, so that a process traces each shape of each rule once.
    """

    _stepping: Traced | None = None

    @property
    def graph(self) -> GraphModule | None:
        """The step's graph, once there was a step."""
        return None if self._stepping is None else self._stepping.graph

    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        whole = (rows, numbers, batch)
        if self._stepping is None:  # shapes stay the same from step to step, so that one look is enough
            self._stepping = self._traced(("step", *signature(self.program.rule)), self.program.step_rows, whole)
        stepped: Rows = self._stepping(whole)
        return stepped

    def measure(self, rows: Rows, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        whole = (self.measured(rows), rows.buffers, x, y)
        measured: dict[str, Tensor] = self._traced(("measure",), self._whole_measure, whole)(whole)
        return measured

    def _whole_measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        measure = torch.func.vmap(self.program.problem.objective.measure, in_dims=(0, 0, None, None))
        measured: dict[str, Tensor] = measure(w, buffers, x, y)
        return measured

    def _traced(self, kind: tuple[Any, ...], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Traced:
        objective = self.program.problem.objective
        shapes = tuple(leaf if leaf is None else (leaf.shape, leaf.dtype) for leaf in pytree.tree_leaves(arguments))
        return traced(objective, (kind, self.program.layout, shapes), function, arguments)


class Solo(Stepper):
    """Row after row through plain autograd, as a user's own loop does it."""

    def __init__(self, program: Program, numbers: Mapping[str, Tensor]) -> None:
        super().__init__(program, numbers)
        rows = len(next(iter(self.numbers.values())))
        self._rules = [program.rule.close(self._row_numbers(t)) for t in range(rows)]
        self._objectives: list[Objective] = [program.problem.objective] * rows  # from the start on, each row's own

    def start(self, seeds: Sequence[int]) -> Rows:
        self._objectives = [self.program.problem.objective.fresh(seed) for seed in seeds]
        return super().start(seeds)

    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        stepped = [self._one(rows, t, float(numbers["lr"][t]), batch) for t in range(rows.w.shape[0])]
        w, state, buffers, alive, loss = zip(*stepped, strict=True)
        return Rows(
            w=torch.stack(w),
            state=stack_trees(state),
            buffers=stack_trees(buffers),
            alive=torch.tensor(alive, device=rows.alive.device),
            loss=torch.stack(loss),
        )

    def _one(self, rows: Rows, t: int, lr: float, batch: Batch) -> tuple[Tensor, Tree, Leaves, bool, Tensor]:
        w, state, buffers = rows.w[t], row_of(rows.state, t), row_of(rows.buffers, t)
        if not rows.alive[t]:
            return w, state, buffers, False, rows.loss[t]
        own = unpadded(Batch(*(None if part is None else part[t] for part in batch)))  # type: ignore[arg-type]
        leaves = {n: leaf.requires_grad_() for n, leaf in self.program.layout.unpack(w.detach()).items()}
        losses, new_buffers = self._objectives[t].losses(leaves, buffers, own.x, own.y)
        loss = (losses * own.weights).sum() / own.normaliser
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            g = self.program.layout.pack(dict(zip(leaves, gradients, strict=True)))
            new_w, new_state = self.program.take(self._rules[t].at_lr(lr), w, g, state)
            alive = bool(finite_rows(new_w[None], loss.detach()[None]))
        if not alive:
            return w, state, buffers, False, loss.detach()
        return new_w, new_state, new_buffers, True, loss.detach()

    def measure(self, rows: Rows, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        leaves = self.measured(rows)
        with torch.no_grad():
            each = [
                objective.measure(row_of(leaves, t), row_of(rows.buffers, t), x, y)
                for t, objective in enumerate(self._objectives)
            ]
        return {name: torch.stack([m[name] for m in each]) for name in each[0]}


STEPPERS: Mapping[RungName, type[Stepper]] = {"solo": Solo, "vmap": EagerVmap, "traced": TracedReplay}


def stepper_of(rung: RungName, program: Program, rules: Sequence[Any]) -> Stepper:
    """The stepper of a rung for closed rules that share a signature."""
    return STEPPERS[rung](program, numbers_of(rules))


def stack_trees(trees: Sequence[Any]) -> Any:
    """Equal trees of tensors (dictionaries, however deep), stacked leaf by leaf."""
    first = trees[0]
    if isinstance(first, dict):
        return {name: stack_trees([tree[name] for tree in trees]) for name in first}
    return torch.stack(list(trees))


def _with_dead_rows(stepped: Rows, before: Rows) -> Rows:
    """``stepped`` with everything of its dead rows as it was: their last finite point and its state."""
    dead = torch.nonzero(~stepped.alive).flatten()

    def kept(new: Tensor, old: Tensor) -> Tensor:
        return new.index_copy(0, dead, old.index_select(0, dead))

    w, state, buffers = pytree.tree_map(kept, tuple(stepped[:3]), tuple(before[:3]))
    return stepped._replace(w=w, state=state, buffers=buffers)


def row_of(tree: Any, t: int) -> Any:
    """Row ``t`` of a tree of tensors [T, ...]."""
    return {name: row_of(part, t) for name, part in tree.items()} if isinstance(tree, dict) else tree[t]
