"""What answers claim against what is so: the 35 problems of Moré, Garbow and Hillstrom, and 200 random convex ones.

    python benchmarks/truth_table.py [--quick] [--only mgh|convex] [--methods auto,minpack,...] [--json FILE]

The published problems start from 1, 10 and 100 times their standard start and come in three forms: as a sum of squares,
as a smooth function, and as one whose coordinates have units from 1e-6 to 1e6. The convex ones have noise from 1 to
1e-8 of the signal, data in float64 and float32, columns and objective scaled by twelve decades. F is recomputed without
optwise, in long double or 60 digits. A claim is false where

- *optimal* is off by more than tol relative to the best value, and by more than the rounding error of F;
- *stationary*, not told as a saddle, is left by Levenberg-Marquardt or Newton for an F lower by more than 1e-4 of it,
  and by more than its rounding error (on the published problems also 1e-20 of F at the standard start).

A published minimum is reached where F is within 1e-4 of it, those at infinity included, and 0 within the errors above
(or, in the other column, within 1e-10). Peers are asked for all they can give; their *converged* is judged as a claim
of a stationary point. It exits with 1 where optwise claimed what is not so.
"""

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from truth.convex_rows import convex_rows
from truth.peers import PEERS
from truth.published_rows import published_rows
from truth.tables import report

METHODS = ("auto", *PEERS)
FAMILIES = ("mgh", "convex")
PROBLEMS = 200


def rows(asked, methods):
    """All rows asked for, as they come."""
    if asked.only != "convex":
        yield from published_rows(methods, tol=asked.tol, max_seconds=asked.seconds, quick=asked.quick)
    if asked.only != "mgh":
        count = 30 if asked.quick else PROBLEMS
        yield from convex_rows(methods, tol=asked.tol, max_seconds=asked.seconds, count=count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every sixth published problem and 30 convex ones")
    parser.add_argument("--only", choices=FAMILIES, help="one family alone")
    parser.add_argument("--methods", default=",".join(METHODS), help="auto, names of solvers, or peers, by commas")
    parser.add_argument("--tol", type=float, default=1e-6, help="what a certificate must reach")
    parser.add_argument("--seconds", type=float, default=20.0, help="limit of a solve")
    parser.add_argument("--json", type=Path, help="write the rows there")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    begin, found = time.perf_counter(), []
    for row in rows(asked, asked.methods.split(",")):
        found.append(row)
        if sys.stderr.isatty():
            print(f"\r{len(found)} solves, {time.perf_counter() - begin:.0f} s", end="", file=sys.stderr, flush=True)
    packages = {name: version(name) for name in ("optwise", "torch", "numpy", "scipy", "mpmath")}
    versions = {"python": platform.python_version(), **packages, "machine": platform.machine()}
    if asked.json:
        asked.json.write_text(json.dumps({"versions": versions, "tol": asked.tol, "rows": found}, indent=1))
    print(report(found))
    print(f"\ntol {asked.tol:g}; {len(found)} solves, {time.perf_counter() - begin:.0f} s")
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    ours = [row for row in found if row["method"] not in PEERS]
    if any(row["false_optimal"] or row["false_stationary"] for row in ours):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
