"""The same verdicts at other targets: one by one near the one that was asked, and over the whole curve at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optwise.analyses.judging import Judged, judge
from optwise.analyses.observing import Scorer, mostly_met_at_start
from optwise.analyses.target_curve import curve_observations, curve_targets, moved_targets
from optwise.analyses.verdict import BETTER, FASTER, Asked
from optwise.core.metric import Target
from optwise.core.run import Phase
from optwise.numerics.statistics import median_or_none

SENSITIVITY = (0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5)
"""Factors on the target at which the verdicts are asked for again."""


def sensitivity(scorer: Scorer, problem: str, target: Target, asked: Asked) -> list[dict[str, Any]]:
    """The verdicts as the target moves, as far as most starts do not meet it; single targets are fragile."""
    rows = []
    runs = [run for method in scorer.protocol.methods for run in scorer.of(problem, method, Phase.CONFIRM)]
    for factor, moved in moved_targets(target, SENSITIVITY).items():
        if factor != 1.0 and mostly_met_at_start(runs, moved):
            continue
        row: dict[str, Any] = {"target": moved.value}
        for method in scorer.protocol.methods:
            times = scorer.times(scorer.of(problem, method, Phase.CONFIRM), moved)
            row[method] = median_or_none(times) if times else None
        judged = judge({name: scorer.observations(problem, name, moved) for name in scorer.protocol.methods}, asked)
        row["leader"] = judged.leader
        row["verdicts"] = [{"a": v.a, "b": v.b, "words": v.words, "ratio": v.ratio} for v in judged.found]
        row["sentence"] = f"{moved}: {_short(judged)}"
        rows.append(row)
    return rows


def _short(judged: Judged) -> str:
    claims = [v for v in judged.found if v.claims]
    if not claims:
        return "nothing separated"
    ahead = {name: [v.b for v in claims if v.a == name] for name in judged.order}
    return "; ".join(f"{name} ahead of {', '.join(beaten)}" for name, beaten in ahead.items() if beaten)


def hangs_on_target(target: Target | None, sweep: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether the claims are others at a nearby target, in verdict words."""
    if target is None or not sweep:
        return {"answer": False, "sentence": ""}

    def claims(row: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
        return frozenset((v["a"], v["b"]) for v in row["verdicts"] if v["words"] in (FASTER, BETTER))

    base = next(row for row in sweep if row["target"] == target.value)
    other = [row for row in sweep if claims(row) != claims(base)]
    if not other:
        ends = f"{sweep[0]['target']:.3g} to {sweep[-1]['target']:.3g}"
        what = "The same pairs are" if claims(base) else "Nothing is"
        return {"answer": False, "sentence": f"{what} separated at every target from {ends}."}
    farthest = max(other, key=lambda row: len(claims(row) ^ claims(base)))
    return {"answer": True, "sentence": f"At {farthest['sentence']}."}


def whole_curve(scorer: Scorer, problem: str, target: Target, asked: Asked) -> dict[str, Any] | None:
    """The whole target curve tested once, beside the one target."""
    targets = curve_targets(scorer, problem, target)
    if not targets:
        return None
    judged = judge(curve_observations(scorer, problem, targets), asked)
    ends = f"from {targets[0].value:.3g} to {targets[-1].value:.3g}"
    return {
        "targets": [t.value for t in targets],
        "leader": judged.leader,
        "pairs": [
            {
                "a": v.a,
                "b": v.b,
                "words": v.words,
                "ratio": v.ratio,
                "ratio_low": v.low,
                "ratio_high": v.high,
                "p": v.p,
                "p_adjusted": v.p_adjusted,
            }
            for v in judged.found
        ],
        "sentence": f"Over all targets {ends} at once, a second test with a correction of its own: {_short(judged)}.",
    }
