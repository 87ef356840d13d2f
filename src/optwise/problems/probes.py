"""Looking at a network, its loss and its metrics: what a pass does besides computing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.numerics.rng import Streams, global_states, moved
from optwise.problems.objectives import ModuleObjective
from optwise.problems.own_networks import OwnNetwork
from optwise.problems.passes import evaluated, trained
from optwise.problems.plain_state import PlainState
from optwise.problems.traits import Traits


class Sample(NamedTuple):
    """Where a network is looked at: a start, and some examples."""

    w: Leaves
    buffers: Leaves
    x: Tensor
    y: Tensor

    def to(self, dtype: torch.dtype) -> Sample:
        """A copy with floating numbers in ``dtype``."""
        w, buffers = ({n: _cast(leaf, dtype) for n, leaf in leaves.items()} for leaves in (self.w, self.buffers))
        return Sample(w, buffers, _cast(self.x, dtype), _cast(self.y, dtype))

    def first(self, examples: int) -> Sample:
        """A copy with the first examples alone."""
        return self._replace(x=self.x[:examples].clone(), y=self.y[:examples].clone())


def look(objective: ModuleObjective, sample: Sample) -> Traits:
    """How the network, the loss and the metrics of ``objective`` behave at ``sample``, where each of them works.

    Raises:
        BadProblem: Two trials of one seed that differ, a loss without a gradient, or a single example that gives no
            single number.
    """
    dtype = next(leaf.dtype for leaf in sample.w.values())
    objective = objective.with_traits(Traits(dtype=dtype))
    trial = _trial(objective)
    before = trial.state()
    with Streams(0):
        streams = global_states()
        writes, numbers = _passes(trial, sample)
        random = moved(streams, global_states())
    state = before.changes(trial.state())
    left = PlainState(objective.make_net(0), objective.beside)  # whether a new network starts as this one did
    first, again, other = (_built(objective, seed) for seed in (0, 0, 1))
    unstable, common = set(first.changes(again)), first.names & again.names & other.names
    traits = Traits(
        random=random,
        writes=writes,
        state=state,
        shared=bool(state) and not unstable.issuperset(before.changes(left)),
        seeded=tuple(sorted(common.intersection(first.changes(other)) - unstable)),
        dtype=dtype,
    )
    _refuse_other_numbers(objective, sample, numbers)
    _refuse_no_gradient(objective.with_traits(traits), sample)
    traits = _with_types(objective, traits, sample)
    return _with_batches(objective.with_traits(traits), traits, sample)


def _trial(objective: ModuleObjective) -> OwnNetwork:
    trial = objective.fresh(0)
    assert isinstance(trial, OwnNetwork)
    return trial


def _built(objective: ModuleObjective, seed: int) -> PlainState:
    objective.pristine.restore()
    return PlainState(objective.make_net(seed), {})


def _passes(trial: OwnNetwork, sample: Sample) -> tuple[bool, list[Tensor]]:
    """Two training passes and a measuring one: whether they write into what they are handed, and what they gave."""
    network, shared = trial.network, trial.shared
    buffers, writes, numbers = sample.buffers, False, []
    with torch.no_grad():
        network.train()
        for _ in range(2):
            given = sample.first(len(sample.x))
            outputs, buffers = trained(network, sample.w, buffers, given.x)
            numbers += [shared.loss(outputs, given.y), *buffers.values()]
            writes |= not (_same(given.x, sample.x) and _same(given.y, sample.y))
        network.eval()
        given, kept = sample.first(len(sample.x)), {name: buffer.clone() for name, buffer in buffers.items()}
        outputs = evaluated(network, sample.w, kept, given.x)
        writes |= not (_same(given.x, sample.x) and all(_same(kept[n], buffer) for n, buffer in buffers.items()))
        for function in (shared.loss, *shared.metrics.values()):
            handed = (outputs.clone(), sample.y.clone())
            numbers.append(function(*handed))
            writes |= not (_same(handed[0], outputs) and _same(handed[1], sample.y))
    return writes, [number.clone() for number in numbers]


def _refuse_other_numbers(objective: ModuleObjective, sample: Sample, numbers: list[Tensor]) -> None:
    with Streams(0):
        _, others = _passes(_trial(objective), sample)
    for number, other in zip(numbers, others, strict=True):
        if not _same(number, other):
            one, two = float(number.double().mean()), float(other.double().mean())
            raise BadProblem(
                f"Two fresh copies of the network give other numbers for the same examples and seed, {one:g} and "
                f"{two:g} on average: something outside of them is kept, or drawn without a seed. Let randomness come "
                "from torch's, numpy's or Python's global random numbers, which are seeded for every trial, and let "
                "state live in the network."
            )


def _refuse_no_gradient(objective: ModuleObjective, sample: Sample) -> None:
    error = _failure(objective, sample)
    if error is not None:
        raise BadProblem(
            f"The loss cannot be differentiated by the network's parameters: {_said(error)}; look for a .detach(), an "
            "argmax or an in-place change between them."
        ) from error


def _with_types(objective: ModuleObjective, traits: Traits, sample: Sample) -> Traits:
    """Whether the network computes with numbers of another type too: steps are probed in float64."""
    other = sample.to(torch.float32 if traits.dtype is torch.float64 else torch.float64)
    for known in (traits, replace(traits, mixes=True)):
        error = _failure(objective.with_traits(known), other)
        if error is None:
            return known
    return replace(traits, fixed=_said(error))


def _failure(objective: ModuleObjective, sample: Sample) -> Exception | None:
    """What goes wrong in a gradient and a measurement at ``sample``."""
    trial = _trial(objective)
    leaves = {name: leaf.detach().clone().requires_grad_() for name, leaf in sample.w.items()}
    try:
        with torch.enable_grad():
            losses, buffers = trial.losses(leaves, sample.buffers, sample.x, sample.y)
            torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        with torch.no_grad():
            trial.measure(sample.w, buffers, sample.x, sample.y)
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        return error
    return None


def _with_batches(objective: ModuleObjective, traits: Traits, sample: Sample) -> Traits:
    trial = _trial(objective)
    with torch.no_grad():
        smallest = 1 if _takes(trial, sample, 1) or not _takes(trial, sample, 2) else 2
        _refuse_no_single(trial, sample.first(1))
        sees = not traits.random and not traits.state and _sees_batch(trial, sample)
    return replace(traits, sees_batch=sees, smallest_batch=smallest)


def _refuse_no_single(trial: OwnNetwork, one: Sample) -> None:
    """Refuse what cannot measure an example alone, which the last part of a split may be."""
    advice = "let it take any number of examples, as with .squeeze(1) instead of .squeeze()"
    try:
        found = trial.measure(one.w, one.buffers, one.x, one.y)
    except Exception as error:
        raise BadProblem(f"The network fails on a single example while measuring: {_said(error)}; {advice}.") from error
    for name, value in found.items():
        if value.shape != (1,):
            raise BadProblem(f"A single example gives a {name} of shape {tuple(value.shape)}; {advice}.")


def _takes(trial: OwnNetwork, sample: Sample, examples: int) -> bool:
    some = sample.first(examples)
    try:
        losses, _ = trial.losses(some.w, some.buffers, some.x, some.y)
    except Exception:  # noqa: BLE001 - a user's code may raise anything
        return False
    return losses.shape == some.x.shape[:1]


def _sees_batch(trial: OwnNetwork, sample: Sample) -> bool:
    """Whether the first output in training mode changes with the others of the batch, as under BatchNorm."""
    if sample.x.shape[0] < 3:
        return bool(sample.buffers)  # too few examples to tell; statistics of a batch live in buffers
    network = trial.network.train()
    others = torch.cat([sample.x[:1], sample.x[1:2].expand(len(sample.x) - 1, *sample.x.shape[1:])])
    as_given = trained(network, sample.w, sample.buffers, sample.x.clone())[0][0]
    other = trained(network, sample.w, sample.buffers, others)[0][0]
    # batched kernels may round differently, statistics of a batch differ in the first digits
    return not torch.allclose(as_given, other, rtol=1e-4, atol=1e-6)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype, copy=True) if tensor.is_floating_point() else tensor.clone()


def _said(error: Any) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160].rstrip('.')}"
