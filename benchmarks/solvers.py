"""Solvers against their peers at equal certified accuracy; see peers/solver_timings.py for what is timed and how.

    python benchmarks/solvers.py [lasso] [logistic] [lbfgs] [pursuit] [variation] [regret]

The peers (peers/solvers.txt) have requirements of their own, so they live in an environment of their own,
`.venv-peers`, which the first call makes: torch through our constraints, optwise as it lies here, then the peers.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def main():
    if not (PYTHON.parent / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", PYTHON.parents[1]], check=True)
        pip = [PYTHON, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", "torch"], check=True)
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", "-e", ROOT], check=True)
        subprocess.run([*pip, "-r", HERE / "peers" / "solvers.txt"], check=True)
        (PYTHON.parent / "ready").touch()
    timings = [PYTHON, HERE / "peers" / "solver_timings.py", *sys.argv[1:]]
    raise SystemExit(subprocess.run(timings, env={**os.environ, **ONE_THREAD}, check=False).returncode)


if __name__ == "__main__":
    main()
