"""The rungs: one step of T rows done eagerly, by a traced replay, or row by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from optwise.core.layout import Leaves
from optwise.engine.program import Batch, Program, Rows, Tree, numbers_of, unpadded

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
        return self._step(rows, {**self.numbers, "lr": self.numbers["lr"] * factors}, batch)

    @abstractmethod
    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows: ...

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
    """The whole batched step traced once to plain ATen operations, then replayed.

    A branch on the state cannot be traced wrongly: under vmap it raises, and the trial runs solo.
    """

    def __init__(self, program: Program, numbers: Mapping[str, Tensor]) -> None:
        super().__init__(program, numbers)
        self._replay: Callable[..., Any] | None = None
        self.graph: GraphModule | None = None

    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        flat, spec = pytree.tree_flatten((rows, dict(numbers), batch))
        tensors = [leaf for leaf in flat if leaf is not None]
        if self._replay is None:
            holes = [leaf is None for leaf in flat]
            self._trace(tensors, holes, spec)
        assert self._replay is not None
        with torch.no_grad():
            return Rows(*pytree.tree_unflatten(self._replay(*tensors), self._rows_spec))

    def _trace(self, tensors: list[Tensor], holes: list[bool], spec: pytree.TreeSpec) -> None:
        def whole(*inputs: Tensor) -> list[Tensor]:
            given = iter(inputs)
            rows, numbers, batch = pytree.tree_unflatten([None if hole else next(given) for hole in holes], spec)
            flat, self._rows_spec = pytree.tree_flatten(self.program.step_rows(rows, numbers, batch))
            return flat

        graph = make_fx(whole, tracing_mode="real")(*tensors)
        for node in list(graph.graph.nodes):
            if node.op == "call_function" and node.target is torch.ops.aten.detach.default:
                node.replace_all_uses_with(node.args[0])
                graph.graph.erase_node(node)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        self.graph = graph
        self._replay = graph.forward


class Solo(Stepper):
    """Row after row through plain autograd, as a user's own loop does it."""

    def _step(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        stepped = [self._one(rows, t, numbers, batch) for t in range(rows.w.shape[0])]
        return Rows(
            w=torch.stack([s[0] for s in stepped]),
            state=stack_trees([s[1] for s in stepped]),
            buffers=stack_trees([s[2] for s in stepped]),
            alive=torch.stack([s[3] for s in stepped]),
            loss=torch.stack([s[4] for s in stepped]),
        )

    def _one(
        self, rows: Rows, t: int, numbers: Mapping[str, Tensor], batch: Batch
    ) -> tuple[Tensor, Tree, Leaves, Tensor, Tensor]:
        w, state, buffers, alive = rows.w[t], row_of(rows.state, t), row_of(rows.buffers, t), rows.alive[t]
        if not alive:
            return w, state, buffers, alive, rows.loss[t]
        own = unpadded(Batch(*(None if part is None else part[t] for part in batch)))  # type: ignore[arg-type]
        leaves = {n: leaf.requires_grad_() for n, leaf in self.program.layout.unpack(w.detach()).items()}
        losses, new_buffers = self.program.problem.objective.losses(leaves, buffers, own.x, own.y)
        loss = (losses * own.weights).sum() / own.normaliser
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            g = self.program.layout.pack(dict(zip(leaves, gradients, strict=True)))
            row_numbers = {path: values[t] for path, values in numbers.items()}
            new_w, new_state = self.program.update(row_numbers, w, g, state)
            alive = torch.isfinite(torch.linalg.vector_norm(new_w, torch.inf)) & torch.isfinite(loss.detach())
        if not alive:
            return w, state, buffers, alive, loss.detach()
        return new_w, new_state, new_buffers, alive, loss.detach()

    def measure(self, rows: Rows, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        leaves, objective = self.measured(rows), self.program.problem.objective
        with torch.no_grad():
            each = [objective.measure(row_of(leaves, t), row_of(rows.buffers, t), x, y) for t in range(rows.w.shape[0])]
        return {name: torch.stack([m[name] for m in each]) for name in each[0]}


STEPPERS: Mapping[RungName, type[Stepper]] = {"solo": Solo, "vmap": EagerVmap, "traced": TracedReplay}


def stepper_of(rung: RungName, program: Program, rules: Sequence[Any]) -> Stepper:
    """The stepper of a rung for closed rules that share a signature."""
    return STEPPERS[rung](program, numbers_of(rules))


def stack_trees(trees: Sequence[Any]) -> Any:
    """Equal trees of tensors, stacked leaf by leaf."""
    return pytree.tree_map(lambda *leaves: torch.stack(leaves), trees[0], *trees[1:])


def row_of(tree: Any, t: int) -> Any:
    """Row ``t`` of a tree of tensors [T, ...]."""
    return pytree.tree_map(lambda leaf: leaf[t], tree)
