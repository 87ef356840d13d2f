"""Newton systems by every route against dense algebra."""

import numpy as np
import pytest
import torch

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator
from optwise.methods.solvers import newton_systems
from optwise.methods.solvers.bidiagonal import Bidiagonal, factor_tridiagonal
from optwise.methods.solvers.newton_systems import NewtonSystems, diagonal_hessian, too_large
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import FirstDifference, FunctionOperator, MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss, SquaredError

RNG = np.random.default_rng(0)
P = 12


def matrix(m, p=P):
    return torch.tensor(RNG.normal(size=(m, p)))


def model(n, loss, *, l2=0.3):
    X, y = matrix(n), torch.tensor(np.sign(RNG.normal(size=n)))
    return LinearModelTerm(LinearModel(MatrixOperator(X), y, loss, scale=0.7, l2=l2))


def blind(A):
    return FunctionOperator(A.shape, A.forward, A.adjoint)


def spread(p):
    H = matrix(p, p)
    return QuadraticTerm(H @ H.mT + torch.eye(p), torch.zeros(p).double())


SMOOTH = {
    "a squared distance": SquaredDistance(torch.zeros(P).double(), scale=2.5),
    "a diagonal quadratic": QuadraticTerm(torch.diag(torch.linspace(1, 3, P).double()), torch.zeros(P).double()),
    "a full quadratic": spread(P),
    "few examples": model(5, SquaredError()),
    "many examples": model(30, SquaredError()),
    "few logistic examples": model(5, LogisticLoss()),
    "many logistic examples": model(30, LogisticLoss()),
    "a function of its own": FunctionTerm(lambda w: (1 + w.square()).log().sum() + w.square().sum(), P),
}
OPERATORS = {
    "no operator": None,
    "differences": FirstDifference(P),
    "few rows": MatrixOperator(matrix(4)),
    "many rows": MatrixOperator(matrix(40)),
    "products alone": blind(MatrixOperator(matrix(7))),
}


@pytest.mark.parametrize("smooth", SMOOTH)
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("weights", ["one for all", "one each", "many of them 0"])
def test_every_route_solves_the_system(smooth, operator, weights):
    f, A = SMOOTH[smooth], OPERATORS[operator]
    w = torch.tensor(RNG.normal(size=P))
    m = P if A is None else A.shape[0]
    d = torch.tensor(RNG.uniform(0.5, 2.0, m))
    d = {"one for all": d[0].expand(m), "one each": d, "many of them 0": d * (torch.arange(m) % 3 == 0)}[weights]
    unit = torch.eye(P).double()
    H = torch.stack([f.hvp(w, row) for row in unit])
    dense = unit if A is None else A.forward(unit).mT
    S = H + 0.1 * unit + dense.mT @ (d[:, None] * dense)
    b = torch.tensor(RNG.normal(size=P))
    solve = NewtonSystems(Composite(f, None, A), w, A).factorise(w, d if weights != "one for all" else float(d[0]), 0.1)
    assert torch.allclose(solve(b, 1e-14), torch.linalg.solve(S, b), rtol=1e-9, atol=1e-11)


def test_a_size_that_is_not_factorised_is_left_to_conjugate_gradients(monkeypatch):
    monkeypatch.setattr(newton_systems, "LARGEST", 3)
    f, A = SMOOTH["many examples"], OPERATORS["many rows"]
    w, b = torch.zeros(P).double(), torch.tensor(RNG.normal(size=P))
    problem = Composite(f, None, A)
    found = NewtonSystems(problem, w, A).factorise(w, 1.0)(b, 1e-13)
    dense = torch.stack([f.hvp(w, row) for row in torch.eye(P).double()]) + A.entries.mT @ A.entries
    assert torch.allclose(found, torch.linalg.solve(dense, b), rtol=1e-9)
    assert problem.counts["factorizations"] == 0
    assert problem.counts["products"] > 0


def test_a_constant_hessian_is_looked_at_once():
    problem = Composite(SMOOTH["a full quadratic"])
    w = torch.zeros(P).double()
    systems = NewtonSystems(problem, w, None)
    spent = problem.counts["hvps"]
    for rho in (0.1, 1.0, 10.0):
        systems.factorise(w, rho)
    assert problem.counts["hvps"] == spent
    assert problem.counts["factorizations"] == 3


