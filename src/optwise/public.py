"""The verbs as everybody calls them: names stand where objects do, and progress is shown where somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, Unpack

from optwise.catalog.resolving import (
    MethodAsked,
    ProblemAsked,
    resolve,
    resolve_method,
    resolve_one,
    resolve_problem,
    resolve_solver,
)
from optwise.core.budget import Budget
from optwise.core.problem import Problem
from optwise.core.run import Run
from optwise.verbs import checking, comparing, explaining, predicting, solving, targeting
from optwise.verbs.asking import Settings
from optwise.verbs.checking import CheckReport
from optwise.verbs.comparing import Comparison
from optwise.verbs.comparing_solvers import SolverComparison
from optwise.verbs.explaining import Explanation
from optwise.verbs.formulating import TOL
from optwise.verbs.loading import load
from optwise.verbs.progress import Progress, Silent
from optwise.verbs.tallies import shown_where_somebody_looks
from optwise.verbs.targeting import REFERENCE_RERUNS, TargetReport

__all__ = ["check", "compare", "explain", "load", "predict", "set_target", "solve"]

Told: TypeAlias = Progress | bool | None
"""Who is told how far the work is: by default whoever looks at a terminal or a notebook, nobody for ``False``."""

NAMES = """
    Names stand where objects do, as on the command line: ``"nqm:d=100"`` or ``"mine.py:problem"`` for a problem,
    ``"adamw:lr=1e-3"`` or ``"mine.py:MyOptimizer"`` for a method; a single one needs no list.
"""


@contextmanager
def _telling(progress: Told, problems: Sequence[Any], metric: str | None) -> Iterator[Progress]:
    """Whoever was named, nobody for ``False``, by default whoever looks."""
    if progress is None or progress is True:
        with shown_where_somebody_looks([p for p in problems if isinstance(p, Problem)], metric) as told:
            yield told
    else:
        yield progress or Silent()


AnyVerb = TypeVar("AnyVerb", bound=Callable[..., Any])


def _documented_as(verb: Callable[..., Any]) -> Callable[[AnyVerb], AnyVerb]:
    """Give a function the text of the verb that it calls, after its own first paragraph."""

    def dress(function: AnyVerb) -> AnyVerb:
        first, (_, _, rest) = (function.__doc__ or "").strip(), (verb.__doc__ or "").strip().partition("\n")
        function.__doc__ = f"{first}\n{NAMES}\n    {rest.strip()}\n"
        return function

    return dress


@_documented_as(comparing.compare)
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


@_documented_as(checking.check)
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


@_documented_as(targeting.set_target)
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


@_documented_as(explaining.explain)
def explain(problem: ProblemAsked, tol: float = TOL) -> Explanation:
    """Which solvers are eligible for a problem, with predicted cost, and why the others are not."""
    return explaining.explain(resolve_problem(problem), tol)


@_documented_as(solving.solve)
def solve(
    problem: ProblemAsked,
    method: MethodAsked = solving.AUTO,
    tol: float = TOL,
    max_seconds: float | None = None,
    w0: Any = None,
) -> Run:
    r"""Solve a problem and prove what is claimed."""
    return solving.solve(resolve_problem(problem), resolve_solver(method), tol, max_seconds, w0)


@_documented_as(predicting.predict)
def predict(
    problem: ProblemAsked,
    method: MethodAsked,
    budget: Budget | str | int = "1000steps",
    batch_size: float | None = None,
    *,
    evaluations: int = predicting.EVALUATIONS,
) -> Run:
    r"""Predict a run: the expected risk of a linear rule on a quadratic whose gradients are noisy."""
    return predicting.predict(
        resolve_problem(problem), resolve_method(method), budget, batch_size, evaluations=evaluations
    )
