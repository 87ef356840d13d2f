"""The step of one method on one problem as a pure function of tensors, for one row and for T rows at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from optwise.core.layout import Layout, Leaves
from optwise.core.method import Rule
from optwise.core.problem import Problem
from optwise.core.sampler import Draws

Tree = dict[str, Any]


class Batch(NamedTuple):
    """What a step looks at: rows ``x`` and ``y`` (or ``None``), weights [.., B] and their normaliser [..]."""

    x: Tensor | None
    y: Tensor | None
    weights: Tensor
    normaliser: Tensor


class Rows(NamedTuple):
    """Where T trials stand.

    Args:
        w: Parameters [T, P].
        state: The rule's state, each leaf [T, ...].
        buffers: The module's own statistics, each leaf [T, ...].
        alive: Whether the row is still finite [T].
        loss: Of the last batch [T].
    """

    w: Tensor
    state: Tree
    buffers: Leaves
    alive: Tensor
    loss: Tensor


@dataclass(frozen=True, eq=False)
class Program:
    """One rule on one problem.

    Args:
        problem: Already in the dtype and on the device of the trials.
        rule: Closed; its numbers are replaced row by row, its flags are shared by all rows.
        layout: Of the leaves.
    """

    problem: Problem
    rule: Rule
    layout: Layout

    def gradient(self, w: Leaves, buffers: Leaves, batch: Batch) -> tuple[Leaves, tuple[Tensor, Leaves]]:
        """Gradient, loss and new buffers of one row."""
        gradients, (loss, new_buffers) = grad_and_value(self._loss, has_aux=True)(w, buffers, batch)
        return gradients, (loss, new_buffers)

    def _loss(self, w: Leaves, buffers: Leaves, batch: Batch) -> tuple[Tensor, Leaves]:
        losses, new_buffers = self.problem.objective.losses(w, buffers, batch.x, batch.y)
        return (losses * batch.weights).sum() / batch.normaliser, new_buffers

    def update(self, numbers: Mapping[str, Any], w: Tensor, g: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """One row's step [P] with the hyperparameters ``numbers``."""
        return self.take(self.rule.close(numbers), w, g, state)

    def take(self, rule: Rule, w: Tensor, g: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """A closed rule's step [P]: on the flat row where the rule looks at no shape, else leaf by leaf."""
        if rule.elementwise:
            return rule.step(w, g, state)
        leaves, gradients = self.layout.unpack(w), self.layout.unpack(g)
        stepped = {name: rule.step(leaves[name], gradients[name], state[name]) for name in leaves}
        return self.layout.pack({name: s[0] for name, s in stepped.items()}), {
            name: s[1] for name, s in stepped.items()
        }

    def init_state(self, numbers: Mapping[str, Any], w: Tensor) -> Tree:
        """One row's state before step 1."""
        rule = self.rule.close(numbers)
        return self.whole_state(rule, w) if rule.elementwise else self.state_by_leaf(rule, w)

    def whole_state(self, rule: Rule, w: Tensor) -> Tree:
        """State before step 1 of a closed rule that steps the flat row [P]."""
        return rule.start(w, self._curvature(w))

    def state_by_leaf(self, rule: Rule, w: Tensor) -> Tree:
        """State before step 1 of a closed rule that steps leaf by leaf, by name."""
        curvature = self._curvature(w)
        parts = {} if curvature is None else self.layout.unpack(curvature)
        return {name: rule.start(leaf, parts.get(name)) for name, leaf in self.layout.unpack(w).items()}

    def _curvature(self, w: Tensor) -> Tensor | None:
        known = self.problem.curvature
        return None if known is None else known.to(w)

    def evaluation_weights(self, numbers: Mapping[str, Any], w: Tensor, state: Tree) -> Tensor:
        """The point of one row that is measured."""
        rule = self.rule.close(numbers)
        if rule.elementwise:
            return rule.evaluation_weights(w, state)
        leaves = self.layout.unpack(w)
        return self.layout.pack({name: rule.evaluation_weights(leaf, state[name]) for name, leaf in leaves.items()})

    def step_rows(self, rows: Rows, numbers: Mapping[str, Tensor], batch: Batch) -> Rows:
        """One step of T rows; of a row that is not finite afterwards only ``alive`` means something."""
        leaves = self.layout.unpack(rows.w)
        axes = Batch(None if batch.x is None else 0, None if batch.y is None else 0, 0, 0)  # type: ignore[arg-type]
        gradients, (loss, buffers) = vmap(self.gradient, in_dims=(0, 0, axes))(leaves, rows.buffers, batch)
        w, state = vmap(self.update)(numbers, rows.w, self.layout.pack(gradients), rows.state)
        return Rows(w, state, buffers, rows.alive & finite_rows(w, loss), loss)

    def measured_rows(self, rows: Rows, numbers: Mapping[str, Tensor]) -> Tensor:
        """The points that are measured [T, P]."""
        return vmap(self.evaluation_weights)(numbers, rows.w, rows.state)


def program_of(problem: Problem, rule: Rule) -> Program:
    """The program of a closed rule on a problem."""
    w, _ = problem.start(0)
    return Program(problem, replace(rule, schedule=None), Layout.of(w))


def numbers_of(rules: Sequence[Rule], dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """The numeric hyperparameters of T closed rules, by path, each [T]; float64 whatever the parameters are."""
    bare = [replace(rule, schedule=None).values() for rule in rules]
    numeric = [path for path, value in bare[0].items() if _is_number(value)]
    return {path: torch.tensor([values[path] for values in bare], dtype=dtype) for path in numeric}


def signature(rule: Rule) -> tuple[Hashable, ...]:
    """What rows must share to be stepped together: the classes and every flag or choice that is not a number.

    The classes themselves, not their names: one that a notebook defines anew under its old name is another rule.
    """
    flags = replace(rule, schedule=None).values()
    return (*rule.kinds, *((path, repr(value)) for path, value in flags.items() if not _is_number(value)))


def finite_rows(w: Tensor, loss: Tensor) -> Tensor:
    """Whether every number of a row [T, P], and its loss [T], is finite [T]."""
    # a NaN fails both comparisons; 13 times faster than isfinite(w).all(1), and without a temporary
    return (w.amax(1) < torch.inf) & (w.amin(1) > -torch.inf) & (loss - loss == 0)


def gather(problem: Problem, draws: Draws, step: int) -> Batch:
    """The batch of one step of a segment; ``draws`` may carry a row axis after the step axis."""
    weights, normaliser = draws.weights[step], draws.normaliser[step]
    if draws.indices is None:
        return Batch(None if draws.fresh is None else draws.fresh[step], None, weights, normaliser)
    if problem.data is None:
        return Batch(None, None, weights, normaliser)
    train, index = problem.data.train, draws.indices[step]
    y = None if train.y is None else _select(train.y, index)
    mass = problem.objective.masses(y).get("loss")
    if mass is not None:  # the mean is over what the labels count, not over the examples
        total = (weights * mass.to(weights)).sum(-1)
        normaliser = torch.where(total > 0, total, torch.ones_like(total))
    return Batch(_select(train.x, index), y, weights, normaliser)


def unpadded(batch: Batch) -> Batch:
    """One row's batch without its padding, as a plain loop sees it; an empty batch keeps its padded rows."""
    examples = int(batch.weights.count_nonzero())
    if examples in (0, batch.weights.shape[-1]):
        return batch
    x, y = (None if part is None else part[:examples] for part in batch[:2])
    return Batch(x, y, batch.weights[:examples], batch.normaliser)


def _select(source: Tensor, index: Tensor) -> Tensor:
    return source.index_select(0, index.reshape(-1)).reshape(*index.shape, *source.shape[1:])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
