"""A problem from a user's own network, loss and data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from optwise.core.data import Data
from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import Direction, Metric, Target
from optwise.core.problem import FINGERPRINT_EXAMPLES, Problem
from optwise.core.sampler import Shuffled
from optwise.problems.losses import Loss, default_accuracy, per_example, refuse_other_classes, trivial_predictor
from optwise.problems.objectives import ModuleObjective, PerExample, draws_randomly, sees_batch
from optwise.problems.sources import Source, loader_batch_size, read_split

RANDOM_FORWARD = "draws random numbers in its forward pass"


def from_module(
    make_net: Callable[[], nn.Module] | nn.Module,
    loss: Loss,
    train: Source,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    batch_size: int | None = None,
    name: str | None = None,
    metrics: Mapping[Metric, PerExample] | None = None,
    target: Target | None = None,
    reference: str = "",
) -> Problem:
    r"""Minimise the mean loss of a network over training examples.

    .. math:: \min_w \frac1N \sum_{i=1}^N \ell(\mathrm{net}_w(x_i), y_i)

    What can be wrong is looked for here, on the first examples at the start of seed 0, not in the middle of a study.

    Args:
        make_net: Builds the network, drawing its start from torch's random state; or a network whose modules with
            parameters all have ``reset_parameters``. Frozen parameters (``requires_grad=False``) are kept as they are.
        loss: ``loss(outputs, y)``, a mean over the batch such as ``F.cross_entropy`` or one number per example [B];
            losses per output [B, k] are averaged over the outputs.
        train: Examples that make gradients: ``(x, y)``, a map-style data set, or a data loader. All are read into
            memory once; floating numbers take the type of the network's parameters.
        valid: Examples that select and time.
        test: Examples looked at once, at the end.
        batch_size: Of the shuffled epochs; ``None`` takes that of a loader given as ``train``, else 64.
        name: Printed everywhere; ``None`` takes the network's class name in lower case.
        metrics: What else to measure: ``{Metric("top5", Direction.MAX): top5}``, functions of outputs and labels that
            give one number per example. Classifiers have ``accuracy`` without asking.
        target: Metric value that counts as reached.
        reference: How to build the problem again, ``mine.py:problem``.

    Raises:
        BadProblem: A start that would be the same for all seeds or that no seed repeats, a network without parameters,
            a network or loss that fails or is not finite at the start, a loss that is a sum or of another shape, data
            that are empty, not finite or no pairs.

    Example:
        >>> x, y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3
        >>> problem = from_module(lambda: nn.Linear(4, 3), nn.functional.cross_entropy, (x, y), valid=(x, y))
        >>> problem.metric_names
        ('train/loss', 'train/accuracy', 'valid/loss', 'valid/accuracy')
        >>> round(problem.predictor, 4)  # about ln 3: the three classes are almost equally frequent
        1.0976
    """
    if name is not None and "/" in name:
        raise BadProblem(
            f"Problem name {name!r} holds a slash, which separates the parts of a trial's address; drop it."
        )
    build = _builder(make_net)
    net, again = _seeded(build, 0), _seeded(build, 0)
    w, buffers = _leaves(net)
    _refuse_other_start(net, again)
    dtype = next((leaf.dtype for leaf in w.values() if leaf.is_floating_point()), torch.get_default_dtype())
    sources = {"train": train, "valid": valid, "test": test}
    data = Data(**{k: read_split(s, split=k, dtype=dtype) for k, s in sources.items() if s is not None})

    labels = data.train.y
    assert labels is not None
    x, y = data.train.x[:FINGERPRINT_EXAMPLES], labels[:FINGERPRINT_EXAMPLES]
    outputs = _outputs(net, w, buffers, x)
    each = per_example(loss, outputs, y)
    for split, examples in data.splits.items():
        assert examples.y is not None
        refuse_other_classes(loss, outputs, examples.y, split=split)
    measured = dict(metrics or {})
    _refuse_other_shapes(measured, outputs, y)
    accuracy = default_accuracy(loss, outputs, labels)
    if accuracy is not None and "accuracy" not in {metric.name for metric in measured}:
        measured = {Metric("accuracy", Direction.MAX): accuracy, **measured}

    objective = ModuleObjective(net, each, {m.name: f for m, f in measured.items()})
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start_loss = objective.losses(w, buffers, x, y)[0]
    if not bool(torch.isfinite(start_loss).all()):
        raise BadProblem(
            f"The loss is not finite at the start in training mode: {float(start_loss.mean())} on the first {len(y)} "
            "training examples with seed 0; look at the network's initial outputs and the scale of the data."
        )
    random = draws_randomly(objective, w, buffers, x)
    objective = ModuleObjective(
        net,
        each,
        objective.metrics,
        reason=RANDOM_FORWARD if random else "",
        sees_batch=not random and sees_batch(objective, w, buffers, x),
    )
    scored = data.train if data.valid is None else data.valid
    assert scored.y is not None
    return Problem(
        name=name or type(net).__name__.lower(),
        objective=objective,
        start=lambda seed: _leaves(_seeded(build, seed)),
        data=data,
        sampler=Shuffled(batch_size or loader_batch_size(train) or 64),
        metrics=(Metric("loss"), *measured),
        target=target,
        target_command="given by the problem's author" if target is not None else "",
        predictor=trivial_predictor(loss, each, outputs, labels, scored.y),
        reference=reference,
    )


def _builder(make_net: Callable[[], nn.Module] | nn.Module) -> Callable[[], nn.Module]:
    if not isinstance(make_net, nn.Module):
        return make_net
    net = make_net
    for path, module in net.named_modules():
        if any(True for _ in module.parameters(recurse=False)) and not hasattr(module, "reset_parameters"):
            raise BadProblem(
                f"Module {path or 'at the top'!r} ({type(module).__name__}) has parameters but no reset_parameters, so "
                "every seed would start from the same point; give a function that builds the network, "
                "`from_module(make_net, ...)`."
            )

    def rebuild() -> nn.Module:
        fresh = copy.deepcopy(net)
        for module in fresh.modules():
            if hasattr(module, "reset_parameters"):
                cast(Any, module).reset_parameters()
        return fresh

    return rebuild


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            net = build()
        except Exception as error:
            raise BadProblem(f"Building the network fails: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise BadProblem(f"make_net() gives {type(net).__name__}, not a torch.nn.Module; let it return the network.")
    return net


def _leaves(net: nn.Module) -> tuple[Leaves, Leaves]:
    """Trainable parameters, and what travels with them: frozen parameters and buffers."""
    for name, parameter in net.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise BadProblem(
                f"Parameter {name!r} has no shape yet; replace the lazy module by one with its sizes given."
            )
    w = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
    if not w:
        raise BadProblem(
            f"{type(net).__name__} is a module without parameters to train; there is nothing to minimise over."
        )
    frozen = {name: p.detach().clone() for name, p in net.named_parameters() if not p.requires_grad}
    return w, frozen | {name: buffer.detach().clone() for name, buffer in net.named_buffers()}


def _refuse_other_start(net: nn.Module, again: nn.Module) -> None:
    if net is again:
        raise BadProblem(
            "make_net() gives the same network each time, so every seed would start from the same point; let it build "
            "a new one."
        )
    (one, _), (other, _) = _leaves(net), _leaves(again)
    if one.keys() != other.keys() or any(not torch.equal(leaf, other[name]) for name, leaf in one.items()):
        raise BadProblem(
            "make_net() gives two different starts for one seed; let it draw from torch's random state only "
            "(torch.manual_seed is called before it)."
        )


def _outputs(net: nn.Module, w: Leaves, buffers: Leaves, x: Tensor) -> Tensor:
    """Outputs in evaluation mode, after one pass in training mode to see that both work."""
    objective = ModuleObjective(net, lambda outputs, _: outputs)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            objective.forward(w, buffers, x)
            outputs = objective.predict(w, buffers, x)
    except Exception as error:
        raise BadProblem(
            f"The network fails on the first {len(x)} training inputs, of shape {tuple(x.shape)} and type "
            f"{str(x.dtype).removeprefix('torch.')}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        shape = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise BadProblem(
            f"The network gives {shape} for {len(x)} examples; let it return one tensor, a row per example."
        )
    return outputs


def _refuse_other_shapes(metrics: Mapping[Metric, PerExample], outputs: Tensor, y: Tensor) -> None:
    for metric, function in metrics.items():
        values = function(outputs, y)
        if values.shape != y.shape[:1]:
            raise BadProblem(
                f"Metric {metric.name!r} gives shape {tuple(values.shape)} for {len(y)} examples; return one number "
                "per example, their mean is taken later."
            )
