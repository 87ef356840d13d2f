"""What a public verb says of its arguments: the text of the verb that it calls, and that names stand for objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

NAMES = """
    Names stand where objects do, as on the command line: ``"nqm:d=100"`` or ``"mine.py:problem"`` for a problem,
    ``"adamw:lr=1e-3"`` or ``"mine.py:MyOptimizer"`` for a method; a single one needs no list.
"""

AnyVerb = TypeVar("AnyVerb", bound=Callable[..., Any])


def documented_as(verb: Callable[..., Any]) -> Callable[[AnyVerb], AnyVerb]:
    """Give a function the text of the verb that it calls, after its own first paragraph."""

    def dress(function: AnyVerb) -> AnyVerb:
        first, (_, _, rest) = (function.__doc__ or "").strip(), (verb.__doc__ or "").strip().partition("\n")
        function.__doc__ = f"{first}\n{NAMES}\n    {rest.strip()}\n"
        return function

    return dress
