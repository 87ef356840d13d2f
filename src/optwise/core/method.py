"""How a step is taken, with what is still open to choose."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from torch import Tensor

from optwise.core.cards import method_card
from optwise.core.errors import BadMethod, UnknownName
from optwise.core.hyperparameters import admitted, admitted_schedule, within
from optwise.core.layout import Leaves
from optwise.core.oracles import Oracle
from optwise.core.plain import plain
from optwise.core.schedule import Schedule
from optwise.core.showing import Card, Shown, brief, call_of, one_line
from optwise.core.space import Distribution, Role, Space, space_of, values_of

if TYPE_CHECKING:
    from optwise.core.composite import Composite

# A hyperparameter is a number when closed, a Distribution while open, and a 0-d Tensor inside a batched pass.
Hyper: TypeAlias = Any
# Tensors by name; a method that wraps another keeps that one's state as a dictionary within its own.
State: TypeAlias = dict[str, Any]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
_LABELS = frozenset({"schedule", "name"})


@dataclass(frozen=True, kw_only=True)
class Method(Shown, ABC):
    """A frozen dataclass whose fields are hyperparameters, spelled as in torch.optim.

    An open field holds a :class:`~optwise.core.space.Distribution`. With no hyperparameter given, the method is a
    question: its default space. As soon as one is given, the others take torch.optim's defaults: ``AdamW()`` is open in
    two fields, ``AdamW(lr=1e-3)`` in none, ``AdamW(lr=LogUniform(1e-4, 1e-1))`` in one.

    Args:
        schedule: Factor on ``lr`` over the steps; ``None`` takes the verb's own: constant in ``solve`` and ``predict``,
            the protocol's in ``compare``.
        name: Label, unique within a comparison; ``None`` takes the class name in lower case.
    """

    schedule: Schedule | None = None
    name: str | None = None

    defaults: ClassVar[Mapping[str, Any]] = {}
    """Library defaults of every hyperparameter."""
    default_space: ClassVar[Mapping[str, Any]] = {}
    """Open fields of the question; the other fields take their default."""
    source: ClassVar[str] = "optwise, own choice"
    """Where the default space comes from."""
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Closed interval in which each number must lie."""
    needs: ClassVar[frozenset[Oracle]] = frozenset({Oracle.GRADIENT})
    """What the problem must offer."""
    accepts: ClassVar[frozenset[Oracle]] = frozenset()
    """Parts of a problem it respects where they are there, without needing them: prox, projection, operator."""
    torch_class: ClassVar[str] = ""
    """The class of torch.optim that takes the same steps at the same hyperparameters; empty where there is none."""
    torch_arguments: ClassVar[Mapping[str, Any]] = {}
    """What that class must be told besides."""
    gradients_per_step: ClassVar[float] = 1.0
    """Gradients of the batch one step pays for."""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        missing = [f for f in self.hyperparameter_names() if getattr(self, f) is UNSET]
        fill = {**self.defaults, **self.default_space} if missing and self._nothing_given() else self.defaults
        for f in missing:
            if f not in fill:
                raise BadMethod(f"{kind}.{f} has no default; give it, or list one in {kind}.defaults.")
            object.__setattr__(self, f, fill[f])
        object.__setattr__(self, "schedule", admitted_schedule(f"{kind}.schedule", self.schedule))
        for f, shipped in self._shipped().items():
            object.__setattr__(self, f, admitted(f"{kind}.{f}", getattr(self, f), shipped))
        for path, value in _leaves(self):
            limit = self.limits.get(re.sub(r"\[\d+\]$", "", path))
            if limit is not None:
                within(f"{kind}.{path}", value, limit)

    def _shipped(self) -> dict[str, Any]:
        """Every hyperparameter's default, which says what kind of value it takes."""
        declared = {f.name: f.default for f in fields(self)}
        return {f: self.defaults.get(f, declared[f]) for f in self.hyperparameter_names()}

    @classmethod
    def hyperparameter_names(cls) -> tuple[str, ...]:
        """Names of the fields that are hyperparameters, in order."""
        return tuple(f.name for f in fields(cls) if f.name not in _LABELS)

    def _nothing_given(self) -> bool:
        return all(getattr(self, f) is UNSET for f in self.hyperparameter_names())

    @property
    def is_question(self) -> bool:
        """Whether it is open in its whole default space, as when no hyperparameter is given."""
        asked = {**self.defaults, **self.default_space}
        return self.is_open and all(getattr(self, f) == asked.get(f, UNSET) for f in self.hyperparameter_names())

    @property
    def kinds(self) -> tuple[type[Method], ...]:
        """Its class; of a method that wraps another, that one's classes behind it."""
        return (type(self),)

    @property
    def label(self) -> str:
        """The name a comparison prints."""
        return self.name or type(self).__name__.lower()

    @property
    def space(self) -> Space:
        """The open fields by path."""
        return Space({path: value for path, value in _leaves(self) if isinstance(value, Distribution)})

    @property
    def borrowed_space(self) -> bool:
        """Whether the ranges were derived from defaults rather than chosen for this method."""
        return False

    @property
    def is_open(self) -> bool:
        """Whether anything is left to choose."""
        return bool(self.space.fields)

    def roles(self, scientific: frozenset[str] = frozenset()) -> dict[str, Role]:
        """Role of every hyperparameter path: open ones are nuisances unless named as the question's subject."""
        return {
            path: Role.SCIENTIFIC
            if path in scientific
            else Role.NUISANCE
            if isinstance(value, Distribution)
            else Role.FIXED
            for path, value in _leaves(self)
        }

    def close(self, point: Mapping[str, Any]) -> Self:
        """The method with the fields at the paths of ``point`` set.

        Raises:
            UnknownName: A path that the method does not have.
        """
        known = dict(_leaves(self))
        for path in point:
            if path not in known:
                raise UnknownName(f"parameter of {self.label}", path, known)
        closed: Self = _set(self, "", dict(point))
        return closed

    def at_defaults(self) -> Self:
        """The method as its library ships it: default hyperparameters and no schedule."""
        return replace(self, **self.defaults, schedule=None)

    def values(self) -> dict[str, Any]:
        """Every closed number, flag or choice by path."""
        return {path: value for path, value in _leaves(self) if not isinstance(value, Distribution)}

    def describe(self) -> dict[str, Any]:
        """The method as plain JSON, its label apart: what keys and records are made of.

        Raises:
            BadMethod: A field that holds a tensor, a function or another object without a stable description.
        """
        try:
            description: dict[str, Any] = plain(self)
        except TypeError as error:
            raise BadMethod(f"{self.label} cannot be put on record ({error}); give it plain numbers.") from error
        del description["name"]
        return description

    def card(self) -> Card:
        return method_card(self, self._call())

    def _call(self) -> str:
        """The call that makes it; labels that were not given are left out."""
        return call_of(self, without=[name for name in _LABELS if getattr(self, name) is None])

    def require_closed(self) -> None:
        """Raise with the open field and what to do, if there is one."""
        for path, distribution in self.space.fields.items():
            raise BadMethod(
                f"{type(self).__name__}.{path} is still open: {distribution}. "
                f"Choose a number, or let `compare` choose one."
            )


