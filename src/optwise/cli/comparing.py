"""The commands that ask a question about methods: ``check`` and ``compare``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from optwise.cli import options
from optwise.cli.printing import say, show, show_json, show_verdict, stdout_for
from optwise.cli.questions import read_question

if TYPE_CHECKING:
    from optwise.catalog.resolving import Resolved


def check(
    problems: options.Problems,
    *,
    methods: options.Methods = None,
    studies: options.Studies = None,
    trials: options.Trials = None,
    seeds: options.Seeds = None,
    budget: options.Budget = None,
    evaluations: options.Evaluations = None,
    target: options.Target = None,
    metric: options.Metric = None,
    axis: options.Axis = None,
    level: options.Level = None,
    margin: options.Margin = None,
    resamples: options.Resamples = None,
    batch_size: options.BatchSize = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    workers: options.Workers = None,
    executor: options.Executor = None,
    seed: options.Seed = None,
    schedule: options.Schedule = None,
    against: options.Against = None,
    until: options.Until = None,
    tol: options.Tol = None,
    max_seconds: options.MaxSeconds = None,
    repeats: options.Repeats = None,
    json: options.Json = False,
) -> None:
    """Say what a comparison would do and cost, or refuse it; nothing is written.

    Example: optwise check digits-mlp --methods momentum,adamw --budget 30seconds
    """
    flags = {name: value for name, value in locals().items() if name not in ("problems", "methods", "json")}
    with stdout_for(json_only=json):
        question = read_question(problems, methods, flags)
    _check(question, json_only=json)


def compare(
    problems: options.Problems,
    *,
    methods: options.Methods = None,
    studies: options.Studies = None,
    trials: options.Trials = None,
    seeds: options.Seeds = None,
    budget: options.Budget = None,
    evaluations: options.Evaluations = None,
    target: options.Target = None,
    metric: options.Metric = None,
    axis: options.Axis = None,
    level: options.Level = None,
    margin: options.Margin = None,
    resamples: options.Resamples = None,
    batch_size: options.BatchSize = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    workers: options.Workers = None,
    executor: options.Executor = None,
    seed: options.Seed = None,
    schedule: options.Schedule = None,
    against: options.Against = None,
    until: options.Until = None,
    tol: options.Tol = None,
    max_seconds: options.MaxSeconds = None,
    repeats: options.Repeats = None,
    out: options.Out = None,
    reveal_test: Annotated[
        bool, typer.Option("--reveal-test", help="Look at the test split, once; the record keeps that it was done.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and cost, and stop.")] = False,
    json: options.Json = False,
) -> None:
    """Tune and compare methods; end with a verdict and one HTML page. The same command resumes what was interrupted.

    Where all methods are solvers nothing is tuned: each is run to the same certificate.

    Example: optwise compare digits-mlp --methods momentum,adamw
    """
    begin = time.monotonic()
    flags = {n: v for n, v in locals().items() if n not in ("problems", "methods", "dry_run", "json", "begin")}
    flags["reveal_test"] = reveal_test or None
    with stdout_for(json_only=json):
        question = read_question(problems, methods, flags)
    if dry_run:
        _check(question, json_only=json)
        return
    from optwise.cli.progress import progress_for
    from optwise.verbs.comparing import PAGE
    from optwise.verbs.comparing import compare as run_comparison

    with stdout_for(json_only=json), progress_for(question) as progress:
        comparison = run_comparison(question.problems, question.methods, progress=progress, **question.settings)
    page, took = comparison.folder / PAGE, f"Took {time.monotonic() - begin:.1f} s of wall clock."
    if json:
        show_json(comparison.document)
        say(f"{took}\n{page}")
    else:
        show_verdict(comparison.document, page)
        show(took)


def _check(question: Resolved, *, json_only: bool) -> None:
    from optwise.verbs.checking import check as predict

    # where results would lie is nothing that can be predicted
    settings = {name: value for name, value in question.settings.items() if name not in ("out", "reveal_test")}
    with stdout_for(json_only=json_only):
        report = predict(question.problems, question.methods, **settings)
    if json_only:
        show_json(report.document)
    else:
        show(report.text)