@pytest.mark.parametrize("level", [1e-8, 1e8])
def test_the_smaller_system_keeps_its_digits_where_the_diagonal_is_small(level):
    A = MatrixOperator(matrix(4))
    w, b = torch.zeros(P).double(), torch.tensor(RNG.normal(size=P))
    f = SquaredDistance(torch.zeros(P).double(), scale=level)
    found = NewtonSystems(Composite(f, None, A), w, A).factorise(w, 1.0)(b, 0.0)
    S = level * torch.eye(P).double() + A.entries.mT @ A.entries
    # backward stable: the residual is rounding, relative to the size of the matrix times that of the answer
    assert float((S @ found - b).norm()) <= 1e-14 * float(torch.linalg.matrix_norm(S, 2) * found.norm())


def test_a_singular_system_is_solved_as_far_as_it_can_be():
    A = FirstDifference(P)
    w = torch.zeros(P).double()
    b = torch.tensor(RNG.normal(size=P))
    b -= b.mean()  # in the range
    found = NewtonSystems(Composite(Zero(P), None, A), w, A).factorise(w, 1.0)(b, 1e-12)
    assert torch.allclose(A.adjoint(A.forward(found)), b, atol=1e-6)


@pytest.mark.parametrize(
    ("f", "diagonal"),
    [
        (SquaredDistance(torch.zeros(3).double(), scale=2.0), [2.0, 2.0, 2.0]),
        (QuadraticTerm(torch.diag(torch.tensor([1.0, 2.0, 0.0]).double()), torch.zeros(3).double()), [1.0, 2.0, 0.0]),
        (Zero(3), [0.0, 0.0, 0.0]),
        (QuadraticTerm(torch.eye(3).double() + 0.1, torch.zeros(3).double()), None),
        (FunctionTerm(lambda w: w.square().sum(), 3), None),
    ],
)
def test_a_diagonal_hessian_is_told_from_others_by_products(f, diagonal):
    found = diagonal_hessian(Composite(f), torch.zeros(3).double())
    assert found is None if diagonal is None else torch.allclose(found, torch.tensor(diagonal).double(), atol=1e-15)


def test_neighbours_are_told_from_others_by_products():
    like = torch.zeros(5, dtype=torch.float64)
    found = Bidiagonal.of(FirstDifference(5), like=like)
    assert found.is_difference
    assert found.left.tolist() == [-1.0] * 4
    assert found.right.tolist() == [1.0] * 4

    class Crooked(LinearOperator):
        """Differences of the vector reversed: the same A A^T reversed, but no neighbours in order."""

        shape = (4, 5)

        def forward(self, w):
            return FirstDifference(5).forward(w.flip(-1))

        def adjoint(self, v):
            return FirstDifference(5).adjoint(v).flip(-1)

        @property
        def gram_bands(self):
            return FirstDifference(5).gram_bands

    assert Bidiagonal.of(Crooked(), like=like) is None
    assert Bidiagonal.of(MatrixOperator(matrix(4, 5)), like=like) is None


@pytest.mark.parametrize("size", [1, 2, 30])
def test_a_tridiagonal_factor_serves_many_right_hand_sides(size):
    diagonal, beside = torch.tensor(RNG.uniform(2, 3, size)), torch.tensor(RNG.uniform(-1, 1, size - 1))
    solve = factor_tridiagonal((diagonal, beside))
    dense = torch.diag(diagonal) + torch.diag(beside, 1) + torch.diag(beside, -1)
    for _ in range(2):
        b = torch.tensor(RNG.normal(size=size))
        assert torch.allclose(solve(b), torch.linalg.solve(dense, b), rtol=1e-12)


@pytest.mark.parametrize("diagonal", [[1.0, -1.0], [1.0, np.nan]])
def test_a_tridiagonal_matrix_that_is_not_definite_has_no_factor(diagonal):
    assert factor_tridiagonal((torch.tensor(diagonal), torch.zeros(1))) is None


def test_a_system_that_would_be_too_large_is_named(monkeypatch):
    problem = Composite(SMOOTH["many examples"], None, OPERATORS["products alone"])
    assert too_large(problem) == ""
    monkeypatch.setattr(newton_systems, "MOST_ENTRIES", 10)
    assert "FunctionOperator of shape (7, 12)" in too_large(problem)
    monkeypatch.setattr(newton_systems, "LARGEST", 5)
    assert "systems of size 12, more than the 5" in too_large(problem)
