"""Decompositions of what is finite are LAPACK's, those of all else are NaN, and nothing is written to the terminal."""

import pytest
import torch

from optwise.numerics import decompositions
from optwise.numerics.decompositions import eigh, eigvalsh, shortest_solution, svd, svdvals

BAD = (torch.nan, torch.inf, -torch.inf)


def matrix(m=4, n=4, seed=0):
    A = torch.randn(m, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return A + A.mT if m == n else A


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)])
def test_finite_matrices_are_put_together_again(shape):
    A = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, s, right = svd(A)
    assert torch.allclose((left * s[..., None, :]) @ right, A)
    assert torch.equal(svdvals(A), torch.linalg.svdvals(A))


def test_eigenvalues_of_symmetric_matrices_are_lapacks():
    values, vectors = eigh(matrix())
    assert torch.allclose((vectors * values) @ vectors.mT, matrix())
    assert torch.allclose(eigvalsh(matrix()), values)


def test_the_shortest_solution_solves_and_has_no_part_that_the_matrix_does_not_see():
    A, b = matrix(3, 5), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    x = shortest_solution(A, b)
    assert torch.allclose(A @ x, b)
    assert torch.allclose(torch.linalg.pinv(A) @ b, x)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_finite_is_nan_and_silent(bad, dtype, capfd):
    A = matrix().to(dtype)
    A[1, 2] = A[2, 1] = bad
    for values in (
        svd(A)[1],
        svdvals(A),
        eigh(A)[0],
        eigvalsh(A),
        shortest_solution(A, A[0].nan_to_num(0.0, 0.0, 0.0)),
    ):
        assert bool(values.isnan().all())
        assert values.dtype == dtype
    assert bool(shortest_solution(matrix().to(dtype), A[1]).isnan().all())
    assert capfd.readouterr() == ("", "")


def test_one_bad_matrix_of_a_batch_leaves_the_others_alone():
    A = torch.stack([matrix(seed=0), matrix(seed=1)])
    A[0, 0, 0] = torch.nan
    assert bool(svdvals(A)[0].isnan().all())
    assert torch.equal(svdvals(A)[1], torch.linalg.svdvals(matrix(seed=1)))


def test_an_iteration_of_lapack_that_does_not_end_is_nan(monkeypatch):
    def endless(*args, **kwargs):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(decompositions.torch.linalg, "svdvals", endless)
    monkeypatch.setattr(decompositions.torch.linalg, "eigh", endless)
    assert bool(svdvals(matrix(5, 3)).isnan().all())
    assert svdvals(matrix(5, 3)).shape == (3,)
    assert bool(eigh(matrix())[0].isnan().all())
