"""The command that freezes a target: ``target``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from optwise.cli import options
from optwise.cli.options import flag
from optwise.cli.printing import show, show_json, stdout_for

METHODS, STUDIES, TRIALS, RERUNS, BUDGET = "momentum,adamw", 8, 16, 5, "750steps"


def target(
    problem: Annotated[
        str, typer.Argument(metavar="PROBLEM", help="As in digits-mlp or mine.py:NAME.", show_default=False)
    ],
    *,
    methods: Annotated[
        list[str] | None,
        flag("--methods", "The references; of the two best ones the weaker decides.", METHODS, metavar="A,B"),
    ] = None,
    studies: Annotated[int | None, flag("--studies", "Independent searches of each reference.", STUDIES)] = None,
    trials: Annotated[int | None, flag("--trials", "Points of each search.", TRIALS)] = None,
    reruns: Annotated[int | None, flag("--reruns", "Fresh seeds of what each study selects.", RERUNS)] = None,
    budget: Annotated[str | None, flag("--budget", "Of each trial.", BUDGET, metavar="AMOUNT")] = None,
    metric: Annotated[str | None, flag("--metric", "By default the problem's own.", metavar="METRIC")] = None,
    batch_size: options.BatchSize = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    workers: options.Workers = None,
    seed: options.Seed = None,
    schedule: options.Schedule = None,
    json: options.Json = False,
) -> None:
    """Set a target from reference runs with seeds of their own, and print it.

    It is what nine reruns in ten of the weaker of two references reach and hold for two evaluations.

    Example: optwise target digits-mlp --methods momentum,adamw
    """
    said: dict[str, Any] = {"studies": studies, "trials": trials, "reruns": reruns, "budget": budget, "metric": metric}
    said |= {
        "batch_size": batch_size,
        "dtype": dtype,
        "device": device,
        "workers": workers,
        "seed": seed,
        "schedule": schedule,
    }
    with stdout_for(json_only=json):
        from optwise.catalog import resolve_one
        from optwise.cli.progress import progress_on
        from optwise.verbs.targeting import set_target

        given = {name: value for name, value in said.items() if value is not None}
        question = resolve_one(problem, methods or None, given)
        with progress_on(question.problems, metric) as progress:
            report = set_target(question.problems[0], question.methods, progress=progress, **question.settings)
    if json:
        show_json(report.document)
    else:
        show(f"{report.sentence}\n{report.target}")
