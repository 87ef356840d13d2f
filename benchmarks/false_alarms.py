"""How often does the protocol claim a difference that is not there, and how often does it find one that is?

A bank of whole real studies of one and the same method (search, selection, confirmation on fresh seeds; each with a
scramble seed and trial seeds of its own) is made once with `compare`. The decision is then replayed many times: studies
are dealt without replacement to made-up method names, and the verdicts of `compare` are asked for. No name differs from
another, so every claim is false. For power, the times of one name are multiplied by a true ratio, and what then lies
beyond the budget is a miss.

    python benchmarks/false_alarms.py                    # replay from the bank that lies beside this file
    python benchmarks/false_alarms.py --make runs/bank   # make the bank again first (about three minutes on two cores)
"""

from __future__ import annotations

import argparse
import json
import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

import optwise as ow
from optwise.analyses.ranking import BETTER, EQUIVALENT, FASTER, NOT_SEPARATED, Observations, verdicts
from optwise.numerics.statistics import restricted_mean

BANK = Path(__file__).parent / "data" / "false_alarms_bank.json"
PROBLEM, METHOD = "digits-mlp", "adamw"
STUDIES_IN_BANK = 64
REPLAYS = 2000
LEVEL, MARGIN = 0.95, 0.02


def make(folder: Path) -> dict[str, Any]:
    """Run the studies of the bank and keep what a decision looks at: every confirmation's time, study by study."""
    problem = ow.problems.digits_mlp()
    done = ow.compare(problem, [ow.AdamW(name=METHOD)], studies=STUDIES_IN_BANK, out=folder, seed=20261123)
    method = done.document["problems"][PROBLEM]["methods"][METHOD]
    unit = method["search"]["budget"]["example-gradients"] / method["search"]["budget"]["steps"]
    target = problem.target
    studies: dict[int, list[float | None]] = {}
    seeds: dict[int, list[int]] = {}
    for run in done.runs:
        if run.name is not None and run.name.phase.value == "confirm":
            step = next((k for k, v in run.curve(target.metric) if target.reached_by(v)), None)
            studies.setdefault(run.name.study, []).append(None if step is None else step * unit)
            seeds.setdefault(run.name.study, []).append(run.seed)
    return {
        "problem": PROBLEM,
        "method": METHOD,
        "target": str(target),
        "axis": "example-gradients",
        "budget": method["search"]["budget"]["example-gradients"],
        "trials": 16,
        "seeds": 4,
        "protocol": done.protocol.hash,
        "base_seed": 20261123,
        "versions": {k: done.document["environment"][k] for k in ("optwise", "torch", "python")},
        "studies": [{"study": s, "seeds": seeds[s], "times": studies[s]} for s in sorted(studies)],
    }


def observed(studies: list[list[float | None]], budget: float, ratio: float = 1.0) -> Observations:
    """What the protocol infers from: the mean time of each study, a miss counting the budget."""
    times = [[math.inf if t is None or t * ratio > budget else t * ratio for t in study] for study in studies]
    return Observations(
        tuple(restricted_mean(study, budget) for study in times),
        tuple(not any(map(math.isfinite, study)) for study in times),
    )


def replay(bank: dict[str, Any], *, names: int, studies: int, ratio: float, seed: int) -> dict[str, float]:
    """Deal studies to names and ask for the verdicts; the first name is truly ``ratio`` times slower."""
    rng = np.random.default_rng(seed)
    pool, budget = [s["times"] for s in bank["studies"]], bank["budget"]
    any_claim = right = wrong = equivalent = 0
    for _ in range(REPLAYS):
        dealt = rng.permutation(len(pool))[: names * studies].reshape(names, studies)
        observations = {
            f"m{i}": observed([pool[j] for j in row], budget, ratio if i == 0 else 1.0) for i, row in enumerate(dealt)
        }
        found = verdicts(observations, level=LEVEL, margin=MARGIN, timed=True)
        claims = [v for v in found if v.words in (FASTER, BETTER)]
        any_claim += bool(claims)
        right += any(v.b == "m0" for v in claims)
        wrong += any("m0" not in (v.a, v.b) or v.a == "m0" for v in claims) if ratio != 1 else bool(claims)
        equivalent += any(v.words == EQUIVALENT for v in found)
    share = {"any": any_claim, "right": right, "wrong": wrong, "equivalent": equivalent}
    return {name: count / REPLAYS for name, count in share.items()}


