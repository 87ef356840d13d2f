"""How often does the protocol claim a difference that is not there, and how often does it find one that is?

The bank (`bank.py`) holds whole real studies of one and the same method with their whole curves. Studies are dealt
without replacement to made-up method names, and the code that writes verdicts is asked about them. No name differs from
another, so that every claim is false. For power and coverage the runs of one name are slowed down by a true ratio: what
it had at an amount a, the slowed run has at ratio times a, and what then lies beyond the budget was never seen.

    python benchmarks/false_alarms.py                       # everything; about an hour on one core
    python benchmarks/false_alarms.py --replays 200 --only power
"""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Sequence

import numpy as np
from bank import Bank, Floats, load_bank
from scipy.stats import rankdata

import optwise as ow
from optwise.analyses.observations import Observations
from optwise.analyses.ranking import verdicts
from optwise.analyses.verdict import Asked, Verdict
from optwise.numerics.permutation import LATE
from optwise.numerics.splits import share_as_extreme
from optwise.numerics.statistics import holm

LEVEL, MARGIN, STUDIES = 0.95, 0.02, 8
EASY, MIDDLE, HARD, NEVER = 0.1, 0.07, 0.06, 0.02
"""Targets on valid/loss, from one that nearly all runs reach to one that none does."""
SHORT = (13, 9)
"""Evaluations after which a budget ends at which about half, and nearly all, of the runs miss the hard target."""
LOOKS = (8, 16, 24, 32)
RATIOS = (1.5, 2.0, 3.0)

Curves = list[Floats]
"""For each study the curves of its confirmations [seeds, evaluations]."""


def pool_of(bank: Bank, target: float) -> Curves:
    """Every study's confirmations of what it selects for a target."""
    asked = ow.AtMost("valid/loss", target)
    return [study.confirmed[bank.select(study, asked)].values["valid/loss"] for study in bank.studies(16)]


def slowed(curves: Floats, amounts: Floats, ratio: float) -> Floats:
    """What runs that are ``ratio`` times slower show at the same amounts; between evaluations logs are interpolated."""
    if ratio == 1.0:
        return curves
    return np.stack([np.exp(np.interp(amounts / ratio, amounts, np.log(curve))) for curve in curves])


def arrivals(curves: Floats, amounts: Floats, target: float, step: float) -> tuple[Floats, Floats]:
    """Lower and upper end of each run's time to a target that is held at the next evaluation [seeds]."""
    with np.errstate(invalid="ignore"):
        at = curves <= target
    held = at & np.concatenate([at[:, 1:], np.ones((len(at), 1), dtype=bool)], axis=1)
    held[:, 0] = False
    first = np.where(held.any(1), held.argmax(1), 0)
    high = np.where(first > 0, amounts[first], np.inf)
    return np.where(first > 0, amounts[np.maximum(first - 1, 0)] + step, np.inf), high


def observed(studies: Curves, amounts: Floats, target: float, step: float, *, keep: int = 1) -> Observations:
    """What the protocol infers from; ``keep`` measures every second (2) or fourth (4) time only."""
    ends = [arrivals(curves[:, ::keep], amounts[::keep], target, step) for curves in studies]
    return Observations(
        tuple(tuple(high) for _, high in ends),
        tuple(tuple(low) for low, _ in ends),
        limit=float(amounts[-1]),
        grid=tuple(amounts[::keep]),
    )


def whole_curve(studies: Curves, amounts: Floats, targets: Sequence[float], step: float) -> Observations:
    """Of each seed the mean log time to all targets, a miss counting a little more than the limit."""
    late = float(amounts[-1]) * math.exp(LATE)
    per_target = [[arrivals(curves, amounts, t, step) for t in targets] for curves in studies]
    means = [
        [np.exp(np.mean([np.log(np.minimum(ends[side], late)) for ends in study], axis=0)) for study in per_target]
        for side in (0, 1)
    ]
    lows, highs = (tuple(tuple(study) for study in side) for side in means)
    return Observations(highs, lows, grid=tuple(amounts))


