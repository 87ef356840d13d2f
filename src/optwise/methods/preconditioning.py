"""Gradients scaled by a power of the Hessian's diagonal, for problems that know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from optwise.core.errors import BadMethod
from optwise.core.method import UNSET, Hyper, Rule, State
from optwise.core.oracles import Oracle
from optwise.core.space import OneMinus, Uniform
from optwise.core.wrapper import Wrapper
from optwise.methods.descent import SGD
from optwise.methods.one_pass import coefficient
from optwise.methods.ranges import NONNEGATIVE


@final
@dataclass(frozen=True)
class Preconditioned(Wrapper):
    r"""Another rule's steps with the gradient scaled coordinate by coordinate by a power of the curvature.

    .. math:: \tilde g_i = (h_i + \delta)^{-p} \, g_i, \qquad h = \operatorname{diag} \nabla^2 f

    Power 0 changes nothing; power 1 makes a gradient step one of Newton's where the Hessian is diagonal. A coordinate
    with :math:`h_i + \delta = 0` is left where it is, for any power above 0: nothing is known of its scale. The inner
    rule's weight decay is added to the scaled gradient, and so is not scaled itself.

    Only problems that know their Hessian's diagonal can be asked: those that declare a
    :class:`~optwise.core.quadratic.Quadratic`, such as ``nqm``.

    Args:
        inner: The rule that is handed the scaled gradient.
        power: :math:`p` in [0, 1], searched over all of it. The default 0.5 is our own choice: a root, as in Adam.
        damping: :math:`\delta`, at least 0.

    Example:
        >>> rule, w = Preconditioned(SGD(lr=0.5)), torch.tensor([1.0, 1.0])
        >>> state = rule.start(w, torch.tensor([4.0, 0.25]))
        >>> rule.step(w, torch.tensor([4.0, 0.25]), state)[0]
        tensor([0.0000, 0.7500])

    References:
        Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse (2019), Which Algorithmic Choices Matter at Which
        Batch Sizes? Insights From a Noisy Quadratic Model, section 3.
    """

    inner: Rule = field(default=SGD())
    power: Hyper = UNSET
    damping: Hyper = UNSET

    own_needs: ClassVar[frozenset[Oracle]] = frozenset({Oracle.CURVATURE})
    defaults: ClassVar[Mapping[str, Any]] = {"power": 0.5, "damping": 0.0}
    # all powers there are; written as one minus a draw, of which every reader knows that it ends at 0 and at 1
    default_space: ClassVar[Mapping[str, Any]] = {"power": OneMinus(Uniform(0.0, 1.0))}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"power": (0.0, 1.0), "damping": NONNEGATIVE}

    def start(self, w: Tensor, curvature: Tensor | None) -> State:
        if curvature is None:
            raise BadMethod(
                f"{self.label} needs the {Oracle.CURVATURE.value}, and none was handed in; call start(w, curvature), "
                "or take a problem that declares it, such as nqm."
            )
        return {"inner": self.inner.start(w, curvature), "curvature": curvature.clone()}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        h = state["curvature"]
        power, base = coefficient(self.power, w), h + coefficient(self.damping, w)
        scale = torch.where((base == 0) & (power > 0), 0.0, base.pow(-power))
        w, inner = self.inner.step(w, scale * g, state["inner"])
        return w, {"inner": inner, "curvature": h}
