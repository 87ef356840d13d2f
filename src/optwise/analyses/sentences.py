"""Verdicts in words: one sentence for a pair, one for a problem."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.analyses.ranking import BETTER, EQUIVALENT, FASTER, NOT_COMPARABLE, NOT_SEPARATED, Verdict
from optwise.core.metric import Target


def pair_sentence(v: Verdict, *, axis: str | None, metric: str) -> str:
    """What may be said about a pair, with its numbers."""
    what = metric if axis is None else axis
    if v.words == NOT_COMPARABLE:
        return f"{v.a} and {v.b} are not comparable, because {v.because}."
    size = _size(v, what)
    test = "" if v.p_adjusted is None else f", Holm-adjusted p = {v.p_adjusted:.2g}"
    if v.words in (FASTER, BETTER):
        return f"{v.a} is {v.words} than {v.b}: {size}{test}."
    if v.words == EQUIVALENT:
        return f"{v.a} and {v.b} are equivalent within the margin: {size}."
    more = "" if v.studies_needed is None else f"; at least {v.studies_needed} studies could separate them"
    return f"{v.a} and {v.b} are not separated: {size}{test}{more}."


def verdict_sentence(
    problem: str,
    *,
    methods: tuple[str, ...],
    leader: str | None,
    found: Sequence[Verdict],
    target: Target | None,
    metric: str,
    axis: str,
    effort: str,
) -> str:
    """The verdict on one problem: what the leading method is faster or better than, and what it is not separated from.

    Args:
        problem: Name.
        methods: All names, in order.
        leader: The method to speak of first.
        found: The verdicts of all pairs.
        target: What was timed, or ``None`` where best values were compared.
        metric: The selection metric.
        axis: What time is counted in.
        effort: How much each method was tuned.
    """
    goal = f"to {target} in {axis}" if target is not None else f"by best {metric}"
    if len(methods) == 1:
        return f"On {problem} only {methods[0]} was run, so there is nothing to compare; {effort}, on this split."
    if leader is None:
        return f"On {problem} no method found a feasible trial ({effort})."
    own = [v for v in found if leader in (v.a, v.b)]
    won = [v for v in own if v.a == leader and v.words in (FASTER, BETTER)]
    by = {
        words: [v.b if v.a == leader else v.a for v in own if v.words == words]
        for words in (NOT_SEPARATED, EQUIVALENT, NOT_COMPARABLE)
    }
    needed = {v.studies_needed for v in found if v.studies_needed is not None}
    parts = []
    if won:
        size = _span([v.ratio for v in won])
        p = max((v.p_adjusted for v in won if v.p_adjusted is not None), default=None)
        claim = f"{leader} is {won[0].words} than {_listed([v.b for v in won])} {goal}"
        numbers = "; ".join(
            text
            for text in (
                f"{size} of {'their' if len(won) > 1 else 'its'} {'time' if target else metric}" if size else "",
                "" if p is None else f"adjusted p <= {p:.2g}",
            )
            if text
        )
        parts.append(f"{claim} ({numbers})" if numbers else claim)
    if by[EQUIVALENT]:
        parts.append(f"{leader} is equivalent to {_listed(by[EQUIVALENT])} within the margin")
    if by[NOT_SEPARATED]:
        lead = "is not separated from" if won else f"{leader} is not separated from"
        tail = f" {goal}" if not won else ""
        parts.append(f"{'it ' if won else ''}{lead} {_listed(by[NOT_SEPARATED])}{tail}")
    if by[NOT_COMPARABLE]:
        parts.append(f"not comparable with {_listed(by[NOT_COMPARABLE])}, which found no feasible trial")
    if needed:
        parts.append(f"so few studies cannot separate anything: use at least {max(needed)}")
    return f"On {problem}, {'; '.join(parts)}. Tuned with {effort}; on this split."


def _size(v: Verdict, what: str) -> str:
    if v.ratio is not None:
        ends = "open" if v.low is None and v.high is None else f"{_end(v.low)} to {_end(v.high)}"
        return f"{v.ratio:.2f} times the {what} (interval {ends})"
    if v.difference is not None:
        return f"{what} differs by {v.difference:.3g} (interval {_end(v.low)} to {_end(v.high)})"
    return f"no size of {what} is known"


def _end(x: float | None) -> str:
    return "open" if x is None else f"{x:.3g}"


def _span(ratios: Sequence[float | None]) -> str:
    known = sorted(r for r in ratios if r is not None)
    if not known:
        return ""
    low, high = f"{known[0]:.2f}", f"{known[-1]:.2f}"
    return low if low == high else f"{low} to {high}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
