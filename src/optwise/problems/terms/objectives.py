"""Smooth terms once more as objectives of a problem: one loss per example, or a function of the leaf ``w``."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from optwise.core.layout import Leaves
from optwise.core.loss import Loss
from optwise.core.objective import Objective
from optwise.core.smooth import Smooth
from optwise.problems.objectives import FunctionObjective


@dataclass(frozen=True, eq=False)
class LinearModelObjective(Objective):
    r"""The losses of a linear model whose mean over the examples is f, so that samplers may draw from them.

    .. math:: f_i(w) = c \, \ell(\langle x_i, w \rangle, y_i) + \tfrac{\lambda_2}{2} \|w\|^2

    Args:
        loss: :math:`\ell`.
        factor: c: 1 where f is a mean, the number of examples where it is a sum.
        l2: :math:`\lambda_2`.

    Example:
        >>> from optwise.problems.terms.predictions import SquaredError
        >>> objective = LinearModelObjective(SquaredError(), l2=2.0)
        >>> objective.losses({"w": torch.tensor([1.0, 0.0])}, {}, torch.eye(2), torch.tensor([3.0, 3.0]))
        (tensor([3.0000, 5.5000]), {})
    """

    loss: Loss
    factor: float = 1.0
    l2: float = 0.0

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        assert y is not None
        losses = self.factor * self.loss.values(x @ w["w"], y)
        return _with_ridge(losses, self.l2, w["w"]), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        return {"loss": self.losses(w, buffers, x, y)[0]}


@dataclass(frozen=True, eq=False)
class SoftmaxObjective(Objective):
    r"""The losses of multinomial logistic regression whose mean over the examples is f; labels are class numbers.

    .. math:: f_i(W) = -c \log \operatorname{softmax}(W^\top x_i)_{y_i} + \tfrac{\lambda_2}{2} \|W\|_F^2

    Args:
        factor: c: 1 where f is a mean, the number of examples where it is a sum.
        l2: :math:`\lambda_2`.

    Example:
        >>> SoftmaxObjective().losses({"w": torch.zeros(2, 3)}, {}, torch.eye(2), torch.tensor([0, 2]))
        (tensor([1.0986, 1.0986]), {})
    """

    factor: float = 1.0
    l2: float = 0.0

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        assert y is not None
        losses = self.factor * F.cross_entropy(x @ w["w"], y, reduction="none")
        return _with_ridge(losses, self.l2, w["w"]), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        return {"loss": self.losses(w, buffers, x, y)[0]}


@dataclass(frozen=True, eq=False)
class TermValue:
    """A smooth term as a function of the leaf ``w``, in whatever dtype that comes.

    Args:
        term: f, of the packed leaf.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> TermValue(SquaredDistance(torch.ones(2)))({"w": torch.zeros(2, dtype=torch.float64)})
        tensor(1., dtype=torch.float64)
    """

    term: Smooth
    _moved: dict[tuple[torch.dtype, str], Smooth] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, leaves: Leaves) -> Tensor:
        w = leaves["w"].reshape(-1)
        key = (w.dtype, str(w.device))
        if key not in self._moved:
            self._moved[key] = self.term.to(dtype=w.dtype, device=key[1])
        return self._moved[key].value(w)


def term_objective(term: Smooth) -> FunctionObjective:
    """A smooth term as an objective without examples."""
    return FunctionObjective(TermValue(term))


def _with_ridge(losses: Tensor, l2: float, w: Tensor) -> Tensor:
    return losses + 0.5 * l2 * w.square().sum() if l2 else losses
