"""What `ow.solve` says on problems whose best value somebody else knows: method, why, status, certificate, true error.

    python benchmarks/answers.py [--tol 1e-6] [NAME...]

The true error is relative to the known best value, with the certificate's own floor under the denominator. It exits
with 1 where an answer called optimal is off by more than 1e-5, where one called stationary has a recomputed residual
above the tolerance, or where fewer than nine in ten answers are certified.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

import optwise as ow
from optwise.core.status import Status
from optwise.verbs.formulating import formulate
from optwise.verbs.solutions import certified

sys.path.insert(0, str(Path(__file__).parent))

from answer_problems import problems

WRONG = 1e-5
SHARE = 0.9


@dataclass(frozen=True)
class Answered:
    """One row: a known problem, the run, its true relative error, and its certificate computed once more."""

    known: object
    run: ow.Run
    error: float
    again: float
    seconds: float

    @property
    def false_optimum(self):
        """Called optimal while off."""
        return self.run.status is Status.OPTIMAL and not self.error <= WRONG

    def false_stationary(self, tol):
        """Called stationary while the recomputed residual is above the tolerance."""
        return self.run.status is Status.STATIONARY and not self.again <= tol


def off(found, value, scale):
    """How far a value is off, relative to what is known; 0 where the difference is no larger than its rounding."""
    difference = abs(found - value)
    if difference <= scale:
        return 0.0
    return difference / abs(value) if value else float("inf")


def answer(known, tol=1e-6):
    """Solve a known problem and hold the answer against what is known."""
    problem, values = known.build()
    begin = time.perf_counter()
    run = ow.solve(problem, tol=tol)
    seconds = time.perf_counter() - begin
    # a local minimum may only be called stationary; what is called optimal is held against the best
    best = values if known.local and run.status is not Status.OPTIMAL else values[:1]
    error = min(off(run.value, value, run.certificate.scale) for value in best)
    fresh = formulate(known.build()[0], tol)
    again = fresh.certify(run.w.reshape(-1).to(torch.float64), run.answer.dual)
    return Answered(known, run, error, again.value, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tol", type=float, default=1e-6)
    asked = parser.parse_args()
    print(
        f"{'problem':42} {'method':32} {'ended':21} {'certificate':>11} {'true error':>10} {'ms':>7}  by; known by; why"
    )
    rows = []
    for known in problems():
        if asked.names and not any(name in known.name for name in asked.names):
            continue
        found = answer(known, asked.tol)
        rows.append(found)
        run, proof = found.run, found.run.certificate
        mark = " <-- WRONG" if found.false_optimum or found.false_stationary(asked.tol) else ""
        print(
            f"{known.name:42} {run.method.label:32} {run.status.value:21} {proof.value:11.1e} {found.error:10.1e} "
            f"{1e3 * found.seconds:7.0f}  {proof.name}; {known.source}; {run.why}{mark}",
            flush=True,
        )
    wrong = [row.known.name for row in rows if row.false_optimum]
    residuals = [row.known.name for row in rows if row.false_stationary(asked.tol)]
    proved = sum(certified(row.run) for row in rows)
    print(f"{len(rows)} problems: {dict(Counter(row.run.status.value for row in rows))}")
    print(f"optimal but off by more than {WRONG:g}: {wrong or 0}")
    print(f"stationary with a recomputed residual above {asked.tol:g}: {residuals or 0}")
    print(f"certified: {proved} of {len(rows)}")
    if wrong or residuals or proved < SHARE * len(rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
