"""What a user's loss function means for a single example."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from optwise.core.errors import BadProblem
from optwise.numerics.finiteness import all_finite
from optwise.problems.kept_labels import KeptLabels, cross_entropy_settings
from optwise.problems.passes import PerExample
from optwise.problems.plain_state import without_trace

Loss = Callable[..., Tensor]


def half_squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    r"""Elementwise :math:`\tfrac12 (\hat y - y)^2`, with the half; ``torch.nn.functional.mse_loss`` has none.

    Example:
        >>> half_squared_error(torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([2.])
    """
    return 0.5 * (outputs - y).square()


def per_example(
    loss: Loss,
    outputs: Tensor,
    y: Tensor,
    *,
    labels: KeptLabels | None = None,
) -> PerExample:
    """``loss`` as one number per example, settled once on the outputs [B, ...] and labels [B, ...] of some examples.

    A loss that gives [B] or [B, ...] is taken as it is, trailing dimensions averaged. One that gives a scalar is asked
    for ``reduction="none"`` where it knows the word, and is otherwise evaluated on each example alone; the mean over
    the examples must then be the scalar. Where ``labels`` do not all count the same, an example's number is the sum
    over its labels, and the sum over the examples over the sum of their masses must be the scalar.

    Args:
        loss: What the user gave.
        outputs: Of the network, for some examples.
        y: Their labels.
        labels: How labels count, where they do not all count the same.

    Raises:
        BadProblem: The loss fails, is not finite, is a sum, has another shape, or lets examples depend on each other.

    Example:
        >>> outputs, y = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
        >>> per_example(nn.CrossEntropyLoss(), outputs, y)(outputs, y)
        tensor([0.6931, 0.6931])
    """
    given, examples = _Given(outputs, y, labels), outputs.shape[0]
    with warnings.catch_warnings():
        # torch warns about shapes that broadcast; they are refused below, in one sentence
        warnings.simplefilter("ignore")
        try:
            whole = given.value(loss)
        except Exception as error:
            raise BadProblem(
                f"The loss fails on outputs {_named(outputs)} and labels {_named(y)}: {type(error).__name__}: {error}"
                f"{_other_labels(loss, given)}"
            ) from error
        if not isinstance(whole, Tensor):
            raise BadProblem(
                f"The loss gives {type(whole).__name__}, not a tensor; return a mean or one loss per example."
            )
        if whole.ndim > 0 and whole.shape[0] != examples:
            raise BadProblem(
                f"The loss of {examples} examples has shape {tuple(whole.shape)}, a loss whose shape is neither scalar "
                "nor per example; return their mean, or one loss per example."
            )
        if not all_finite(whole):
            raise BadProblem(
                f"The loss is not finite at the start: {float(whole.mean())} on {examples} training examples with "
                "seed 0; look at the network's initial outputs and the scale of the data."
            )
        each = _over_positions(loss) if whole.ndim > 0 else _unreduced(loss, given)
        _check_law(each, whole, given)
    return each


class _Given(NamedTuple):
    """What a loss is settled on."""

    outputs: Tensor
    y: Tensor
    labels: KeptLabels | None

    def value(self, function: Loss, some: int | None = None) -> Tensor:
        """``function`` on copies, as if it had not been called before."""
        with without_trace(function):
            value = function(self.outputs[:some].clone(), self.y[:some].clone())
            return value.clone() if isinstance(value, Tensor) else value

    def __str__(self) -> str:
        return f"outputs {_named(self.outputs)} and labels {_named(self.y)}"


def refuse_other_classes(loss: Loss, outputs: Tensor, y: Tensor, *, split: str, labels: KeptLabels | None) -> None:
    """Refuse class labels that a cross-entropy of these outputs does not have, and labels none of which counts."""
    settings = cross_entropy_settings(loss)
    if settings is None or y.is_floating_point() or outputs.ndim < 2:
        return
    ignored = settings.get("ignore_index", -100)
    kept = y[y != ignored]
    if kept.numel() == 0 or (labels is not None and float(labels.mass(y).sum()) <= 0):
        raise BadProblem(
            f"None of the {split} labels counts: all are {ignored}, the ignore_index, or of classes of weight 0; give "
            "at least one that does."
        )
    low, high, classes = int(kept.min()), int(kept.max()), outputs.shape[1]
    if low < 0 or high >= classes:
        raise BadProblem(
            f"The {split} labels run from {low} to {high}, but the network has {classes} outputs, for the classes 0 to "
            f"{classes - 1}; renumber the classes or widen the last layer, or say which label is to be ignored, "
            f"nn.CrossEntropyLoss(ignore_index={low if low < 0 else high})."
        )


def mean_of(values: Tensor, y: Tensor, labels: KeptLabels | None) -> Tensor:
    """The mean of the ``values`` of examples with labels ``y``, over what the labels count."""
    return values.mean() if labels is None else values.sum() / labels.mass(y).sum()


def _over_positions(loss: Loss, *, summed: bool = False) -> PerExample:
    """``loss`` [B, ...] as one number per example: the mean over what trails, or its sum."""

    def each(outputs: Tensor, y: Tensor) -> Tensor:
        losses = loss(outputs, y)
        if losses.ndim < 2:
            return losses
        return losses.flatten(1).sum(1) if summed else losses.flatten(1).mean(1)

    return each


def _unreduced(loss: Loss, given: _Given) -> PerExample:
    for each in (_by_reduction(loss, summed=given.labels is not None), None if given.labels else _one_by_one(loss)):
        if each is None:
            continue
        try:
            shape = given.value(each).shape
        except Exception as error:  # noqa: BLE001 - a user's function may fail in any way; the next reading is tried
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        else:
            if shape == given.outputs.shape[:1]:
                return each
            reason = f"it gives shape {tuple(shape)}"
    raise BadProblem(f"The loss cannot be taken one example at a time ({reason}); return one loss per example.")


def _by_reduction(loss: Loss, *, summed: bool) -> PerExample | None:
    if isinstance(loss, nn.Module):
        if not hasattr(loss, "reduction"):
            return None
        try:
            unreduced: Any = copy.deepcopy(loss)  # what the caller does with the loss is no concern of ours
        except Exception:  # noqa: BLE001 - whatever cannot be copied is shared
            unreduced = copy.copy(loss)
        unreduced.reduction = "none"
        return _over_positions(unreduced, summed=summed)
    try:
        known = "reduction" in inspect.signature(loss).parameters
    except ValueError:  # a built-in without a signature
        known = False
    return _over_positions(functools.partial(loss, reduction="none"), summed=summed) if known else None


def _one_by_one(loss: Loss) -> PerExample:
    def each(outputs: Tensor, y: Tensor) -> Tensor:
        losses: Tensor = torch.func.vmap(lambda one, label: loss(one[None], label[None]))(outputs, y)
        return losses

    return each


def _check_law(each: PerExample, whole: Tensor, given: _Given) -> None:
    """Refuse losses that are no mean over examples, or in which examples depend on each other."""
    losses, examples = given.value(each), len(given.y)
    some = max(1, examples // 2)
    try:
        alone = given.value(each, some)
    except Exception as error:
        raise BadProblem(
            f"The loss works on {examples} examples and fails on {some} of them: {type(error).__name__}: {error}; let "
            "it take a batch of any size."
        ) from error
    if not all_finite(losses):
        raise BadProblem(
            f"The loss of {examples} examples is finite, and that of {int((~torch.isfinite(losses)).sum())} of them "
            f"alone is not; {_advice(given.y)}"
        )
    if not _close(alone, losses[:some]):
        raise BadProblem(
            f"The loss of an example changes with the others in its batch ({given}); give both the same shape, and "
            "return one loss per example."
        )
    if whole.ndim > 0 or _close(mean_of(losses, given.y, given.labels), whole):
        return
    if _close(losses.sum(), whole):
        raise BadProblem(
            f"The loss is the sum over the {examples} examples of a batch, so that a learning rate would depend on the "
            "batch size; return their mean, or one loss per example."
        )
    raise BadProblem(
        f"The loss of a batch ({float(whole):g}) is neither the mean ({float(losses.mean()):g}) nor the sum of the "
        f"losses of its examples; {_advice(given.y)}"
    )


def _advice(y: Tensor) -> str:
    if not y.is_floating_point() and bool((y < 0).any()):
        return (
            f"some of its labels are {int(y.min())}, which a cross-entropy ignores (its ignore_index). A mean over the "
            f"kept labels is possible: give `nn.CrossEntropyLoss(ignore_index={int(y.min())})` itself as the loss, or "
            "return one loss per example, the mean over its own kept labels."
        )
    return (
        "return one loss per example, with any weights inside, or give a loss with weights of classes itself, as in "
        "`nn.CrossEntropyLoss(weight=w)`, whose mean is over the weights."
    )


def _other_labels(loss: Loss, given: _Given) -> str:
    """What to do where the loss takes the same labels in another type."""
    y, whole = given.y, not given.y.is_floating_point()
    other = y.to(given.outputs.dtype) if whole else y.long()
    with contextlib.suppress(Exception):  # a user's function may fail in any way
        if bool((other == y).all()):
            given._replace(y=other).value(loss)
            return f"; give the labels as {'floating-point' if whole else 'whole'} numbers"
    return ""


def _close(a: Tensor, b: Tensor) -> bool:
    # a sum over 64 float32 numbers in another order differs by 1e-6; a wrong reduction by far more
    return torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def _named(tensor: Tensor) -> str:
    return f"of shape {tuple(tensor.shape)} and type {str(tensor.dtype).removeprefix('torch.')}"
