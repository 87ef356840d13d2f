"""The main job for solvers: nothing is tuned, each is run to the same certificate, one page with a verdict ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optwise.core.errors import BadFolder, BadProtocol, RunFailed
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.race import KIND, Race
from optwise.core.run import HeldWeights, Run, Runs
from optwise.core.showing import Card, Document, Shown
from optwise.core.solver import Solver
from optwise.report import Figure
from optwise.report.notebook import NotebookChart, chart_named
from optwise.report.race_page import race_gallery, race_page
from optwise.report.result_cards import known, race_card
from optwise.store.documents import replacing, write_json
from optwise.store.folder import Folder
from optwise.verbs.asking import FOLDERS, named_methods, named_problems
from optwise.verbs.explaining import explain
from optwise.verbs.progress import Progress, Silent
from optwise.verbs.race_results import race_document
from optwise.verbs.racing import Field, line_up, run_race
from optwise.verbs.recalling import recall
from optwise.verbs.trial_tables import race_frame

if TYPE_CHECKING:
    import pandas as pd

RESULTS, PAGE = "results.json", "report.html"
SETTINGS = ("tol", "max_seconds", "repeats")
"""What a comparison of solvers may be told besides problems and methods."""


@dataclass(frozen=True, eq=False)
class SolverComparison(Shown):
    """What a comparison of solvers found, and where it lies.

    Args:
        folder: With ``study.db``, ``results.json`` and ``report.html``.
        document: The results, as in ``results.json``.
        race: What was asked.
        runs: Every run.
    """

    folder: Path
    document: dict[str, Any]
    race: Race
    runs: Runs

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return str(self.document["verdict"])

    @property
    def best(self) -> Run:
        """The run with the lowest certified value on the first problem, with its weights.

        Raises:
            RunFailed: Nothing was certified there.
        """
        problem = next(iter(self.race.problems))
        methods = self.document["problems"][problem]["methods"]
        solved = {name: told["value"] for name, told in methods.items() if told["certified"]}
        if not solved:
            raise RunFailed(f"On {problem} no method proved its answer, so there is no best run.")
        best = min(solved, key=lambda name: solved[name])
        chosen = next(
            run
            for run in self.runs
            if run.name is not None and (run.name.problem, run.name.method, run.name.index) == (problem, best, 0)
        )
        with Folder.reading(self.folder) as folder:
            return replace(chosen, weights=HeldWeights(folder.weights(chosen.key)))

    def frame(self) -> pd.DataFrame:
        """One row a measurement, with a column for each hyperparameter; :meth:`trials` has one row a run."""
        with Folder.reading(self.folder) as folder:
            return folder.frame(keys={run.key for run in self.runs})

    def trials(self) -> pd.DataFrame:
        """One row a run: how it ended, the value and what proves it, the seconds, and what it spent."""
        return race_frame(self.race, self.runs)

    def plot(self, name: str = "curves", *, problem: str | None = None, panel: str | None = None) -> NotebookChart:
        """A figure of the page as an Altair chart, which a notebook shows without a network.

        Args:
            name: ``curves``; over several problems ``profile``.
            problem: Its name; ``None`` takes the first.
            panel: ``suboptimality`` (the first) or ``certificate``; of ``profile``, the axis.

        Raises:
            UnknownName: No figure, problem or panel is called so.
            BadProtocol: This comparison has no such figure.
        """
        at = known("problem", problem, self.document["problems"])
        return chart_named(self._figures, name, problem=list(self.document["problems"]).index(at), panel=panel)

    @cached_property
    def _figures(self) -> list[Figure]:
        return race_gallery(self.document, self.race, self.runs)

    def report(self, path: Path | str | None = None) -> Path:
        """Write the page, to ``path`` where given, and return where it is."""
        file = self.folder / PAGE if path is None else Path(path)
        write_race_page(file, self.document, self.race, self.runs)
        return file

    def card(self) -> Card:
        return race_card(self.document, self.folder)


def solvers_of(methods: Sequence[Method | type] | None) -> list[Method | type]:
    """The methods, where all of them are solvers; else none, and the comparison tunes and tests."""
    asked = list(methods or ())
    kinds = [method if isinstance(method, type) else type(method) for method in asked]
    return asked if kinds and all(issubclass(kind, Solver) for kind in kinds) else []


def compare_solvers(
    problems: Problem | Sequence[Problem],
    methods: Sequence[Method | type],
    *,
    out: Path | str | None,
    progress: Progress | None,
    environment: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> SolverComparison:
    """Run solvers to the same certificate; end with a verdict and one HTML page. The same call resumes.

    Args:
        problems: One or several.
        methods: Closed solvers.
        out: The folder; ``runs/PROBLEM-HASH8`` by default.
        progress: Who is told how far the work is.
        environment: Versions and machine, for the record.
        settings: ``tol``, ``max_seconds``, ``repeats``.

    Raises:
        CallerError: Anything the caller can mend, before any work starts.
    """
    field = field_of(problems, methods, settings)
    race = field.race
    path = Path(out) if out is not None else _default_folder(race)
    with Folder.open(path, folder_hash=race.folder_hash, protocol=race.folder_part) as folder:
        runs = run_race(field, folder, progress or Silent())
        notes = {
            "keys": sorted(run.key for run in runs),
            "refusals": [[problem, method, reason] for (problem, method), reason in field.refusals.items()],
        }
        folder.record_protocol(race.hash, {"folder": race.folder_part, "question": race.question_part, "notes": notes})
    document = race_document(race, runs, field.refusals, environment)
    write_json(path / RESULTS, document)
    comparison = SolverComparison(path, Document(document), race, Runs(runs))
    comparison.report()
    return comparison


def field_of(
    problems: Problem | Sequence[Problem], methods: Sequence[Method | type], settings: Mapping[str, Any]
) -> Field:
    """What is asked, checked.

    Raises:
        CallerError: A setting that belongs to tuned methods, or anything :func:`line_up` refuses.
    """
    for name in settings:
        if name not in SETTINGS:
            raise BadProtocol(
                f"Solvers are not tuned, so {name} does not belong here; what can be set is {', '.join(SETTINGS)}."
            )
    return line_up(named_problems(problems), named_methods(methods), **settings)


def race_cost(field: Field) -> dict[str, Any]:
    """What a comparison of solvers would run and cost, as plain JSON."""
    race, problems = field.race, {}
    total = 0.0
    for name, problem in field.problems.items():
        predicted = {choice.method: choice.seconds for choice in explain(problem, race.tol).eligible}
        methods = {}
        for method, solver in field.solvers.items():
            refusal = field.refusals.get((name, method))
            seconds = min(predicted.get(type(solver)().label, race.max_seconds), race.max_seconds)
            total += 0.0 if refusal else seconds * race.repeats
            methods[method] = {"refusal": refusal} if refusal else {"predicted_seconds": seconds}
        problems[name] = {**race.problems[name], "methods": methods}
    return {
        "kind": KIND,
        "tol": race.tol,
        "max_seconds": race.max_seconds,
        "repeats": race.repeats,
        "problems": problems,
        "predicted_seconds": total,
    }


def race_cost_text(document: Mapping[str, Any]) -> str:
    """The same in lines."""
    lines = [
        f"to a certificate of {document['tol']:g}, {document['repeats']} repeats: {document['predicted_seconds']:.2g} s"
    ]
    for name, problem in document["problems"].items():
        lines.append(f"{name}: {problem['parameters']} parameters, {problem['dtype']}")
        for method, told in problem["methods"].items():
            said = told.get("refusal") or f"about {told['predicted_seconds']:.2g} s a run"
            lines.append(f"  {method}: {said}")
    return "\n".join(lines)


def write_race_page(file: Path, document: Mapping[str, Any], race: Race, runs: Sequence[Run]) -> None:
    """Write the page, whole or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(race_page(dict(document), race, runs), encoding="utf-8")


def recalled_race(folder: Folder) -> tuple[Race, list[Run]]:
    """The comparison of solvers that was asked last in a folder, and its runs.

    Raises:
        BadFolder: None was.
    """
    recorded = list(folder.protocols().values())
    if not recorded or recorded[-1]["folder"].get("kind") != KIND:
        raise BadFolder(f"{folder.path} holds no comparison of solvers; run `optwise compare` with solvers first.")
    document = recorded[-1]
    race = Race.read(document["folder"], document["question"])
    return race, recall(folder, set(document["notes"]["keys"]))


def _default_folder(race: Race) -> Path:
    names = "+".join(name.replace(":", "-").replace("=", "").replace(",", "-") for name in race.problems)
    return Path(FOLDERS) / f"{names[:60]}-{race.folder_hash[:8]}"