def curve_targets(studies: Curves) -> list[float]:
    """As the page has them: from the start's value to what half of all confirmations reach and hold."""
    curves = np.concatenate(studies)[:, 1:]
    after = np.concatenate([curves[:, 1:], curves[:, -1:]], axis=1)
    held = np.sort(np.maximum(curves, after).min(axis=1))
    start = float(np.median(np.concatenate(studies)[:, 0]))
    hard = float(held[math.ceil(0.5 * len(held)) - 1])
    return [*np.geomspace(start, hard, 26)[1:-1].tolist(), hard]


def judged(observations: Sequence[Observations], *, looks: tuple[int, ...] = ()) -> list[Verdict]:
    """The verdicts that ``compare`` would write."""
    asked = Asked(level=LEVEL, margin=MARGIN, timed=True, looks=looks, evaluations=41)
    return verdicts({f"m{i}": o for i, o in enumerate(observations)}, asked)


def as_before(studies: Sequence[Observations]) -> list[tuple[int, int]]:
    """What the protocol claimed until now: ranks of the studies' restricted means, Holm over all pairs."""
    means = [[float(np.minimum(np.array(study), o.limit).mean()) for study in o.studies] for o in studies]
    pairs = [(i, j) for i in range(len(means)) for j in range(i)]
    p = [share_as_extreme(rankdata([*means[i], *means[j]]), len(means[i])) for i, j in pairs]
    adjusted = holm(p) <= 1 - LEVEL + 1e-12
    return [
        (i, j) if np.mean(means[i]) < np.mean(means[j]) else (j, i)
        for (i, j), claimed in zip(pairs, adjusted, strict=True)
        if claimed
    ]


