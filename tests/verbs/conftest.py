"""One small comparison to look at, and rungs that are given, not measured."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path: their neighbours are not a package

from small_comparisons import compare, quick


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with quick():
        yield


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """A finished comparison of two open methods on flowers; its trials and results are only looked at."""
    with quick():
        comparison, _ = compare(tmp_path_factory.mktemp("runs") / "done")
    return comparison
