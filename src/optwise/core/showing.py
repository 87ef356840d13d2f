"""How nouns show themselves: a few lines at a prompt, a small table in a notebook; numbers are counted, not dumped."""

from __future__ import annotations

import html
import reprlib
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import singledispatch
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
from torch import Tensor

LONGEST = 2000
"""Characters at a prompt, whatever names and numbers an object holds."""
NAME, VALUE, CELL, SENTENCE = 60, 80, 240, 600
"""Characters of a name, of a value in brief, of a cell and of a sentence."""
DOZEN = 12
"""Numbers of a vector that are all told; of more, a summary."""
ROWS = 16
"""Rows of a table in a notebook; of more, the number is told."""
CUT = "\N{HORIZONTAL ELLIPSIS}"


def one_line(text: object, most: int = NAME) -> str:
    r"""A text without line breaks and control characters, cut in its middle to ``most`` characters.

    Example:
        >>> one_line("two\nlines"), one_line("x" * 100, 9)
        ('two lines', 'xxxx…xxxx')
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) <= most:
        return line
    head = most // 2
    return f"{line[:head]}{CUT}{line[head + 1 - most :]}"


def brief(value: Any) -> str:
    """A value in one short line: arrays by their shape, functions and classes by their name.

    Example:
        >>> brief(np.zeros((200, 50))), brief((0.9, 0.999)), brief(len)
        ('ndarray[200, 50]', '(0.9, 0.999)', 'len')
    """
    return one_line(_BRIEF.repr(value), VALUE)


def numbers_in_brief(values: Tensor) -> str:
    """A vector or matrix of numbers: up to a dozen as they are; of more the first few, their number and their extent.

    Example:
        >>> import torch
        >>> numbers_in_brief(torch.tensor([1.0, -0.25]))
        '1, -0.25'
        >>> numbers_in_brief(torch.arange(100.0))
        '0, 1, 2, 3, 4, 5, ... (100 numbers from 0 to 99, norm 573.018)'
    """
    flat = values.detach().reshape(-1).double()
    if flat.numel() <= DOZEN:
        return ", ".join(f"{each:.6g}" for each in flat.tolist())
    shape = f"{' x '.join(map(str, values.shape))} numbers"
    first = ", ".join(f"{each:.6g}" for each in flat[: DOZEN // 2].tolist())
    extent = f"from {float(flat.min()):.6g} to {float(flat.max()):.6g}, norm {float(flat.norm()):.6g}"
    return f"{first}, ... ({shape} {extent})"


class _Brief(reprlib.Repr):
    """Cuts long and deep containers; of an object whose own repr fails, it tells the class."""

    def repr1(self, x: Any, level: int) -> str:
        return _told(x) or super().repr1(x, level)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """In its own order, which the parent would sort."""
        shown = islice(x.items(), self.maxdict if level > 0 else 0)
        parts = [f"{self.repr1(key, level - 1)}: {self.repr1(item, level - 1)}" for key, item in shown]
        return f"{{{', '.join([*parts, *([self.fillvalue] if len(x) > len(parts) else [])])}}}"


_BRIEF = _Brief()
_BRIEF.maxlevel, _BRIEF.maxother, _BRIEF.maxstring = 4, VALUE, NAME


@singledispatch
def _told(_value: Any) -> str:
    """What is told of a value instead of its own repr; nothing where that is right."""
    return ""


@_told.register
def _(value: Tensor) -> str:
    alone = value.numel() == 1 and value.device.type == "cpu"
    return repr(value.item()) if alone else f"{type(value).__name__}{list(value.shape)}"


@_told.register
def _(value: np.ndarray) -> str:
    return repr(value.item()) if value.size == 1 else f"{type(value).__name__}{list(value.shape)}"


@_told.register
def _(value: np.generic) -> str:
    return repr(value.item())


@_told.register(type)
@_told.register(FunctionType)
@_told.register(BuiltinFunctionType)
@_told.register(MethodType)
def _(value: Any) -> str:
    return one_line(value.__qualname__)


def call_of(noun: Any, *, without: Iterable[str] = ()) -> str:
    """A dataclass as the call that makes it, its values in brief; fields that are not to be shown are left out."""
    shown = [f for f in fields(noun) if f.repr and f.name not in without]
    return f"{type(noun).__name__}({', '.join(f'{f.name}={brief(getattr(noun, f.name))}' for f in shown)})"


@dataclass(frozen=True)
class Card:
    """What a noun says of itself.

    Args:
        prompt: At a prompt, line by line; one line where it is likely to stand in a list.
        title: What it is, in a notebook.
        answer: The answer first: a verdict, a status, a value; nothing where there is none.
        heads: Of the table's columns.
        rows: Of the table, the first column naming each.
        notes: Further sentences.
        then: What to ask it next, as code.
    """

    prompt: tuple[str, ...]
    title: str = ""
    answer: str = ""
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    then: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines at a prompt, never more than :data:`LONGEST` characters."""
        lines = (one_line(line, SENTENCE) if line == line.lstrip() else _indented(line) for line in self.prompt)
        text = "\n".join(lines)
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + CUT

    @property
    def html(self) -> str:
        """The same for a notebook: escaped, nothing fetched, legible on light and dark."""
        parts = [f"<div>{_escaped(self.title, CELL)}</div>"] if self.title else []
        if self.answer:
            parts.append(f"<div><b>{_escaped(self.answer, SENTENCE)}</b></div>")
        if self.rows:
            parts.append(_table(self.heads, self.rows))
        parts += [f"<div>{_escaped(note, SENTENCE)}</div>" for note in self.notes]
        if self.then:
            calls = " ".join(f"<code>{_escaped(call, VALUE)}</code>" for call in self.then)
            parts.append(f"<div><small>next: {calls}</small></div>")
        return f'<div style="max-width:60em">{"".join(parts)}</div>'


