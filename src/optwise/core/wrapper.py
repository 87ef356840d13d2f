"""Rules around a rule: an average of its iterates, another gradient for its steps."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from torch import Tensor

from optwise.core.errors import BadMethod
from optwise.core.method import Hyper, Method, Rule, State
from optwise.core.oracles import Oracle
from optwise.core.space import INNER


@dataclass(frozen=True)
class Wrapper(Rule):
    """A rule made from another one: ``EMA(SGD(lr=0.1))``.

    The fields of the inner rule count as the wrapper's own: ``lr`` and ``decay`` of ``EMA(SGD())`` stand side by side
    in its space, its values and its points. Two fields of one name are therefore refused. The inner rule stays as open
    or closed as it was given. The wrapper's own fields are open if nothing was given at all: none of them, and an inner
    rule that is its whole question. So ``EMA(SGD())`` asks for ``lr`` and ``decay``, ``EMA(SGD(lr=0.1))`` for nothing,
    and ``EMA(SGD(), decay=0.9)`` for ``lr``.

    There is one schedule: one that was given to the inner rule is the wrapper's. The inner rule's name is dropped.

    Args:
        inner: The rule that is wrapped; it may be a wrapper itself.

    Raises:
        BadMethod: No rule inside, two fields of one name, or two schedules.
    """

    inner: Rule

    own_needs: ClassVar[frozenset[Oracle]] = frozenset()
    """What the wrapper needs besides what the inner rule needs."""

    def __post_init__(self) -> None:
        self._refuse_no_rule()
        names = Counter(name for kind in self.kinds for name in kind.hyperparameter_names())
        for name in (name for name, times in names.items() if times > 1):
            raise BadMethod(
                f"{' of '.join(kind.__name__ for kind in self.kinds)} has two fields called {name}, which no point "
                "could tell apart; wrap a rule without one."
            )
        within = self.inner.schedule
        if within is not None and self.schedule not in (None, within):
            raise BadMethod(
                f"{type(self).__name__} is given the schedule {self.schedule}, and the rule within {within}; keep one."
            )
        if within is not None or self.inner.name is not None:
            object.__setattr__(self, "schedule", within or self.schedule)
            object.__setattr__(self, INNER, replace(self.inner, schedule=None, name=None))
        super().__post_init__()

    def _refuse_no_rule(self) -> None:
        name, inner = type(self).__name__, self.inner
        if isinstance(inner, type) and issubclass(inner, Rule):
            raise BadMethod(f"{name} is given the class {inner.__name__}; give a rule, `{name}({inner.__name__}())`.")
        if not isinstance(inner, Rule):
            found = inner.label if isinstance(inner, Method) else getattr(inner, "__name__", repr(inner))
            raise BadMethod(
                f"{name} wraps a rule, whose steps are pure functions, and {found} is none; give one of optwise's, "
                f"`{name}(SGD())`, or write one (docs/add-a-method.md)."
            )

    def _nothing_given(self) -> bool:
        return super()._nothing_given() and self.inner.is_question

    @classmethod
    def hyperparameter_names(cls) -> tuple[str, ...]:
        """Names of the wrapper's own hyperparameters, in order."""
        return tuple(name for name in super().hyperparameter_names() if name != INNER)

    @property
    def is_question(self) -> bool:
        return super().is_question and self.inner.is_question

    @property
    def kinds(self) -> tuple[type[Method], ...]:
        return (type(self), *self.inner.kinds)

    @property
    def label(self) -> str:
        return self.name or f"{type(self).__name__.lower()}-{self.inner.label}"

    @property
    def borrowed_space(self) -> bool:
        return self.inner.borrowed_space

    # class variables of a plain rule; what a wrapper declares depends on the rule within
    @property
    def needs(self) -> frozenset[Oracle]:  # type: ignore[override]
        """Its own needs and the inner rule's."""
        return self.own_needs | self.inner.needs

    @property
    def gradients_per_step(self) -> float:  # type: ignore[override]
        """As many as the inner rule's."""
        return self.inner.gradients_per_step

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        """Whether the inner rule is."""
        return self.inner.elementwise

    def at_defaults(self) -> Self:
        """The wrapper and the rule within as they ship, without a schedule."""
        return replace(self, inner=self.inner.at_defaults(), **self.defaults, schedule=None)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), INNER: self.inner.describe()}

    def at_lr(self, lr: Hyper) -> Self:
        own = copy(self)
        object.__setattr__(own, INNER, self.inner.at_lr(lr))
        return own

    def init(self, w: Tensor) -> State:
        """State before step 1 where no curvature is known."""
        return self.start(w, None)

    @abstractmethod
    def start(self, w: Tensor, curvature: Tensor | None) -> State:
        """State before step 1, the inner rule's being its item ``inner``: no name of the two can clash."""

    def evaluation_weights(self, w: Tensor, state: State) -> Tensor:
        """The point that the inner rule is measured at, unless the wrapper averages."""
        return self.inner.evaluation_weights(w, state[INNER])
