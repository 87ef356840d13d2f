"""A bank of whole real studies of one method, with whole curves, from which decisions are replayed in their thousands.

64 studies of 16 trials and 16 studies of 64 trials of adamw on digits-mlp, each with a design and seeds of its own: the
searches, and the confirmations of what they select on 4 fresh seeds. Since another rule selects another point, each
study's confirmations are made for several rules: the earliest at each of several targets, and the best value. Of every
run the bank keeps the point, the seed, how it ended, and three curves at 41 evaluations; and what had been spent there
on every axis, the same for all runs: steps, examples, example-gradients, and steps times the solo step time.

    python benchmarks/bank.py                    # what the bank holds
    python benchmarks/bank.py --make runs/bank   # make it again: about 3600 runs, ten minutes on two idle cores

    from bank import load_bank
    bank = load_bank()
    study = bank.studies(16)[0]
    chosen = bank.select(study, target=AtMost("valid/loss", 0.08))
    times = bank.times(study.confirmed[chosen], AtMost("valid/loss", 0.08), axis="example-gradients")
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import optwise as ow
from optwise.analyses.selecting import select
from optwise.core.method import Recorded
from optwise.core.metric import Target
from optwise.core.outcomes import best_value, held_value
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.spending import Spending
from optwise.core.status import Status
from optwise.design.seeds import scramble_seed

FILE = Path(__file__).parent / "data" / "bank.npz"
PROBLEM, METHOD = "digits-mlp", "adamw"
DESIGNS = {16: (64, 20261130), 64: (16, 20261131)}
"""Trials of a study to how many such studies, and the base seed that every other seed of theirs comes from."""
SEEDS, EVALUATIONS, BUDGET = 4, 41, "1000steps"
TARGETS = (0.055, 0.06, 0.065, 0.07, 0.075, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.3)
"""On valid/loss; under each a study selects its earliest trial, and the bank confirms it."""
METRICS = ("valid/loss", "valid/accuracy", "train/loss")
COUNTED = ("steps", "examples", "example-gradients")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curves:
    """R runs in order: seeds, how they ended, and what was measured at E evaluations, NaN after a run had ended.

    Args:
        seeds: Of start and data order [R].
        statuses: As the record names them [R].
        infeasible: Never better than the start or the trivial predictor, or blown up [R].
        values: Metric by full name to its curves [R, E].
    """

    seeds: Integers
    statuses: NDArray[np.str_]
    infeasible: NDArray[np.bool_]
    values: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.seeds)


@dataclass(frozen=True, eq=False)
class Study:
    """One search and the confirmations of what it selects under several rules.

    Args:
        number: From 0, among the studies of as many trials.
        trials: Points of the search.
        points: Hyperparameter by path to its values [trials].
        search: Their runs.
        confirmed: Index of a point to its runs on fresh seeds, for each point that some rule selects.
    """

    number: int
    trials: int
    points: Mapping[str, Floats]
    search: Curves
    confirmed: Mapping[int, Curves]

    def point(self, index: int) -> dict[str, float]:
        """Hyperparameters of one point, by path."""
        return {path: float(values[index]) for path, values in self.points.items()}


@dataclass(frozen=True, eq=False)
class Bank:
    """Every run, and the amount on every axis at each evaluation.

    Args:
        about: Problem, method, seeds, budget, targets, versions.
        axes: ``steps``, ``examples``, ``example-gradients`` and ``seconds`` to what was spent at each evaluation [E].
        table: The stored columns, a run a row.
    """

    about: Mapping[str, Any]
    axes: Mapping[str, Floats]
    table: Mapping[str, NDArray[Any]]

    def studies(self, trials: int) -> tuple[Study, ...]:
        """The studies of so many trials."""
        return self._studies[trials]

    @cached_property
    def _studies(self) -> dict[int, tuple[Study, ...]]:
        return {
            trials: tuple(self._study(trials, number) for number in range(studies))
            for trials, (studies, _) in DESIGNS.items()
        }

    def _study(self, trials: int, number: int) -> Study:
        table = self.table
        own = (table["trials"] == trials) & (table["study"] == number)
        searched = np.flatnonzero(own & (table["replicate"] < 0))
        searched = searched[np.argsort(table["index"][searched])]
        confirmed: dict[int, list[int]] = {}
        for row in np.flatnonzero(own & (table["replicate"] >= 0)):
            confirmed.setdefault(int(table["index"][row]), []).append(int(row))
        paths = self.about["hyperparameters"]
        return Study(
            number=number,
            trials=trials,
            points={path: table["points"][searched, i] for i, path in enumerate(paths)},
            search=self._curves(searched),
            confirmed={
                index: self._curves(np.array(sorted(rows, key=lambda r: table["replicate"][r])))
                for index, rows in sorted(confirmed.items())
            },
        )

    def _curves(self, rows: Integers) -> Curves:
        values = self.table["curves"][rows].astype(np.float64)  # [R, metrics, E]
        return Curves(
            seeds=self.table["seeds"][rows],
            statuses=self.table["statuses"][rows],
            infeasible=self.table["infeasible"][rows],
            values={name: values[:, i] for i, name in enumerate(METRICS)},
        )

    def hits(self, curves: Curves, target: Target) -> Integers:
        """Evaluation at which each run reaches the target and holds it at the next one [R]; -1 for a miss.

        The last evaluation counts alone, where the run came to it: as :meth:`optwise.core.run.Run.steps_to`.
        """
        values = curves.values[target.metric]
        with np.errstate(invalid="ignore"):
            at = values <= target.value if target.direction is ow.Direction.MIN else values >= target.value  # [R, E]
        held = at & np.concatenate([at[:, 1:], np.ones((len(at), 1), dtype=bool)], axis=1)
        return np.where(held.any(1), held.argmax(1), -1)

    def times(self, curves: Curves, target: Target, *, axis: str = "example-gradients") -> Floats:
        """Amount spent until the target, per run [R]; infinite for a miss."""
        hits = self.hits(curves, target)
        return np.where(hits >= 0, self.axes[axis][hits], np.inf)

    def select(self, study: Study, target: Target | None, metric: str = "valid/loss") -> int | None:
        """Index of the point that the study selects, as ``compare`` does; it need not have been confirmed."""
        direction = ow.Direction.MAX if metric.endswith("accuracy") else ow.Direction.MIN
        return select(self.runs(study), metric=metric, direction=direction, target=target, axis="steps")

    def runs(self, study: Study, *, index: int | None = None, method: str = METHOD) -> list[Run]:
        """The search of a study as Runs; with ``index`` the confirmations of that point: what analyses read.

        Args:
            study: Of this bank.
            index: A confirmed point.
            method: The name the runs go by, so that studies can be dealt to made-up methods.
        """
        curves = study.search if index is None else study.confirmed[index]
        return [self._run(study, curves, i, index, method) for i in range(len(curves))]

    def _run(self, study: Study, curves: Curves, i: int, index: int | None, method: str) -> Run:
        steps = self.axes["steps"]
        measured = int((~np.isnan(curves.values["train/loss"][i])).sum())  # evaluations until the run had ended
        return Run(
            problem=self.about["problem"],
            method=Recorded(name=method, description=self.about["description"]),
            seed=int(curves.seeds[i]),
            status=Status(str(curves.statuses[i])),
            counts={name: float(self.axes[name][measured - 1]) for name in COUNTED},
            measurements=tuple(
                Measurement(int(steps[k]), *name.split("/"), float(values[i, k]))
                for name, values in curves.values.items()
                for k in range(measured)
            ),
            infeasible=bool(curves.infeasible[i]),
            name=TrialName(self.about["problem"], method, study.number, i, confirm=index is not None),
            point=study.point(i if index is None else index),
            spending=Spending(
                tuple(int(k) for k in steps[:measured]),
                {name: tuple(self.axes[name][:measured].tolist()) for name in COUNTED[1:]},
            ),
        )


def load_bank(file: Path = FILE) -> Bank:
    """The bank that lies beside this script."""
    with np.load(file, allow_pickle=False) as stored:
        table = {name: stored[name] for name in stored.files}
    about = json.loads(str(table.pop("about")))
    axes = {name: table.pop(name).astype(np.float64) for name in COUNTED}
    axes["seconds"] = axes["steps"] * about["step_seconds"]
    return Bank(about, axes, table)


def make(folder: Path, *, workers: int) -> None:
    """Run the studies, confirm what each rule selects, and write the file."""
    problem = ow.problems.digits_mlp()
    rows: list[dict[str, Any]] = []
    for trials, (studies, seed) in DESIGNS.items():
        for target in (*(ow.AtMost("valid/loss", value) for value in TARGETS), None):
            print(f"{studies} studies of {trials} trials, {target or 'best valid/loss'}", flush=True)
            done = ow.compare(
                problem,
                [ow.AdamW(name=METHOD)],
                studies=studies,
                trials=trials,
                seeds=SEEDS,
                evaluations=EVALUATIONS,
                budget=BUDGET,
                target=target,
                seed=seed,
                workers=workers,
                out=folder / str(trials),
            )
            rows += rows_of(done.runs, trials)
    unique = {(r["trials"], r["study"], r["index"], r["replicate"]): r for r in rows}
    ordered = [unique[key] for key in sorted(unique)]
    write(ordered, done)


def rows_of(runs: Sequence[Run], trials: int) -> list[dict[str, Any]]:
    """One row a run, the library's defaults left out; a confirmation names the point of the search that it confirms."""
    searched = {
        (r.name.study, tuple(sorted(r.point.items()))): r.name.index for r in runs if r.name.phase.value == "explore"
    }
    return [
        {
            "trials": trials,
            "study": run.name.study,
            "index": searched[run.name.study, tuple(sorted(run.point.items()))],
            "replicate": run.name.index if run.name.confirm else -1,
            "run": run,
        }
        for run in runs
        if run.name.phase.value != "default"
    ]


