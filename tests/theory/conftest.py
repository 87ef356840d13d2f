"""What tests of theory share."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for linear_methods, which is no package

from optwise.problems import nqm


@pytest.fixture
def harmonic():
    """Ten curvatures 1/i, noise of another shape, starts drawn."""
    i = np.arange(1, 11)
    return nqm(h=1.0 / i, c=1.0 / np.sqrt(i), second_moment=2.0, batch_size=8)
