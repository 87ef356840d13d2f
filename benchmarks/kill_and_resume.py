"""Does a comparison that is killed at any moment end with the results of one that was not?

One comparison runs to its end. Then, once per kill: a new folder takes over its execution plan, the same command starts
there in a process of its own with two workers, is killed with SIGKILL at a random moment, and is run again to its end.
Its results must be the uninterrupted ones bit for bit (where and how it ran and numbers of seconds apart), nothing that
was committed may run again, and no worker may outlive the killed process. A moment is a random number of committed
trials and a random delay after it, so that it falls into the work however busy the machine is. One more kill lands
before a plan is committed, and that comparison starts over. At last a method is added, and only its own trials run.

    python benchmarks/kill_and_resume.py                 # ten kills, about four minutes on two cores
    python benchmarks/kill_and_resume.py --kills 3 --seed 42
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import optwise as ow
from optwise.store.folder import Folder

ASKED: dict[str, Any] = {
    "studies": 4,
    "trials": 16,
    "seeds": 2,
    "budget": "400steps",
    "workers": 2,
    "executor": "processes",
    "resamples": 1000,
}
LEFT_OUT = ("environment", "execution", "seconds")
LONGEST_DELAY = 0.5
GRACE_SECONDS = 10.0


class Counting:
    """A Progress that counts the trials that run."""

    def __init__(self) -> None:
        self.ran: dict[str, int] = {}

    def plan(self, total: int, cached: int) -> None: ...

    def note(self, text: str) -> None: ...

    def done(self) -> None: ...

    def advance(self, problem: str, method: str, phase: str, trials: int, best: float | None) -> None:
        self.ran[method] = self.ran.get(method, 0) + trials


def run(folder: Path, names: list[str]) -> dict[str, int]:
    """The command that is killed and run again; returns the trials it ran, by method."""
    told = Counting()
    methods = [ow.methods.METHODS[name]() for name in names]
    ow.compare(ow.problems.digits_softmax(), methods, out=folder, progress=told, **ASKED)
    return told.ran


def start(folder: Path, names: list[str]) -> subprocess.Popen[str]:
    """The same command in a process of its own."""
    command = [sys.executable, __file__, "--run", str(folder), *names]
    # what a killed process leaves behind, the pool's resource tracker clears up, and complains about it
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore::UserWarning"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet)


def ended(process: subprocess.Popen[str]) -> dict[str, int]:
    """What a process that runs to its end says it ran."""
    said, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"The command ended with {process.returncode}.")
    return json.loads(said)


def family(process: int) -> set[int]:
    """The process and everything it started that is still there."""
    found = {process}
    for listed in Path("/proc").glob(f"{process}/task/*/children"):
        try:
            for child in map(int, listed.read_text().split()):
                found |= family(child)
        except OSError:
            continue
    return found


def alive(process: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def committed(folder: Path, table: str = "trials", column: str = "key") -> set[str]:
    """Keys of the trials that a folder holds; none where it is only being made."""
    if not (folder / "study.db").exists():
        return set()
    connection = sqlite3.connect(folder / "study.db", timeout=60)
    try:
        return {found for (found,) in connection.execute(f"SELECT {column} FROM {table}")}
    except sqlite3.OperationalError:
        return set()
    finally:
        connection.close()


def timeless(document: Any) -> Any:
    """Without what may differ between two equal comparisons."""
    if isinstance(document, dict):
        return {name: timeless(item) for name, item in document.items() if name not in LEFT_OUT}
    return [timeless(item) for item in document] if isinstance(document, list) else document


def results(folder: Path) -> str:
    """The results of a folder as text, to be compared bit for bit."""
    return json.dumps(timeless(json.loads((folder / "results.json").read_text())), indent=1)


def adopt(plan_of: Path, folder: Path) -> None:
    """A new folder with the execution plan of another."""
    with Folder.existing(plan_of) as other:
        folder_hash = other.folder_hash
        protocol = next(iter(other.protocols().values()))["folder"]
    with Folder.open(folder, folder_hash=folder_hash, protocol=protocol) as fresh:
        fresh.copy_plan_from(plan_of)


def kill(process: subprocess.Popen[str], how: signal.Signals) -> None:
    """Send a signal, and see that nothing that the process started outlives it."""
    relatives = family(process.pid)
    process.send_signal(how)
    process.wait()
    deadline = time.monotonic() + GRACE_SECONDS
    while any(map(alive, relatives)) and time.monotonic() < deadline:
        time.sleep(0.05)
    survivors = [p for p in relatives if alive(p)]
    assert not survivors, f"{len(survivors)} of {len(relatives)} processes outlived the one that got {how.name}"


def kill_before_the_plan(folder: Path, names: list[str], total: int) -> None:
    """Kill the command while it measures; run again, it has nothing to build on and does everything."""
    process = start(folder, names)
    while not (folder / "study.db").exists():
        time.sleep(0.005)
    kill(process, signal.SIGKILL)
    assert not committed(folder, "plans", "method"), "the plan was there before the kill; run this again"
    ran = sum(ended(start(folder, names)).values())
    assert ran == total, f"{ran} of {total} trials were run"


def kill_once(whole: Path, folder: Path, names: list[str], *, trials: int, delay: float) -> tuple[int, int]:
    """Kill the command a delay after so many trials and run it again; returns trials kept and trials run again."""
    adopt(whole, folder)
    process = start(folder, names)
    while len(committed(folder)) < trials and process.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)
    kill(process, signal.SIGKILL)
    kept = committed(folder)
    ran = sum(ended(start(folder, names)).values())
    total = len(committed(whole))
    assert len(kept) + ran == total, f"{len(kept)} trials were kept and {ran} were run, of {total}"
    assert kept <= committed(whole), "a trial was stored that is not in the plan"
    assert results(folder) == results(whole), "the resumed results differ from the uninterrupted ones"
    return len(kept), ran


def main() -> None:
    """Kill, resume, compare; then add a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="of the moments; by default another each time")
    parser.add_argument("--run", nargs="+", metavar=("DIR", "METHOD"), help="only run the command that is killed")
    asked = parser.parse_args()
    if asked.run:
        print(json.dumps(run(Path(asked.run[0]), asked.run[1:])))
        return
    seed = random.SystemRandom().randrange(2**16) if asked.seed is None else asked.seed
    moments, names = random.Random(seed), ["sgd", "adam"]
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        ended(start(whole, names))
        adopt(whole, Path(place) / "twin")
        ended(start(Path(place) / "twin", names))
        total = len(committed(whole))
        assert results(Path(place) / "twin") == results(whole), "the same plan gave other results"
        print(f"uninterrupted: {total} trials, the same results twice; moments from seed {seed}", flush=True)
        for number in range(1, asked.kills + 1):
            trials, delay = moments.randrange(total), moments.uniform(0.0, LONGEST_DELAY)
            kept, ran = kill_once(whole, Path(place) / str(number), names, trials=trials, delay=delay)
            print(
                f"kill {number}, {delay:.2f} s after {trials} trials: {kept} kept, {ran} run, the same results",
                flush=True,
            )
        kill_before_the_plan(Path(place) / "early", names, total)
        print(f"killed before the plan: all {total} trials run", flush=True)
        before = committed(whole)
        added = ended(start(whole, [*names, "momentum"]))
        assert list(added) == ["momentum"], "another method ran again"
        assert len(committed(whole)) == len(before) + added["momentum"]
        print(f"one method added: {added['momentum']} trials run, all its own; {len(before)} kept")
    print(f"{Path(__file__).name}: {asked.kills} of {asked.kills} kills resumed to the same results")


if __name__ == "__main__":
    main()
