"""What the page offers to carry away: settings as code, and commands to run next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 3
"""Commands that the page proposes at most."""


@dataclass(frozen=True)
class Setting:
    """The setting of one method on one problem, as code to paste.

    Args:
        problem: Name.
        method: Name.
        rule: Which setting it is, a sentence.
        code: Python.
    """

    problem: str
    method: str
    rule: str
    code: str


@dataclass(frozen=True)
class Step:
    """One thing to do next.

    Args:
        why: What it would answer, a sentence.
        command: Filled in, ready to copy.
    """

    why: str
    command: str


@dataclass(frozen=True)
class Hints:
    """What the reader may do with the comparison.

    Args:
        settings: Of every method that has one, in the order of each problem.
        steps: At most :data:`MOST`, the most useful first.
        again: What asks the same comparison again; empty where nothing is known.
        folder: Where the comparison lies, as it was written by the caller.
    """

    settings: Sequence[Setting] = ()
    steps: Sequence[Step] = ()
    again: str = ""
    folder: str = "DIR"
