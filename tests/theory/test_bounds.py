"""Bounds of Defossez et al. are the published formulas, hold for their algorithm, and that is not torch's."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from optwise.core.errors import BadMethod, BadProblem, BadProtocol
from optwise.theory.bounds import (
    adagrad_bound,
    adam_bound,
    adam_bound_by_horizon,
    best_adagrad_bound,
    best_adam_bound,
)

ONE = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}
OTHER = {"dimension": 7, "gradient_bound": 1.7, "smoothness": 0.4, "gap": 2.5, "eps": 1e-3}
TYPED = dict(zip(("d", "R", "L", "gap", "eps"), OTHER.values(), strict=True))


def analysed_run(gradient, w, steps, *, lr, beta1, beta2, eps):
    """The paper's algorithm, plainly: yields the points at which a gradient was taken; ``beta2 = 1`` is Adagrad."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for n in range(1, steps + 1):
        yield w
        g = gradient(w)
        m = beta1 * m + g
        v = beta2 * v + g * g
        scale = 1.0 if beta2 == 1 else np.sqrt((1 - beta2**n) / (1 - beta2))
        w = w - lr * (1 - beta1) * scale * m / np.sqrt(eps + v)


def plain_adagrad(N, a, b1, *, d, R, L, gap, eps):
    """Theorems 1 and 3, typed a second time."""
    log = np.log(1 + N * R**2 / eps)
    if b1 == 0:
        return 2 * R * gap / (a * np.sqrt(N)) + (4 * d * R**2 + a * d * R * L) * log / np.sqrt(N)
    reduced = N - b1 / (1 - b1)
    E = a * d * R * L + 12 * d * R**2 / (1 - b1) + 2 * a**2 * d * L**2 * b1 / (1 - b1)
    return 2 * R * np.sqrt(N) * gap / (a * reduced) + np.sqrt(N) / reduced * E * log


def plain_adam(N, a, b1, b2, *, d, R, L, gap, eps):
    """Theorems 2 and 4, typed a second time."""
    log = np.log(1 + R**2 / ((1 - b2) * eps))
    if b1 == 0:
        E = 4 * d * R**2 / np.sqrt(1 - b2) + a * d * R * L / (1 - b2)
        return 2 * R * gap / (a * N) + E * (log / N - np.log(b2))
    reduced = N - b1 / (1 - b1)
    E = (
        a * d * R * L * (1 - b1) / ((1 - b1 / b2) * (1 - b2))
        + 12 * d * R**2 * np.sqrt(1 - b1) / ((1 - b1 / b2) ** 1.5 * np.sqrt(1 - b2))
        + 2 * a**2 * d * L**2 * b1 / ((1 - b1 / b2) * (1 - b2) ** 1.5)
    )
    return 2 * R * gap / (a * reduced) + E * (log / reduced - N / reduced * np.log(b2))


@pytest.mark.parametrize(
    ("bound", "published"),
    [
        (adam_bound([1e3, 1e5, 1e7], lr=1e-3, beta2=0.999, **ONE), ["5.357", "0.1798", "0.1281"]),
        (adam_bound_by_horizon([1e3, 1e5, 1e7], **ONE), ["4.226", "0.495", "0.0568"]),
        (adagrad_bound([1e3, 1e5, 1e7], lr=0.01, **ONE), ["9.536", "1.012", "0.107"]),
    ],
)
def test_the_arithmetic_of_the_lecture_comes_out_to_every_digit(bound, published):
    """For d = R = L = gap = 1 and eps = 1e-8."""
    decimals = [len(number.split(".")[1]) for number in published]
    assert [f"{value:.{n}f}" for value, n in zip(bound.value, decimals, strict=True)] == published


@pytest.mark.parametrize("b1", [0.0, 0.6])
def test_bounds_are_the_formulas_of_the_theorems_for_whole_arrays(b1):
    N, a = np.array([[10.0], [1e3], [1e6]]), np.array([1e-3, 0.1, 3.0])
    adagrad = adagrad_bound(N, lr=a, beta1=b1, **OTHER)
    np.testing.assert_allclose(adagrad.value, plain_adagrad(N, a, b1, **TYPED), rtol=1e-12)
    for b2 in (0.7, 0.999, np.array([0.9, 0.99, 0.9999])):
        adam = adam_bound(N, lr=a, beta2=b2, beta1=b1, **OTHER)
        np.testing.assert_allclose(adam.value, plain_adam(N, a, b1, b2, **TYPED), rtol=1e-12)
        assert adam.value.shape == adam.floor.shape == adam.lr.shape == adam.beta2.shape == (3, 3)


