"""A kill at any moment: what was committed is whole, and nothing is half there."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from optwise.store.folder import Folder

ROWS = 3
KILLS = 5

# One line in, one child out: torch is imported once, and each child commits chunks until it is killed.
SCRIPT = f"""
import os, sys
import torch
sys.path.insert(0, sys.argv[2])
from conftest import make_run
from optwise.store.folder import Folder
from optwise.store.records import StoredRun

def stored(number, i):
    run = make_run(f"p/m/{{number}}/{{i}}", values=(number, i), weights={{"w": torch.full((3000,), float(number))}})
    return StoredRun(f"{{number}}.{{i}}", run)

def commit_for_ever(path):
    with Folder.open(path, folder_hash="f" * 64, protocol={{}}) as folder, open(path + ".log", "a") as log:
        number = len(folder.keys()) // {ROWS}
        while True:
            folder.commit_chunk(str(number), [stored(number, i) for i in range({ROWS})])
            print(number, file=log, flush=True)
            number += 1

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        commit_for_ever(sys.argv[1])
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def test_after_a_kill_every_committed_chunk_is_whole(tmp_path):
    path = tmp_path / "runs"
    moments = random.Random(0)
    command = [sys.executable, "-c", SCRIPT, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        for _ in range(KILLS):
            print("go", file=nursery.stdin, flush=True)
            child = int(nursery.stdout.readline())
            time.sleep(moments.uniform(0.05, 0.3))
            os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == "gone\n"
            chunks = whole_chunks(path)
        nursery.stdin.close()
    assert nursery.returncode == 0
    assert chunks > KILLS


def whole_chunks(path):
    """Count the chunks after checking all of each."""
    log = path.with_name("runs.log")
    told = [int(line) for line in log.read_text().splitlines()] if log.exists() else []
    with Folder.open(path, folder_hash="f" * 64, protocol={}) as folder:
        trials = folder.trials()
        sealed = folder.reveal("p")
        chunks = {int(trial.chunk) for trial in trials}
        assert {trial.key for trial in trials} == {f"{number}.{i}" for number in chunks for i in range(ROWS)}
        assert chunks == set(range(len(chunks)))
        assert set(told) <= chunks, "a chunk that was reported as committed is gone"
        for trial in trials:
            number, i = map(int, trial.key.split("."))
            assert trial.curves["train/loss"][1].tolist() == [number, i]
            assert sealed[trial.key]["test/loss"][1].tolist() == [number + 100, i + 100]
            assert folder.weights(trial.key)["w"].tolist() == [number] * 3000
    connection = sqlite3.connect(path / "study.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    return len(chunks)
