"""Another question to stored trials, another target, metric, axis, level, margin or shorter budget; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from optwise.analyses.observing import HORIZON, RAN, mostly_met_at_start, step_time
from optwise.core.budget import ROUNDING, Budget
from optwise.core.errors import BadFolder, BadProtocol, UnknownName
from optwise.core.metric import Direction, Target
from optwise.core.plain import digest
from optwise.core.protocol import Protocol
from optwise.core.race import KIND
from optwise.core.run import Run
from optwise.core.spending import StepTime
from optwise.core.status import Status
from optwise.store.documents import read_json, write_json
from optwise.store.folder import Folder
from optwise.verbs.asking import refuse_unknown
from optwise.verbs.recalling import kind_of, latest_protocol, recall
from optwise.verbs.scoring import score


class Changes(TypedDict, total=False):
    """What a score may ask differently; what is left out stays as it was asked.

    Attributes:
        target: Of every problem; ``None`` compares best values.
        metric: Whose best values are compared; together with a target, by which misses were told apart.
        axis: What time is counted in.
        level: Of tests and intervals.
        margin: Of equivalence.
        budget: A shorter one, only where every schedule is free of a horizon.
    """

    target: Target | None
    metric: str | None
    axis: str | None
    level: float | None
    margin: float | None
    budget: Budget | None


def rescore(path: Path | str, **changes: Unpack[Changes]) -> dict[str, Any]:
    """Ask another question of stored trials; nothing is run, ``results.json`` is left alone.

    Args:
        path: The folder.
        changes: See :class:`Changes`.

    Returns:
        The document, with the name of the ``score-HASH8.json`` it was written to under ``file``.

    Raises:
        CallerError: A metric nobody measured, a target that points the wrong way, a budget that would cut a decay.
    """
    refuse_unknown("change", changes, Changes.__annotations__)
    with Folder.existing(path) as folder:
        if kind_of(folder) == KIND:
            raise BadProtocol(
                f"{path} compares solvers by certificates and counts, so there is nothing to score; read its report."
            )
        protocol, notes = latest_protocol(folder)
        keys = notes["keys"]
        assert isinstance(keys, list)
        runs = recall(folder, set(keys))
    asked = _asked(protocol, changes)
    budget = changes.get("budget")
    if budget is not None:
        asked, notes, runs = _shortened(asked, dict(notes), runs, budget)
    _refuse_met(asked, runs)
    document = score(asked, notes, runs)
    document["selection"] = "as confirmed under the protocol that ran; the confirmations were not chosen by this score"
    document["file"] = f"score-{digest([asked.hash, str(asked.budget)])[:8]}.json"
    write_json(Path(path) / document["file"], document)
    return document


def _asked(protocol: Protocol, changes: Changes) -> Protocol:
    target, metric = changes.get("target"), changes.get("metric")
    by_value = target is None and ("target" in changes or metric is not None)
    level, margin = changes.get("level"), changes.get("margin")
    changed = replace(
        protocol,
        axis=changes.get("axis") or protocol.axis,
        level=protocol.level if level is None else level,
        margin=protocol.margin if margin is None else margin,
    )
    for name, problem in protocol.problems.items():
        splits = [s for s in problem["splits"] if s != "test"]
        known = {f"{s}/{m}" if s else m: Direction(d) for s in splits or [""] for m, d in problem["metrics"].items()}
        for asked in (metric, None if target is None else target.metric):
            if asked is not None and asked not in known:
                raise UnknownName(f"metric of {name}", asked, known)
        if target is not None and known[target.metric] is not target.direction:
            raise BadProtocol(f"Target {target} points the wrong way for {target.metric}; turn the sign.")
    return replace(
        changed,
        targets=dict.fromkeys(protocol.problems, target) if by_value or target is not None else changed.targets,
        metrics=changed.metrics if metric is None else dict.fromkeys(protocol.problems, metric),
    )


def _refuse_met(protocol: Protocol, runs: Sequence[Run]) -> None:
    """A target that most starts meet measures nothing."""
    for name, target in protocol.targets.items():
        own = [run for run in runs if run.problem == name]
        if target is not None and mostly_met_at_start(own, target):
            raise BadProtocol(f"{name} meets its target {target} before the first step; give a harder one.")


def _shortened(
    protocol: Protocol, notes: dict[str, Any], runs: Sequence[Run], budget: Budget
) -> tuple[Protocol, dict[str, Any], list[Run]]:
    bound = [name for name, method in notes["methods"].items() if method[HORIZON]]
    if bound:
        raise BadProtocol(
            f"{', '.join(bound)} decay towards the end of their own budget; a shorter budget is another method, "
            "so run it with --budget instead."
        )
    timings = {pair: step_time(plan) for pair, plan in notes["plans"].items()}
    cut = [_cut(run, budget, timings[_pair(run)]) for run in runs]
    plans = {}
    for pair, plan in notes["plans"].items():
        own = [(run, short) for run, short in zip(runs, cut, strict=True) if _pair(run) == pair and run.ended_whole]
        spent = [run.spent(budget.unit, run.evaluations_at()[-1], timing=timings[pair]) for run, _ in own]
        if spent and budget.amount > max(spent) * (1 + ROUNDING):
            raise BadProtocol(
                f"{budget} is longer than the {max(spent):g} {budget.unit} that {pair} ran; give a shorter one."
            )
        steps = max((short.evaluations_at()[-1] for _, short in own if short.measurements), default=0)
        if own and steps == 0:
            first = min(run.evaluations_at()[1] for run, _ in own)
            raise BadProtocol(f"{budget} ends before {pair} was first measured, at step {first}; give a longer one.")
        plans[pair] = {**plan, "steps": steps, RAN: plan["steps"]}
    return replace(protocol, budget=budget), {**notes, "plans": plans}, cut


def _cut(run: Run, budget: Budget, timing: StepTime) -> Run:
    """The run as it was when its own counters came to ``budget``: whatever ended it later had not happened."""
    most = budget.amount * (1 + ROUNDING)
    kept = tuple(m for m in run.measurements if run.spent(budget.unit, m.step, timing=timing) <= most)
    ended_later = len(kept) < len(run.measurements)
    return replace(run, measurements=kept, status=Status.BUDGET_SPENT if ended_later else run.status)


def _pair(run: Run) -> str:
    assert run.name is not None
    return f"{run.name.problem}/{run.name.method}"


def read_results(path: Path | str) -> dict[str, Any]:
    """The results document of a folder.

    Raises:
        BadFolder: There is none yet, or what is there is none of ours.
    """
    file = Path(path) / "results.json"
    if not file.exists():
        raise BadFolder(f"{path} holds no results.json; run `optwise compare` with --out {path} to its end first.")
    document = read_json(file)
    if not all(name in document for name in ("schema", "verdict", "protocol", "problems")):
        raise BadFolder(f"{file} is no result of a comparison; run `optwise compare` with --out {path} again.")
    return document
