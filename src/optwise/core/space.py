"""Where a hyperparameter may lie: distributions, roles, and the space that an open method spans."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Any

from optwise.core.errors import BadSpace
from optwise.core.showing import Terse


class Role(Enum):
    """What a hyperparameter is to the question asked: its subject, a nuisance to tune away, or held fixed."""

    SCIENTIFIC = "scientific"
    NUISANCE = "nuisance"
    FIXED = "fixed"


class Distribution(Terse, ABC):
    """Values of one open field, addressed by their position ``u`` in [0, 1] on the distribution's own scale."""

    @abstractmethod
    def at(self, u: float) -> Any:
        """Value at position ``u``."""

    @abstractmethod
    def position(self, value: Any) -> float:
        """Position of ``value``: the inverse of :meth:`at`."""

    @property
    @abstractmethod
    def log_volume(self) -> float:
        """Natural log of the size of the range: decades for log scales, width for linear, count for choices."""

    @property
    def numeric(self) -> bool:
        """Whether a boundary has a meaning: a choice has none."""
        return True


def _check_range(kind: str, low: float, high: float) -> None:
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, Real):
            raise BadSpace(f"{kind}({low!r}, {high!r}) has the end {end!r}, which is no number; give two numbers.")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadSpace(f"{kind}({low}, {high}) is not finite; give two finite ends.")
    if not low < high:
        raise BadSpace(f"{kind}({low:g}, {high:g}) is empty: low must lie below high.")


@dataclass(frozen=True)
class LogUniform(Distribution):
    """Uniform in the logarithm over ``[low, high]``, both above 0.

    Example:
        >>> round(LogUniform(1e-4, 1e-2).at(0.5), 6), round(LogUniform(1e-4, 1e-2).position(1e-3), 6)
        (0.001, 0.5)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range("LogUniform", self.low, self.high)
        if self.low <= 0:
            raise BadSpace(f"LogUniform({self.low:g}, {self.high:g}) needs a low end above 0.")

    def at(self, u: float) -> float:
        if u >= 1.0:  # ends are returned exactly, so that a boundary is a boundary
            return self.high
        return min(max(self.low * math.exp(u * self.log_volume), self.low), self.high)

    def position(self, value: Any) -> float:
        return math.log(value / self.low) / self.log_volume if value > 0 else -math.inf

    @property
    def log_volume(self) -> float:
        return math.log(self.high / self.low)


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform over ``[low, high]``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range("Uniform", self.low, self.high)

    def at(self, u: float) -> float:
        return self.low + u * (self.high - self.low)

    def position(self, value: Any) -> float:
        return float((value - self.low) / (self.high - self.low))

    @property
    def log_volume(self) -> float:
        return math.log(self.high - self.low)


@dataclass(frozen=True)
class IntUniform(Distribution):
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_range("IntUniform", self.low, self.high)
        if self.low != int(self.low) or self.high != int(self.high):
            raise BadSpace(f"IntUniform({self.low:g}, {self.high:g}) has an end that is not whole; give two integers.")

    def at(self, u: float) -> int:
        return min(self.low + int(u * (self.high - self.low + 1)), self.high)

    def position(self, value: Any) -> float:
        return float((value - self.low + 0.5) / (self.high - self.low + 1))

    @property
    def log_volume(self) -> float:
        return math.log(self.high - self.low + 1)


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several values without an order."""

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        values = tuple(options[0]) if len(options) == 1 and isinstance(options[0], (list, tuple)) else options
        if len(values) < 2:
            raise BadSpace(f"Choice{values!r} leaves nothing to choose; give at least two options.")
        object.__setattr__(self, "options", values)

    def at(self, u: float) -> Any:
        return self.options[min(int(u * len(self.options)), len(self.options) - 1)]

    def position(self, value: Any) -> float:
        return (self.options.index(value) + 0.5) / len(self.options)

    @property
    def log_volume(self) -> float:
        return math.log(len(self.options))

    @property
    def numeric(self) -> bool:
        return False


@dataclass(frozen=True)
class OneMinus(Distribution):
    """One minus a draw: ``betas=(OneMinus(LogUniform(4e-3, 0.3)), 0.999)`` searches 1 - beta1 on a log scale.

    Example:
        >>> round(OneMinus(LogUniform(1e-3, 1e-1)).at(0.5), 6)
        0.99
    """

    of: Distribution

    def __post_init__(self) -> None:
        if not isinstance(self.of, Distribution) or not self.of.numeric:
            raise BadSpace(f"OneMinus({self.of!r}) wraps no range of numbers; write OneMinus(LogUniform(1e-3, 0.1)).")

    def at(self, u: float) -> float:
        return 1.0 - float(self.of.at(u))

    def position(self, value: Any) -> float:
        return self.of.position(1.0 - value)

    @property
    def log_volume(self) -> float:
        return self.of.log_volume


