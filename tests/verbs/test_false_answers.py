"""Answers that were false without a word: each is right now, or says a weaker word and why."""

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.certificate import CertificateKind
from optwise.core.errors import BadProblem
from optwise.core.penalty import Penalty
from optwise.core.status import Status

RNG = np.random.default_rng(0)
A = RNG.standard_normal((60, 10)) * 10.0 ** RNG.uniform(-1.5, 1.5, 10)
B = A @ RNG.standard_normal(10)
B = B + 1e-6 * np.linalg.norm(B) / 60**0.5 * RNG.standard_normal(60)
PROVED = (Status.OPTIMAL, Status.STATIONARY)


def far(w):
    return torch.stack([w[0] ** 10 - 1, w[1] - 3])


@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt", "gauss-newton", "lbfgs"])
def test_a_sum_of_squares_is_not_optimal_because_it_fell_far(method):
    run = ow.solve(ow.problems.nonlinear_least_squares(far, [1000.0, 0.0]), method)
    assert run.status not in PROVED or run.value < 1e-20
    if method == "auto":
        assert np.allclose(run.w.numpy(), [1.0, 3.0])


@pytest.mark.parametrize("method", ["auto", "accelerated-gradient", "lbfgs", "lsqr", "barzilai-borwein", "bfgs"])
def test_least_squares_whose_noise_is_a_millionth_are_optimal_within_tol(method):
    run = ow.solve(ow.problems.least_squares(A, B, reduction="sum"), method, tol=1e-6)
    best = 0.5 * np.linalg.lstsq(A, B, rcond=None)[1][0]
    assert run.status is not Status.OPTIMAL or run.value <= best * (1 + 1.01e-6)


@pytest.mark.parametrize("method", ["auto", "lbfgsb", "projected-gradient", "semismooth-newton"])
def test_nonnegative_least_squares_whose_noise_is_a_millionth_are_optimal_within_tol(method):
    w = np.abs(RNG.standard_normal(10)) * (np.arange(10) % 2)
    b = A @ w
    b = b + 1e-6 * np.linalg.norm(b) / 60**0.5 * np.random.default_rng(1).standard_normal(60)
    run = ow.solve(ow.problems.nnls(A, b), method)
    best = ow.solve(ow.problems.nnls(A, b), "semismooth-newton", tol=1e-12).value
    assert run.status is not Status.OPTIMAL or run.value <= best * (1 + 1.01e-6)


@pytest.mark.parametrize("method", ["auto", "newton", "trust-region", "bfgs", "lbfgs", "gradient-descent"])
@pytest.mark.parametrize("decades", [2, 4, 6])
def test_a_coordinate_in_a_small_unit_is_not_forgotten(method, decades):
    """The gradient along w[1] is 1e-4 of the start's at the start, and half of F hangs on it."""
    big = 10.0**decades

    def f(w):
        return 0.5 * (big * w[0] - 1) ** 2 + 0.5 * (w[1] / big - 1) ** 2

    run = ow.solve(ow.problems.smooth(f, [0.0, 0.0], convex=True, lipschitz=big**2), method, max_seconds=5)
    assert run.status not in PROVED or run.value < 1e-20
    assert method not in ("auto", "newton") or run.status is Status.STATIONARY


def test_a_problem_built_at_its_own_solution_is_solved_at_once():
    X = torch.from_numpy(RNG.standard_normal((20, 6)))

    def f(w):
        return torch.nn.functional.softplus(X @ w).sum() + 0.1 * w.square().sum()

    answer = ow.solve(ow.problems.smooth(f, [0.0] * 6), tol=1e-10)
    again = ow.solve(ow.problems.smooth(f, answer.w))
    assert again.status is Status.STATIONARY
    assert again.counts["iterations"] <= 3


def test_a_saddle_is_told_with_the_step_that_leaves_it():
    run = ow.solve(ow.problems.smooth(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, [0.0, 0.0]))
    assert run.status is Status.STATIONARY
    assert run.certificate.saddle
    assert "stationary (saddle)" in run.why
    problem = ow.problems.smooth(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, [0.0, 0.0])
    further = ow.solve(problem, w0=run.w + run.certificate.leaving)
    assert further.value == pytest.approx(-0.25)
    assert not further.certificate.saddle


@pytest.mark.parametrize("build", [ow.problems.logistic, ow.problems.softmax])
def test_separated_classes_have_no_best_weights_and_are_told_to_have_none(build):
    X = RNG.standard_normal((40, 3))
    run = ow.solve(build(X, (X[:, 0] > 0).astype(int)))
    assert run.status is Status.STALLED
    assert "its infimum is not attained" in run.why
    mixed = (X[:, 0] + RNG.standard_normal(40) > 0).astype(int)
    kept = ow.solve(build(X, mixed))
    assert (kept.status, kept.certificate.kind) == (Status.OPTIMAL, CertificateKind.OPTIMALITY)


