"""Laws of the Sobol points and of the measure of their evenness."""

import numpy as np
import pytest
import torch
from scipy.stats import qmc

from optwise.numerics.quasirandom import centered_discrepancy, sobol


@pytest.mark.parametrize("points", [1, 16, 100])
@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_discrepancy_is_that_of_scipy(points, dimensions):
    x = np.random.default_rng(0).random((points, dimensions))
    assert centered_discrepancy(x) == pytest.approx(qmc.discrepancy(x, method="CD"), rel=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
@pytest.mark.parametrize("points", [16, 128])
def test_every_coordinate_has_one_point_in_each_of_its_cells(points, seed):
    """Scrambling keeps a digital net a net: 2^m points fill 2^m equal cells of each axis."""
    cells = np.sort(np.floor(sobol(points, 6, seed) * points).astype(int), axis=0)
    assert (cells == np.arange(points)[:, None]).all()


@pytest.mark.parametrize(("points", "at_most"), [(16, 0.4), (32, 0.25), (64, 0.15), (128, 0.1)])
def test_points_are_far_more_even_than_random_ones(points, at_most):
    """In 4-D one finds 0.18, 0.11, 0.06, 0.04 of the discrepancy of random points; twice that is the bound here."""
    rng = np.random.default_rng(0)
    quasi = np.mean([centered_discrepancy(sobol(points, 4, seed)) for seed in range(20)])
    random = np.mean([centered_discrepancy(rng.random((points, 4))) for _ in range(20)])
    assert quasi < at_most * random


def test_more_points_extend_fewer_points():
    assert np.array_equal(sobol(100, 5, 9)[:13], sobol(13, 5, 9))


def test_the_seed_alone_decides_the_points():
    torch.manual_seed(1)
    first = sobol(8, 3, 4)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert np.array_equal(first, sobol(8, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert not np.isin(first, sobol(8, 3, 5)).any()


def test_no_point_lies_on_a_face_of_the_cube(monkeypatch):
    """A Sobol digit string of zeros is rare, but log(0) would end a search."""
    corners = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    monkeypatch.setattr(torch.quasirandom.SobolEngine, "draw", lambda *_, **__: corners)
    low, high = sobol(1, 2, 0)[0]
    assert 0.0 < low < 1e-9
    assert 1.0 - 1e-9 < high < 1.0


@pytest.mark.parametrize("shape", [(5, 0), (0, 3), (0, 0)])
def test_nothing_to_draw_is_an_empty_array_of_that_shape(shape):
    assert sobol(*shape, seed=0).shape == shape


@pytest.mark.parametrize(("points", "dimensions"), [(-1, 2), (4, -1), (4, 21_202)])
def test_sizes_without_a_sequence_are_refused(points, dimensions):
    with pytest.raises(ValueError, match="needs at least 0 points and 0 to 21201 dimensions"):
        sobol(points, dimensions, 0)


@pytest.mark.parametrize("points", [[0.5], np.zeros((0, 2))])
def test_the_discrepancy_of_no_points_is_refused(points):
    with pytest.raises(ValueError, match="points has shape"):
        centered_discrepancy(points)
