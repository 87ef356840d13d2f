"""Another question to stored trials, another target, metric, axis, level, margin or shorter budget; nothing is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from optwise.analyses.observing import HORIZON, RAN
from optwise.core.budget import Budget
from optwise.core.errors import BadFolder, BadProtocol, UnknownName
from optwise.core.metric import Direction, Target
from optwise.core.plain import digest
from optwise.core.protocol import Protocol
from optwise.core.race import KIND
from optwise.core.run import Measurement, Run
from optwise.store.documents import write_json
from optwise.store.folder import Folder
from optwise.verbs.asking import refuse_unknown
from optwise.verbs.recalling import kind_of, latest_protocol, recall
from optwise.verbs.scoring import score


class Changes(TypedDict, total=False):
    """What a score may ask differently; what is left out stays as it was asked.

    Attributes:
        target: Of every problem.
        metric: That is compared where there is no target.
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
    document = score(asked, notes, runs)
    document["selection"] = "as confirmed under the protocol that ran; the confirmations were not chosen by this score"
    document["file"] = f"score-{digest([asked.hash, str(asked.budget)])[:8]}.json"
    write_json(Path(path) / document["file"], document)
    return document


def _asked(protocol: Protocol, changes: Changes) -> Protocol:
    target, metric = changes.get("target"), changes.get("metric")
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
        targets=changed.targets if target is None else dict.fromkeys(protocol.problems, target),
        metrics=changed.metrics if metric is None else dict.fromkeys(protocol.problems, metric),
    )


def _shortened(
    protocol: Protocol, notes: dict[str, Any], runs: Sequence[Run], budget: Budget
) -> tuple[Protocol, dict[str, Any], list[Run]]:
    bound = [name for name, method in notes["methods"].items() if method[HORIZON]]
    if bound:
        raise BadProtocol(
            f"{', '.join(bound)} decay towards the end of their own budget; a shorter budget is another method, "
            "so run it with --budget instead."
        )
    plans, limits = {}, {}
    for pair, plan in notes["plans"].items():
        batch = protocol.problems[pair.partition("/")[0]]["batch_size"]
        steps = budget.steps(
            batch=batch, gradients_per_step=plan["gradients_per_step"], step_seconds=plan["step_seconds"]
        )
        if steps > plan["steps"]:
            raise BadProtocol(f"{budget} is longer than the {plan['steps']} steps that {pair} ran; give a shorter one.")
        first = protocol.evaluation_steps(int(plan["steps"]))[1]
        if steps < first:
            raise BadProtocol(f"{budget} ends before {pair} was first measured, at step {first}; give a longer one.")
        plans[pair], limits[pair] = {**plan, "steps": steps, RAN: plan["steps"]}, steps

    def cut(run: Run) -> tuple[Measurement, ...]:
        assert run.name is not None
        return tuple(m for m in run.measurements if m.step <= limits[f"{run.name.problem}/{run.name.method}"])

    return replace(protocol, budget=budget), {**notes, "plans": plans}, [replace(r, measurements=cut(r)) for r in runs]


def read_results(path: Path | str) -> dict[str, Any]:
    """The results document of a folder.

    Raises:
        BadFolder: There is none yet.
    """
    file = Path(path) / "results.json"
    if not file.exists():
        raise BadFolder(f"{path} holds no results.json; run `optwise compare` with --out {path} to its end first.")
    document: dict[str, Any] = json.loads(file.read_text())
    return document
