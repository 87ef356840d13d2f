"""The commands that read a folder: ``report``, ``score``, ``rerun``, ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from optwise.cli import options
from optwise.cli.printing import show, show_json, show_verdict, stdout_for

DIFFERENT = 3  # the work ran, and did not repeat what is on record


def report(
    folder: options.Folder,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="By default DIR/report.html.")] = None,
) -> None:
    """Write the page of a comparison again, and print its path.

    Example: optwise report runs/demo --out report.html
    """
    from optwise.verbs.reporting import write_report

    show(str(write_report(folder, out)))


def score(
    folder: options.Folder,
    *,
    target: Annotated[
        str | None, typer.Option(metavar="METRIC<=VALUE", help="Another target; none compares best values.")
    ] = None,
    metric: Annotated[str | None, typer.Option(metavar="METRIC", help="Compare its best values.")] = None,
    axis: Annotated[str | None, typer.Option(metavar="AXIS", help="Count time in something else.")] = None,
    level: Annotated[float | None, typer.Option(help="Of tests and intervals.")] = None,
    margin: Annotated[float | None, typer.Option(help="Relative margin of equivalence.")] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="A shorter one, for schedules without a horizon.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Ask another question of what was run; nothing is run, results.json stays as it is.

    Example: optwise score runs/demo --target 'valid/loss<=0.2'
    """
    from optwise.core.budget import Budget
    from optwise.core.metric import Target
    from optwise.verbs.rescoring import rescore

    said: dict[str, Any] = {"metric": metric, "axis": axis, "level": level, "margin": margin}
    said["budget"] = None if budget is None else Budget.parse(budget)
    changes = {name: value for name, value in said.items() if value is not None}
    if target is not None:
        changes["target"] = None if target == "none" else Target.parse(target)
    document = rescore(folder, **changes)
    if json:
        show_json(document)
    else:
        show_verdict(document, folder / document["file"])


def rerun(
    folder: options.Folder,
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL",
            help="problem/method/study/index; a confirmation is problem/method/study/c0.",
            show_default=False,
        ),
    ],
    json: options.Json = False,
) -> None:
    """Run one trial again and say whether it repeats what is on record; exit code 3 where it does not.

    Example: optwise rerun runs/demo digits-mlp/adamw/2/7
    """
    with stdout_for(json_only=json):
        from optwise.catalog import load_problem, method_of
        from optwise.verbs.rerunning import rerun as run_again

        found = run_again(folder, trial, load_problem=load_problem, load_method=method_of)
    if json:
        show_json(found.document)
    else:
        show(found.sentence)
    if not found.same:
        raise typer.Exit(DIFFERENT)


def export(
    folder: options.Folder,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="csv or parquet.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write; by default inside DIR.")] = None,
) -> None:
    """Write every measurement as one table, a row a measurement, and print its path.

    Example: optwise export runs/demo --to csv
    """
    from optwise.verbs.reporting import export as write_table

    show(str(write_table(folder, to, out)))
