"""What a figure can be drawn with: fields of a frozen dataclass, read from text, checked before any work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias, get_type_hints

from optwise.core.errors import BadProtocol, UnknownName

Numbers: TypeAlias = tuple[float, ...]
Rows: TypeAlias = tuple[Numbers, ...]


@dataclass(frozen=True)
class Domain:
    """What a parameter may be.

    Args:
        text: What it is, with its unit: a sentence.
        low: Least number.
        high: Largest number.
        whole: Whether only whole numbers will do.
        least: Numbers in its list at least.
        most: Numbers in its list at most; 0 for a parameter that is one number.
        inside: Whether the ends themselves are excluded.
        rising: Whether the numbers of a list must rise.
        distinct: Whether no two numbers of a list may look alike in a legend, which has four digits.
        rows: Whether it is a matrix, rows of numbers of one length.
        names: What it may be where it is a word.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    least: int = 1
    most: int = 0
    inside: bool = False
    rising: bool = False
    distinct: bool = False
    rows: bool = False
    names: tuple[str, ...] = ()

    @property
    def needed(self) -> str:
        """What is needed, as the end of a sentence.

        Example:
            >>> Domain("Steps.", 1, 100, whole=True).needed
            'a whole number from 1 to 100'
            >>> Domain("Steps.", 0, 2, most=3, inside=True, rising=True).needed
            '1 to 3 rising numbers between 0 and 2'
        """
        if self.names:
            return f"one of {', '.join(self.names)}"
        ends = f"between {self.low:g} and {self.high:g}" if self.inside else f"from {self.low:g} to {self.high:g}"
        whole = "whole " if self.whole else ""
        if self.rows:
            return f"up to {self.most} rows of up to {self.most} numbers {ends}, parted by semicolons"
        if not self.most:
            return f"a {whole}number {ends}"
        count = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        order = "rising " if self.rising else "different " if self.distinct else ""
        return f"{count} {order}{whole}numbers {ends}"

    def read(self, given: object) -> Any:
        """A value of this domain, from text as the command line has it or from Python's own numbers.

        Raises:
            ValueError: It is none.

        Example:
            >>> Domain("Steps.", 0, 2, most=3).read("0.1,1.8"), Domain("Steps.", 1, 9, whole=True).read(4.0)
            ((0.1, 1.8), 4)
        """
        if self.names:
            if given not in self.names:
                raise ValueError
            return given
        if self.rows:
            split = given.split(";") if isinstance(given, str) else _sequence(given)
            rows = tuple(self._list(row) for row in split)
            if not rows or len(rows) > self.most or len({len(row) for row in rows}) != 1:
                raise ValueError
            return rows
        return self._list(given) if self.most else self._number(given)

    def written(self, value: Any) -> str:
        """A value as the command line takes it.

        Example:
            >>> Domain("X.", rows=True, most=3).written(((1.0, 2.0), (0.5, -1.0)))
            '1,2;0.5,-1'
        """
        if self.rows:
            return ";".join(",".join(_short(v) for v in row) for row in value)
        if isinstance(value, str):
            return value
        return ",".join(_short(v) for v in value) if self.most else _short(value)

    def _list(self, given: object) -> Numbers:
        parts = given.split(",") if isinstance(given, str) else _sequence(given)
        numbers = tuple(self._number(part) for part in parts)
        if not (1 if self.rows else self.least) <= len(numbers) <= self.most:
            raise ValueError
        if self.rising and list(numbers) != sorted(numbers):
            raise ValueError
        if (self.rising or self.distinct) and len({f"{v:.4g}" for v in numbers}) != len(numbers):
            raise ValueError
        return numbers

    def _number(self, given: object) -> float:
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError
        value = float(given)
        fits = self.low < value < self.high if self.inside else self.low <= value <= self.high
        if not fits or not math.isfinite(value) or (self.whole and value != round(value)):
            raise ValueError
        return int(value) if self.whole else value


@dataclass(frozen=True)
class Parameters:
    """Everything that one figure can be drawn with; each field has a default, the published one, and a domain.

    A field is declared as ``kappa: Annotated[Numbers, Domain("Condition numbers.", 1, 1e6, most=3)] = (2.0, 50.0)``.

    The options of ``optwise figures``, its help, the provenance of a figure and the names of its files are made of the
    fields. Values are read and checked where an object is made, so that one that exists can be drawn.
    """

    slug: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, (domain, default) in self.domains().items():
            given = getattr(self, name)
            try:
                value = domain.read(given)
            except ValueError:
                raise self._refused(name, given, f"give {domain.needed}, as in {default}") from None
            object.__setattr__(self, name, value)
        self.fits()

    def fits(self) -> None:
        """Refuse values that are fine one by one and not together.

        Raises:
            BadProtocol: They make no figure.
        """

    @classmethod
    def asked(cls, given: Mapping[str, object]) -> Parameters:
        """The parameters with some of them given, by name; ``max-steps`` and ``max_steps`` are the same.

        Raises:
            UnknownName: A name that this figure has no parameter of.
            BadProtocol: A value that it cannot be drawn with.
        """
        names = cls.domains()
        found = {name.replace("-", "_"): value for name, value in given.items()}
        for name in found:
            if name not in names:
                raise UnknownName(f"parameter of {cls.slug}", name.replace("_", "-"), [option(n) for n in names])
        return cls(**found)

    @classmethod
    def domains(cls) -> dict[str, tuple[Domain, str]]:
        """Name to what it may be and its default, as text."""
        hints = get_type_hints(cls, include_extras=True)
        found = {one.name: (hints[one.name].__metadata__[0], one.default) for one in fields(cls)}
        return {name: (domain, domain.written(default)) for name, (domain, default) in found.items()}

    def texts(self) -> dict[str, str]:
        """Every value as the command line takes it, by the name of its option."""
        return {option(name): domain.written(getattr(self, name)) for name, (domain, _) in self.domains().items()}

    def changed(self) -> dict[str, str]:
        """Those of them that are not the published ones."""
        published = {option(name): default for name, (_, default) in self.domains().items()}
        return {name: text for name, text in self.texts().items() if text != published[name]}

    def _refused(self, name: str, given: object, needed: str) -> BadProtocol:
        shown = given if isinstance(given, str) else repr(given)
        return BadProtocol(f"{self.slug}: --{option(name)} is {shown}; {needed}.")


def option(name: str) -> str:
    """The option of a field.

    Example:
        >>> option("max_steps")
        'max-steps'
    """
    return name.replace("_", "-")


def _sequence(given: object) -> Sequence[object]:
    if isinstance(given, int | float):
        return (given,)
    listed = given.tolist() if hasattr(given, "tolist") else given  # of numpy and torch
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise ValueError
    return listed


def _short(value: float) -> str:
    return f"{value:.12g}" if float(f"{value:.12g}") == value else repr(value)
