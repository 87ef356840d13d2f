"""What stands around the results: how they were made, what a verdict means, and how to make them again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from optwise.core.protocol import Protocol
from optwise.report.hints import Hints
from optwise.report.readings import Document
from optwise.report.words import budget_words, escape, goal_words, listed, number, percent, plural, unbroken


def how_line(protocol: Protocol) -> str:
    """One line on how the verdict was reached: plain text.

    Studies, trials, seeds, budget, axis, level.
    """
    given = [name for name, method in protocol.methods.items() if not method.is_open]
    studies, seeds = plural(protocol.studies, "study"), plural(protocol.seeds, "fresh seed")
    searched = f"each in {studies} of {plural(protocol.trials, 'trial')}, confirmed on {seeds} per study"
    as_given = f"run as given in {studies} of {seeds}"
    how = as_given if len(given) == len(protocol.methods) else searched
    some = f" ({listed(given)} {as_given})" if given and how is searched else ""
    return (
        f"{plural(len(protocol.methods), 'method')}, {how}{some}; "
        f"{budget_words(protocol.budget)} per run, counted in {protocol.axis}; level {percent(protocol.level)}, "
        f"margin {percent(protocol.margin)}{_asked(protocol)}."
    )


def _asked(protocol: Protocol) -> str:
    """Which pairs were asked about, and how often the question was looked at, where that is not all and once."""
    against = f"; asked against {protocol.against} alone" if protocol.against is not None else ""
    looks = f"; looks after {listed(map(str, protocol.looks))} studies, corrected for" if protocol.looks else ""
    return against + looks


def problem_line(document: Document, protocol: Protocol, problem: str) -> str:
    """One line on a problem: its size, its batch, its target and where that comes from, what is said of its data."""
    about = document["protocol"]["problems"].get(problem) or {}
    splits = ", ".join(f"{n:,} {name}" for name, n in (about.get("splits") or {}).items())
    parts = [
        f"{about['parameters']:,} parameters" if about.get("parameters") else "",
        f"examples: {splits}" if splits else "",
        f"batch {about['batch_size']}{_dropping(about)}" if about.get("batch_size") else "",
        f"{protocol.dtype} on {protocol.device}",
    ]
    target = protocol.targets.get(problem)
    goal = (
        f"Target {goal_words(target)}"
        if target is not None
        else f"No target: judged by best {document['protocol']['metric'][problem]}"
    )
    command = about.get("target_command")
    made = f"set by {command}" if str(command).startswith("optwise ") else str(command)
    origin = f", {made}" if target is not None and command else ""
    line = f"{'; '.join(part for part in parts if part)}. {goal}{origin}."
    return " ".join([line, *(about.get("notes") or [])])


def _dropping(about: Mapping[str, Any]) -> str:
    return ", the short last one of an epoch left out" if (about.get("sampler") or {}).get("drop_last") else ""


def meaning(protocol: Protocol) -> str:
    """What a verdict means and does not, in three sentences."""
    level, margin = percent(protocol.level), percent(protocol.margin)
    return (
        f"“Faster” or “better” means: on this split, with this budget, these spaces and {protocol.trials} trials a "
        "search, whole repeated searches of one method beat whole searches of the other more often than chance "
        f"allows at level {level}, after correcting for all pairs of the problem. “Not separated” does not mean "
        "equal: the data could not tell, and only “equivalent within margin” claims that a difference is at most "
        f"{margin}. No verdict carries over to other data, budgets, spaces or machines, and a warning beside one "
        "says what might have tilted it."
    )


def commands(protocol: Protocol, hints: Hints) -> str:
    """The commands that continue or repeat what the page shows, in the folder that it is about."""
    problem, method = next(iter(protocol.problems)), next(iter(protocol.methods))
    place, trial = shlex.quote(hints.folder), shlex.quote(f"{problem}/{method}/0/c0")
    resume = ["# resume, or add studies and methods: what was run is kept", hints.again] if hints.again else []
    return "\n".join(
        [
            *resume,
            "# draw this page again",
            f"optwise report {place}",
            "# the same runs under another target: nothing is run again",
            f"optwise score {place} --target 'METRIC<=VALUE'",
            "# one trial again, by the name that hovering shows",
            f"optwise rerun {place} {trial}",
            f"optwise export {place} --to parquet",
        ]
    )


def provenance(document: Document, protocol: Protocol, hints: Hints) -> str:
    """Hashes, seeds, versions, machine and commands, as HTML."""
    about = document["protocol"]
    rows = {
        "protocol": about["hash"],
        "folder": about["folder_hash"],
        "base seed": str(about.get("seed", protocol.seed)),
        "bootstrap": f"{number(about.get('resamples'))} resamples, for bands and medians only",
        "evaluations": f"{about.get('evaluations')} per run, off the clock",
        **{str(name).replace("_", " "): value for name, value in document["environment"].items() if value is not None},
        **{f"data of {name}": p.get("fingerprint") for name, p in about["problems"].items() if p.get("fingerprint")},
    }
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{_code(value)}</dd>" for name, value in rows.items())
    described = "\n".join(
        f"{name}: {json.dumps(description, sort_keys=True, ensure_ascii=False, default=str)}"
        for name, description in (about.get("methods") or {}).items()
    )
    return (
        f"<dl>{facts}</dl>\n<pre class='command' tabindex='0'>{unbroken(commands(protocol, hints))}</pre>\n"
        "<details><summary>Methods, their spaces and schedules</summary>"
        f"<pre class='command' tabindex='0'>{escape(described)}</pre></details>"
    )


def _code(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str) if isinstance(value, Mapping | list) else str(value)
    return f"<code>{escape(text)}</code>"
