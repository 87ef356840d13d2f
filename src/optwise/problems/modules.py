"""A problem from a user's own network, loss and data."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from optwise.core.data import Data
from optwise.core.errors import BadProblem, DataNote
from optwise.core.layout import Leaves
from optwise.core.metric import Direction, Metric, Target
from optwise.core.problem import FINGERPRINT_EXAMPLES, Problem
from optwise.core.sampler import Shuffled
from optwise.numerics.finiteness import all_finite
from optwise.numerics.rng import Streams
from optwise.problems.best_constants import default_accuracy, trivial_predictor
from optwise.problems.builders import builder, leaves_of, refuse_other_start, seeded
from optwise.problems.kept_labels import kept_labels
from optwise.problems.losses import Loss, per_example, refuse_other_classes
from optwise.problems.objectives import ModuleObjective
from optwise.problems.passes import PerExample, evaluated, trained
from optwise.problems.plain_state import without_trace
from optwise.problems.probes import Sample, look
from optwise.problems.sources import Source, loader_batch_size, loader_drops_last, read_split


def from_module(
    make_net: Callable[[], nn.Module] | nn.Module,
    loss: Loss,
    train: Source,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    batch_size: int | None = None,
    drop_last: bool | None = None,
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
            losses per output [B, k] are averaged over the outputs. A cross-entropy given as itself may ignore labels
            or weigh classes: its mean is then over the labels that count, in a batch as in a split.
        train: Examples that make gradients: ``(x, y)``, a map-style data set, or a data loader. All are read once,
            into memory of our own; floating numbers take the type of the network's parameters. What a loop over the
            source would have met otherwise (random augmentation, padding by batch) is said in a warning.
        valid: Examples that select and time.
        test: Examples looked at once, at the end.
        batch_size: Of the shuffled epochs; ``None`` takes that of a loader given as ``train``, else 64.
        drop_last: Whether the short last batch of an epoch is left out; ``None`` takes what a loader given as
            ``train`` says, else keeps it.
        name: Printed everywhere; ``None`` takes the network's class name in lower case.
        metrics: What else to measure: ``{Metric("top5", Direction.MAX): top5}``, functions of outputs and labels that
            give one number per example. Classifiers have ``accuracy`` without asking.
        target: Metric value that counts as reached.
        reference: How to build the problem again, ``mine.py:problem``.

    Raises:
        BadProblem: A start that would be the same for all seeds or that no seed repeats, a network without parameters,
            a network or loss that fails, is not finite at the start or gives other numbers each time, a loss that is a
            sum or of another shape, a last batch that the network cannot take, data that are empty, not finite, not
            dense or no pairs.

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
    make = functools.partial(seeded, builder(make_net))
    net = make(0)
    w, buffers = leaves_of(net)
    refuse_other_start(net, make(0))
    _refuse_trainable(loss)
    dtype = next((leaf.dtype for leaf in w.values() if leaf.is_floating_point()), torch.get_default_dtype())
    sources = {"train": train, "valid": valid, "test": test}
    read = {k: read_split(source, split=k, dtype=dtype) for k, source in sources.items() if source is not None}
    data = Data(**{split: reading.split for split, reading in read.items()})
    notes = tuple(note for reading in read.values() for note in reading.notes)

    every = {split: examples.y for split, examples in data.splits.items() if examples.y is not None}
    sample = _sample(w, buffers, data.train.x, every["train"])
    outputs = _outputs(net, sample)
    labels = kept_labels(loss, every.values())
    for split, y in every.items():
        refuse_other_classes(loss, outputs, y, split=split, labels=labels)
    each = per_example(loss, outputs, sample.y, labels=labels)
    measured = _metrics(metrics or {}, loss, outputs, sample.y, every["train"])

    objective = ModuleObjective(
        make,
        each,
        {metric.name: function for metric, function in measured.items()},
        labels=labels,
        beside={"loss": each, **{metric.name: function for metric, function in measured.items()}},
    )
    _refuse_infinite_start(objective, sample)
    objective = objective.with_traits(look(objective, sample))
    scored = every.get("valid", every["train"])
    for note in notes:
        warnings.warn(note, DataNote, stacklevel=2)
    problem = Problem(
        name=name or type(net).__name__.lower(),
        objective=objective,
        start=lambda seed: leaves_of(make(seed)),
        data=data,
        sampler=Shuffled(
            (loader_batch_size(train) or 64) if batch_size is None else batch_size,
            drop_last=loader_drops_last(train) if drop_last is None else drop_last,
        ),
        metrics=(Metric("loss"), *measured),
        target=target,
        target_command="given by the problem's author" if target is not None else "",
        predictor=trivial_predictor(loss, each, outputs, every["train"], scored, labels=labels),
        reference=reference,
        notes=notes,
    )
    _refuse_last_batch(problem, sample)
    objective.pristine.restore()
    return problem


def _sample(w: Leaves, buffers: Leaves, x: Tensor, y: Tensor) -> Sample:
    """The first examples, and of every kind of label the first one: what is to be looked at."""
    indices = torch.arange(min(FINGERPRINT_EXAMPLES, len(x)))
    if not y.is_floating_point() and y.numel():
        least = y.flatten(1).amin(1) if y.ndim > 1 else y  # the label of an example that is least like a class
        kinds, of = torch.unique(least, return_inverse=True)
        firsts = torch.full((len(kinds),), len(x)).scatter_reduce(0, of, torch.arange(len(x)), "amin")
        indices = torch.unique(torch.cat([indices, firsts[:FINGERPRINT_EXAMPLES]]))
    return Sample(w, buffers, x[indices], y[indices])


def _outputs(net: nn.Module, sample: Sample) -> Tensor:
    """Outputs in evaluation mode, after one pass in training mode to see that both work."""
    x, examples = sample.x, len(sample.x)
    try:
        with torch.no_grad(), Streams(0), without_trace(net):
            trained(net.train(), sample.w, sample.buffers, x.clone())
            outputs = evaluated(net.eval(), sample.w, sample.buffers, x.clone(), copies=True)
    except Exception as error:
        raise BadProblem(
            f"The network fails on {examples} training inputs, of shape {tuple(x.shape)} and type "
            f"{str(x.dtype).removeprefix('torch.')}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        shape = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise BadProblem(
            f"The network gives {shape} for {examples} examples; let it return one tensor, a row per example."
        )
    return outputs


def _metrics(
    given: Mapping[Metric, PerExample], loss: Loss, outputs: Tensor, y: Tensor, train_y: Tensor
) -> dict[Metric, PerExample]:
    """The metrics that were asked for, after the accuracy of a classifier."""
    for metric, function in given.items():
        try:
            with without_trace(function):
                values = function(outputs.clone(), y.clone())
        except Exception as error:
            raise BadProblem(f"Metric {metric.name!r} fails: {type(error).__name__}: {error}") from error
        if not isinstance(values, Tensor) or values.shape != y.shape[:1]:
            shape = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise BadProblem(
                f"Metric {metric.name!r} gives {shape} for {len(y)} examples; return one number per example, their "
                "mean is taken later."
            )
    accuracy = default_accuracy(loss, outputs, train_y)
    if accuracy is None or "accuracy" in {metric.name for metric in given}:
        return dict(given)
    return {Metric("accuracy", Direction.MAX): accuracy, **given}


def _refuse_trainable(loss: Loss) -> None:
    names = [n for n, p in loss.named_parameters() if p.requires_grad] if isinstance(loss, nn.Module) else []
    if names:
        raise BadProblem(
            f"The loss has parameters to train ({', '.join(names)}), which no method would see; put them into the "
            "network, whose outputs may carry what the loss needs, or freeze them with requires_grad_(False)."
        )


def _refuse_infinite_start(objective: ModuleObjective, sample: Sample) -> None:
    with torch.no_grad(), Streams(0):
        losses, _ = objective.losses(sample.w, sample.buffers, sample.x.clone(), sample.y.clone())
    objective.pristine.restore()
    if not all_finite(losses):
        raise BadProblem(
            f"The loss is not finite at the start in training mode: {float(losses.mean())} on {len(sample.y)} training "
            "examples with seed 0; look at the network's initial outputs and the scale of the data."
        )


def _refuse_last_batch(problem: Problem, sample: Sample) -> None:
    """Refuse a batch size whose shortest batch the network fails on, where it takes others."""
    assert problem.data is not None
    least, examples = problem.sampler.least(problem.examples), problem.examples
    x, y = problem.data.train.x[:least].clone(), problem.data.train.y
    assert y is not None
    try:
        with torch.no_grad():
            losses, _ = problem.objective.fresh(0).losses(sample.w, sample.buffers, x, y[:least].clone())
        found = "" if losses.shape == x.shape[:1] else f"a loss of shape {tuple(losses.shape)}"
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        found = f"{type(error).__name__}: {error}"
    if found:
        last = "" if least == problem.batch_size else f", which leave a last one of {least}"
        raise BadProblem(
            f"{problem.name}: {examples} examples in batches of {problem.batch_size}{last}; the network fails on a "
            f"batch of {least} in training mode ({found}); give another batch_size, or drop_last=True."
        )
