"""Classifiers recognised by loss, outputs and labels, and the best constant prediction under a loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optwise.problems.kept_labels import KeptLabels, cross_entropy_settings
from optwise.problems.losses import Loss, half_squared_error, mean_of
from optwise.problems.objectives import class_accuracy, sign_accuracy
from optwise.problems.passes import PerExample


def recognised(loss: Loss) -> Loss | None:
    """The function that ``loss`` is, where it is one whose best constant prediction is known; else ``None``."""
    settings = cross_entropy_settings(loss)
    if settings is not None:
        log_outputs = isinstance(loss, nn.NLLLoss) or loss is F.nll_loss or getattr(loss, "func", None) is F.nll_loss
        return None if settings.get("label_smoothing", 0.0) or log_outputs else F.cross_entropy
    if isinstance(loss, nn.Module):
        weighted = any(getattr(loss, name, None) is not None for name in ("weight", "pos_weight"))
        return None if weighted else _FUNCTIONS.get(type(loss))
    return next((function for function in _CONSTANTS if function is loss), None)


def default_accuracy(loss: Loss, outputs: Tensor, y: Tensor) -> PerExample | None:
    """Accuracy where outputs, labels and loss say that this is classification; else ``None``."""
    if outputs.ndim == 2 and outputs.shape[1] > 1 and y.ndim == 1 and not y.is_floating_point():
        return class_accuracy
    one_logit = outputs.ndim == 1 or (outputs.ndim == 2 and outputs.shape[1] == 1)
    logistic = recognised(loss) is F.binary_cross_entropy_with_logits
    return sign_accuracy if one_logit and logistic and bool(((y == 0) | (y == 1)).all()) else None


def trivial_predictor(
    loss: Loss,
    each: PerExample,
    outputs: Tensor,
    train_y: Tensor,
    scored_y: Tensor,
    *,
    labels: KeptLabels | None = None,
) -> float | None:
    """Mean loss over the labels ``scored_y`` of the constant output that is best on ``train_y``.

    That output holds the logs of the class frequencies for cross-entropy, the mean label for squared errors, the logit
    of the base rate for logistic loss. ``None`` for other losses, and where the value is not finite.

    Args:
        loss: What the user gave.
        each: The same, per example.
        outputs: Some outputs of the network [B, ...], for their shape and type.
        train_y: Labels to fit.
        scored_y: Labels to score.
        labels: How labels count, where they do not all count the same.
    """
    function, settings = recognised(loss), cross_entropy_settings(loss)
    if function is None or (labels is None and settings is not None and settings.get("weight") is not None):
        return None
    constant = _CONSTANTS[function](outputs, train_y) if labels is None else _log_shares(outputs, train_y, labels)
    values = each(constant.to(outputs.dtype).expand(scored_y.shape[0], *outputs.shape[1:]), scored_y)
    value = float(mean_of(values, scored_y, labels))
    return value if math.isfinite(value) else None


def _log_frequencies(outputs: Tensor, y: Tensor) -> Tensor:
    classes = outputs.shape[1]
    if y.is_floating_point():  # class probabilities [N, C, ...]
        frequencies = y.transpose(0, 1).flatten(1).mean(1)
    else:
        frequencies = torch.bincount(y.flatten(), minlength=classes).to(outputs.dtype) / y.numel()
    return frequencies.log().reshape(classes, *([1] * (outputs.ndim - 2)))


def _log_shares(outputs: Tensor, y: Tensor, labels: KeptLabels) -> Tensor:
    classes = outputs.shape[1]
    return labels.frequencies(y, classes).log().reshape(classes, *([1] * (outputs.ndim - 2)))


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
    nn.MSELoss: F.mse_loss,
    nn.BCEWithLogitsLoss: F.binary_cross_entropy_with_logits,
}
