"""Made comparisons for the tests of the report."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path: their neighbours are not a package

from made_runs import METHODS, made


@pytest.fixture(scope="session")
def comparison():
    """Protocol, runs, document: five methods, six studies of sixteen trials, four seeds, some diverged."""
    return made()


@pytest.fixture(scope="session")
def small():
    """The same with two methods and two studies."""
    return made({name: METHODS[name] for name in ("sgd", "adamw")}, studies=2, trials=4)
