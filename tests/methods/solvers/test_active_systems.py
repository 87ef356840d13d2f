"""Newton systems on active columns against dense algebra, and small problems against their optimality conditions."""

import numpy as np
import pytest
import torch

from optwise.methods.solvers import active_systems
from optwise.methods.solvers.active_systems import DesignSystem, GramSystem
from optwise.methods.solvers.column_blocks import ColumnBlock, gram
from optwise.methods.solvers.semismooth import SmallProblem
from optwise.problems.terms.penalties import L1, NonnegativeL1


def design(k, n, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((k, n)))


def right(a, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(a))


def test_a_bordered_factor_solves_the_changed_system(monkeypatch):
    monkeypatch.setattr(active_systems, "BORDERED", 10)
    Y = design(40, 60)
    system, H = GramSystem(Y @ Y.mT), Y @ Y.mT
    generator = np.random.default_rng(2)
    active = np.sort(generator.permutation(40)[:30])
    for entering, leaving in ((0, 0), (1, 0), (0, 2), (2, 1), (0, 0), (3, 3)):
        rest = np.setdiff1d(np.arange(40), active)
        active = np.setdiff1d(active, generator.permutation(active)[:leaving])
        active = np.sort(np.concatenate([active, generator.permutation(rest)[:entering]]))
        index, rhs = torch.from_numpy(active), right(len(active))
        assert torch.allclose(
            system.solve(index, rhs, extra=None), torch.linalg.solve(H[index][:, index], rhs), atol=1e-11
        )
    assert system.factorizations == 3  # the first, and one whenever too many had changed since the last


def test_columns_enter_and_leave_a_gram_block_in_the_order_they_were_given():
    Y = design(9, 20)
    system, block = GramSystem(Y[:4] @ Y[:4].mT), ColumnBlock()
    block.append(Y, torch.arange(4))
    for end in (6, 9):
        new = torch.arange(block.columns.shape[0], end)
        before = block.columns.clone()
        block.append(Y, new)
        system.extend(before @ Y[new].mT, gram(Y[new]))
    assert torch.allclose(system.gram, Y @ Y.mT)
    held = torch.tensor([1, 7])
    system.solve(held, right(2), extra=None)
    needed = torch.tensor([True, False, True, False, True, False, False, False, True])
    left = system.keep(needed)
    block.keep(left)
    assert left.nonzero()[:, 0].tolist() == [0, 1, 2, 4, 7, 8]  # the factor keeps its own
    assert torch.allclose(system.gram, block.columns @ block.columns.mT)
    assert torch.allclose(
        system.solve(torch.tensor([1, 4]), right(2), extra=None),
        torch.linalg.solve(Y[held] @ Y[held].mT, right(2)),
    )
    assert system.factorizations == 1


@pytest.mark.parametrize("a", [7, 20, 33])
@pytest.mark.parametrize("extra", [None, 0.5])
def test_the_smaller_of_two_systems_gives_the_same_solution(a, extra):
    Y = design(40, 20)
    system = DesignSystem(Y, l2=0.3)
    H = Y @ Y.mT + 0.3 * torch.eye(40)
    index, rhs = torch.arange(0, a) + 3, right(a)
    own = None if extra is None else torch.full((a,), extra, dtype=torch.float64)
    dense = H[index][:, index] + (0.0 if own is None else torch.diag(own))
    assert torch.allclose(system.solve(index, rhs, extra=own), torch.linalg.solve(dense, rhs), atol=1e-10)
    assert torch.allclose(system.times(right(40)), H @ right(40))
    assert torch.allclose(system.diagonal, H.diagonal())


@pytest.mark.parametrize("kind", ["gram", "design"])
def test_a_singular_system_is_solved_where_it_can_be(kind):
    Y = design(6, 30)
    Y = torch.cat([Y, Y[:3], torch.zeros(1, 30)])
    system = GramSystem(Y @ Y.mT) if kind == "gram" else DesignSystem(Y, l2=0.0)
    H, index = Y @ Y.mT, torch.arange(10)
    rhs = H @ right(10)  # within its range
    d = system.solve(index, rhs, extra=None)
    assert torch.allclose(H @ d, rhs, atol=1e-7)  # the shift is 2e-11 of the diagonal; what is left is refined by steps
    nothing = GramSystem(torch.zeros(2, 2, dtype=torch.float64)).solve(torch.arange(2), right(2), extra=None)
    assert bool(torch.isfinite(nothing).all())


@pytest.mark.parametrize("order", ["columns together", "rows together"])
def test_columns_are_copied_from_either_order_of_memory(order):
    X = design(50, 8).mT  # [8, 50], columns together
    X = X if order == "columns together" else X.contiguous()
    block = ColumnBlock()
    for part in (torch.tensor([4, 1]), torch.tensor([49]), torch.arange(10, 40)):
        block.append(X.mT, part)
    index = torch.cat([torch.tensor([4, 1, 49]), torch.arange(10, 40)])
    assert torch.equal(block.columns, X.mT[index])
    assert block.columns.is_contiguous()


@pytest.mark.parametrize("penalty", [L1(0.4), L1(0.004), NonnegativeL1(0.004), NonnegativeL1(0.0)], ids=repr)
@pytest.mark.parametrize(("k", "n"), [(15, 40), (60, 25), (25, 25)])
def test_a_small_problem_is_solved_to_its_optimality_conditions(penalty, k, n):
    Y = design(k, n) / n**0.5
    system = GramSystem(Y @ Y.mT) if k < 2 * n else DesignSystem(Y, l2=0.0)
    b = Y @ right(n)
    x = SmallProblem(system, penalty).minimise(torch.zeros(k, dtype=torch.float64), -b, tol=1e-13, most=500)
    gradient = Y @ (Y.mT @ x) - b
    assert float(penalty.violation(x, gradient).max()) < 1e-12


def test_a_small_problem_is_left_alone_where_it_is_solved():
    system = GramSystem(torch.eye(2, dtype=torch.float64))
    small = SmallProblem(system, L1(1.0))
    start = torch.zeros(2, dtype=torch.float64)
    assert torch.equal(small.minimise(start, torch.tensor([0.5, -1.0]).double(), tol=0.0, most=10), start)
    assert small.steps == system.factorizations == 0