class Rule(Method):
    """A pure step, written for one row and right under ``torch.func.vmap``: no ``.item()``, no ``if`` on a tensor.

    ``lr`` arrives already multiplied by the schedule's factor.
    """

    elementwise: ClassVar[bool] = True
    """Whether the step looks at no shape, so that it may run on the flat row; others are stepped leaf by leaf."""

    @abstractmethod
    def init(self, w: Tensor) -> State:
        """State before step 1 for parameters ``w`` of any shape."""

    def start(self, w: Tensor, curvature: Tensor | None) -> State:
        """State before step 1 on a problem whose Hessian has the diagonal ``curvature``, of the shape of ``w``.

        The engine calls it with what the problem knows, ``None`` where it knows nothing. Only a rule that declares
        :attr:`~optwise.core.oracles.Oracle.CURVATURE` among its needs has to look at it.
        """
        return self.init(w)

    @abstractmethod
    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        """One step from ``w`` with gradient ``g`` of the same shape."""

    def evaluation_weights(self, w: Tensor, state: State) -> Tensor:
        """The point that is measured: the iterate, unless the rule averages."""
        return w

    def at_lr(self, lr: Hyper) -> Self:
        """The same rule with another ``lr``, unchecked: many times cheaper than :meth:`close`, for every step."""
        own = copy(self)
        object.__setattr__(own, "lr", lr)
        return own


