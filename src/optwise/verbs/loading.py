"""A finished comparison as it lies in its folder: nothing is run, nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optwise.core.errors import BadFolder
from optwise.core.protocol import Protocol
from optwise.core.race import KIND, Race
from optwise.core.run import Run, Runs
from optwise.core.showing import Document
from optwise.store.folder import Folder
from optwise.verbs.comparing import Comparison
from optwise.verbs.comparing_solvers import SolverComparison
from optwise.verbs.recalling import measurements, recall
from optwise.verbs.rescoring import read_results


def load(folder: Path | str) -> Comparison | SolverComparison:
    """The comparison that a folder holds, as the call that made it returned it.

    The folder may be in use by another process or lie where nothing may be written. Curves of the test split are part
    of the runs where it was looked at, and only there.

    Args:
        folder: Of a finished comparison, ``runs/PROBLEM-HASH8`` by default; its ``report.html`` or ``results.json``
            names it too.

    Raises:
        BadFolder: It holds no finished comparison, or one that this version cannot read.

    Example:
        ``ow.load("runs/demo").plot("curves")``
    """
    path = Path(folder).expanduser()
    path = path.parent if path.is_file() else path
    if not path.is_dir():
        raise BadFolder(f"There is no folder {path}; give the folder that `optwise compare` wrote.")
    document = read_results(path)
    with Folder.reading(path) as opened:
        recorded = opened.protocols().get(document["protocol"]["hash"])
        if recorded is None:
            raise BadFolder(
                f"The results.json of {path} answers a question that its study.db does not know; run its "
                "`optwise compare` again, which runs only what is missing."
            )
        runs = recall(opened, set(recorded["notes"]["keys"]))
        sealed = opened.unsealed()
    runs = [replace(run, measurements=run.measurements + measurements(sealed.get(run.key, {}))) for run in runs]
    try:
        return _comparison(path, document, recorded, runs)
    except (KeyError, TypeError) as error:
        version = document.get("environment", {}).get("optwise", "unknown")
        raise BadFolder(
            f"{path} was written by another optwise ({version}), whose record this one cannot read; use that version, "
            "or run its `optwise compare` again."
        ) from error


def _comparison(
    path: Path, document: dict[str, Any], recorded: Mapping[str, Any], runs: Sequence[Run]
) -> Comparison | SolverComparison:
    told = Document(document)
    if document.get("kind") == KIND:
        return SolverComparison(path, told, Race.read(recorded["folder"], recorded["question"]), Runs(runs))
    return Comparison(path, told, Protocol.read(recorded["folder"], recorded["question"]), Runs(runs))
