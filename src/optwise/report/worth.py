"""What a difference in the metric that selects is worth in another one: a loss in accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optwise.core.metric import Direction
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.report.readings import Document, chosen, direction_of
from optwise.report.words import number, plural


def beside(protocol: Protocol, problem: str, metric: str) -> str | None:
    """The metric that a loss is read in: an accuracy on the same split, or what else is to be maximised there."""
    split, _, name = metric.rpartition("/")
    known: Mapping[str, str] = protocol.problems[problem]["metrics"]
    better = [n for n, way in known.items() if n != name and Direction(way) is Direction.MAX]
    better.sort(key=lambda n: n != "accuracy")
    return f"{split}/{better[0]}" if split and better else None


def at_checkpoints(
    runs: Sequence[Run], protocol: Protocol, problem: str, *, metric: str, other: str
) -> dict[str, float | None]:
    """Median of ``other`` over each method's confirmations, read where ``metric`` was best; ``None`` without any.

    Args:
        runs: Of the comparison.
        protocol: Its protocol.
        problem: Name.
        metric: The metric that selects.
        other: What is read there.
    """
    direction, found = direction_of(protocol, problem, metric), {}
    for method in protocol.methods:
        values = [
            at_checkpoint(run, metric, direction, other) for run in chosen(runs, problem, Phase.CONFIRM, [method])
        ]
        known = [v for v in values if v is not None]
        found[method] = float(np.median(known)) if known else None
    return found


def at_checkpoint(run: Run, metric: str, direction: Direction, other: str) -> float | None:
    """``other`` at the step after the start where ``metric`` was best, the first such; ``None`` where unknown."""
    curve = [(v * direction.sign, step) for step, v in run.curve(metric) if step > 0 and math.isfinite(v)]
    value = dict(run.curve(other)).get(min(curve)[1], math.nan) if curve else math.nan
    return value if math.isfinite(value) else None


def share_words(other: str, value: float | None) -> str:
    """A value of the other metric; an accuracy in percent."""
    if value is None or not other.endswith("accuracy"):
        return number(value)
    return f"{100 * value:.1f} %"


def worth_sentence(document: Document, problem: str, other: str, values: Mapping[str, float | None]) -> str:
    """How far apart the methods are in the other metric, and how many examples that is.

    Args:
        document: The results document.
        problem: Name.
        other: The metric that is read.
        values: Method to its median.
    """
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return ""
    best, worst = max(known, key=lambda n: known[n]), min(known, key=lambda n: known[n])
    span = known[best] - known[worst]
    if share_words(other, known[worst]) == share_words(other, known[best]):
        return f"In {other} at these checkpoints all methods end alike, at {share_words(other, known[best])}."
    ends = f"from {share_words(other, known[worst])} ({worst}) to {share_words(other, known[best])} ({best})"
    if not other.endswith("accuracy"):
        return f"In {other} at these checkpoints the methods lie {ends}: {number(span)} apart."
    about: Mapping[str, Any] = document["protocol"]["problems"].get(problem) or {}
    examples = (about.get("splits") or {}).get(other.partition("/")[0])
    count = f", or {plural(round(span * examples), 'example')} of {examples:,}" if examples else ""
    return f"In {other} at these checkpoints the methods lie {ends}: {100 * span:.1f} points{count}."