@dataclass(frozen=True)
class When(Distribution):
    """A conditional field: it is searched only where another field has a certain value.

    Args:
        field: Path of the other open field, as in ``nesterov`` or ``schedule.warmup``.
        equals: The value under which this field exists.
        then: Its distribution there.
        otherwise: The closed value it takes elsewhere.
    """

    field: str
    equals: Any
    then: Distribution
    otherwise: Any

    def __post_init__(self) -> None:
        if not isinstance(self.then, Distribution):
            raise BadSpace(f"When({self.field!r}, ...) holds {self.then!r}, which is no distribution; give one.")

    def at(self, u: float) -> Any:
        return self.then.at(u)

    def position(self, value: Any) -> float:
        return self.then.position(value)

    @property
    def log_volume(self) -> float:
        return self.then.log_volume

    @property
    def numeric(self) -> bool:
        return self.then.numeric


@dataclass(frozen=True)
class Space(Terse):
    """The open fields of a method, by path, in declaration order.

    Args:
        fields: Path (``lr``, ``betas[0]``, ``schedule.warmup``) to distribution.
    """

    fields: Mapping[str, Distribution]

    @property
    def dimensions(self) -> int:
        """How many fields are open."""
        return len(self.fields)

    @property
    def log_volume(self) -> float:
        """Sum of the fields' log volumes; the fairness ledger prints it."""
        return sum(d.log_volume for d in self.fields.values())

    def point(self, u: tuple[float, ...]) -> dict[str, Any]:
        """Values at a point of the unit cube; conditional fields that do not exist there take their closed value."""
        values = {path: d.at(v) for (path, d), v in zip(self.fields.items(), u, strict=True)}
        for path, d in self.fields.items():
            if isinstance(d, When) and values.get(d.field) != d.equals:
                values[path] = d.otherwise
        return values

    def active(self, path: str, point: Mapping[str, Any]) -> bool:
        """Whether the field exists at ``point``: always, unless it is conditional."""
        d = self.fields[path]
        return not isinstance(d, When) or point.get(d.field) == d.equals


INNER = "inner"
"""The field of a method that holds the rule it wraps, whose fields count as its own."""

_BY_NAME: Mapping[str, type[Distribution]] = {
    kind.__name__: kind for kind in (LogUniform, Uniform, IntUniform, Choice, OneMinus, When)
}


def distribution_of(description: Any) -> Distribution | None:
    """The distribution that :func:`~optwise.core.plain.plain` described; ``None`` where it describes something else.

    Example:
        >>> from optwise.core.plain import plain
        >>> distribution_of(plain(OneMinus(LogUniform(0.1, 0.5))))
        OneMinus(of=LogUniform(low=0.1, high=0.5))
    """
    if not isinstance(description, Mapping) or description.get("class") not in _BY_NAME:
        return None
    kind = _BY_NAME[description["class"]]
    if kind is Choice:
        return Choice(*description["options"])
    parts = {name: part for name, part in description.items() if name != "class"}
    return kind(**{name: distribution_of(part) or part for name, part in parts.items()})


def space_of(description: Mapping[str, Any]) -> Space:
    """The open fields of a described method, with the paths the method itself gives them."""
    return Space({path: value for path, value in _described(description, "") if isinstance(value, Distribution)})


def values_of(description: Mapping[str, Any]) -> dict[str, Any]:
    """The closed fields of a described method, with the paths the method itself gives them.

    Example:
        >>> values_of({"class": "Adam", "schedule": {"class": "Constant"}, "lr": 0.1, "betas": [0.9, 0.999]})
        {'lr': 0.1, 'betas[0]': 0.9, 'betas[1]': 0.999}
    """
    return {path: value for path, value in _described(description, "") if not isinstance(value, Distribution)}


_NOT_VALUES = ("class", "file_digest")
"""What a description holds besides the fields of a noun."""


def closed_description(description: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A described method with the open fields at the paths of ``point`` set, as ``close`` would set them.

    Example:
        >>> lr = {"class": "LogUniform", "low": 1e-3, "high": 1.0}
        >>> closed_description({"class": "SGD", "lr": lr}, {"lr": 0.1})
        {'class': 'SGD', 'lr': 0.1}
    """
    closed: dict[str, Any] = _closed(description, "", point)
    return closed


def _closed(value: Any, path: str, point: Mapping[str, Any]) -> Any:
    if path in point:
        return point[path]
    if distribution_of(value) is not None:
        return value
    if isinstance(value, list):
        return [_closed(item, f"{path}[{i}]", point) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {name: _closed(item, _inner_path(path, name, item), point) for name, item in value.items()}
    return value


def _inner_path(path: str, name: str, item: Any) -> str:
    """Keys of a mapping stand for themselves, as fields of a wrapped rule do; other nouns carry their class."""
    wrapped = name == INNER and distribution_of(item) is None
    inlined = isinstance(item, Mapping) and (wrapped or "class" not in item)
    return path if inlined else f"{path}.{name}" if path else name


def _described(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    distribution = distribution_of(value)
    if distribution is not None:
        yield path, distribution
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _described(item, f"{path}[{i}]")
    elif isinstance(value, Mapping) and value.get("class") == "float":
        yield path, float(value["value"])
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if item is None or name in _NOT_VALUES:
                continue
            yield from _described(item, _inner_path(path, name, item))
    else:
        yield path, value
