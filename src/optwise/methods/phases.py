"""A rule one of whose hyperparameters changes at milestones: momentum, decay, whatever is no learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from optwise.core.errors import BadMethod, UnknownName
from optwise.core.method import Hyper, Rule, State
from optwise.core.tabled import check_milestones
from optwise.core.wrapper import Wrapper
from optwise.methods.descent import SGD
from optwise.methods.one_pass import coefficient, counter


@final
@dataclass(frozen=True)
class Phases(Wrapper):
    r"""Another rule whose hyperparameter ``parameter`` takes another value from each of some steps on.

    The learning rate has schedules of its own, :class:`~optwise.core.tabled.Milestones` among them, and both can be
    given: lr, momentum and, in ``predict``, the batch size then vary together.

    Args:
        inner: The rule, at the values that it starts with.
        parameter: Which of its hyperparameters changes.
        milestones: Steps taken before each change, increasing.
        then: What the hyperparameter is from each of them on.

    Raises:
        BadMethod: Another number of values than of milestones; milestones that are no increasing steps; a value that
            the rule refuses; the learning rate.

    Example:
        >>> from optwise.methods.descent import Momentum
        >>> rule, w, g = Phases(Momentum(lr=1.0, momentum=0.0), then=0.5, milestones=1), torch.zeros(1), torch.ones(1)
        >>> state = rule.init(w)
        >>> for _ in range(2):
        ...     w, state = rule.step(w, g, state)
        >>> w
        tensor([-2.5000])

    References:
        Sutskever, Martens, Dahl, Hinton (2013), On the importance of initialization and momentum in deep learning,
        section 3.
    """

    inner: Rule = field(default=SGD())
    parameter: Hyper = "momentum"
    milestones: Hyper = ()
    then: Hyper = ()

    defaults: ClassVar[Mapping[str, Any]] = {"parameter": "momentum", "milestones": (), "then": ()}

    def __post_init__(self) -> None:
        for name in ("milestones", "then"):
            own = getattr(self, name)
            object.__setattr__(self, name, own if isinstance(own, tuple | list) else (own,))
        super().__post_init__()
        if len(self.milestones) != len(self.then):
            raise BadMethod(
                f"Phases has {len(self.milestones)} milestones and {len(self.then)} values; give one value to each."
            )
        check_milestones("Phases.milestones", self.milestones)
        known = {*self.inner.values(), *self.inner.space.fields}
        if self.parameter == "lr":
            raise BadMethod("Phases changes what has no schedule; lr has one: schedule=Milestones(steps, then).")
        if self.milestones and self.parameter not in known:
            raise UnknownName(f"parameter of {self.inner.label}", str(self.parameter), known)
        for value in self.then:
            self.inner.close({self.parameter: value})

    def start(self, w: Tensor, curvature: Tensor | None) -> State:
        return {"inner": self.inner.start(w, curvature), "step": counter(w)}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        k = state["step"]
        w, inner = self._after(k).step(w, g, state["inner"])
        return w, {"inner": inner, "step": k + 1}

    def evaluation_weights(self, w: Tensor, state: State) -> Tensor:
        return self._after(state["step"] - 1).evaluation_weights(w, state["inner"])

    def _after(self, k: Tensor) -> Rule:
        """The rule for the step after ``k``."""
        if not self.milestones:
            return self.inner
        value = coefficient(self.inner.values()[self.parameter], k)
        for begin, then in zip(self.milestones, self.then, strict=True):
            value = torch.where(k >= begin, coefficient(then, k), value)
        return self.inner.close({self.parameter: value})
