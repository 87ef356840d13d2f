"""``compare``, ``check``, ``set_target`` and ``load`` as everybody calls them, with progress where somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from optwise.catalog.resolving import MethodAsked, ProblemAsked, resolve, resolve_one
from optwise.core.problem import Problem
from optwise.public.documents import documented_as
from optwise.verbs import checking, comparing, targeting
from optwise.verbs.asking import Settings
from optwise.verbs.checking import CheckReport
from optwise.verbs.comparing import Comparison
from optwise.verbs.comparing_solvers import SolverComparison
from optwise.verbs.loading import load
from optwise.verbs.progress import Progress, Silent
from optwise.verbs.tallies import shown_where_somebody_looks
from optwise.verbs.targeting import REFERENCE_RERUNS, TargetReport

__all__ = ["check", "compare", "load", "set_target"]

Told: TypeAlias = Progress | bool | None
"""Who is told how far the work is: by default whoever looks at a terminal or a notebook, nobody for ``False``."""


@contextmanager
def _telling(progress: Told, problems: Sequence[Any], metric: str | None) -> Iterator[Progress]:
    """Whoever was named, nobody for ``False``, by default whoever looks."""
    if progress is None or progress is True:
        with shown_where_somebody_looks([p for p in problems if isinstance(p, Problem)], metric) as told:
            yield told
    else:
        yield progress or Silent()


@documented_as(comparing.compare)
def compare(
    problems: ProblemAsked | Iterable[ProblemAsked],
    methods: MethodAsked | Iterable[MethodAsked] | None = None,
    *,
    out: Path | str | None = None,
    reveal_test: bool = False,
    progress: Told = None,
    **settings: Unpack[Settings],
) -> Comparison | SolverComparison:
    """Tune and compare methods fairly; end with a verdict and one HTML page."""
    said = {"out": out, "reveal_test": reveal_test or None}
    given = {**settings, **{name: value for name, value in said.items() if value is not None}}
    asked = resolve(problems, methods, given)
    with _telling(progress, asked.problems, asked.settings.get("metric")) as told:
        return comparing.compare(asked.problems, asked.methods, progress=told, **asked.settings)


@documented_as(checking.check)
def check(
    problems: ProblemAsked | Iterable[ProblemAsked],
    methods: MethodAsked | Iterable[MethodAsked] | None = None,
    **settings: Unpack[Settings],
) -> CheckReport:
    """Say what a comparison would do and what it would cost, or refuse it; nothing is written."""
    asked = resolve(problems, methods, settings)
    # where results would lie is nothing that can be predicted
    kept = {name: value for name, value in asked.settings.items() if name not in ("out", "reveal_test")}
    return checking.check(asked.problems, asked.methods, **kept)


@documented_as(targeting.set_target)
def set_target(
    problem: ProblemAsked,
    methods: MethodAsked | Iterable[MethodAsked] | None = None,
    *,
    reruns: int = REFERENCE_RERUNS,
    progress: Told = None,
    **settings: Unpack[Settings],
) -> TargetReport:
    """Set a target by reference runs: studies of each reference, what each selects rerun on fresh seeds."""
    asked = resolve_one(problem, methods, settings)
    with _telling(progress, asked.problems, asked.settings.get("metric")) as told:
        return targeting.set_target(asked.problems[0], asked.methods, reruns=reruns, progress=told, **asked.settings)
