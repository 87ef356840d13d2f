"""The differentiable term as one function of one vector, with what is known of it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.casting import Part
from optwise.core.data import Data
from optwise.core.errors import BadProblem
from optwise.core.layout import Layout, Leaves
from optwise.core.loss import ClassModel, LinearModel
from optwise.core.objective import Objective
from optwise.core.oracles import Oracle


class Smooth(Part):
    r"""A differentiable term f of one vector w [p].

    Only ``value`` and ``dimension`` must be given: derivatives come from autograd unless they are overridden. Constants
    are bounds that hold, never estimates: ``lipschitz`` at least the Lipschitz constant of the gradient,
    ``strong_convexity`` at most the modulus.

    A structure opens further methods: ``model`` (a loss of linear predictions), ``residuals`` (a sum of squares).
    """

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length p of the vector."""

    @abstractmethod
    def value(self, w: Tensor) -> Tensor:
        """The value of f at ``w`` [p], without dimensions."""

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The value of f and its gradient [p]."""
        with torch.enable_grad():
            point = w.detach().requires_grad_()
            value = self.value(point)
            (gradient,) = torch.autograd.grad(value, point, allow_unused=True, materialize_grads=True)
        return value.detach(), gradient

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        """Hessian times ``v`` [p]."""
        with torch.enable_grad():
            point = w.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(
                self.value(point), point, create_graph=True, allow_unused=True, materialize_grads=True
            )
            if not gradient.requires_grad:  # affine, or affine by pieces
                return torch.zeros_like(w)
            (product,) = torch.autograd.grad(gradient @ v, point, allow_unused=True, materialize_grads=True)
        return product

    def conjugate(self, u: Tensor) -> Tensor:
        """``sup_w <u, w> - f(w)``, without dimensions; infinite outside its domain."""
        raise BadProblem(f"{type(self).__name__} has no conjugate; a method that needs one cannot use it.")

    def excess(self, w: Tensor, rest: Tensor) -> float | None:
        r"""How far Young's inequality is from equality at ``w`` and the gradient there less ``rest`` [p].

        .. math:: f(w) + f^*(u) - \langle u, w \rangle, \qquad u = \nabla f(w) - r

        Never less than that in exact arithmetic; ``None`` where nothing better is known than the sum itself, whose
        terms may cancel.
        """
        return None

    def rounding(self, w: Tensor, value: float, *, enough: float = 0.0) -> float:
        """About the most that rounding makes of the value at ``w``, in its dtype; 0 where nobody knows.

        Args:
            w: The point [p].
            value: f there.
            enough: A size up to which any upper bound serves, however far from the truth.
        """
        return 0.0

    def precisely(self, w: Tensor) -> Precisely | None:
        """The value and the gradient at ``w``, in about twice the precision; ``None`` where nobody wrote that."""
        return None

    def predictions(self, w: Tensor) -> Tensor:
        """``X w`` [n] of the linear model that f is."""
        model = self.model
        assert model is not None
        return model.X.forward(w)

    @property
    def stated(self) -> frozenset[str]:
        """Which derivatives are stated, ``gradient`` or ``hvp``, where autograd would find them as well."""
        given = {"gradient": "value_and_gradient", "hvp": "hvp"}
        return frozenset(
            name for name, answer in given.items() if getattr(type(self), answer) is not getattr(Smooth, answer)
        )

    @property
    def convex(self) -> bool:
        """Whether f is known to be convex."""
        return False

    @property
    def lower_bound(self) -> float:
        """A number that f never falls below."""
        return -math.inf

    @property
    def lipschitz(self) -> float | None:
        """A bound of the Lipschitz constant of the gradient; ``None`` where nobody knows one."""
        return None

    @property
    def strong_convexity(self) -> float:
        """A modulus of strong convexity; 0 where none is known."""
        return 0.0

    def recedes(self, w: Tensor) -> bool:
        """Whether f is known to fall for ever along w itself, towards a bound that it never reaches."""
        return False

    @property
    def model(self) -> LinearModel | None:
        """The loss of a linear model that f is; ``None`` where it is none."""
        return None

    @property
    def classes_of(self) -> ClassModel | None:
        """The multinomial model that f is; ``None`` where it is none."""
        return None

    @property
    def residuals(self) -> Residuals | None:
        """The residual map whose scaled half square f is; ``None`` where it is none."""
        return None

    @property
    def oracles(self) -> frozenset[Oracle]:
        """What f can answer."""
        model = self.model
        found = {
            Oracle.VALUE: True,
            Oracle.GRADIENT: True,
            Oracle.HVP: True,
            Oracle.CONVEX: self.convex,
            Oracle.RESIDUALS: self.residuals is not None,
            Oracle.LINEAR_MODEL: model is not None,
            Oracle.QUADRATIC: model is not None and model.loss.quadratic,
            Oracle.MATRIX: model is not None and model.X.matrix is not None,
        }
        return frozenset(oracle for oracle, offered in found.items() if offered)


class Residuals(Part):
    r"""A residual map r, [p] to [m], of :math:`f(w) = \tfrac{s}{2} \|r(w)\|^2`."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """s: 1/m for the mean, 1 for the sum."""

    @abstractmethod
    def value(self, w: Tensor) -> Tensor:
        """The residuals at ``w`` [m]."""

    @abstractmethod
    def jacobian(self, w: Tensor) -> Tensor:
        """The Jacobian at ``w`` [m, p]."""

    @property
    def stated(self) -> bool:
        """Whether the Jacobian is stated, where autograd would find it as well."""
        return True


@dataclass(frozen=True, eq=False)
class Precisely:
    """A value and a gradient whose sums were made in about twice the precision, and rounded once.

    Args:
        value: f.
        gradient: Of f [p].
        predictions: Of a linear model [n], or what is left of them after the labels.
        model: The linear model that these predictions are of, whose labels may be 0.
    """

    value: float
    gradient: Tensor
    predictions: Tensor | None = None
    model: LinearModel | None = None


@dataclass(frozen=True, eq=False)
class WholeObjective(Smooth):
    """The mean loss over all training examples as a function of the packed parameters, nothing sampled.

    Args:
        objective: Losses by example.
        layout: Of the parameters.
        buffers: The start's; they stay as they are.
        data: Where the training examples are; ``None`` where there are none.
    """

    objective: Objective
    layout: Layout
    buffers: Leaves
    data: Data | None

    @property
    def dimension(self) -> int:
        return self.layout.size

    def value(self, w: Tensor) -> Tensor:
        x, y = (None, None) if self.data is None else (self.data.train.x, self.data.train.y)
        losses, _ = self.objective.losses(self.layout.unpack(w), self.buffers, x, y)
        mass = self.objective.masses(y).get("loss")
        return losses.mean() if mass is None else losses.sum() / mass.sum()
