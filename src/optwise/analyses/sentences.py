"""Verdicts in words: one sentence for a pair, one for a problem."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.analyses.ranking import BETTER, EQUIVALENT, FASTER, NOT_COMPARABLE, NOT_SEPARATED, Verdict
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
    numbers = _size(v, metric if axis is None else axis) + _test(v)
    if v.words in (FASTER, BETTER):
        return f"{v.a} is {v.words} than {v.b}: {numbers}."
    if v.words == EQUIVALENT:
        return f"{v.a} and {v.b} are equivalent within the margin: {numbers}."
    more = "" if v.studies_needed is None else f"; at least {v.studies_needed} studies could separate them"
    return f"{v.a} and {v.b} are not separated: {numbers}{more}."


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
        leader: The method to speak of first; ``None`` where none has a feasible trial.
        found: The verdicts of all pairs.
        target: What was timed, or ``None`` where best values were compared.
        metric: The selection metric.
        axis: What time is counted in.
        effort: How the methods were tuned, a sentence of its own.
    """
    measure = metric if target is None else f"{axis} to {target}"
    if leader is None:
        who = methods[0] if len(methods) == 1 else "none of the methods"
        return f"On {problem}, {who} found {'no' if len(methods) == 1 else 'a'} feasible trial. {effort}"
    if len(methods) == 1:
        return f"On {problem}, only {leader} was run, so there is nothing to compare. {effort}"
    own = [v for v in found if leader in (v.a, v.b)]
    won = [v for v in own if v.a == leader and v.words in (FASTER, BETTER)]
    others = {
        words: [v.b if v.a == leader else v.a for v in own if v.words == words]
        for words in (NOT_SEPARATED, EQUIVALENT, NOT_COMPARABLE)
    }
    parts = []
    if won:
        rest = _listed([v.b for v in won])
        reach = f"reaches {target} faster than {rest}" if target else f"reaches a better {metric} than {rest}"
        numbers = [_span(won, axis if target else metric), _strongest(won)]
        stated = ", ".join(text for text in numbers if text)
        parts.append(f"{leader} {reach}{f' ({stated})' if stated else ''}")
    subject = "it" if won else leader
    if others[EQUIVALENT]:
        parts.append(f"{subject} is equivalent to {_listed(others[EQUIVALENT])} within the margin in {measure}")
        subject = "it"
    if others[NOT_SEPARATED]:
        where = "" if won else f" in {measure}"
        parts.append(f"{subject} is not separated from {_listed(others[NOT_SEPARATED])}{where}")
    lost = [v.a for v in own if v.b == leader and v.words in (FASTER, BETTER)]
    if lost:  # pairwise claims need not be transitive
        parts.append(f"{_listed(lost)} {'is' if len(lost) == 1 else 'are'} ahead of it")
    if len(others[NOT_COMPARABLE]) == len(own):
        parts.append(f"only {leader} found a feasible trial")
    elif others[NOT_COMPARABLE]:
        parts.append(f"{_listed(others[NOT_COMPARABLE])} found no feasible trial")
    few = [v for v in found if v.studies_needed is not None]
    if few:
        needed = max(v.studies_needed or 0 for v in few)
        count = min(v.n for v in few)
        many = "1 study" if count == 1 else f"{count} studies"
        parts.append(f"{many} cannot separate {'them' if len(few) == len(found) else 'all pairs'}, {needed} could")
    return f"On {problem}, {'; '.join(parts)}. {effort}"


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
    return f"Tuned {searched} ({_listed(as_given)} run as given), {where}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else 'studies' if noun == 'study' else f'{noun}s'}"


def _size(v: Verdict, what: str) -> str:
    if v.ratio is not None:
        return f"{v.ratio:.3g} times the {what}{_interval(v)}"
    if v.difference is not None:
        return f"{what} differs by {v.difference:.3g}{_interval(v)}"
    return f"the size in {what} is unknown"


def _interval(v: Verdict) -> str:
    if v.low is None and v.high is None:
        return " (interval open)"
    if v.p is None and v.low == v.high:
        return ""  # a certain number
    if v.low is None or v.high is None:
        return f" (interval from {v.low:.3g})" if v.low is not None else f" (interval up to {v.high:.3g})"
    return f" (interval {v.low:.3g} to {v.high:.3g})"


def _test(v: Verdict) -> str:
    return ", without a test" if v.p_adjusted is None else f", adjusted p = {v.p_adjusted:.2g}"


def _span(won: Sequence[Verdict], what: str) -> str:
    known = sorted(v.ratio for v in won if v.ratio is not None)
    if not known:
        return ""
    low, high = f"{known[0]:.2g}", f"{known[-1]:.2g}"
    return f"{low if low == high else f'{low} to {high}'} times the {what}"


def _strongest(won: Sequence[Verdict]) -> str:
    adjusted = [v.p_adjusted for v in won if v.p_adjusted is not None]
    return f"adjusted p {'=' if len(adjusted) == 1 else '<='} {max(adjusted):.2g}" if adjusted else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
