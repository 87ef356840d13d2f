"""What the README shows and the examples do, executed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


def test_the_readme_has_a_block_to_execute():
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_of_the_readme_runs_and_prints_a_verdict(block: str, tmp_path: Path):
    (tmp_path / "block.py").write_text(block)
    done = run(["block.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    said = re.search(r"# (.+? on [a-z-]+)", block)[1]
    assert f"{said}." in done.stdout, "the comment in the block is what it prints"
    assert len(list(tmp_path.glob("runs/*/report.html"))) == 1


def test_every_picture_of_the_readme_is_there_and_light():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    for said, path in pictures:
        assert len(said.split()) > 5
        assert (ROOT / path).read_bytes().startswith(b"\x89PNG")
        assert (ROOT / path).stat().st_size < 300_000


def test_the_first_own_problem_takes_fifteen_lines():
    code = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(code) <= 20  # of which five are imports


def test_the_example_problem_and_the_example_optimizer_are_compared_from_the_command_line(tmp_path: Path):
    asked = ["-m", "optwise", "compare", f"{ROOT}/examples/own_problem.py:problem", "--json", "--out", "out"]
    asked += ["--methods", f"adamw,{ROOT}/examples/own_optimizer.py:SignMomentum"]
    asked += ["--studies", "4", "--trials", "2", "--seeds", "1", "--budget", "60steps"]
    done = run(asked, tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document["problems"]["wine"]["methods"]) == {"adamw", "signmomentum"}
    assert document["problems"]["wine"]["methods"]["signmomentum"]["search"]["borrowed_space"]
    assert (tmp_path / "out" / "report.html").stat().st_size > 0


def test_the_example_rule_is_predicted_and_its_runs_agree(tmp_path: Path):
    done = run([f"{ROOT}/examples/own_rule.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    predicted, measured, error = map(
        float, re.search(r"predicted (\S+), measured (\S+) \+- (\S+);", done.stdout).groups()
    )
    assert abs(measured - predicted) < 4 * error


def test_the_example_penalty_is_solved_from_the_command_line_with_a_certificate(tmp_path: Path):
    done = run(["-m", "optwise", "solve", f"{ROOT}/examples/own_penalty.py:problem", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["certificate"]["kind"] == "optimality"
    assert document["certificate"]["value"] <= 1e-6


def test_the_example_penalty_takes_fifteen_lines():
    code = [line for line in (ROOT / "examples" / "own_penalty.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 15


def test_the_blocks_on_solving_run_and_say_what_they_promise(tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "solve.md").read_text(), flags=re.DOTALL)
    promised = ["optimal, certified\nduality gap True\n", "optimal, certified 1.0 True\n"]
    for block, said in zip(blocks, promised, strict=True):
        (tmp_path / "block.py").write_text(block)
        done = run(["block.py"], tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(said)


@pytest.mark.parametrize("name", ["own_problem.py", "own_optimizer.py", "own_rule.py", "own_penalty.py"])
def test_an_example_is_short_and_runs_on_its_own(name: str, tmp_path: Path):
    file = ROOT / "examples" / name
    code = [
        line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith(('"""', "#"))
    ]
    assert len(code) <= 25
    done = run([str(file)], tmp_path)
    assert done.returncode == 0, done.stderr