def write(rows: Sequence[dict[str, Any]], done: Any) -> None:
    """The table, the axes and what they are about, without a pickle."""
    runs = [row["run"] for row in rows]
    method = done.protocol.methods[METHOD]
    whole = next(run for run in runs if run.status.ok)
    steps = np.array(whole.evaluations_at())
    axes = {name: np.array([whole.spent(name, k) for k in steps]) for name in COUNTED}
    for run in runs:  # every run pays the same: one axis serves all
        assert all(run.spent(name, k) == axes[name][i] for name in COUNTED for i, k in enumerate(run.evaluations_at()))
    paths = list(method.space.fields)
    curves = np.full((len(runs), len(METRICS), len(steps)), np.nan, dtype=np.float32)
    for i, run in enumerate(runs):
        for j, metric in enumerate(METRICS):
            for step, value in run.curve(metric):
                curves[i, j, np.searchsorted(steps, step)] = value
    document = done.document["problems"][PROBLEM]["methods"][METHOD]
    about = {
        "problem": PROBLEM,
        "method": METHOD,
        "description": method.describe(),
        "hyperparameters": paths,
        "budget": BUDGET,
        "base_seeds": {str(trials): seed for trials, (_, seed) in DESIGNS.items()},
        "seeds": SEEDS,
        "targets": list(TARGETS),
        "scramble_seeds": {
            str(trials): [str(scramble_seed(seed, PROBLEM, METHOD, study)) for study in range(studies)]
            for trials, (studies, seed) in DESIGNS.items()
        },
        "fingerprint": done.protocol.problems[PROBLEM]["fingerprint"],
        "step_seconds": document["execution"]["step_seconds"],
        "versions": {k: done.document["environment"][k] for k in ("optwise", "torch", "numpy", "python")},
    }
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        FILE,
        about=np.array(json.dumps(about)),
        **{name: amounts.astype(np.int64) for name, amounts in axes.items()},
        trials=np.array([r["trials"] for r in rows], dtype=np.int16),
        study=np.array([r["study"] for r in rows], dtype=np.int16),
        index=np.array([r["index"] for r in rows], dtype=np.int16),
        replicate=np.array([r["replicate"] for r in rows], dtype=np.int8),
        seeds=np.array([run.seed for run in runs], dtype=np.int64),
        statuses=np.array([run.status.value for run in runs]),
        infeasible=np.array([run.infeasible for run in runs]),
        points=np.array([[run.point[path] for path in paths] for run in runs]),
        curves=curves,
    )


