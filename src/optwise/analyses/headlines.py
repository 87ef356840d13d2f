"""The first screen in words: a verdict of at most fifteen words, and the one line under it."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.analyses.sentences import Told, listed
from optwise.analyses.verdict import EQUIVALENT, NOBODY, NOT_COMPARABLE, Verdict
from optwise.core.finding import Finding, Grade

MOST_WORDS = 15


def headline(told: Told) -> str:
    """The verdict on one problem in at most fifteen words; its name is left out where it is too long for them."""
    said = _said(told)
    return said if len(said.split()) <= MOST_WORDS else said.replace(f" on {told.problem}", "")


def _said(told: Told) -> str:
    problem, order, leader, idle, found = told.problem, told.order, told.leader, told.idle, told.found
    target, metric = told.target, told.metric
    compared = [v for v in found if v.words != NOT_COMPARABLE]
    if len(idle) == len(order):
        return f"No feasible trial on {problem}."
    if len(order) == 1:
        return f"Only {order[0]} was run on {problem}: nothing to compare."
    if len(idle) == len(order) - 1:
        return f"Only {next(name for name in order if name not in idle)} found a feasible trial on {problem}."
    if not compared:
        return f"Not comparable on {problem}."
    if leader is not None:
        beaten = [v.b for v in found if v.a == leader and v.claims]
        does = f"reaches {target} faster" if target else f"reaches a better {metric}"
        short = f"{leader} {does} than {listed(beaten)} on {problem}."
        if len(short.split()) <= MOST_WORDS:
            return short
        return f"{leader} {does} than {_how_many(len(beaten), len(order) - 1)}."
    if all(v.because == NOBODY for v in compared):
        return f"Not separated: no run {f'reached {target}' if target else f'has a finite {metric}'} on {problem}."
    needed = [v.studies_needed for v in found if v.studies_needed is not None]
    if len(needed) == len(compared):
        return f"Too few studies to separate anything on {problem}; {max(needed)} could."
    alike = all(v.words == EQUIVALENT for v in compared)
    if len(compared) == 1:
        (v,) = compared
        return f"{v.a} and {v.b} are {'equivalent' if alike else 'not separated'} on {problem}."
    shared = set.intersection(*({v.a, v.b} for v in compared))
    count = len({name for v in compared for name in (v.a, v.b)})
    if shared:  # one method was compared with the others, which may well differ from each other
        what = "equivalent to" if alike else "not separated from"
        return f"{shared.pop()} is {what} {count - 1} others on {problem}."
    if alike:
        every = "All " if count == len(order) else ""
        return f"{every}{count} methods are equivalent within the margin on {problem}."
    return f"No two of {count} methods are separated on {problem}."


def _how_many(beaten: int, others: int) -> str:
    if others == 1:
        return "the other"
    return f"all {others} others" if beaten == others else f"{beaten} of {others} others"


def overall_headline(headlines: Sequence[str], leaders: Sequence[str | None]) -> str:
    """The verdict over all problems in at most fifteen words.

    Args:
        headlines: Of each problem.
        leaders: Of each problem, ``None`` where nobody leads.
    """
    if len(headlines) == 1:
        return headlines[0]
    ahead = {name: leaders.count(name) for name in dict.fromkeys(leaders) if name is not None}
    if not ahead:
        return f"No method is ahead on any of {len(headlines)} problems."
    most = max(ahead.values())
    first = [name for name, count in ahead.items() if count == most]
    if len(first) == 1:
        return f"{first[0]} leads on {most} of {len(headlines)} problems."
    return f"Leaders differ: {len(ahead)} methods lead on {sum(ahead.values())} of {len(headlines)} problems."


def line(
    *,
    leader: str | None,
    found: Sequence[Verdict],
    effort: str,
    checks: Sequence[Finding],
    hangs: str,
) -> str:
    """The one line under the verdict: how certain, on what it stands, what is open, what another target would say.

    Args:
        leader: ``None`` where nothing is separated.
        found: The verdicts.
        effort: How much tuning it stands on, a sentence.
        checks: All findings.
        hangs: What another target would say; empty where it says the same.
    """
    parts = [_certainty(leader, found), effort.rstrip(".")]
    failed = {f.check for f in checks if f.grade is Grade.FAIL}
    warned = {f.check for f in checks if f.grade is Grade.WARN} - failed
    if failed:
        parts.append(f"Failed checks: {', '.join(sorted(failed))}")
    if warned:
        parts.append(f"Open checks: {', '.join(sorted(warned))}")
    return ". ".join(part for part in [*parts, hangs.rstrip(".")] if part) + "."


def _certainty(leader: str | None, found: Sequence[Verdict]) -> str:
    won = [v for v in found if v.a == leader and v.claims]
    known = [v.p_adjusted for v in (won or found) if v.p_adjusted is not None and v.because != NOBODY]
    if not known:
        return ""
    if won:
        return f"Adjusted p {'=' if len(known) == 1 else '<='} {max(known):.2g}"
    smallest = [v.smallest for v in found if v.smallest is not None and v.because != NOBODY]
    told = f"; these studies find true ratios above {max(smallest):.2g}" if smallest else ""
    return f"Adjusted p {'=' if len(known) == 1 else '>='} {min(known):.2g}{told}"
