"""A comparison that is killed at any moment, or interrupted, ends with the results of one that was not.

The quick kill is of a process that runs its own chunks; the ten slow ones, and the interruption, are of a pool.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_comparisons import METHODS, calibrated, compare, results, stored, timeless

import optwise as ow
from optwise.cli import main
from optwise.engine.calibration import RungChoice

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from kill_and_resume import adopt, committed, kill  # noqa: E402 - the benchmark's own means

ASKED = {"studies": 2, "budget": "40steps"}
TRIALS = 2 * (2 * 4 + 2 * 2 + 2)
COMPARE = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from small_comparisons import compare, quick
with quick():
    compare(sys.argv[1], **{ASKED!r})
"""
PROGRAM = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background deaf to it
sys.path.insert(0, {str(HERE)!r})
from small_comparisons import quick
from optwise.cli import main
with quick():
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of four, so that there is something between two of them."""
    choice = RungChoice("vmap", 4, "as the test says", {"solo": 1.0})
    monkeypatch.setattr("optwise.verbs.planning.calibrate", calibrated(choice))


def wait_for(folder, trials, process):
    """Until so many trials are committed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(committed(folder)) >= trials:
            return
        time.sleep(0.005)
    process.kill()
    raise AssertionError(f"{trials} trials never came: {process.communicate()}")


@pytest.mark.usefixtures("small_chunks")
def test_a_killed_comparison_ends_with_the_results_of_one_that_was_not(tmp_path):
    seed = random.SystemRandom().randrange(2**16)
    print("the kill falls by seed", seed)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    compare(whole, **ASKED)
    adopt(whole, cut)
    process = subprocess.Popen([sys.executable, "-c", COMPARE, str(cut)], text=True, stderr=subprocess.PIPE)
    wait_for(cut, random.Random(seed).randrange(1, TRIALS // 2), process)
    kill(process, signal.SIGKILL)
    process.communicate()

    kept = committed(cut)
    _, told = compare(cut, **ASKED)
    assert 0 < len(kept) == TRIALS - told.trials
    assert stored(cut) == stored(whole)
    assert timeless(results(cut)) == timeless(results(whole))

    _, told = compare(cut, methods=[*METHODS, ow.Momentum(lr=0.1)], **ASKED)
    assert told.ran == {("momentum", "confirm"): 4, ("momentum", "default"): 2}


@pytest.mark.usefixtures("small_chunks")
def test_a_comparison_killed_before_its_plan_starts_over(tmp_path, monkeypatch):
    """A kill between two commits leaves what was committed: here the folder, and no plan."""

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("optwise.verbs.planning.calibrate", killed)
        with pytest.raises(Killed):
            compare(tmp_path / "runs", studies=1)
    assert committed(tmp_path / "runs") == set()
    _, told = compare(tmp_path / "runs", studies=1)
    assert told.planned == (told.trials, 0)


def test_ctrl_c_keeps_what_is_committed_and_the_same_command_resumes(tmp_path, capsys):
    words = [
        *("compare", "least-squares:n=40,p=4,kappa=4", "--methods", "sgd,adam", "--studies", "2", "--trials", "16"),
        *("--seeds", "2", "--budget", "100steps", "--resamples", "200", "--out", str(tmp_path / "runs")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words, "--workers", "2", "--executor", "processes"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(tmp_path / "runs", 1, process)
    kill(process, signal.SIGINT)
    said, complained = process.communicate()
    assert process.returncode == 130, complained
    assert said == ""
    assert "interrupted; everything committed is kept" in complained
    assert "Traceback" not in complained
    assert not (tmp_path / "runs" / "results.json").exists()
    kept = stored(tmp_path / "runs")
    assert main([*words, "--workers", "1"]) == 0
    now = stored(tmp_path / "runs")
    assert {key: now[key] for key in kept} == kept
    assert len(now) == 2 * (2 * 16 + 2 * 2 + 2)
    assert "least-squares" in capsys.readouterr().out


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_bit():
    script = ROOT / "benchmarks" / "kill_and_resume.py"
    done = subprocess.run([sys.executable, str(script), "--kills", "10"], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "10 of 10 kills resumed to the same results" in done.stdout