def single_seed_bootstrap(bank: dict[str, Any], *, seed: int) -> float:
    """What resampling the confirmation seeds of one study each would claim: the mistake that the protocol avoids."""
    rng = np.random.default_rng(seed)
    pool, budget, false = [s["times"] for s in bank["studies"]], bank["budget"], 0
    for _ in range(REPLAYS):
        a, b = (
            np.array([budget if t is None else t for t in pool[j]])
            for j in rng.choice(len(pool), size=2, replace=False)
        )
        draws = rng.integers(len(a), size=(2, 1000, len(a)))
        gaps = a[draws[0]].mean(1) - b[draws[1]].mean(1)
        low, high = np.quantile(gaps, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        false += bool(low > 0 or high < 0)
    return false / REPLAYS


def identical_configuration(folder: Path) -> str:
    """Two names for one closed configuration, really run: the words about it."""
    twins = [ow.AdamW(lr=3e-3, name=name) for name in ("one", "other")]
    done = ow.compare(ow.problems.digits_softmax(), twins, out=folder, seed=7)
    return str(done.document["problems"]["digits-softmax"]["verdicts"][0]["words"])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", type=Path, help="folder in which to make the bank again")
    parser.add_argument("--twins", type=Path, help="folder in which to run one closed configuration under two names")
    given = parser.parse_args()
    if given.make is not None:
        BANK.parent.mkdir(exist_ok=True)
        BANK.write_text(json.dumps(make(given.make), indent=1) + "\n")
    bank = json.loads(BANK.read_text())
    misses = sum(t is None for s in bank["studies"] for t in s["times"])
    per_study = observed([s["times"] for s in bank["studies"]], bank["budget"]).values
    print(f"bank: {len(bank['studies'])} studies of {bank['method']} on {bank['problem']} to {bank['target']},")
    print(
        f"  {bank['trials']} trials and {bank['seeds']} confirmations each, {misses} misses, seed {bank['base_seed']}"
    )
    print(f"  restricted mean time: median {np.median(per_study):.0f}, sd of logs {np.log(per_study).std():.2f}")
    print(
        f"  made with {bank['versions']}; replayed under Python {platform.python_version()}, numpy {np.__version__}\n"
    )
    bound = 1 - LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / REPLAYS)
    print(f"false alarms, {REPLAYS} replays each: any claim between names of one method (bound {bound:.3f})")
    for names, studies in ((2, 4), (2, 6), (5, 6), (5, 8), (8, 7)):
        share = replay(bank, names=names, studies=studies, ratio=1.0, seed=names * 100 + studies)["any"]
        print(f"  {names} names x {studies} studies: {share:.4f}  {'ok' if share <= bound else 'TOO MANY'}")
    print(f"  a bootstrap over the seeds of one study each, for contrast: {single_seed_bootstrap(bank, seed=1):.3f}\n")
    print(f"power, {REPLAYS} replays each: the slower name is called slower than at least one other / a wrong claim")
    for names, studies in ((2, 6), (5, 6), (5, 8)):
        for ratio in (1.5, 2.0, 2.5, 3.0, 3.5):
            seed = int(names * 1000 + studies + ratio * 10)
            found = replay(bank, names=names, studies=studies, ratio=ratio, seed=seed)
            what = f"{names} names x {studies} studies, true time ratio {ratio:4.2f}"
            print(f"  {what}: {found['right']:.3f} / {found['wrong']:.3f}")
    if given.twins is not None:
        words = identical_configuration(given.twins)
        assert words in (NOT_SEPARATED, EQUIVALENT)
        print(f"\none closed configuration under two names, run: {words}")


if __name__ == "__main__":
    main()
