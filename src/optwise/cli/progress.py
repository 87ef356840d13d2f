"""How far the work is, on stderr: a live table in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optwise.cli.printing import say
from optwise.verbs.tallies import Live, Tally, live, signs_of

if TYPE_CHECKING:
    from optwise.catalog.resolving import Resolved
    from optwise.core.problem import Problem

__all__ = ["Lines", "Live", "Tally", "progress_for", "progress_on"]

PLAIN_SECONDS = 5.0


class Lines(Tally):
    """For logs and pipes: a line at the start, every few seconds, and at the end."""

    last: float | None = None
    said: str = ""

    def note(self, text: str) -> None:
        say(text)

    def changed(self, *, at_once: bool) -> None:
        now = self.clock()
        if not at_once and self.last is not None and now - self.last < PLAIN_SECONDS:
            return
        best = ", ".join(" ".join(row) for row in self.rows())
        line = self.counts + (f"; best so far: {best}" if best else "")
        if line != self.said:
            say(line)
        self.last, self.said = now, line


@contextmanager
def progress_on(problems: Sequence[Problem], metric: str | None = None) -> Iterator[Tally]:
    """A tally of work on ``problems``, drawn as stderr allows.

    Args:
        problems: Whose metrics say which way is better.
        metric: What selects; ``None`` takes each problem's main metric.
    """
    if sys.stderr.isatty():
        with live(problems, metric) as tally:
            yield tally
    else:
        yield Lines(signs_of(problems, metric))


def progress_for(question: Resolved) -> Any:
    """The tally of a comparison: a context manager."""
    return progress_on(question.problems, question.settings.get("metric"))
