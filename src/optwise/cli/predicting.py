"""The command that says what a method will do before it is run: ``predict``."""

from __future__ import annotations

from typing import Annotated

import typer

from optwise.cli import options
from optwise.cli.options import flag
from optwise.cli.printing import say, show, show_json, stdout_for

BUDGET = "1000steps"


def predict(
    problem: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM", help="A quadratic: nqm:d=100, mean-estimation, mine.py:NAME.", show_default=False
        ),
    ],
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD", help="A closed linear rule: sgd:lr=0.1, momentum:lr=0.1,momentum=0.9.", show_default=False
        ),
    ],
    *,
    budget: Annotated[str | None, flag("--budget", "How long.", BUDGET, metavar="AMOUNT")] = None,
    batch_size: Annotated[
        str | None,
        flag(
            "--batch-size",
            "Examples a step looks at, 64, or where that changes 64,500:256: 256 from step 500 on; by default the "
            "problem's own.",
            metavar="B",
        ),
    ] = None,
    target: Annotated[
        str | None, flag("--target", "Print the first step at or past it: 'objective<=0.01'.", metavar="METRIC<=VALUE")
    ] = None,
    quantile: Annotated[
        float | None,
        flag(
            "--quantile", "Print the risk that a run ends below with this probability, as 0.9.", metavar="PROBABILITY"
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Say what a linear rule will do on a noisy quadratic, exactly and without running it.

    Divergence is an answer, with its rate, and no failure.

    Example: optwise predict 'nqm:d=100' 'momentum:lr=0.1,momentum=0.9' --budget 500steps --batch-size 64
    """
    with stdout_for(json_only=json):
        from optwise.catalog import load_method, load_problem
        from optwise.core.metric import Target
        from optwise.theory.batches_in_time import parsed_batches
        from optwise.verbs.predicting import predict as run_prediction
        from optwise.verbs.predicting import prediction_document, prediction_text, quantile_words

        goal = None if target is None else Target.parse(target)
        sizes = None if batch_size is None else parsed_batches(batch_size)
        asked = load_problem(problem)
        run = run_prediction(asked, load_method(method), budget or BUDGET, sizes)
        ends = None if quantile is None else quantile_words(asked, run, quantile)
        reached = None if goal is None else run.steps_to(goal)
    if not json:
        show(prediction_text(run, goal) if ends is None else f"{prediction_text(run, goal)}\n{ends[1]}")
        return
    document = prediction_document(run)
    if goal is not None:
        document |= {"target": str(goal), "steps_to_target": reached}
    if ends is not None:
        document |= {"probability": quantile, "quantile": ends[0]}
    show_json(document)
    for finding in document["findings"]:
        say(finding)