class Oracles(ABC):
    """What a :class:`Procedure` may ask of the current batch; every question is counted and timed."""

    factor: float = 1.0
    """The schedule's factor of the step about to be taken."""

    @abstractmethod
    def value(self, w: Leaves) -> Tensor:
        """Loss of the current batch at ``w``."""

    @abstractmethod
    def value_and_gradient(self, w: Leaves) -> tuple[Tensor, Leaves]:
        """Loss and gradient of the current batch at ``w``."""

    def whole(self) -> Composite:
        """The whole problem as a function of the packed parameters, where nothing is sampled."""
        raise BadMethod("These oracles answer for a batch only; a solver needs a problem with a Full sampler.")


class Procedure(Method):
    """Host-side logic as a generator: line searches, external solvers, any ``torch.optim.Optimizer``.

    The engine calls ``next()``, which takes one step; the clock stops between yields.
    """

    @abstractmethod
    def iterate(self, oracles: Oracles, w: Leaves) -> Iterator[tuple[Leaves, Mapping[str, float]]]:
        """Yield ``(evaluation weights, info)`` after each step, starting from ``w``, for as long as it is asked."""


@dataclass(frozen=True)
class Recorded(Method):
    """A method read back from a record: enough to score, judge and draw, not to run.

    Args:
        description: What :meth:`Method.describe` said.
    """

    description: Mapping[str, Any] = UNSET

    @property
    def space(self) -> Space:
        """The open fields by path, as the method itself had them."""
        return space_of(self.description)

    def values(self) -> dict[str, Any]:
        """The closed fields by path, as the method itself had them."""
        return values_of(self.description)

    def _call(self) -> str:
        return f"<{one_line(self.description['class'])} as recorded: {brief({**self.space.fields, **self.values()})}>"

    def describe(self) -> dict[str, Any]:
        """The record itself."""
        return dict(self.description)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Distribution):
        yield path, value
        return
    parts = _parts(value, path)
    if parts is None:
        yield path, value
        return
    for item, item_path in parts.values():
        if item is not None:
            yield from _leaves(item, item_path)


def _set(value: Any, path: str, point: Mapping[str, Any]) -> Any:
    if path in point:
        return point[path]
    parts = None if isinstance(value, Distribution) else _parts(value, path)
    if parts is None:
        return value
    changed = {key: _set(item, item_path, point) for key, (item, item_path) in parts.items()}
    if isinstance(value, tuple):
        return tuple(changed.values())
    return changed if isinstance(value, Mapping) else replace(value, **changed)


def _parts(value: Any, path: str) -> dict[Any, tuple[Any, str]] | None:
    """Parts of a composed value with their paths; a mapping's keys and a wrapped rule's fields stand for themselves."""
    if isinstance(value, tuple):
        return {i: (item, f"{path}[{i}]") for i, item in enumerate(value)}
    dot = f"{path}." if path else ""
    if isinstance(value, Mapping):
        return {key: (item, f"{dot}{key}") for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        items = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "name"}
        return {n: (item, path if isinstance(item, Mapping | Method) else f"{dot}{n}") for n, item in items.items()}
    return None
