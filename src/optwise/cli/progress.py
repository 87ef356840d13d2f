"""How far the work is, on stderr: a live table in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optwise.cli.printing import say

if TYPE_CHECKING:
    from optwise.cli.questions import Question
    from optwise.core.problem import Problem

PLAIN_SECONDS = 5.0
LIVE_PER_SECOND = 4


class Tally(ABC):
    """Trials done, their rate, the time left, and the best so far; how that is drawn is a subclass's.

    Args:
        signs: Problem to 1 where lower is better, -1 where higher is.
        clock: Seconds that never run backwards.
    """

    def __init__(self, signs: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self.signs = signs
        self.clock = clock
        self.begin = clock()
        self.total = 0
        self.cached = 0
        self.ran = 0
        self.best: dict[tuple[str, str], float | None] = {}
        self.notes: list[str] = []

    def plan(self, total: int, cached: int) -> None:
        """So many trials are wanted, so many are there already."""
        self.total, self.cached, self.begin = total, cached, self.clock()
        self.changed(at_once=True)

    @abstractmethod
    def note(self, text: str) -> None:
        """One line about what happens now."""

    def advance(self, problem: str, method: str, phase: str, trials: int, best: float | None) -> None:
        """A chunk was committed; ``best`` is the best value it holds."""
        del phase
        self.ran += trials
        known = self.best.setdefault((problem, method), best)
        if best is not None and (known is None or self.signs.get(problem, 1.0) * (best - known) < 0):
            self.best[problem, method] = best
        self.changed(at_once=False)

    def done(self) -> None:
        """Nothing more comes."""
        self.changed(at_once=True)

    @abstractmethod
    def changed(self, *, at_once: bool) -> None:
        """Draw what there is now, at once or when it is time."""

    @property
    def counts(self) -> str:
        """``trials 120/630, 12.3/s, 41 s left``; what was there already counts as done, not as speed."""
        done, elapsed = self.cached + self.ran, self.clock() - self.begin
        words = [f"trials {done}/{self.total}"]
        if self.cached:
            words.append(f"{self.cached} of them on record")
        if self.ran and elapsed > 0:
            rate = self.ran / elapsed
            words.append(f"{rate:.1f}/s")
            if done < self.total:
                words.append(f"{_duration((self.total - done) / rate)} left")
        return ", ".join(words)

    def rows(self) -> list[tuple[str, str]]:
        """Method, with its problem where there are several, and its best so far."""
        several = len({problem for problem, _ in self.best}) > 1
        return [
            (f"{problem} {method}" if several else method, "-" if best is None else f"{best:.4g}")
            for (problem, method), best in self.best.items()
        ]


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


class Live(Tally):
    """For terminals: redrawn in place."""

    def __init__(self, signs: Mapping[str, float]) -> None:
        from rich.console import Console
        from rich.live import Live as Display

        super().__init__(signs)
        console = Console(stderr=True, markup=False, highlight=False)
        self.display = Display(
            console=console, get_renderable=self.picture, refresh_per_second=LIVE_PER_SECOND, transient=True
        )

    def note(self, text: str) -> None:
        self.notes.append(text)

    def changed(self, *, at_once: bool) -> None:
        if at_once:
            self.display.refresh()

    def picture(self) -> Any:
        """The bar, the counts, and the best so far of each method."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        bar = ProgressBar(total=self.total or None, completed=self.cached + self.ran, width=24, pulse=not self.total)
        line = Table.grid(padding=(0, 2))
        line.add_row(bar, Text(self.counts if self.total else ""))
        table = Table(box=None, pad_edge=False)
        table.add_column("method", overflow="fold")
        table.add_column("best so far", justify="right")
        for method, best in self.rows():
            table.add_row(Text(method), Text(best))
        return Group(*(Text(note, style="dim") for note in self.notes), line, *([table] if self.best else []))


@contextmanager
def progress_on(problems: Sequence[Problem], metric: str | None = None) -> Iterator[Tally]:
    """A tally of work on ``problems``, drawn as stderr allows.

    Args:
        problems: Whose metrics say which way is better.
        metric: What selects; ``None`` takes each problem's main metric.
    """
    from optwise.core.metric import Direction

    signs = {}
    for problem in problems:
        name = metric or problem.main_metric
        known = name in problem.metric_names  # if not, the verb says so
        signs[problem.name] = (problem.direction(name) if known else Direction.MIN).sign
    if not sys.stderr.isatty():
        yield Lines(signs)
        return
    live = Live(signs)
    with live.display:
        yield live


def progress_for(question: Question) -> Any:
    """The tally of a comparison: a context manager."""
    return progress_on(question.problems, question.settings.get("metric"))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