@pytest.mark.parametrize("rate", [60.0, 900.0])
def test_a_model_that_underflowed_is_said_to_answer_no_longer(rate):
    t = torch.linspace(1, 10, 20, dtype=torch.float64)

    def residual(w):
        return w[0] * torch.exp(-w[1] * t) - torch.exp(-0.3 * t)

    run = ow.solve(ow.problems.nonlinear_least_squares(residual, [1.0, rate]), "levenberg-marquardt")
    assert run.status is not Status.OPTIMAL
    assert run.status is not Status.STATIONARY or run.certificate.saddle
    assert "no longer answers" in run.why or run.certificate.saddle


@pytest.mark.parametrize("build", [ow.problems.logistic, ow.problems.softmax])
def test_classes_that_are_separated_in_part_are_told_to_be(build):
    """One column is above 0 for one class alone, and the other says nothing: quasi-complete separation."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 40)
    X = np.c_[np.where((y == 1) & (rng.random(40) < 0.3), 1.0, 0.0), rng.standard_normal(40), np.ones(40)]
    run = ow.solve(build(X, y))
    assert "separated" in run.why
    assert "its infimum is not attained" in run.why
    mixed = ow.solve(build(X + 0.5 * rng.standard_normal(X.shape), y))
    assert "separated" not in mixed.why


CENTRE = [1 / 3, 1 / 3, 1 / 3]


def hill(w):
    return 3 - 0.5 * w.square().sum() + 0.25 * (w**4).sum()


@pytest.mark.parametrize(
    ("start", "parts", "told"),
    [
        (CENTRE, {"constraint": ow.sets.Simplex(1.0)}, True),
        ([0.0] * 3, {"constraint": ow.sets.L2Ball(1.0)}, True),
        ([0.0] * 3, {"constraint": ow.sets.L1Ball(1.0)}, True),
        ([0.0] * 3, {"constraint": (-1.0, 1.0)}, True),
        ([0.0] * 3, {"penalty": ow.penalties.SquaredL2(0.3)}, True),
        ([0.0] * 3, {"penalty": ow.penalties.HuberNorm(0.3, 0.5)}, True),
        ([0.0] * 3, {"penalty": ow.penalties.TotalVariation1D(0.1)}, True),
        ([0.0] * 3, {"penalty": ow.penalties.L1(0.3)}, False),  # 0 is a local minimum of that
    ],
    ids=lambda case: type(next(iter(case.values()))).__name__ if isinstance(case, dict) else "",
)
def test_a_hilltop_is_told_within_any_set_and_under_any_penalty(start, parts, told):
    run = ow.solve(ow.problems.smooth(hill, start, **parts))
    assert run.status is Status.STATIONARY
    assert run.certificate.saddle is told


@pytest.mark.parametrize("start", [[0.3, 0.1], [-2.0, 0.5], [0.6, -0.6]])
def test_a_ring_of_minima_has_no_saddle(start):
    for f in (lambda w: 5 - w.norm() + w.square().sum(), lambda w: 1 + (w.square().sum() - 1) ** 2):
        run = ow.solve(ow.problems.smooth(f, start))
        assert run.status is Status.STATIONARY
        assert not run.certificate.saddle


@pytest.mark.parametrize("bounds", [None, (-2.0, 2.0)])
def test_a_function_that_is_not_convex_is_not_called_optimal_because_somebody_said_so(bounds):
    def wells(w):
        return (w.square() - 1).square().sum() + 0.3 * w.sum() + 1

    run = ow.solve(ow.problems.smooth(wells, [0.5], bounds, convex=True))
    assert run.status is Status.STALLED
    assert "take convex=True away" in run.why


def test_a_wrong_hessian_product_does_not_certify_a_point():
    """Right for positive coordinates, and so large for negative ones that any slope seems to be nothing."""
    problem = ow.problems.smooth(
        lambda w: 5 + (w + 1).square().sum(), [3.0, -3.0], hvp=lambda w, v: torch.where(w < 0, 1e8, 2.0) * v
    )
    for method in ("auto", "newton", "trust-region", "lbfgs"):
        run = ow.solve(problem, method, max_seconds=10)
        assert run.status not in PROVED


def test_residuals_whose_squares_underflow_are_held_against_nothing():
    run = ow.solve(ow.problems.nonlinear_least_squares(lambda w: 1e-160 * (w - 1), [3.0, 2.0]))
    assert run.status is Status.OPTIMAL


@pytest.mark.parametrize("kind", ["raises", "other shape", "other dtype"])
def test_a_prox_that_cannot_be_used_is_one_sentence(kind):
    class Mine(Penalty):
        def value(self, w):
            return w.abs().sum(-1)

        def prox(self, v, step):
            if kind == "raises":
                raise ValueError("boom")
            return v[:2] if kind == "other shape" else v.float()

    with pytest.raises(BadProblem, match="The prox of Mine"):
        ow.problems.least_squares(A, B, penalty=Mine())