class Replay:
    """Studies dealt to names, again and again."""

    def __init__(self, bank: Bank, replays: int) -> None:
        self.bank = bank
        self.replays = replays
        self.bound = 1 - LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / replays)

    def deal(self, names: int, studies: int, seed: int):
        rng = np.random.default_rng(seed)
        for _ in range(self.replays):
            yield rng.permutation(64)[: names * studies].reshape(names, studies)

    def axis(self, name: str) -> tuple[Floats, float]:
        amounts = self.bank.axes[name]
        return amounts, float(amounts[-1] / self.bank.axes["steps"][-1])

    def false_claims(
        self, names: int, target: float, axis: str = "example-gradients", first: int | None = None
    ) -> float:
        """Share of replays with any claim; a budget that ends at one of the ``first`` evaluations makes runs miss."""
        amounts, step = self.axis(axis)
        amounts, studies = amounts[:first], STUDIES
        every = [observed([c[:, :first]], amounts, target, step) for c in pool_of(self.bank, target)]
        claims = 0
        for dealt in self.deal(names, studies, seed=names * 100 + studies):
            found = judged([_joined([every[j] for j in row]) for row in dealt])
            claims += any(v.claims for v in found)
        return claims / self.replays

    def other_grids(self, target: float) -> float:
        """One name measured every fourth time only."""
        amounts, step = self.axis("example-gradients")
        pool = pool_of(self.bank, target)
        claims = 0
        for one, other in self.deal(2, STUDIES, seed=7):
            parts = [
                observed([pool[j] for j in one], amounts, target, step),
                observed([pool[j] for j in other], amounts, target, step, keep=4),
            ]
            claims += any(v.claims for v in judged(parts))
        return claims / self.replays

    def sequential(self, names: int, target: float, ratio: float = 1.0) -> tuple[float, float, float]:
        """Share of right claims, of wrong ones, and the mean number of studies; the first name is the slower one."""
        amounts, step = self.axis("example-gradients")
        pool = pool_of(self.bank, target)
        every = [observed([c], amounts, target, step) for c in pool]
        slow = [observed([slowed(c, amounts, ratio)], amounts, target, step) for c in pool]
        right = wrong = used = 0
        for dealt in self.deal(names, 64 // names if names > 2 else 32, seed=names * 10 + int(10 * ratio)):
            looks = tuple(n for n in LOOKS if n <= dealt.shape[1])
            parts = [_joined([(slow if i == 0 else every)[j] for j in row]) for i, row in enumerate(dealt)]
            found, n = _until(parts, looks)
            claims = [v for v in found if v.claims]
            right += any(v.b == "m0" for v in claims) if ratio != 1 else 0
            wrong += any(v.a == "m0" or "m0" not in (v.a, v.b) for v in claims) if ratio != 1 else bool(claims)
            used += n
        return right / self.replays, wrong / self.replays, used / self.replays

    def coverage(self, target: float, ratio: float) -> tuple[float, float, float]:
        """Share of intervals that hold the true ratio, share that are open, and the median printed ratio."""
        amounts, step = self.axis("example-gradients")
        pool = pool_of(self.bank, target)
        every = [observed([c], amounts, target, step) for c in pool]
        slow = [observed([slowed(c, amounts, ratio)], amounts, target, step) for c in pool]
        held, opened, sizes = 0, 0, []
        for one, other in self.deal(2, STUDIES, seed=int(100 * ratio)):
            (v,) = judged([_joined([slow[j] for j in one]), _joined([every[j] for j in other])])
            true = ratio if v.a == "m0" else 1 / ratio
            low, high = v.low or 0.0, math.inf if v.high is None else v.high
            held += low <= true * (1 + 1e-9) and true <= high * (1 + 1e-9)
            opened += v.low is None or v.high is None
            if v.ratio is not None:
                sizes.append(v.ratio if v.a == "m0" else 1 / v.ratio)
        return held / self.replays, opened / self.replays, float(np.median(sizes)) if sizes else math.nan

    def power(self, names: int, target: float, ratio: float) -> dict[str, float]:
        """Share of replays in which the slower name is called slower than at least one other, by each decision."""
        amounts, step = self.axis("example-gradients")
        pool = pool_of(self.bank, target)
        every = [observed([c], amounts, target, step) for c in pool]
        slow_curves = [slowed(c, amounts, ratio) for c in pool]
        slow = [observed([c], amounts, target, step) for c in slow_curves]
        found = {"before": 0, "now": 0, "whole curve": 0, "wrong": 0}
        for dealt in self.deal(names, STUDIES, seed=names * 1000 + int(10 * ratio)):
            parts = [_joined([(slow if i == 0 else every)[j] for j in row]) for i, row in enumerate(dealt)]
            claims = [v for v in judged(parts) if v.claims]
            found["now"] += any(v.b == "m0" for v in claims)
            found["wrong"] += any(v.a == "m0" or "m0" not in (v.a, v.b) for v in claims)
            found["before"] += any(b == 0 for _, b in as_before(parts))
            curves = [[(slow_curves if i == 0 else pool)[j] for j in row] for i, row in enumerate(dealt)]
            targets = curve_targets([c for own in curves for c in own])
            over_all = [whole_curve(own, amounts, targets, step) for own in curves]
            found["whole curve"] += any(v.b == "m0" for v in judged(over_all) if v.claims)
        return {name: count / self.replays for name, count in found.items()}

    def whole_curve_false(self, names: int) -> float:
        """Share of replays in which the test of the whole curve claims anything between names of one method."""
        amounts, step = self.axis("example-gradients")
        pool = pool_of(self.bank, MIDDLE)
        claims = 0
        for dealt in self.deal(names, STUDIES, seed=names):
            curves = [[pool[j] for j in row] for row in dealt]
            targets = curve_targets([c for own in curves for c in own])
            claims += any(v.claims for v in judged([whole_curve(own, amounts, targets, step) for own in curves]))
        return claims / self.replays

    def misses(self, target: float, first: int | None = None) -> float:
        """Share of the confirmations that miss a target within their ``first`` evaluations."""
        amounts, step = self.axis("example-gradients")
        curves = [c[:, :first] for c in pool_of(self.bank, target)]
        highs = np.concatenate([arrivals(c, amounts[:first], target, step)[1] for c in curves])
        return float(np.isinf(highs).mean())


def _joined(parts: Sequence[Observations]) -> Observations:
    first = parts[0]
    return Observations(
        tuple(p.studies[0] for p in parts), tuple((p.lows or p.studies)[0] for p in parts), first.limit, first.grid
    )


def _until(parts: Sequence[Observations], looks: tuple[int, ...]) -> tuple[list[Verdict], int]:
    for n in looks:
        found = judged([part.first(n) for part in parts], looks=looks)
        if all(v.words != "not separated" for v in found):
            break
    return found, n


def single_seed_bootstrap(replay: Replay, target: float) -> float:
    """What resampling the confirmation seeds of one study each would claim: the mistake that the protocol avoids."""
    amounts, step = replay.axis("example-gradients")
    rng, false = np.random.default_rng(1), 0
    pool = [np.minimum(arrivals(c, amounts, target, step)[1], amounts[-1]) for c in pool_of(replay.bank, target)]
    for _ in range(replay.replays):
        a, b = (pool[j] for j in rng.choice(len(pool), size=2, replace=False))
        draws = rng.integers(len(a), size=(2, 1000, len(a)))
        low, high = np.quantile(a[draws[0]].mean(1) - b[draws[1]].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        false += bool(low > 0 or high < 0)
    return false / replay.replays


def print_false(replay: Replay) -> None:
    """False claims of every path."""
    print(f"\nfalse claims, {replay.replays} replays each, {STUDIES} studies a name (bound {replay.bound:.3f})")

    def told(what: str, share: float) -> None:
        print(f"  {what}: {share:.4f}  {'ok' if share <= replay.bound else 'TOO MANY'}", flush=True)

    for names in (2, 3, 5, 8):
        told(f"{names} names, valid/loss<={MIDDLE}", replay.false_claims(names, MIDDLE))
    for target in (EASY, HARD, NEVER):
        told(f"2 names, valid/loss<={target} ({replay.misses(target):.0%} miss)", replay.false_claims(2, target))
    for names in (2, 5):
        for first in SHORT:
            missed = f"{replay.misses(HARD, first):.0%} miss, budget cut to {first} evaluations"
            told(f"{names} names, valid/loss<={HARD} ({missed})", replay.false_claims(names, HARD, first=first))
    for axis in ("steps", "seconds"):
        told(f"2 names, in {axis}", replay.false_claims(2, MIDDLE, axis))
    told("2 names, one of them measured every fourth time", replay.other_grids(MIDDLE))
    for names in (2, 5):
        told(f"{names} names, the whole target curve", replay.whole_curve_false(names))
    for names in (2, 3):
        _, wrong, _ = replay.sequential(names, MIDDLE)
        told(f"{names} names, until separated", wrong)
    contrast = single_seed_bootstrap(replay, MIDDLE)
    print(f"  for contrast, a bootstrap over the seeds of one study each: {contrast:.3f}")


def print_coverage(replay: Replay) -> None:
    """Coverage of the printed intervals."""
    print(f"\ncoverage of the interval of the ratio, {replay.replays} replays each: held / open / median printed")
    for target in (EASY, MIDDLE, HARD):
        for ratio in (1.0, *RATIOS):
            held, opened, size = replay.coverage(target, ratio)
            print(f"  valid/loss<={target}, true ratio {ratio}: {held:.3f} / {opened:.2f} / {size:.2f}", flush=True)


def print_power(replay: Replay) -> None:
    """Power at equal cost, and until separated."""
    print(f"\npower, {replay.replays} replays each: the slower name is called slower than at least one other")
    for names in (2, 5):
        for target in (EASY, MIDDLE, HARD):
            for ratio in RATIOS:
                found = ", ".join(f"{name} {share:.3f}" for name, share in replay.power(names, target, ratio).items())
                missed = replay.misses(target)
                print(f"  {names} names, valid/loss<={target} ({missed:.0%} miss), {ratio}: {found}", flush=True)
    print("until separated, two names: right / wrong / mean studies")
    for ratio in RATIOS:
        right, wrong, used = replay.sequential(2, MIDDLE, ratio)
        print(f"  true ratio {ratio}: {right:.3f} / {wrong:.3f} / {used:.1f}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replays", type=int, default=1000)
    parser.add_argument("--only", choices=("false", "coverage", "power"))
    given = parser.parse_args()
    bank = load_bank()
    replay = Replay(bank, given.replays)
    about = bank.about
    print(f"bank: 64 studies of {about['method']} on {about['problem']}, made with {about['versions']};")
    print(f"  replayed under Python {platform.python_version()}, numpy {np.__version__}")
    tables = {"false": print_false, "coverage": print_coverage, "power": print_power}
    for name, table in tables.items():
        if given.only in (None, name):
            table(replay)


if __name__ == "__main__":
    main()
