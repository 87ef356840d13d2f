"""The page and the tables of a folder, made again from what it holds."""

from __future__ import annotations

from pathlib import Path

from optwise.core.race import KIND
from optwise.store.export import export_frame
from optwise.store.folder import Folder
from optwise.verbs.comparing import PAGE, write_page
from optwise.verbs.comparing_solvers import recalled_race, write_race_page
from optwise.verbs.recalling import latest_keys, latest_protocol, recall, revealed
from optwise.verbs.rescoring import read_results

SUFFIXES = {"csv": "csv", "parquet": "parquet"}


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write ``report.html`` again from ``results.json`` and the stored trials.

    Args:
        folder: Of a finished comparison.
        out: Another file.

    Raises:
        BadFolder: The folder holds no results.
    """
    document = read_results(folder)
    file = Path(folder) / PAGE if out is None else Path(out)
    if document.get("kind") == KIND:
        with Folder.existing(folder) as opened:
            race, raced = recalled_race(opened)
        write_race_page(file, document, race, raced)
        return file
    with Folder.existing(folder) as opened:
        protocol, notes = latest_protocol(opened)
        runs = recall(opened, set(notes["keys"]))
        if opened.reveals():
            runs = revealed(opened, protocol, runs)
    write_page(file, document, protocol, runs, folder=str(folder))
    return file


def export(folder: Path | str, fmt: str, out: Path | str | None = None) -> Path:
    """Write every measurement of the last protocol as one long table; the test split only where it was revealed.

    Args:
        folder: Of a comparison.
        fmt: ``csv`` or ``parquet``.
        out: The file; ``measurements.FORMAT`` in the folder by default.

    Raises:
        UnknownName: Another format.
    """
    with Folder.existing(folder) as opened:
        keys, asked = latest_keys(opened)
        shown = opened.reveal(asked) if opened.reveals() else None
        frame = opened.frame(keys=keys, revealed=shown)
    file = Path(folder) / f"measurements.{SUFFIXES.get(fmt, fmt)}" if out is None else Path(out)
    export_frame(frame, file, fmt)
    return file
