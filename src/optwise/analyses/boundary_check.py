"""The boundary rule: whether good settings sit on an edge of the space, and where to search instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optwise.analyses.subject import PLAYBOOK_RULE, Subject, anchor
from optwise.core.finding import Finding, Grade, Interval
from optwise.core.run import Run
from optwise.core.space import Distribution, IntUniform, LogUniform, OneMinus, Space, Uniform, When

EDGE = 0.1
"""Share of a field's own scale at each end that counts as its edge. Source: optwise, own choice."""
TOP = 3
"""The best trials that are looked at. Source: optwise, own choice."""
TOP_ON_EDGE = 2
"""How many of them on one edge are too many. Source: optwise, own choice."""
SELECTED_ON_EDGE = 0.5
"""Share of the studies above which their selected points on one edge are too many. Source: optwise, own choice."""
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


@dataclass(frozen=True)
class _Edge:
    """How many good settings lie on one edge of a field."""

    word: str
    best: bool
    top: int
    selected: int
    studies: int

    @property
    def crowded(self) -> bool:
        return self.best or self.top >= TOP_ON_EDGE or self.selected > SELECTED_ON_EDGE * self.studies


def boundary(subject: Subject, space: Space, search: Sequence[Run], confirm: Sequence[Run]) -> list[Finding]:
    """One finding per numeric open field: does the best trial, 2 of the best 3 or most selected points sit on an edge?

    The position ``u`` in [0, 1] is taken in the field's own scale; an edge is ``u < 0.1`` or ``u > 0.9``. Where every
    trial further out than the good ones is infeasible, the edge is one of stability: widening would not help. A
    conditional field is judged on the trials where it exists.

    Args:
        subject: The method and its metric.
        space: Its open fields.
        search: Explore trials of all studies, each with its point.
        confirm: Their confirmations; a study's point is the one it selected.
    """
    selected = {run.name.study: run.point for run in confirm if run.name is not None}
    found = [_judge(subject, space, path, search, list(selected.values())) for path in space.fields]
    return [finding for finding in found if finding is not None]


def _judge(
    subject: Subject, space: Space, path: str, search: Sequence[Run], selected: Sequence[Mapping[str, Any]]
) -> Finding | None:
    axis = _axis(path, space.fields[path])
    trials = [run for run in search if path in run.point and space.active(path, run.point)]
    ranked = subject.ranked(trials)
    if axis is None or not ranked:
        return None

    def position(point: Mapping[str, Any]) -> float:
        return min(max(space.fields[path].position(point[path]), 0.0), 1.0)

    top = [position(run.point) for run in ranked[:TOP]]
    chosen = [position(point) for point in selected if path in point and space.active(path, point)]
    edges = [_edge("lower", top, chosen), _edge("upper", [1 - u for u in top], [1 - u for u in chosen])]
    edge = max(edges, key=lambda e: (e.crowded, e.best, e.selected, e.top))
    upper = edge.word == "upper"
    where = f"of {axis.low:g} to {axis.high:g}"
    grade, advice, value = Grade.PASS, "", top[0]
    if not edge.crowded:
        evidence = (
            f"{axis.name}: the best trial lies at {axis.scale.at(top[0]):.3g}, position {top[0]:.2f} {where}; "
            f"good settings keep away from both ends."
        )
    else:
        on_edge = [u for u in map(position, (run.point for run in ranked)) if (1 - u if upper else u) < EDGE]
        value = (on_edge or top)[0]
        beyond = [run for run in trials if (position(run.point) > value if upper else position(run.point) < value)]
        old, new = (axis.high, axis.wider[1]) if upper else (axis.low, axis.wider[0])
        which = "the best trial" if edge.best else f"the best trial on the {edge.word} edge"
        evidence = (
            f"{axis.name}: {which} lies at {axis.scale.at(value):.3g}, position {value:.2f} {where}; {edge.top} of the "
            f"best {len(top)} trials and {edge.selected} of {edge.studies} selected points are on the {edge.word} edge"
        )
        if beyond and not any(map(subject.feasible, beyond)):
            grade = Grade.WARN
            evidence += f", a stability edge: all {len(beyond)} trials further out are infeasible."
            advice = (
                f"Leave the {edge.word} end of {axis.name} at {old:g}; "
                f"a longer warm-up or gradient clipping would move the stability edge."
            )
        elif new == old:
            evidence += f", and {old:g} is where this range ends by nature."
        else:
            grade = Grade.WARN
            evidence += "."
            advice = f"{'Raise' if upper else 'Lower'} the {edge.word} end of {axis.name} from {old:g} to {new:g}."
    return Finding(
        check="boundary",
        grade=grade,
        evidence=evidence,
        subject=str(subject),
        value=value,
        interval=Interval(min(top), max(top)),
        source=PLAYBOOK_RULE,
        advice=advice,
        link=anchor("axis", subject.method, path),
    )


def _edge(word: str, top: Sequence[float], chosen: Sequence[float]) -> _Edge:
    """Count positions on the edge at 0."""
    return _Edge(word, top[0] < EDGE, sum(u < EDGE for u in top), sum(u < EDGE for u in chosen), len(chosen))


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
