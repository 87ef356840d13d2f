"""The verdicts on one problem at one target, with the order they give and what they could have found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Any

from optwise.analyses.observations import Observations
from optwise.analyses.observing import Scorer, finite_or_none
from optwise.analyses.ranking import leader, order, verdicts
from optwise.analyses.verdict import Asked, Verdict
from optwise.core.budget import SECONDS
from optwise.core.metric import Direction
from optwise.core.protocol import Protocol
from optwise.numerics.power import USUAL_SPREAD, smallest_ratio

LOOKS = "earlier_looks"
"""In the notes: numbers of studies at which the same question was answered before, outside any design."""
DROPPED = "dropped_methods"
"""In the notes: methods that the same question was answered about before, and that were left out since."""
PLEDGED = "against_pledged"
"""In the notes: the one method that was named before the first trial, or null."""


@dataclass(frozen=True)
class Judged:
    """Verdicts at one target, and the order they give.

    Args:
        observed: Method to its studies.
        found: The verdicts of the pairs that were asked about.
        order: All methods, in the one order.
        leader: The first of them, if it is ahead of any.
    """

    observed: Mapping[str, Observations]
    found: list[Verdict]
    order: list[str]
    leader: str | None


def judge(observed: Mapping[str, Observations], asked: Asked) -> Judged:
    """The verdicts, their order and their leader."""
    found = verdicts(observed, asked)
    return Judged(observed, found, order(observed, found), leader(observed, found))


def question(scorer: Scorer, problem: str) -> Asked:
    """What a protocol asks of a problem's observations."""
    protocol = scorer.protocol
    timed = protocol.targets[problem] is not None
    pledged, earlier = scorer.notes.get(PLEDGED), scorer.notes.get(LOOKS) or ()
    unplanned = (*earlier, protocol.studies) if earlier else ()
    return Asked(
        level=protocol.level,
        margin=protocol.margin,
        timed=timed,
        log=timed or _positive(scorer, problem),
        against=protocol.against if protocol.against is not None and protocol.against == pledged else None,
        looks=protocol.looks or unplanned,
        evaluations=protocol.evaluations if protocol.axis != SECONDS else None,  # there the clock is coarse
        apart=scorer.apart(problem),
        dropped=_dropped_pairs(scorer),
    )


def _dropped_pairs(scorer: Scorer) -> int:
    """Pairs with a method that this question was asked of before and is not any more."""
    protocol, gone = scorer.protocol, len(scorer.notes.get(DROPPED) or ())
    if protocol.against is not None and protocol.against == scorer.notes.get(PLEDGED):
        return gone
    return comb(len(protocol.methods) + gone, 2) - comb(len(protocol.methods), 2)


def _positive(scorer: Scorer, problem: str) -> bool:
    if scorer.direction(problem) is not Direction.MIN:
        return False
    observed = [scorer.observations(problem, name, None) for name in scorer.protocol.methods]
    return all(v > 0 for o in observed for study in o.studies for v in study)


def power(judged: Judged, protocol: Protocol) -> dict[str, Any]:
    """The smallest ratio that these studies find: from their own spread where there is one."""
    tested = [v for v in judged.found if v.p is not None]
    known = [v.smallest for v in tested if v.smallest is not None]
    usual = smallest_ratio(protocol.studies, pairs=max(1, len(tested)), level=protocol.level)
    found = max(known) if known else finite_or_none(usual)
    return {
        "studies": protocol.studies,
        "pairs": len(tested),
        "smallest_ratio": found,
        "spread": None if known else USUAL_SPREAD,
        "assumed": not known,
    }
