"""The commands that answer a formulated problem: ``solve`` and ``explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optwise.cli import options
from optwise.cli.options import flag
from optwise.cli.printing import say, show, show_json, stdout_for
from optwise.core.errors import BadProtocol

if TYPE_CHECKING:
    from optwise.core.run import Run

METHOD, TOL = "auto", 1e-6
NOT_CERTIFIED, INTERRUPTED = 3, 130

Problem = Annotated[
    str,
    typer.Argument(metavar="PROBLEM", help="As in lasso:n=100,p=500, rosenbrock or mine.py:NAME.", show_default=False),
]


def solve(
    problem: Problem,
    *,
    method: Annotated[str, typer.Option("--method", help="A solver, as in fista or lbfgs:history_size=5.")] = METHOD,
    tol: Annotated[float, typer.Option("--tol", help="What the certificate must reach.")] = TOL,
    max_seconds: Annotated[float | None, flag("--max-seconds", "Wall-clock limit; by default none.")] = None,
    save: Annotated[Path | None, flag("--save", "Write the weights there, as npz.", metavar="FILE")] = None,
    json: options.Json = False,
) -> int:
    """Solve a problem and prove what is claimed; exit code 3 where nothing was proved.

    Example: optwise solve lasso:n=200,p=1000 --tol 1e-8
    """
    if save is not None and not save.resolve().parent.is_dir():
        raise BadProtocol(f"There is no folder {save.resolve().parent} to save {save.name} in; make it first.")
    with stdout_for(json_only=json):
        from optwise.catalog import load_method, load_problem
        from optwise.core.status import Status
        from optwise.verbs.solutions import certified, solution_document, solution_text
        from optwise.verbs.solving import solve as run_solve

        asked = method if method == METHOD else load_method(method)
        run = run_solve(load_problem(problem), asked, tol, max_seconds)
        if save is not None:
            _save(save, run)
    if json:
        show_json(solution_document(run))
    else:
        show(solution_text(run))
    if run.traceback:
        say(run.traceback.strip().splitlines()[-1])
    if run.status is Status.INTERRUPTED:
        return INTERRUPTED
    return 0 if certified(run) else NOT_CERTIFIED


def explain(problem: Problem, *, json: options.Json = False) -> None:
    """Say which methods can solve a problem, at what predicted cost, and why the others cannot.

    Example: optwise explain lasso:n=200,p=1000
    """
    with stdout_for(json_only=json):
        from optwise.catalog import load_problem
        from optwise.verbs.explaining import explain as run_explain

        explanation = run_explain(load_problem(problem))
    if json:
        show_json(explanation.document)
    else:
        show(explanation.text)


def _save(path: Path, run: Run) -> None:
    import numpy as np

    arrays: dict[str, Any] = {name: leaf.detach().cpu().numpy() for name, leaf in run.state_dict().items()}
    with path.open("wb") as file:  # a path without its ending would get one
        np.savez(file, **arrays)