def _indented(line: str) -> str:
    """A line of a table at a prompt, which keeps its columns."""
    clean = "".join(c if c.isprintable() else " " for c in line).rstrip()
    return clean if len(clean) <= CELL else clean[: CELL - 1] + CUT


def _escaped(text: str, most: int) -> str:
    return html.escape(one_line(text, most), quote=True)


def _table(heads: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    def cells(tag: str, row: Iterable[str]) -> str:
        left = ' style="text-align:left"'
        return "".join(f"<{tag}{left if i == 0 else ''}>{_escaped(cell, CELL)}</{tag}>" for i, cell in enumerate(row))

    body = [f"<tr>{cells('td', row)}</tr>" for row in rows[:ROWS]]
    if len(rows) > ROWS:
        body.append(f'<tr><td colspan="{max(len(heads), 1)}">and {len(rows) - ROWS} more</td></tr>')
    head = f"<thead><tr>{cells('th', heads)}</tr></thead>" if any(heads) else ""
    return f"<table>{head}<tbody>{''.join(body)}</tbody></table>"


class Terse:
    """A noun that stands in lists and sentences: the call that makes it, in one line, arrays told by their shape."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__repr__" not in vars(cls):  # a dataclass would otherwise write one that dumps its fields
            cls.__repr__ = super(cls, cls).__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return call_of(self) if is_dataclass(self) else object.__repr__(self)


class Shown(Terse):
    """A noun that shows itself by its card, at a prompt and in a notebook."""

    @abstractmethod
    def card(self) -> Card:
        """What it says of itself."""

    def __repr__(self) -> str:
        return self.card().text

    def _repr_html_(self) -> str:
        return self.card().html


class Document(Shown, dict[str, Any]):
    """A document that leaves the program, as plain JSON: a dictionary that shows its keys, not all that is below."""

    def card(self) -> Card:
        rows = tuple((str(key), brief(value)) for key, value in self.items())
        said = f"A document of {len(rows)} entries, plain JSON"
        lines = [f"  {one_line(key)}: {value}" for key, value in rows[:ROWS]]
        return Card((said, *lines), "", said, ("", ""), rows)
