"""What a user's loss function means for a single example, and the best constant prediction under it."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optwise.core.errors import BadProblem
from optwise.problems.objectives import PerExample, class_accuracy, sign_accuracy

Loss = Callable[..., Tensor]


def half_squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    r"""Elementwise :math:`\tfrac12 (\hat y - y)^2`, with the half; ``torch.nn.functional.mse_loss`` has none.

    Example:
        >>> half_squared_error(torch.tensor([3.0]), torch.tensor([1.0]))
        tensor([2.])
    """
    return 0.5 * (outputs - y).square()


def per_example(loss: Loss, outputs: Tensor, y: Tensor) -> PerExample:
    """``loss`` as one number per example, settled once on the outputs [B, ...] and labels [B, ...] of some examples.

    A loss that gives [B] or [B, ...] is taken as it is, trailing dimensions averaged. One that gives a scalar is asked
    for ``reduction="none"`` where it knows the word, and is otherwise evaluated on each example alone; the mean over
    the examples must then be the scalar.

    Raises:
        BadProblem: The loss fails, is not finite, is a sum, has another shape, or lets examples depend on each other.

    Example:
        >>> outputs, y = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
        >>> per_example(nn.CrossEntropyLoss(), outputs, y)(outputs, y)
        tensor([0.6931, 0.6931])
    """
    examples = outputs.shape[0]
    with warnings.catch_warnings():
        # torch warns about shapes that broadcast; they are refused below, in one sentence
        warnings.simplefilter("ignore")
        try:
            whole = loss(outputs, y)
        except Exception as error:
            raise BadProblem(
                f"The loss fails on outputs {_named(outputs)} and labels {_named(y)}: {type(error).__name__}: {error}"
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
        if not bool(torch.isfinite(whole).all()):
            raise BadProblem(
                f"The loss is not finite at the start: {float(whole.mean())} on the first {examples} training examples "
                "with seed 0; look at the network's initial outputs and the scale of the data."
            )
        each = _trailing_mean(loss) if whole.ndim > 0 else _unreduced(loss, outputs, y)
        _check_law(each, whole, outputs, y)
    return each


def recognised(loss: Loss) -> Loss | None:
    """The function that ``loss`` is, where it is one whose best constant prediction is known; else ``None``."""
    if isinstance(loss, nn.Module):
        weighted = any(getattr(loss, name, None) is not None for name in ("weight", "pos_weight"))
        smoothed = getattr(loss, "label_smoothing", 0.0) != 0.0
        return None if weighted or smoothed else _FUNCTIONS.get(type(loss))
    return next((function for function in _CONSTANTS if function is loss), None)


def refuse_other_classes(loss: Loss, outputs: Tensor, y: Tensor, *, split: str) -> None:
    """Refuse class labels that a cross-entropy of these outputs does not have."""
    if recognised(loss) is not F.cross_entropy or y.is_floating_point():
        return
    low, high, classes = int(y.min()), int(y.max()), outputs.shape[1]
    if low < 0 or high >= classes:
        raise BadProblem(
            f"The {split} labels run from {low} to {high}, but the network has {classes} outputs, for the classes 0 to "
            f"{classes - 1}; renumber the classes or widen the last layer."
        )


def default_accuracy(loss: Loss, outputs: Tensor, y: Tensor) -> PerExample | None:
    """Accuracy where outputs, labels and loss say that this is classification; else ``None``."""
    if outputs.ndim == 2 and outputs.shape[1] > 1 and y.ndim == 1 and not y.is_floating_point():
        return class_accuracy
    one_logit = outputs.ndim == 1 or (outputs.ndim == 2 and outputs.shape[1] == 1)
    logistic = recognised(loss) is F.binary_cross_entropy_with_logits
    return sign_accuracy if one_logit and logistic and bool(((y == 0) | (y == 1)).all()) else None


def trivial_predictor(loss: Loss, each: PerExample, outputs: Tensor, train_y: Tensor, scored_y: Tensor) -> float | None:
    """Mean loss over the labels ``scored_y`` of the constant output that is best on ``train_y``.

    That output holds the logs of the class frequencies for cross-entropy, the mean label for squared errors, the logit
    of the base rate for logistic loss. ``None`` for other losses, and where the value is not finite.

    Args:
        loss: What the user gave.
        each: The same, per example.
        outputs: Some outputs of the network [B, ...], for their shape and type.
        train_y: Labels to fit.
        scored_y: Labels to score.
    """
    function = recognised(loss)
    if function is None:
        return None
    constant = _CONSTANTS[function](outputs, train_y)
    value = float(each(constant.to(outputs.dtype).expand(scored_y.shape[0], *outputs.shape[1:]), scored_y).mean())
    return value if math.isfinite(value) else None


def _trailing_mean(loss: Loss) -> PerExample:
    def each(outputs: Tensor, y: Tensor) -> Tensor:
        losses = loss(outputs, y)
        return losses.flatten(1).mean(1) if losses.ndim > 1 else losses

    return each


def _unreduced(loss: Loss, outputs: Tensor, y: Tensor) -> PerExample:
    for each in (_by_reduction(loss), _one_by_one(loss)):
        if each is None:
            continue
        try:
            shape = each(outputs, y).shape
        except Exception as error:  # noqa: BLE001 - a user's function may fail in any way; the next reading is tried
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        else:
            if shape == outputs.shape[:1]:
                return each
            reason = f"it gives shape {tuple(shape)}"
    raise BadProblem(f"The loss cannot be taken one example at a time ({reason}); return one loss per example.")


def _by_reduction(loss: Loss) -> PerExample | None:
    if isinstance(loss, nn.Module):
        if not hasattr(loss, "reduction"):
            return None
        unreduced: Any = copy.deepcopy(loss)
        unreduced.reduction = "none"
        return _trailing_mean(unreduced)
    try:
        known = "reduction" in inspect.signature(loss).parameters
    except ValueError:  # a built-in without a signature
        known = False
    return _trailing_mean(functools.partial(loss, reduction="none")) if known else None


def _one_by_one(loss: Loss) -> PerExample:
    def each(outputs: Tensor, y: Tensor) -> Tensor:
        losses: Tensor = torch.func.vmap(lambda one, label: loss(one[None], label[None]))(outputs, y)
        return losses

    return each


def _check_law(each: PerExample, whole: Tensor, outputs: Tensor, y: Tensor) -> None:
    """Refuse losses that are no mean over examples, or in which examples depend on each other."""
    losses = each(outputs, y)
    some = max(1, losses.shape[0] // 2)
    if not _close(each(outputs[:some], y[:some]), losses[:some]):
        raise BadProblem(
            f"The loss of an example changes with the others in its batch (outputs {_named(outputs)}, labels "
            f"{_named(y)}); give both the same shape, and return one loss per example."
        )
    if whole.ndim > 0 or _close(losses.mean(), whole):
        return
    if _close(losses.sum(), whole):
        raise BadProblem(
            f"The loss is the sum over the {losses.shape[0]} examples of a batch, so that a learning rate would depend "
            "on the batch size; return their mean, or one loss per example."
        )
    raise BadProblem(
        f"The loss of a batch ({float(whole):g}) is neither the mean ({float(losses.mean()):g}) nor the sum of the "
        "losses of its examples; return one loss per example, with any weights inside."
    )


def _close(a: Tensor, b: Tensor) -> bool:
    # a sum over 64 float32 numbers in another order differs by 1e-6; a wrong reduction by far more
    return torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def _named(tensor: Tensor) -> str:
    return f"of shape {tuple(tensor.shape)} and type {str(tensor.dtype).removeprefix('torch.')}"


def _log_frequencies(outputs: Tensor, y: Tensor) -> Tensor:
    classes = outputs.shape[1]
    if y.is_floating_point():  # class probabilities [N, C, ...]
        frequencies = y.transpose(0, 1).flatten(1).mean(1)
    else:
        frequencies = torch.bincount(y.flatten(), minlength=classes).to(outputs.dtype) / y.numel()
    return frequencies.log().reshape(classes, *([1] * (outputs.ndim - 2)))


def _mean(outputs: Tensor, y: Tensor) -> Tensor:
    return y.to(outputs.dtype).mean(0)


def _logit(outputs: Tensor, y: Tensor) -> Tensor:
    return torch.logit(_mean(outputs, y))


_CONSTANTS: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    F.cross_entropy: _log_frequencies,
    F.mse_loss: _mean,
    half_squared_error: _mean,
    F.binary_cross_entropy_with_logits: _logit,
}
_FUNCTIONS: dict[type[nn.Module], Loss] = {
    nn.CrossEntropyLoss: F.cross_entropy,
    nn.MSELoss: F.mse_loss,
    nn.BCEWithLogitsLoss: F.binary_cross_entropy_with_logits,
}