def main() -> None:
    """Make the bank or say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", type=Path, help="folder in which to make the bank again")
    parser.add_argument("--workers", type=int, default=2, help="processes at once while making it")
    given = parser.parse_args()
    if given.make is not None:
        make(given.make, workers=given.workers)
    bank = load_bank()
    about = bank.about
    print(f"{about['method']} on {about['problem']}, {about['budget']}, {about['versions']}")
    megabytes, paths = FILE.stat().st_size / 1e6, ", ".join(about["hyperparameters"])
    print(f"{len(bank.table['seeds'])} runs, {megabytes:.2f} MB; open: {paths}; base seeds {about['base_seeds']}")
    for trials in DESIGNS:
        print(f"\n{len(bank.studies(trials))} studies of {trials} trials, 4 confirmations of what each rule selects")
        for target in (*(ow.AtMost("valid/loss", value) for value in about["targets"]), None):
            print(f"  {describe(bank, trials, target)}")


def describe(bank: Bank, trials: int, target: Target | None) -> str:
    """Misses and the spread of a study's mean log time under one rule."""
    studies = bank.studies(trials)
    chosen = [(study, bank.select(study, target)) for study in studies]
    if target is None:
        values = [[best_value(r, "valid/loss", ow.Direction.MIN) for r in bank.runs(s, index=i)] for s, i in chosen]
        held = [[held_value(r, "valid/loss", ow.Direction.MIN) for r in bank.runs(s, index=i)] for s, i in chosen]
        return f"best valid/loss: median {np.median(values):.4f}; nine in ten hold {np.quantile(held, 0.9):.4f}"
    times = np.array([bank.times(s.confirmed[i], target) for s, i in chosen])  # [studies, seeds]
    logs = np.log(np.minimum(times, bank.axes["example-gradients"][-1])).mean(1)
    missed = int(np.isinf(times).sum())
    return (
        f"{target}: {missed} of {times.size} miss, mean time {np.exp(logs.mean()):.0f}, "
        f"sd of a study's mean log {logs.std(ddof=1):.2f}"
    )


if __name__ == "__main__":
    main()
