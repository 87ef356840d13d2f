"""Batch size, momentum and learning rate that change on the way, together: full matrices, and runs, agree."""

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from linear_methods import LINEAR, SCHEDULES

from optwise.core.errors import BadMethod, BadProtocol, UnknownName
from optwise.core.run import TrialName
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import EMA, SGD, Milestones, Momentum, Nesterov, Phases
from optwise.problems import least_squares_sgd, mean_estimation, nqm
from optwise.theory import forecast
from optwise.theory.without_replacement import batches_of_epochs
from optwise.verbs.predicting import predict

H, C, SECOND = 1.0 / np.arange(1, 7), np.arange(1.0, 7.0), 2.0
K = 60
BATCHES = {0: 4, 20: 16, 45: 2.5}
SIZES = np.repeat([4.0, 16.0, 2.5], [20, 25, 15])


def rates():
    return Milestones((10, 30), (0.5, 0.1))


def moment_oracle(lrs, momenta, sizes, nesterov=False, noise=None):
    """Mean, covariance and risk of (w, b) of heavy ball, one full matrix for all coordinates."""
    d = H.size
    mean, cov = np.zeros(2 * d), np.diag(np.r_[np.full(d, SECOND), np.zeros(d)])
    risks, spreads = [], []
    for k in range(len(lrs) + 1):
        w = cov[:d, :d]
        risks.append(0.5 * np.trace(np.diag(H) @ w))
        spreads.append(np.sqrt(0.5 * np.trace(np.diag(H) @ w @ np.diag(H) @ w)))
        if k == len(lrs):
            break
        lr, mu, eye = lrs[k], momenta[k], np.eye(d)
        B = np.block([[np.diag(H), mu * eye]])  # b' = mu b + g
        to_w = np.block([[eye, np.zeros((d, d))]]) - lr * (
            B if not nesterov else np.diag(H) @ np.eye(d, 2 * d) + mu * B
        )
        A = np.vstack([to_w, B])
        entering = np.vstack([-lr * (1 + mu * nesterov) * eye, eye])
        S = np.diag(C) if noise is None else noise(w)
        mean, cov = A @ mean, A @ cov @ A.T + entering @ (S / sizes[k]) @ entering.T
    return np.array(risks), np.array(spreads)


@pytest.mark.parametrize("nesterov", [False, True])
def test_all_three_together_are_the_recursion_of_full_matrices(nesterov):
    inner = (Nesterov if nesterov else Momentum)(lr=0.2, momentum=0.3, schedule=rates())
    method = Phases(inner, parameter="momentum", milestones=(15, 40), then=(0.9, 0.5))
    lrs = 0.2 * np.repeat([1.0, 0.5, 0.1], [10, 20, 30])
    momenta = np.repeat([0.3, 0.9, 0.5], [15, 25, 20])
    found = forecast(nqm(h=H, c=C, second_moment=SECOND), method, K, BATCHES)
    risk, spread = moment_oracle(lrs, momenta, SIZES, nesterov)
    np.testing.assert_allclose(found.risk, risk, rtol=1e-11)
    np.testing.assert_allclose(found.deviation, spread, rtol=1e-11)
    rows = least_squares_sgd(h=H, noise=0.7, second_moment=SECOND)

    def multiplying(w):
        M = np.diag(H)
        return M @ w @ M + np.trace(M @ w) * M + 0.49 * M

    np.testing.assert_allclose(
        forecast(rows, method, K, BATCHES).risk,
        moment_oracle(lrs, momenta, SIZES, nesterov, multiplying)[0],
        rtol=1e-11,
    )


