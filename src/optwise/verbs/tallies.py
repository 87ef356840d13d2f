"""How far the work is, where somebody looks: a live table in a terminal, one line that changes in a notebook."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optwise.core.run import Phase
from optwise.verbs.progress import Progress, Silent

if TYPE_CHECKING:
    from optwise.core.problem import Problem

LIVE_PER_SECOND = 4
NOTEBOOK_SECONDS = 0.5
"""Between two changes of the line in a notebook, each of which travels to the browser."""
BESTS = 6
"""Methods whose best value the line in a notebook tells."""


class Tally(ABC):
    """Trials done, their rate, the time left, and the best so far; how that is drawn is a subclass's.

    Best is told of one phase only, the one that a method begins with: the search, or its confirmations where it has
    none. Values of a search are those of lucky seeds, and are never mixed with others.

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
        self._told: dict[tuple[str, str], str] = {}
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
        self.ran += trials
        if phase == Phase.DEFAULT.value or self._told.setdefault((problem, method), phase) != phase:
            best = None
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


class Cell(Tally):
    """For notebooks: one line of text under the cell, put anew in its place.

    Args:
        signs: As of every tally.
        put: Shows a line, in the place of the line before.
        clock: As of every tally.
    """

    def __init__(
        self, signs: Mapping[str, float], put: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(signs, clock)
        self.put = put
        self.last: float | None = None
        self.said = ""

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.changed(at_once=True)

    def changed(self, *, at_once: bool) -> None:
        now = self.clock()
        if not at_once and self.last is not None and now - self.last < NOTEBOOK_SECONDS:
            return
        line = self.line()
        if line != self.said:
            self.put(line)
        self.last, self.said = now, line

    def line(self) -> str:
        """The counts and the best so far; before there are any, what happens now."""
        from optwise.core.showing import one_line

        if not self.total:
            return one_line(self.notes[-1], 160) if self.notes else ""
        rows = self.rows()
        best = ", ".join(f"{one_line(method, 40)} {value}" for method, value in rows[:BESTS])
        more = f" and {len(rows) - BESTS} more" if len(rows) > BESTS else ""
        return self.counts + (f"; best so far: {best}{more}" if best else "")


@contextmanager
def shown_where_somebody_looks(problems: Sequence[Problem], metric: str | None = None) -> Iterator[Progress]:
    """A tally of work on ``problems`` in a notebook or a terminal, nothing elsewhere.

    Args:
        problems: Whose metrics say which way is better.
        metric: What selects; ``None`` takes each problem's main metric.
    """
    put = notebook_line()
    if put is not None:
        yield Cell(signs_of(problems, metric), put)
    elif sys.stderr is not None and sys.stderr.isatty():
        with live(problems, metric) as tally:
            yield tally
    else:
        yield Silent()


@contextmanager
def live(problems: Sequence[Problem], metric: str | None = None) -> Iterator[Live]:
    """A tally that is redrawn in place, on stderr."""
    tally = Live(signs_of(problems, metric))
    with tally.display:
        yield tally


def signs_of(problems: Sequence[Problem], metric: str | None) -> dict[str, float]:
    """Which way is better on each problem: 1 where lower is, -1 where higher is."""
    from optwise.core.metric import Direction

    signs = {}
    for problem in problems:
        name = metric or problem.main_metric
        known = name in problem.metric_names  # if not, the verb says so
        signs[problem.name] = (problem.direction(name) if known else Direction.MIN).sign
    return signs


def notebook_line() -> Callable[[str], None] | None:
    """What shows a line under the running cell of a notebook, each in the place of the one before; else ``None``."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:  # a shell in a terminal has none
        return None
    from IPython.display import display

    handles: list[Any] = []

    def put(line: str) -> None:
        shown = {"text/plain": line}
        if handles:
            handles[0].update(shown, raw=True)
        else:
            handles.append(display(shown, raw=True, display_id=True))  # type: ignore[no-untyped-call]

    return put


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