@pytest.mark.parametrize("b1", [0.0, 0.9])
def test_with_fixed_hyperparameters_the_bound_of_adam_stops_at_its_floor_and_that_of_adagrad_at_zero(b1):
    adam = adam_bound(1e15, lr=1e-3, beta2=0.999, beta1=b1, **ONE)
    np.testing.assert_allclose(adam.value, adam.floor, rtol=1e-8)  # ln(1e11) E / N is left, below 1e-9 of the floor
    assert adagrad_bound(1e15, lr=0.01, beta1=b1, **ONE).value < 1e-3
    assert adagrad_bound(1e15, lr=0.01, beta1=b1, **ONE).floor == 0


def test_the_floor_of_adam_is_close_to_what_small_memory_loss_makes_of_it():
    """With -ln(beta2) = (1 - beta2)(1 + O(1 - beta2)) it is 4 d R^2 sqrt(1 - beta2) + a d R L."""
    floor = adam_bound(10, lr=1e-3, beta2=0.999, **ONE).floor
    np.testing.assert_allclose(floor, 4 * np.sqrt(1e-3) + 1e-3, rtol=6e-4)  # (1 - beta2) / 2 of it
    np.testing.assert_allclose(floor, 0.1276, atol=5e-5)


def test_the_start_takes_the_same_part_in_every_bound_that_doubles_with_the_gap():
    twice = {**ONE, "gap": 2.0}
    for bound, other in [
        (adagrad_bound(100, lr=0.1, **ONE), adagrad_bound(100, lr=0.1, **twice)),
        (adam_bound(100, lr=0.1, beta2=0.9, **ONE), adam_bound(100, lr=0.1, beta2=0.9, **twice)),
    ]:
        np.testing.assert_allclose(other.value - bound.value, bound.start, rtol=1e-12)


def test_as_momentum_vanishes_only_the_squares_count_three_times():
    """The paper says so of its theorems 3 and 4."""
    d, R = OTHER["dimension"], OTHER["gradient_bound"]
    N, tiny = 1000, 1e-9
    without, with_it = (adagrad_bound(N, lr=0.1, beta1=b1, **OTHER).value for b1 in (0.0, tiny))
    more = 8 * d * R**2 * np.log(1 + N * R**2 / OTHER["eps"]) / np.sqrt(N)
    np.testing.assert_allclose(with_it - without, more, rtol=1e-6)
    without, with_it = (adam_bound(N, lr=0.1, beta2=0.99, beta1=b1, **OTHER).value for b1 in (0.0, tiny))
    more = 8 * d * R**2 / np.sqrt(0.01) * (np.log(1 + R**2 / (0.01 * OTHER["eps"])) / N - np.log(0.99))
    np.testing.assert_allclose(with_it - without, more, rtol=1e-6)


def test_the_sums_behind_the_constants_with_momentum_are_bounded_as_claimed():
    k = np.arange(200_000)
    for a in (0.01, 0.5, 0.9, 0.99, 0.999):
        assert (a**k * np.sqrt(k + 1)).sum() <= 2 / (1 - a) ** 1.5
        assert (a**k * k**1.5).sum() <= 4 * a / (1 - a) ** 2.5
    generator = np.random.default_rng(0)
    for b1, b2 in [(0.3, 0.9), (0.9, 0.99), (0.5, 1.0)]:
        g = generator.standard_normal(2000) * 10.0 ** generator.integers(-4, 2, 2000)
        m = v = total = 0.0
        for value in g:
            m, v = b1 * m + value, b2 * v + value**2
            total += m**2 / (1e-8 + v)
        assert total <= (np.log(1 + v / 1e-8) - len(g) * np.log(b2)) / ((1 - b1) * (1 - b1 / b2))


def noisy_case(noise, eps, seed, w0):
    """F(w) = sqrt(1 + w^2), whose gradient stays below 1 and has Lipschitz constant 1, with two-valued noise."""
    generator = np.random.default_rng(seed)
    constants = {
        "dimension": 1,
        "gradient_bound": 1 + noise + np.sqrt(eps),
        "smoothness": 1.0,
        "gap": np.sqrt(1 + w0**2) - 1,
        "eps": eps,
    }

    def slope(w):
        return w / np.sqrt(1 + w**2)

    def gradient(w):
        return slope(w) + noise * generator.choice([-1.0, 1.0], size=w.shape)

    return constants, slope, gradient


