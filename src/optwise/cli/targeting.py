"""The command that freezes a target: ``target``."""

from __future__ import annotations

from typing import Annotated

import typer

from optwise.cli import options
from optwise.cli.printing import show, show_json, stdout_for

TRIALS, RERUNS, BUDGET = 32, 20, "750steps"


def target(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="digits-mlp, mine.py:NAME.", show_default=False)],
    methods: Annotated[
        list[str], typer.Option("--methods", metavar="A,B", help="The reference methods.", show_default=False)
    ],
    trials: Annotated[
        int | None, typer.Option(help="Points of each method's search.", show_default=str(TRIALS))
    ] = None,
    reruns: Annotated[
        int | None, typer.Option(help="Fresh seeds of the best point of each.", show_default=str(RERUNS))
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Of each trial.", show_default=BUDGET)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Base of the reference seeds, apart from those of every comparison.")
    ] = None,
    workers: options.Workers = None,
    json: options.Json = False,
) -> None:
    """Set a target from reference runs with seeds of their own, and print it.

    Example: optwise target digits-mlp --methods momentum,adamw
    """
    flags = {"trials": trials, "reruns": reruns, "budget": budget, "seed": seed, "workers": workers}
    with stdout_for(json_only=json):
        from optwise.catalog import load_methods, load_problem
        from optwise.cli.progress import progress_on
        from optwise.verbs.targeting import set_target

        chosen = load_problem(problem)
        with progress_on([chosen], chosen.main_metric) as progress:
            report = set_target(
                chosen,
                load_methods(methods),
                progress=progress,
                **{name: value for name, value in flags.items() if value is not None},
            )
    if json:
        show_json(report.document)
    else:
        show(f"{report.sentence}\n{report.target}")
