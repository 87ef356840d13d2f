"""Verdicts in words: one sentence for a pair, one for a problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optwise.analyses.verdict import EQUIVALENT, NOBODY, NOT_COMPARABLE, NOT_SEPARATED, Verdict
from optwise.core.metric import Target


def pair_sentence(v: Verdict, *, axis: str | None, metric: str) -> str:
    """What may be said about a pair, with its numbers.

    Args:
        v: The verdict.
        axis: What time is counted in; ``None`` where values are compared.
        metric: What is compared where there is no time.
    """
    if v.words == NOT_COMPARABLE:
        return f"{v.a} and {v.b} are not comparable, because {v.because}."
    if v.because == NOBODY:
        return f"{v.a} and {v.b} are not separated: {NOBODY}."
    numbers = _size(v, metric if axis is None else axis) + _test(v)
    if v.claims:
        return f"{v.a} is {v.words} than {v.b}: {numbers}."
    if v.words == EQUIVALENT:
        return f"{v.a} and {v.b} are equivalent within the margin: {numbers}."
    more = "" if v.studies_needed is None else f"; at least {v.studies_needed} studies could separate them"
    if v.evaluations_needed is not None:
        more += f"; evaluations are too coarse for the margin, {v.evaluations_needed} could show equivalence"
    return f"{v.a} and {v.b} are not separated: {numbers}{more}."


@dataclass(frozen=True)
class Told:
    """What is to be told of one problem.

    Args:
        problem: Name.
        order: All names, in the one order.
        leader: The method to speak of first; ``None`` where nothing is separated.
        idle: Methods without a feasible trial.
        found: The verdicts of the pairs that were asked about.
        target: What was timed, or ``None`` where best values were compared.
        metric: The selection metric.
        axis: What time is counted in.
    """

    problem: str
    order: Sequence[str]
    leader: str | None
    idle: Sequence[str]
    found: Sequence[Verdict]
    target: Target | None
    metric: str
    axis: str

    @property
    def measure(self) -> str:
        """What is compared, in words."""
        return self.metric if self.target is None else f"{self.axis} to {self.target}"


def verdict_sentence(told: Told, effort: str) -> str:
    """The verdict on one problem: what the leading method is faster or better than, and what it is not separated from.

    Where nothing is separated nobody leads, and none is spoken of first.

    Args:
        told: What was found.
        effort: How the methods were tuned, a sentence of its own.
    """
    problem, order, idle, found = told.problem, told.order, told.idle, told.found
    if len(idle) == len(order):
        who = order[0] if len(order) == 1 else "none of the methods"
        return f"On {problem}, {who} found {'no' if len(order) == 1 else 'a'} feasible trial. {effort}"
    if len(order) == 1:
        return f"On {problem}, only {order[0]} was run, so there is nothing to compare. {effort}"
    parts = _undecided(told) if told.leader is None else _led(told, told.leader)
    if idle and len(idle) == len(order) - 1:
        alone = next(name for name in order if name not in idle)
        parts = [f"only {alone} found a feasible trial"]
    elif idle:
        parts.append(f"{listed(idle)} found no feasible trial")
    few = [v for v in found if v.studies_needed is not None]
    if few:
        needed = max(v.studies_needed or 0 for v in few)
        count = min(v.n for v in few)
        many = "1 study" if count == 1 else f"{count} studies"
        parts.append(f"{many} cannot separate {'them' if len(few) == len(found) else 'all pairs'}, {needed} could")
    return f"On {problem}, {'; '.join(parts)}. {effort}"


def _led(told: Told, leader: str) -> list[str]:
    own = [v for v in told.found if leader in (v.a, v.b)]
    won = [v for v in own if v.a == leader and v.claims]
    others = {
        words: [v.b if v.a == leader else v.a for v in own if v.words == words] for words in (NOT_SEPARATED, EQUIVALENT)
    }
    target, rest = told.target, listed([v.b for v in won])
    reach = f"reaches {target} faster than {rest}" if target else f"reaches a better {told.metric} than {rest}"
    numbers = [_span(won, told.axis if target else told.metric), _strongest(won)]
    stated = ", ".join(text for text in numbers if text)
    parts = [f"{leader} {reach}{f' ({stated})' if stated else ''}"]
    if others[EQUIVALENT]:
        parts.append(f"it is equivalent to {listed(others[EQUIVALENT])} within the margin in {told.measure}")
    if others[NOT_SEPARATED]:
        parts.append(f"it is not separated from {listed(others[NOT_SEPARATED])}")
    lost = [v.a for v in own if v.b == leader and v.claims]
    if lost:  # pairwise claims need not be transitive
        parts.append(f"{listed(lost)} {'is' if len(lost) == 1 else 'are'} ahead of it")
    return parts + _apart(own)


def _undecided(told: Told) -> list[str]:
    compared = [v for v in told.found if v.words != NOT_COMPARABLE]
    if compared and all(v.because == NOBODY for v in compared):
        missed = f"reached {told.target}" if told.target else f"has a finite {told.metric}"
        return [f"not separated: no run {missed}"]
    alike = [v for v in compared if v.words == EQUIVALENT]
    parts = []
    if alike:
        how = "are" if len(alike) == 1 else "are pairwise"
        pairs = listed([f"{v.a} and {v.b}" for v in alike])
        parts.append(f"{pairs} {how} equivalent within the margin in {told.measure}")
    apart = [v for v in compared if v.words == NOT_SEPARATED]
    lowest = min((v.p_adjusted for v in apart if v.p_adjusted is not None), default=None)
    if apart and alike:
        parts.append("the other pairs are not separated")
    elif len(apart) == 1:
        known = "" if lowest is None else f" (adjusted p = {lowest:.2g})"
        parts.append(f"{apart[0].a} and {apart[0].b} are not separated in {told.measure}{known}")
    elif apart:
        known = "" if lowest is None else f" (adjusted p >= {lowest:.2g})"
        shared = set.intersection(*({v.a, v.b} for v in compared))
        one = next(iter(shared), None)  # the one that the others were compared with, if there is one
        who = f"{one} is not separated from {listed([v.b if v.a == one else v.a for v in apart])}" if one else ""
        parts.append(f"{who or 'no two methods are separated'} in {told.measure}{known}")
    return parts + _apart(told.found)


def _apart(found: Sequence[Verdict]) -> list[str]:
    reasons = {v.because for v in found if v.words == NOT_COMPARABLE and "feasible" not in v.because}
    return [f"not comparable, because {reason}" for reason in sorted(reasons)]


def effort_sentence(*, studies: int, trials: int, seeds: int, as_given: Sequence[str], tuned: int, split: bool) -> str:
    """How much tuning a verdict stands on, and that it holds for one split.

    Args:
        studies: Of each method.
        trials: Of each search.
        seeds: Confirmations of each study.
        as_given: Closed methods, which had nothing to tune.
        tuned: How many methods were open.
        split: Whether there are data.
    """
    where = "on this split" if split else "on this problem"
    searched = f"with {_count(trials, 'trial')} in each of {_count(studies, 'study')}"
    if not as_given:
        return f"Tuned {searched}, {where}."
    if not tuned:
        return f"Run as given, in {_count(studies, 'study')} of {_count(seeds, 'seed')}, {where}."
    return f"Tuned {searched} ({listed(as_given)} run as given), {where}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else 'studies' if noun == 'study' else f'{noun}s'}"


def _size(v: Verdict, what: str) -> str:
    if v.ratio is not None:
        return f"{v.ratio:.3g} times the {what}{_interval(v)}"
    if v.claims and v.difference is None:
        if v.high in (None, 0.0, 1.0):  # the claim's own end: no number of the data
            return f"by how much in {what} is unknown, since runs of {v.b} missed"
        return f"at most {v.high:.3g} times the {what}, since runs of {v.b} missed"
    if v.difference is not None:
        return f"{what} differs by {v.difference:.3g}{_interval(v)}"
    return f"the size in {what} is unknown"


def _interval(v: Verdict) -> str:
    if v.low is None and v.high is None:
        return " (interval open)"
    if v.p_adjusted is None and v.low == v.high:
        return ""  # a certain number
    if v.low is None or v.high is None:
        return f" (interval from {_end(v.low)})" if v.low is not None else f" (interval up to {_end(v.high or 0.0)})"
    return f" (interval {_end(v.low)} to {_end(v.high)})"


def _end(end: float) -> str:
    """With the digits it takes to see that it is not 1."""
    texts = (f"{end:.{digits}g}" for digits in range(3, 10))
    return next((text for text in texts if end == 1.0 or float(text) != 1.0), "1")


def _test(v: Verdict) -> str:
    return ", without a test" if v.p_adjusted is None else f", adjusted p = {v.p_adjusted:.2g}"


def _span(won: Sequence[Verdict], what: str) -> str:
    if any(v.difference is not None for v in won):
        return ""
    known = sorted(v.ratio for v in won if v.ratio is not None)
    if len(known) < len(won):  # misses leave a size open: what holds of all pairs is the bound
        bounds = [v.high for v in won if v.high is not None]
        return f"at most {max(bounds):.2g} times the {what}" if len(bounds) == len(won) else ""
    if not known:
        return ""
    low, high = f"{known[0]:.2g}", f"{known[-1]:.2g}"
    return f"{low if low == high else f'{low} to {high}'} times the {what}"


def _strongest(won: Sequence[Verdict]) -> str:
    adjusted = [v.p_adjusted for v in won if v.p_adjusted is not None]
    return f"adjusted p {'=' if len(adjusted) == 1 else '<='} {max(adjusted):.2g}" if adjusted else ""


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