@pytest.mark.parametrize(
    ("best", "b1", "steps"),
    [
        (best_adagrad_bound, 0.0, 20_000),
        (best_adam_bound, 0.0, 20_000),
        (best_adagrad_bound, 0.05, 100_000),
        (best_adam_bound, 0.05, 100_000),
    ],
)
def test_along_a_run_of_the_analysed_algorithm_squared_gradients_stay_below_the_bound(best, b1, steps):
    """The bound says something, too: it lies below the squared gradient of the start, which a run that rests keeps."""
    constants, slope, gradient = noisy_case(0.02, 2.5e-3, seed=1, w0=5.0)
    bound = best(steps, beta1=b1, **constants)
    settings = {"lr": float(bound.lr), "beta1": b1, "beta2": float(bound.beta2), "eps": constants["eps"]}
    weights = 1 - b1 ** (steps - np.arange(steps)) if b1 else np.ones(steps)
    run = analysed_run(gradient, np.full(16, 5.0), steps, **settings)
    squares = np.array([np.mean(slope(w) ** 2) for w in run])
    average = (weights * squares).sum() / weights.sum()
    assert average <= bound.value
    assert bound.value < squares[0]


def torch_run(cls, gradient, w, steps, **arguments):
    p = torch.nn.Parameter(torch.tensor(w))
    optimizer = cls([p], **arguments)
    path = []
    for _ in range(steps):
        path.append(p.detach().numpy().copy())
        p.grad = torch.tensor(gradient(p.detach().numpy()))
        optimizer.step()
    return np.array(path)


def curved(w):
    return np.array([1.0, 0.01]) * np.tanh(w)


START = np.array([2.0, -1.0])


@pytest.mark.parametrize(
    ("cls", "b2", "arguments"),
    [(torch.optim.Adam, 0.99, {"betas": (0.0, 0.99)}), (torch.optim.Adagrad, 1.0, {})],
)
def test_where_eps_is_tiny_the_analysed_step_is_torch_s_and_where_it_is_not_they_differ(cls, b2, arguments):
    """Gradients are at most 1 and start at 0.0076; an eps of 1e-3 is then felt, one of 1e-30 below every rounding."""
    distance = {}
    for eps in (1e-30, 1e-3):
        own = np.array(list(analysed_run(curved, START, 200, lr=0.01, beta1=0.0, beta2=b2, eps=eps)))
        theirs = torch_run(cls, curved, START, 200, lr=0.01, eps=eps, **arguments)
        distance[eps] = np.abs(own - theirs).max()
    assert distance[1e-30] < 1e-11
    assert distance[1e-3] > 4 * 0.01  # four whole steps


def test_the_named_eps_is_all_that_separates_the_analysed_adam_from_torch_s_without_momentum():
    """Torch's corrected average, with eps (1 - beta2) / (1 - beta2^n) put into its root, gives the analysed step."""
    eps, b2, lr, steps = 1e-3, 0.99, 0.01, 200
    average, w, path = np.zeros(2), START, []
    for n in range(1, steps + 1):
        path.append(w)
        g = curved(w)
        average = b2 * average + (1 - b2) * g**2
        w = w - lr * g / np.sqrt(average / (1 - b2**n) + eps * (1 - b2) / (1 - b2**n))
    own = list(analysed_run(curved, START, steps, lr=lr, beta1=0.0, beta2=b2, eps=eps))
    np.testing.assert_allclose(own, path, rtol=1e-10)


def test_with_momentum_the_analysed_adam_lacks_torch_s_first_correction():
    """The first step is 1 - beta1 of torch's: 0.1 of lr."""
    own = list(analysed_run(curved, START, 2, lr=0.01, beta1=0.9, beta2=0.99, eps=1e-30))
    theirs = torch_run(torch.optim.Adam, curved, START, 2, lr=0.01, betas=(0.9, 0.99), eps=1e-30)
    np.testing.assert_allclose(own[1] - own[0], 0.1 * (theirs[1] - theirs[0]), rtol=1e-12)
    bound = adam_bound(100, lr=0.01, beta2=0.99, beta1=0.9, **ONE)
    assert [sentence.split(":")[0] for sentence in bound.differences] == [
        "eps",
        "second moment",
        "first moment",
        "options",
    ]
    assert "(1 - beta1) sqrt((1 - beta2^n) / (1 - beta2)) m / sqrt(eps + v)" in bound.algorithm


def test_every_answer_says_what_gradients_may_reach_and_how_points_are_drawn():
    bound = adagrad_bound(100, lr=0.1, **{**ONE, "gradient_bound": 2.0}, eps=0.25)
    assert bound.largest_gradient == pytest.approx(1.5)
    assert "each as likely" in bound.sampling
    assert "1 - beta1^(N - j)" in adagrad_bound(100, lr=0.1, beta1=0.5, **ONE).sampling
    assert "sqrt(v) + eps" in bound.differences[0]


