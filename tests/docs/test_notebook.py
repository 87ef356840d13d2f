"""docs/notebook.md as a notebook, executed cell by cell: what each cell shows is short, and what it is for."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"
CELLS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
LINES = 30


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The outputs of each cell, after nbconvert has run the page's code as one notebook."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
        for i, text in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "page.ipynb").write_text(json.dumps(notebook))
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output",
        "done.ipynb",
        "page.ipynb",
    ]
    # the kernel is this interpreter, whichever kernels the machine knows, and writes nothing outside the folder
    kernels = folder / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    own = {"JUPYTER_PATH": str(folder / "jupyter"), "IPYTHONDIR": str(folder / "ipython")}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **own}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((folder / "done.ipynb").read_text())
    return [cell["outputs"] for cell in found["cells"]]


def text_of(output):
    """What an output is as plain text."""
    if output["output_type"] == "stream":
        return "".join(output["text"])
    return "".join(output["data"].get("text/plain", []))


def html_of(output):
    return "".join(output.get("data", {}).get("text/html", []))


def cell(executed, last):
    """The outputs of the one cell whose last line is ``last``, or a call of it."""
    lines = [text.strip().splitlines()[-1] for text in CELLS]
    (found,) = [o for o, line in zip(executed, lines, strict=True) if line == last or line.startswith(f"{last}(")]
    return found


@pytest.mark.slow
def test_every_cell_shows_something_short_and_no_warning(executed):
    assert len(executed) >= 9
    for outputs, text in zip(executed, CELLS, strict=True):
        assert outputs, f"nothing is shown by {text}"
        assert sum(len(text_of(output).splitlines()) for output in outputs) < LINES, text
        for output in outputs:
            assert output["output_type"] in ("execute_result", "display_data", "stream"), text
            assert output.get("name") != "stderr", text_of(output)
            assert "Warning" not in text_of(output)
            assert len(text_of(output)) <= 2000
            assert html_of(output).count("<tr") < LINES
            assert not re.search(r"(src|href)=|url\(|<script|<link|@import", html_of(output))


@pytest.mark.slow
def test_a_comparison_shows_one_line_of_progress_and_its_verdict(executed):
    progress, result = cell(executed, "comparison")
    assert len(text_of(progress).splitlines()) == 1
    assert re.match(r"trials (\d+)/\1", text_of(progress))
    lines = text_of(result).splitlines()
    assert lines[0] == "Comparison on wine: momentum, adamw"
    assert "momentum" in lines[1]
    assert "adamw" in html_of(result)
    assert "report.html" in text_of(result)


@pytest.mark.slow
def test_a_chart_is_a_specification_and_a_picture(executed):
    (output,) = cell(executed, "comparison.plot")
    assert any(kind.startswith("application/vnd.vegalite") for kind in output["data"])
    assert {"image/png", "image/svg+xml"} & output["data"].keys()
    assert "text/html" not in output["data"]


@pytest.mark.slow
def test_a_solve_and_a_prediction_show_their_answers(executed):
    (answer,) = cell(executed, "answer")
    assert "optimal, certified" in text_of(answer)
    assert "optimal, certified" in html_of(answer)
    (forecast,) = cell(executed, "forecast")
    assert "risk" in text_of(forecast)
    assert html_of(forecast).count("<tr>") >= 7
    (steps,) = cell(executed, "print")
    assert re.fullmatch(r"steps to a risk of 0.1: \d+\n", text_of(steps))


@pytest.mark.slow
def test_the_tables_of_the_page_have_a_row_a_study(executed):
    (table,) = cell(executed, "table.query")
    assert html_of(table).count("<tr") == 1 + 2 * 4
    (best,) = cell(executed, "comparison.best")
    assert "weights of step" in text_of(best)
    (runs,) = cell(executed, "ow.load")
    assert text_of(runs).startswith("52 runs")
