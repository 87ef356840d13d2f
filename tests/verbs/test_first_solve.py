"""The first answer of a process waits for nothing that draws, stores or compares."""

import json
import subprocess
import sys

import pytest

HEAVY = ("pandas", "altair", "vl_convert", "pyarrow", "sklearn", "scipy.stats", "typer", "rich", "optwise.report")

SCRIPT = """
import json, sys
import optwise as ow
X, y = [[1.0, 0.2], [0.1, 2.0], [0.5, 0.4]], [1.0, 2.0, 0.5]
{call}
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


@pytest.mark.parametrize(
    "call",
    [
        "assert ow.solve(ow.problems.lasso(X, y, weight=0.1)).certificate.value < 1e-6",
        "assert ow.solve(ow.problems.ridge(X, y, l2=0.1)).w is not None",
        "assert ow.solve(ow.problems.smooth(lambda w: (w - 1).square().sum(), [0.0])).value < 1e-9",
        "assert ow.explain(ow.problems.lasso(X, y, weight=0.1)).eligible",
        "assert ow.predict(ow.problems.nqm(h=[1.0, 0.5]), ow.SGD(lr=0.1), '10steps').forecast",
    ],
)
def test_a_first_answer_loads_no_tables_and_no_charts(call):
    script = SCRIPT.format(call=call, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
