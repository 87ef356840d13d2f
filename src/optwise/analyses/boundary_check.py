"""The boundary rule: whether good settings sit on an edge of the space, and where to search instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

from optwise.analyses.intervals import LEVEL, share_interval
from optwise.analyses.subject import PLAYBOOK_RULE, Subject, anchor, studies
from optwise.core.check import Check
from optwise.core.finding import Finding, Risk, Wider
from optwise.core.run import Run
from optwise.core.space import Distribution, IntUniform, LogUniform, OneMinus, Space, Uniform, When

BOUNDARY = Check(
    "boundary", "Do more good settings lie on an edge of the space than chance puts there?", Risk.TUNING, PLAYBOOK_RULE
)

EDGE = 0.1
"""Share of a field's own scale at each end that counts as its edge. Source: optwise, own choice."""
TOP = 4
"""Good settings that are looked at, where fewer studies than that selected one. Source: optwise, own choice."""
BEYOND = 3
"""Trials further out that must all have failed for an edge to be one of stability. Source: optwise, own choice."""
DECADE = 10.0
"""Factor by which a log scale is widened; a linear one by its own width. Source: optwise, own choice."""


@dataclass(frozen=True)
class _Axis:
    """A numeric field in the words it is searched in: ``1 - betas[0]`` from 0.004 to 0.3."""

    name: str
    scale: Distribution
    low: float
    high: float
    wider: tuple[float, float]
    """Ends after one widening; a natural end stays where it is."""


def boundary(subject: Subject, space: Space, search: Sequence[Run]) -> list[Finding]:
    """One finding per numeric open field: do more good settings lie on one of its edges than chance would put there?

    The position ``u`` in [0, 1] is taken in the field's own scale; an edge is ``u < 0.1`` or ``u > 0.9``. Good settings
    are those that the studies select, of fewer than four studies the best four trials. A field that does not matter
    puts each of them on a given edge with probability 0.1, so that k of n are too many where the binomial tail is at
    most 5 % over both edges and all fields of the method. Where every trial further out is infeasible, at least three,
    the edge is one of stability: widening would not help. A conditional field is judged on the trials where it exists.

    Args:
        subject: The method and its metric.
        space: Its open fields.
        search: Explore trials of all studies, each with its point.
    """
    numeric = sum(_axis(path, field) is not None for path, field in space.fields.items())
    found = [_judge(subject, space, path, search, edges=2 * numeric) for path in space.fields]
    return [finding for finding in found if finding is not None]


def asks_for_larger(findings: Sequence[Finding], path: str) -> bool:
    """Whether a boundary finding asks to raise the upper end of a field.

    Args:
        findings: Of one method.
        path: The field.
    """
    return any(f.check == BOUNDARY.name and f.advice.startswith(f"Raise the upper end of {path} ") for f in findings)


def _judge(subject: Subject, space: Space, path: str, search: Sequence[Run], *, edges: int) -> Finding | None:
    axis = _axis(path, space.fields[path])
    trials = [run for run in search if path in run.point and space.active(path, run.point)]
    ranked = subject.ranked(trials)
    if axis is None or not ranked:
        return None

    def position(point: Mapping[str, Any]) -> float:
        return min(max(space.fields[path].position(point[path]), 0.0), 1.0)

    good, which = _good(subject, trials)
    lower, upper = [u for u in map(position, good) if u < EDGE], [u for u in map(position, good) if u > 1 - EDGE]
    on, up = (upper, True) if len(upper) > len(lower) else (lower, False)
    edge, n, best = "upper" if up else "lower", len(good), position(ranked[0].point)
    count, span = f"{len(on)} of {n} {which}", share_interval(len(on), n)
    at = f"best trial at {axis.scale.at(best):.3g} of {axis.low:g} to {axis.high:g}"
    link = anchor("axis", subject.method, path)

    def passes(why: str) -> Finding:
        evidence = f"{axis.name}: {at}; {count} lie on the {edge} edge{why}."
        return BOUNDARY.passes(subject, evidence, value=len(on) / n, interval=span, link=link)

    if chance(len(on), n) * edges > 1 - LEVEL:
        return passes("")
    outermost = sorted(on, reverse=up)[len(on) // 2]
    beyond = [run for run in trials if (position(run.point) > outermost if up else position(run.point) < outermost)]
    if len(beyond) >= BEYOND and not any(map(subject.feasible, beyond)):
        return passes(f", one of stability: all {len(beyond)} trials further out fail, so a wider range would not help")
    old, new = (axis.high, axis.wider[1]) if up else (axis.low, axis.wider[0])
    if new == old:
        return passes(f", and {old:g} is where this range ends by nature")
    found = BOUNDARY.opens(
        subject,
        "Good settings crowd an edge of what was searched",
        f"{subject.method}, {axis.name}: {count} on the {edge} edge, {at}",
        value=len(on) / n,
        interval=span,
        advice=f"{'Raise' if up else 'Lower'} the {edge} end of {axis.name} from {old:g} to {new:g}.",
        link=link,
    )
    return replace(found, wider=Wider(path, *((axis.low, new) if up else (new, axis.high))))


def chance(k: int, n: int) -> float:
    """Chance that at least k of n settings lie on one edge of a field that does not matter.

    Example:
        >>> [round(chance(k, 8), 3) for k in (2, 3, 4)]
        [0.187, 0.038, 0.005]
    """
    return sum(comb(n, j) * EDGE**j * (1 - EDGE) ** (n - j) for j in range(k, n + 1))


def _good(subject: Subject, trials: Sequence[Run]) -> tuple[list[Mapping[str, Any]], str]:
    """The points of good settings, and what they are called."""
    selected = [ranked[0].point for study in studies(trials) if (ranked := subject.ranked(study))]
    if len(selected) >= TOP:
        return selected, "selected settings"
    best = [run.point for run in subject.ranked(trials)[:TOP]]
    return best, "best trials"


def _axis(name: str, scale: Distribution) -> _Axis | None:
    """The field in its own words; ``None`` where a boundary has no meaning."""
    match scale:
        case When(then=then):
            return _axis(name, then)
        case OneMinus(of=of):
            inner = _axis(f"1 - {name}", of)
            if inner is None or inner.high > 1:
                return inner
            # a momentum or decay below 0 is no wider space: 1 - value ends at 1
            return _Axis(inner.name, inner.scale, inner.low, inner.high, (inner.wider[0], min(inner.wider[1], 1.0)))
        case LogUniform(low=low, high=high):
            return _Axis(name, scale, low, high, (low / DECADE, high * DECADE))
        case Uniform(low=low, high=high) | IntUniform(low=low, high=high):
            width = high - low
            return _Axis(name, scale, low, high, (low - width if low < 0 else max(low - width, 0), high + width))
    return None