@pytest.mark.parametrize("b1", [0.0, 0.9])
def test_no_other_learning_rate_makes_the_bound_of_adagrad_smaller(b1):
    """Without momentum the minimum of A/a + Ba is in closed form; otherwise a scan around it decides."""
    N = np.array([50.0, 1e4])
    best = best_adagrad_bound(N, beta1=b1, **OTHER)
    for factor in (0.5, 0.999, 1.001, 2.0):
        assert (adagrad_bound(N, lr=best.lr * factor, beta1=b1, **OTHER).value > best.value).all()
    if b1 == 0:
        log = np.log(1 + N * OTHER["gradient_bound"] ** 2 / OTHER["eps"])
        expected = np.sqrt(2 * OTHER["gap"] / (OTHER["dimension"] * OTHER["smoothness"] * log))
        np.testing.assert_allclose(best.lr, expected, rtol=1e-12)


@pytest.mark.parametrize("b1", [0.0, 0.9])
@pytest.mark.parametrize("N", [20, 1000, 1_000_000])
def test_no_other_hyperparameters_make_the_bound_of_adam_smaller(b1, N):
    """A simplex search on the typed formula, from three starts, is the referee."""
    best = best_adam_bound(N, beta1=b1, **OTHER)

    def value(logs):
        a, forgotten = np.exp(logs)
        return plain_adam(N, a, b1, 1 - forgotten, **TYPED) if 0 < forgotten < 1 - b1 else np.inf

    starts = [(np.log(a), np.log((1 - b1) * share)) for a, share in [(1.0, 0.5), (1e-2, 1e-3), (1e-3, 1e-5)]]
    found = [minimize(value, x0, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}) for x0 in starts]
    referee = min(found, key=lambda result: result.fun)
    assert best.value == pytest.approx(referee.fun, rel=1e-9)
    # flat at the minimum: an error of 1e-9 in the value is one of 1e-4 in where it is
    np.testing.assert_allclose([best.lr, 1 - best.beta2], np.exp(referee.x), rtol=1e-4)


def test_the_papers_schedule_is_worse_than_the_best_by_less_than_a_constant_factor():
    """Both fall like sqrt(ln N / N) or ln N / sqrt N: their ratio grows no faster than sqrt(ln(N / eps))."""
    N = np.array([1e3, 1e5, 1e7, 1e9])
    ratio = adam_bound_by_horizon(N, **ONE).value / best_adam_bound(N, **ONE).value
    assert (ratio > 1).all()
    assert (ratio < np.sqrt(np.log(N / 1e-8))).all()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: adagrad_bound(0, lr=0.1, **ONE), BadProtocol, "steps is 0; give whole numbers"),
        (lambda: adagrad_bound([10, 2.5], lr=0.1, **ONE), BadProtocol, "steps is 2.5"),
        (lambda: adagrad_bound(np.inf, lr=0.1, **ONE), BadProtocol, "steps is inf"),
        (lambda: adam_bound(9, lr=0.1, beta2=0.99, beta1=0.9, **ONE), BadProtocol, "needs more than .* = 9 of them"),
        (lambda: adam_bound_by_horizon(1, **ONE), BadProtocol, "a horizon of at least 2 steps"),
        (lambda: adagrad_bound(10, lr=[0.1, 0.0], **ONE), BadMethod, "lr is 0; it must be finite and above 0"),
        (lambda: adagrad_bound(10, lr=np.nan, **ONE), BadMethod, "lr is nan"),
        (lambda: adam_bound(10, lr=0.1, beta2=1.0, **ONE), BadMethod, "beta2 is 1; .* `adagrad_bound`"),
        (lambda: adam_bound(10, lr=0.1, beta2=[0.9, 0.5], beta1=0.5, **ONE), BadMethod, "beta2 is 0.5; .* above beta1"),
        (lambda: adagrad_bound(10, lr=0.1, beta1=1.0, **ONE), BadMethod, "beta1 is 1; it must lie in"),
        (lambda: adagrad_bound(10, lr=0.1, eps=1.0, **ONE), BadMethod, "eps is 1; .* gradient_bound - sqrt"),
        (lambda: adagrad_bound(10, lr=0.1, eps=0.0, **ONE), BadMethod, "eps is 0"),
        (lambda: best_adam_bound(10, **{**ONE, "dimension": 0}), BadProblem, "dimension is 0; it counts parameters"),
        (lambda: best_adagrad_bound(10, **{**ONE, "gap": 0.0}), BadProblem, "gap is 0"),
        (lambda: adam_bound_by_horizon(10, **{**ONE, "smoothness": -1.0}), BadProblem, "smoothness is -1"),
        (lambda: adagrad_bound(10, lr=0.1, **{**ONE, "gradient_bound": np.inf}), BadProblem, "gradient_bound is inf"),
    ],
)
def test_what_makes_no_bound_is_refused_with_a_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
