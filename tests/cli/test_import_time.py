"""What only reads words loads nothing heavy, so that `optwise --help` answers at once."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "altair", "pandas", "scipy", "sklearn", "cloudpickle")
LOADED = f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"


def last_line_of(script):
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["--version"], ["compare", "--help"], ["compare"], ["compare", "--trials", "x"], ["frob"]]
)
def test_help_and_usage_errors_import_neither_torch_nor_numpy_nor_altair(words):
    assert last_line_of(f"import sys; from optwise.cli import main; main({words!r}); {LOADED}") == "loaded: []"


def test_the_package_imports_nothing_heavy_before_a_name_needs_it():
    assert last_line_of(f"import sys; import optwise as ow; ow.Steps(3); dir(ow); {LOADED}") == "loaded: []"
