"""The main job: a fair, tuned comparison, from a question to a folder with a verdict and a page."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from optwise.analyses.judging import DROPPED, LOOKS, PLEDGED
from optwise.analyses.observing import HORIZON, PAID
from optwise.analyses.predictions import FORECASTS
from optwise.core.errors import RunFailed
from optwise.core.method import Procedure
from optwise.core.metric import Direction
from optwise.core.outcomes import best_value
from optwise.core.plain import plain
from optwise.core.problem import Problem
from optwise.core.protocol import Protocol
from optwise.core.run import HeldWeights, Phase, Run, Runs
from optwise.core.showing import Card, Document, Shown
from optwise.methods import Torch
from optwise.report import Figure, figures, page
from optwise.report.notebook import NotebookChart, chart_named
from optwise.report.result_cards import comparison_card, known, order_of
from optwise.store.disks import network_disk
from optwise.store.documents import replacing, write_json
from optwise.store.folder import Folder
from optwise.verbs.asking import FOLDERS, Asked, Question, Settings, ask
from optwise.verbs.checking import inspect
from optwise.verbs.comparing_solvers import SolverComparison, compare_solvers, solvers_of
from optwise.verbs.executing import Work, versions, work
from optwise.verbs.forecasting import forecasts
from optwise.verbs.foreseeing import foreseen
from optwise.verbs.hinting import hints
from optwise.verbs.looking import POSSIBLE, claims_possible, decided, dropped_methods, earlier_looks, planned
from optwise.verbs.planning import processor
from optwise.verbs.progress import Progress, Silent
from optwise.verbs.recalling import recall, revealed
from optwise.verbs.scoring import score
from optwise.verbs.trial_tables import address, trial_frame

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.json"
PAGE = "report.html"


@dataclass(frozen=True, eq=False)
class Comparison(Shown):
    """What a comparison found, and where it lies.

    Args:
        folder: With ``study.db``, ``results.json`` and ``report.html``.
        document: The results, as in ``results.json``.
        protocol: What was asked.
        runs: Every trial of the protocol.
    """

    folder: Path
    document: dict[str, Any]
    protocol: Protocol
    runs: Runs

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return str(self.document["verdict"])

    @property
    def best(self) -> Run:
        """The best run on the first problem, by the rule of :meth:`best_run`."""
        return self.best_run()

    def best_run(self, problem: str | None = None, method: str | None = None) -> Run:
        """The confirmation run that reached the best value of the metric that selects, with the weights it had there.

        Candidates are the confirmations of one method: the first one in the order of the results that has a feasible
        run. A search run is none, since its setting was chosen after it had been seen. A tie goes to the lower study
        and index.

        ``state_dict()`` are the weights of its best evaluation, ready for ``module.load_state_dict``, where the folder
        holds them, else those of the end; ``weights_step`` says which.

        Args:
            problem: Its name; ``None`` takes the first.
            method: Only this one.

        Raises:
            UnknownName: No such problem or method.
            RunFailed: No method has a feasible confirmation there.
        """
        name = known("problem", problem, self.protocol.problems)
        order = order_of(self.document["problems"][name])
        wanted = order if method is None else [known("method", method, order)]
        metric = self.protocol.metrics[name]
        direction = Direction(self.protocol.problems[name]["metrics"][metric.rpartition("/")[2]])
        confirmed = [run for run in self.runs if address(run).problem == name and address(run).phase is Phase.CONFIRM]
        for label in wanted:
            runs = [run for run in confirmed if address(run).method == label and not run.infeasible]
            values = {run.key: best_value(run, metric, direction) for run in runs}
            runs = [run for run in runs if math.isfinite(values[run.key])]
            if runs:
                chosen = min(runs, key=lambda run: (values[run.key] * direction.sign, address(run)))
                at = next(step for step, value in chosen.curve(metric) if step > 0 and value == values[chosen.key])
                with Folder.reading(self.folder) as folder:
                    return replace(chosen, weights=_weights(folder, chosen, at))
        raise RunFailed(
            f"On {name} {'no method' if method is None else method} has a feasible confirmation, so there is no best "
            "run; look at `trials()`, and widen the spaces or raise the budget."
        )

    def frame(self) -> pd.DataFrame:
        """One row a measurement, with a column for each hyperparameter; :meth:`trials` has one row a trial."""
        with Folder.reading(self.folder) as folder:
            return folder.frame(keys={run.key for run in self.runs}, revealed=folder.unsealed())

    def trials(self) -> pd.DataFrame:
        """One row a trial: hyperparameters, what it reached, when, and what it spent; :meth:`frame` has its curves.

        Columns as in :func:`~optwise.verbs.trial_tables.trial_frame`; ``trials().query("selected")`` are the settings
        that were confirmed.
        """
        return trial_frame(self.document, self.protocol, self.runs)

    def plot(
        self,
        name: str = "curves",
        *,
        problem: str | None = None,
        method: str | None = None,
        panel: str | None = None,
    ) -> NotebookChart:
        """A figure of the page as an Altair chart, which a notebook shows without a network.

        Args:
            name: ``curves``, ``intervals``, ``budget-curves``, ``axes``, ``sensitivity``, ``predictions``,
                ``prediction-ratios``; over several problems ``profile`` and ``ranks``.
            problem: Its name; ``None`` takes the first.
            method: Of the figures that are of one method (``axes``) only this one's.
            panel: The metric of ``curves``, the field of ``axes``; ``None`` takes the selecting metric, all fields.

        Raises:
            UnknownName: No figure, problem, method or panel is called so.
            BadProtocol: This comparison has no such figure.

        Example:
            ``comparison.plot("axes", method="adamw").save("axes.svg")``
        """
        at = known("problem", problem, self.document["problems"])
        methods = list(self.document["problems"][at]["methods"])
        return chart_named(
            self._figures,
            name,
            problem=list(self.document["problems"]).index(at),
            method=None if method is None else methods.index(known("method", method, methods)),
            panel=panel,
        )

    @cached_property
    def _figures(self) -> list[Figure]:
        return figures(self.document, self.protocol, self.runs)

    def report(self, path: Path | str | None = None) -> Path:
        """Write the page, to ``path`` where given, and return where it is."""
        file = self.folder / PAGE if path is None else Path(path)
        write_page(file, self.document, self.protocol, self.runs, folder=str(self.folder))
        return file

    def card(self) -> Card:
        return comparison_card(self.document, self.folder)


def compare(
    problems: Problem | Sequence[Problem],
    methods: Asked = None,
    *,
    out: Path | str | None = None,
    reveal_test: bool = False,
    progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> Comparison | SolverComparison:
    """Tune and compare methods fairly; end with a verdict and one HTML page.

    Where all methods are solvers there is nothing to tune: each is run to the same certificate.

    What the folder holds already is not run again: the same call resumes a killed comparison, and a call with more
    methods or studies adds only what is missing.

    Args:
        problems: One or several.
        methods: Methods, classes of methods, or ``torch.optim.Optimizer`` classes; ``None`` takes the default five.
        out: The folder; ``runs/PROBLEM-HASH8`` by default.
        reveal_test: Look at the test split once, and put on record that it was done.
        progress: Who is told how far the work is.
        settings: See :class:`~optwise.verbs.asking.Settings`.

    Raises:
        CallerError: Anything the caller can mend, before any work starts.
    """
    solvers = solvers_of(methods)
    if solvers:
        machine = {**versions(), **_machine()}
        return compare_solvers(
            problems, solvers, out=out, progress=progress, environment=machine, settings=dict(settings)
        )
    question = ask(problems, methods, **settings)
    inspect(question)
    protocol = question.protocol
    path = Path(out) if out is not None else default_folder(protocol)
    told = progress or Silent()
    with Folder.open(path, folder_hash=protocol.folder_hash, protocol=protocol.folder_part) as folder:
        disk = network_disk(path)
        if disk is not None:
            told.note(
                f"{path} is on a network disk ({disk}); a database there may be slow or lock, a local disk is safer"
            )
        for name, ahead in foreseen(question).items():
            for finding in ahead:
                told.note(f"{name}: {finding.evidence} {finding.advice}".rstrip())
        pledged = {
            PLEDGED: folder.pledge("against", protocol.against),
            LOOKS: earlier_looks(folder, protocol),
            DROPPED: dropped_methods(folder, protocol),
        }
        for protocol in planned(question.protocol):
            question = replace(question, protocol=protocol)
            done = work(question, folder, told)
            keys = sorted(done.trials)
            notes = {**_notes(done, keys), **pledged}
            runs = recall(folder, set(keys))
            document = score(protocol, notes, runs)
            notes[POSSIBLE] = claims_possible(document)
            if decided(document):
                break
            if protocol.looks and protocol.studies < protocol.looks[-1]:
                told.note(f"after {protocol.studies} studies not all pairs are separated; going on")
        folder.record_protocol(
            protocol.hash, {"folder": protocol.folder_part, "question": protocol.question_part, "notes": notes}
        )
        if reveal_test:
            runs = revealed(folder, protocol, runs)
            document = score(protocol, notes, runs)
        reveals = folder.reveals()
    document["environment"] = environment(question, disk, reveals[0][0] if reveals else None)
    write_json(path / RESULTS, document)
    comparison = Comparison(path, Document(document), protocol, Runs(runs))
    comparison.report()
    return comparison


def _weights(folder: Folder, run: Run, step: int) -> HeldWeights | None:
    """What the folder holds of a run: the weights at ``step``, else those of the end, else none."""
    if run.best_step == step:
        with suppress(RunFailed):
            return HeldWeights(folder.best_weights(run.key), step)
    with suppress(RunFailed):
        return HeldWeights(folder.weights(run.key))
    return None


def write_page(
    file: Path, document: Mapping[str, Any], protocol: Protocol, runs: Sequence[Run], *, folder: str
) -> None:
    """Write the page, whole or not at all; ``folder`` is where the comparison lies, for the commands it proposes."""
    text = page(dict(document), protocol, runs, hints(document, protocol, runs, folder))
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def default_folder(protocol: Protocol) -> Path:
    """``runs/PROBLEM-HASH8``, several problems joined by a plus sign."""
    names = "+".join(name.replace(":", "-").replace("=", "").replace(",", "-") for name in protocol.problems)
    return Path(FOLDERS) / f"{names[:60]}-{protocol.folder_hash[:8]}"


def environment(question: Question, disk: str | None, reveal: str | None) -> dict[str, Any]:
    """Where the comparison ran."""
    return {
        **versions(),
        **_machine(),
        "workers": question.workers,
        "executor": question.executor,
        "network_disk": disk,
        "revealed": reveal,
    }


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _notes(done: Work, keys: Sequence[str]) -> dict[str, Any]:
    """What a later score or page needs to know besides the protocol, as plain JSON."""
    question = done.question
    methods = {
        name: {
            "class": type(method).__name__ if not isinstance(method, Torch) else method.optimizer.__name__,
            "source": method.source,
            "borrowed_space": method.borrowed_space,
            "defaults": plain(method.at_defaults().values()),
            HORIZON: method.schedule is not None and method.schedule.needs_horizon,
            "procedure": isinstance(method, Procedure),
        }
        for name, method in question.protocol.methods.items()
    }
    plans = {
        f"{problem}/{name}": {
            **plain(planned.notes()),
            "gradients_per_step": question.protocol.methods[name].gradients_per_step,
            PAID: _paid(done, problem, name),
        }
        for (problem, name), planned in done.plans.items()
    }
    return {
        "methods": methods,
        "plans": plans,
        "keys": list(keys),
        "target_commands": {name: problem.target_command for name, problem in question.problems.items()},
        "own_targets": {
            name: str(problem.target) if problem.target is not None else "none"
            for name, problem in question.problems.items()
        },
        FORECASTS: forecasts(done),
    }


def _paid(done: Work, problem: str, method: str) -> list[float]:
    """The schedule's factors summed up to each evaluation; of open schedules, those of one trial."""
    steps = done.plans[problem, method].steps
    own = (t for t in done.trials.values() if (t.name.problem, t.name.method) == (problem, method))
    schedule = next((t.method.schedule for t in own if t.name.study >= 0), None)
    factors = np.ones(steps) if schedule is None else schedule.factors(steps)
    used = np.concatenate([[0.0], np.cumsum(factors)])
    return [float(used[k]) for k in done.question.protocol.evaluation_steps(steps)]
