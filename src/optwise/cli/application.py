"""The program ``optwise``: its commands, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from optwise.cli import comparing, figuring, listing, predicting, records, solving, targeting
from optwise.cli.printing import nobody_reads, say
from optwise.core.errors import OptwiseError

ENDED_WELL, MENDABLE, FAILED, INTERRUPTED = 0, 2, 3, 130

app = typer.Typer(
    name="optwise",
    help="A workbench for numerical optimization: tuned comparisons of optimizers that hold up.",
    epilog="Example: optwise compare digits-mlp --methods momentum,adamw",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # what a user typed is never markup
)
app.command("list")(listing.list_names)
app.command("check")(comparing.check)
app.command("target")(targeting.target)
app.command("compare")(comparing.compare)
app.command("solve")(solving.solve)
app.command("explain")(solving.explain)
app.command("predict")(predicting.predict)
app.command("report")(records.report)
app.command("score")(records.score)
app.command("rerun")(records.rerun)
app.command("export")(records.export)
app.command("figures", cls=figuring.FiguresCommand, context_settings=figuring.ANY_OPTION)(figuring.figures)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("optwise"))
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_show_version)] = False,
) -> None:
    del version  # its callback has answered


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: ended well. 2: the caller can mend it, one sentence on stderr, nothing was started. 3: the work ran and failed.
    130: interrupted, everything committed is kept.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(words, prog_name="optwise", standalone_mode=False) or ENDED_WELL
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):  # typer ends the program where a pipe breaks, we do not
            raise
        nobody_reads()
        return ENDED_WELL
    except OptwiseError as error:
        say(f"optwise: {_one_line(str(error))}")
        return error.exit_code
    except typer.TyperException as error:
        say(f"optwise: {_one_line(error.format_message())}")
        return MENDABLE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        say("optwise: interrupted; everything committed is kept, and the same command resumes.")
    return int(code)


def _one_line(text: str) -> str:
    return " ".join(text.split())
