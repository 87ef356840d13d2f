"""What goes where: results to stdout, progress and notes to stderr, one JSON document where that is asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any


def show(text: str) -> None:
    """A result, to stdout; whoever reads it through a pipe may leave early, as `head` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        nobody_reads()


def nobody_reads() -> None:
    """From now on, let stdout lead nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def say(text: str) -> None:
    """A note, to stderr; a job does not end because nobody reads its notes any more."""
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def show_json(document: Mapping[str, Any]) -> None:
    """One JSON document, to stdout."""
    show(json.dumps(document, indent=2, allow_nan=False))


def show_verdict(document: Mapping[str, Any], page: Path) -> None:
    """A results document as the terminal prints it, beside it where the whole of it lies."""
    from rich.console import Console

    from optwise.report import terminal

    console = Console(markup=False, highlight=False)
    with console.capture() as captured:
        console.print(terminal(dict(document), page))
    show(captured.get().rstrip("\n"))


@contextmanager
def stdout_for(*, json_only: bool) -> Iterator[None]:
    """While the work runs, keep stdout for the one JSON document: what a user's own code prints goes to stderr."""
    if not json_only:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # the worker processes print there too
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
