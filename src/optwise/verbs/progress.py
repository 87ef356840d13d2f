"""Who is told how far a long verb is."""

from __future__ import annotations

from typing import Protocol as Interface


class Progress(Interface):
    """Who is told how far the work is."""

    def plan(self, total: int, cached: int) -> None:
        """So many trials are wanted, so many are there already."""

    def note(self, text: str) -> None:
        """One line about what happens now."""

    def advance(self, problem: str, method: str, phase: str, trials: int, best: float | None) -> None:
        """A chunk was committed; ``best`` is the best value of its selection metric."""

    def done(self) -> None:
        """Nothing more comes."""


class Silent:
    """Tells nobody."""

    def plan(self, total: int, cached: int) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, problem: str, method: str, phase: str, trials: int, best: float | None) -> None: ...

    def done(self) -> None: ...