@pytest.mark.parametrize("problem", [nqm(d=5), least_squares_sgd(d=5), mean_estimation([1.0, 2.0, 5.0, 7.0])])
@pytest.mark.parametrize("name", LINEAR)
def test_sizes_that_do_not_change_are_one_size(problem, name):
    if name.startswith("preconditioned") and problem.quadratic.h.size == 1:
        pytest.skip("one curvature")
    one, many = forecast(problem, LINEAR[name], 30, 4), forecast(problem, LINEAR[name], 30, {0: 4, 7: 4})
    np.testing.assert_array_equal(one.risk, many.risk)
    # the route of changing sizes, too
    late = forecast(problem, LINEAR[name], 30, [4.0] * 29 + [5.0])
    np.testing.assert_allclose(late.risk[:-1], one.risk[:-1], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_twenty_thousand_replicas_of_torch_with_everything_changing(schedule):
    replicas, generator = 20_000, torch.Generator().manual_seed(7)
    method = Phases(Momentum(lr=0.2, momentum=0.3, schedule=SCHEDULES[schedule]), "momentum", (15, 40), (0.9, 0.5))
    found = forecast(nqm(h=H, c=C, second_moment=SECOND), replace(method, name="x"), K, BATCHES)
    h, c = torch.from_numpy(H), torch.from_numpy(C)
    w = torch.nn.Parameter(SECOND**0.5 * torch.randn(replicas, 6, generator=generator, dtype=torch.float64))
    optimizer, factors = torch.optim.SGD([w], lr=0.2, momentum=0.3), SCHEDULES[schedule].factors(K)
    for k in range(K):
        group = optimizer.param_groups[0]
        group["lr"], group["momentum"] = 0.2 * factors[k], 0.3 if k < 15 else 0.9 if k < 40 else 0.5
        w.grad = h * w.detach() + torch.randn(w.shape, generator=generator, dtype=torch.float64) * (c / SIZES[k]).sqrt()
        optimizer.step()
        if k + 1 in (10, 30, 60):
            values = (0.5 * h * w.detach() ** 2).sum(1)
            score = (float(values.mean()) - found.risk[k + 1]) / (found.deviation[k + 1] / replicas**0.5)
            assert abs(score) < 4
            assert float(values.std()) == pytest.approx(found.deviation[k + 1], rel=0.05)


def test_the_engine_runs_phases_as_they_are_forecast():
    """Without noise a run is its mean."""
    problem = nqm(h=H, c=0 * C, w0=np.arange(1.0, 7.0))
    for inner in (Momentum(lr=0.2, momentum=0.3, schedule=rates()), EMA(Nesterov(lr=0.1, momentum=0.3), decay=0.5)):
        method = Phases(inner, "momentum", (15, 40), (0.9, 0.5))
        trials = tuple(
            Trial(TrialName("nqm", f"m{i}", 0, i), "", method.close({"lr": lr}), i) for i, lr in enumerate((0.2, 0.1))
        )
        runs = run_chunk(problem, Chunk("x", "vmap", 2, K, (0, 7, 15, 16, 50, K), "float64", "cpu", trials)).runs
        for run, trial in zip(runs, trials, strict=True):
            said = forecast(problem, trial.method, K).risk
            for step, value in run.curve("objective"):
                assert value == pytest.approx(said[step], rel=1e-9)


def test_a_smaller_rate_and_a_larger_batch_are_one_in_first_order():
    """Smith et al. (2018): a rate divided by four over four times as many steps, or a batch four times as large."""
    gaps = []
    for lr in (0.02, 0.01, 0.005):
        early = round(4 / lr)
        problem = nqm(h=[1.0, 0.5], c=[1.0, 1.0], w0=[1.0, 1.0])
        late = round(2 / lr)
        decayed = forecast(problem, SGD(lr=lr, schedule=Milestones((early,), (0.25,))), early + 4 * late, 4)
        grown = forecast(problem, SGD(lr=lr), early + late, {0: 4, early: 16})
        assert decayed.risk[early] == grown.risk[early]
        ends = [(run.bias[-1], run.noise[-1] / run.batch_size) for run in (decayed, grown)]
        gaps.append([one / other - 1 for one, other in zip(*ends, strict=True)])
    assert np.max(np.abs(gaps[0])) < 0.05
    for coarse, fine in pairwise(gaps):
        np.testing.assert_allclose(fine, np.array(coarse) / 2, rtol=0.05)  # what is left is of the order of lr


def test_a_shuffled_data_set_of_changing_batches_is_the_mean_over_all_orders():
    """Five numbers in batches of 1, 2 and 2, then 4 and 1: every pair of orders is run."""
    x = np.array([1.0, 2.0, 6.0, -3.0, 0.5])
    sizes, lrs = [1, 2, 2, 4, 1], 0.3 * np.array([1.0, 1.0, 0.5, 0.5, 0.5])
    problem = mean_estimation(x, replacement=False, w0=4.0)
    found = forecast(problem, SGD(lr=0.3, schedule=Milestones((2,), (0.5,))), 5, sizes)
    ends = {4.0: 1.0}
    risks = [0.5 * (4.0 - x.mean()) ** 2]
    for epoch in ([0, 1, 2], [3, 4]):
        after = {}
        sums = np.zeros(len(epoch))
        for w0, weight in ends.items():
            orders = list(permutations(x))
            for order in orders:
                w, taken = w0, 0
                for i, k in enumerate(epoch):
                    batch = order[taken : taken + sizes[k]]
                    taken += sizes[k]
                    w -= lrs[k] * (w - np.mean(batch))
                    sums[i] += weight / len(orders) * 0.5 * (w - x.mean()) ** 2
                key = round(w, 12)
                after[key] = after.get(key, 0.0) + weight / len(orders)
        ends = after
        risks += list(sums)
    np.testing.assert_allclose(found.risk, risks, rtol=1e-9)


def test_epochs_of_changing_batches_look_at_every_example_once():
    drawn = list(batches_of_epochs(10, [3, 4, 5, 10, 2, 20, 1]))
    assert drawn == [(3, True), (4, False), (3, False), (10, True), (2, True), (8, False), (1, True)]
    dropped = list(batches_of_epochs(10, [3, 4, 5, 10, 2], drop_last=True))
    assert dropped == [(3, True), (4, False), (5, True), (10, True), (2, True)]


def test_a_budget_in_examples_counts_each_steps_own():
    run = predict(nqm(d=3), SGD(lr=0.1), "1000examples", {0: 10, 20: 100})
    assert len(run.risk) - 1 == 28
    assert run.counts["examples"] == pytest.approx(1000)
    assert run.forecast.floor == pytest.approx(forecast(nqm(d=3), SGD(lr=0.1), 5, 100).floor)


def test_what_is_no_batch_size_or_no_milestone_is_refused():
    for sizes in ({0: 0.5}, {-1: 4}, {1.5: 4}, [], [[1, 2]], {0: np.nan}):
        with pytest.raises(BadProtocol):
            forecast(nqm(d=3), SGD(lr=0.1), 5, sizes)
    with pytest.raises(BadProtocol, match="no share of the 3 examples"):
        forecast(mean_estimation([1.0, 2.0, 4.0], replacement=False), SGD(lr=0.1), 5, {0: 1, 2: 7})
    with pytest.raises(BadMethod, match="2 milestones and 1 values"):
        Phases(Momentum(lr=0.1), "momentum", (1, 2), (0.5,))
    with pytest.raises(BadMethod, match="each later than the one before"):
        Phases(Momentum(lr=0.1), "momentum", (2, 2), (0.5, 0.1))
    with pytest.raises(BadMethod, match="lr has one"):
        Phases(Momentum(lr=0.1), "lr", (2,), (0.5,))
    with pytest.raises(UnknownName):
        Phases(SGD(lr=0.1), "momentum", (2,), (0.5,))
    with pytest.raises(BadMethod, match="must lie in"):
        Phases(Momentum(lr=0.1), "momentum", (2,), (1.5,))
    with pytest.raises(BadMethod, match="must lie in"):
        Milestones((2,), (-1.0,))
    with pytest.raises(BadMethod, match="each later"):
        Milestones((2, 1), (0.5, 0.1))
