"""The problems with names: their gradients, splits, optima, references."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der
from sklearn.datasets import load_breast_cancer, load_digits
from torch.func import grad_and_value

import optwise as ow
from optwise.catalog import load_problem
from optwise.core.errors import BadProblem
from optwise.core.layout import Layout
from optwise.core.metric import AtMost
from optwise.core.sampler import Full, Stream
from optwise.problems import PROBLEMS, nqm, rosenbrock, synthetic_least_squares
from optwise.problems.formulations import FORMULATIONS
from optwise.problems.targets import TARGETS, spell, with_target

SMALL = {"least-squares": {"n": 40, "p": 6}, "nqm": {"d": 7}, "rosenbrock": {"d": 5}}


def named(name):
    return PROBLEMS[name](**SMALL.get(name, {}))


@pytest.fixture(scope="module", params=PROBLEMS)
def problem(request):
    return named(request.param).to(dtype=torch.float64)


def training_part(problem, examples=50):
    if problem.data is None:
        return None, None
    return problem.data.train.x[:examples], problem.data.train.y[:examples]


def test_the_gradient_is_the_slope_of_what_is_measured(problem):
    """Central differences of the mean measured number along random directions, in float64."""
    x, y = training_part(problem)
    w, buffers = problem.start(1)
    layout = Layout.of(w)
    gradient, _ = grad_and_value(lambda w: problem.objective.losses(w, buffers, x, y)[0].mean())(w)

    def value(row):
        return problem.objective.measure(layout.unpack(row), buffers, x, y)[problem.metrics[0].name].mean()

    row, generator, step = layout.pack(w), torch.Generator().manual_seed(0), 1e-6
    for _ in range(3):
        direction = torch.randn(layout.size, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        slope = (value(row + step * direction) - value(row - step * direction)) / (2 * step)
        # the error of a central difference: step^2 of the third derivative, and rounding / step
        torch.testing.assert_close(layout.pack(gradient) @ direction, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "outputs_gradient"),
    [
        ("digits-softmax", lambda z, y: z.softmax(1) - torch.nn.functional.one_hot(y, 10)),
        ("breast-cancer-logistic", lambda z, y: z.sigmoid() - y),
        ("diabetes-least-squares", lambda z, y: z - y),
        ("least-squares", lambda z, y: z - y),
    ],
)
def test_the_gradient_of_a_linear_model_is_its_closed_form(name, outputs_gradient):
    """(1/N) (prediction - label)^T X for softmax, logistic and half squared loss alike."""
    problem = named(name).to(dtype=torch.float64)
    (x, y), (w, buffers) = (problem.data.train.x, problem.data.train.y), problem.start(2)
    gradient, _ = grad_and_value(lambda w: problem.objective.losses(w, buffers, x, y)[0].mean())(w)
    residual = outputs_gradient(x @ w["weight"].T + w.get("bias", 0.0), y)
    torch.testing.assert_close(gradient["weight"], residual.T @ x / len(x))
    if "bias" in w:
        torch.testing.assert_close(gradient["bias"], residual.mean(0))


def test_every_seed_has_a_start_of_its_own_and_keeps_it(problem):
    layout = Layout.of(problem.start(0)[0])
    rows = [layout.pack(problem.start(seed)[0]) for seed in (0, 0, 1)]
    assert torch.equal(rows[0], rows[1])
    own = ("least-squares", "sampled-least-squares", "rosenbrock", "mean-estimation", "more-garbow-hillstrom")
    given = (*own, *FORMULATIONS)
    assert torch.equal(rows[0], rows[2]) == (problem.name.partition(":")[0] in given)  # they start at a given point


def test_a_reference_builds_the_same_problem_again(problem):
    again = load_problem(problem.reference)
    assert again.reference == again.name == problem.name == problem.reference
    assert again.to(dtype=torch.float64).fingerprint() == problem.fingerprint()


def test_a_target_names_a_metric_of_the_problem_and_the_command_that_set_it(problem):
    assert (problem.target is None) == (problem.target_command == "")
    if problem.target is not None:
        assert problem.target.metric in problem.metric_names
        assert problem.target.direction is problem.direction(problem.target.metric)
        w, buffers = problem.start(0)
        start = float(problem.objective.measure(w, buffers, *training_part(problem))[problem.metrics[0].name].mean())
        assert not problem.target.reached_by(start)


def test_the_table_of_targets_holds_only_problems_of_the_catalogue():
    assert {reference.partition(":")[0] for reference in TARGETS} <= set(PROBLEMS)


def test_a_target_is_found_by_the_reference(monkeypatch):
    entry = (AtMost("objective", 0.5), "optwise target rosenbrock:d=2")
    monkeypatch.setattr("optwise.problems.targets.TARGETS", {"rosenbrock:d=2": entry})
    found = with_target(replace(rosenbrock(), target=None, target_command=""))
    assert (found.target, found.target_command) == entry


@pytest.mark.parametrize(
    ("name", "sizes", "loader"),
    [
        ("digits-mlp", (1078, 359, 360), load_digits),
        ("digits-cnn", (1078, 359, 360), load_digits),
        ("digits-units", (1078, 359, 360), load_digits),
        ("breast-cancer-logistic", (341, 114, 114), load_breast_cancer),
        ("diabetes-least-squares", (265, 88, 89), None),
    ],
)
def test_splits_are_disjoint_of_60_20_20_percent_and_stratified(name, sizes, loader):
    problem = PROBLEMS[name]()
    splits = problem.data.splits.values()
    assert tuple(split.examples for split in splits) == sizes
    rows = [{row.numpy().tobytes() for row in split.x.flatten(1)} for split in splits]
    assert sum(map(len, rows)) == len(set.union(*rows)) == sum(sizes), "an example stands in two splits, or twice"
    if loader is not None:
        shares = np.bincount(loader().target) / len(loader().target)
        for split in splits:
            counted = np.bincount(split.y.flatten().long().numpy(), minlength=len(shares))
            assert np.abs(counted - shares * split.examples).max() <= 1.0


@pytest.mark.parametrize("name", ["breast-cancer-logistic", "diabetes-least-squares"])
def test_columns_are_standardised_by_the_training_split_alone(name):
    data = PROBLEMS[name]().data
    means, deviations = data.train.x.double().mean(0), data.train.x.double().std(0, correction=0)
    torch.testing.assert_close(means, torch.zeros_like(means), rtol=0, atol=1e-6)
    torch.testing.assert_close(deviations, torch.ones_like(means), rtol=0, atol=1e-6)
    assert data.valid.x.mean(0).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "parameters"), [("digits-softmax", 650), ("digits-units", 650), ("digits-mlp", 9610), ("digits-cnn", 1898),
                             ("breast-cancer-logistic", 31), ("diabetes-least-squares", 11)],
)  # fmt: skip
def test_networks_have_the_published_sizes(name, parameters):
    assert Layout.of(PROBLEMS[name]().start(0)[0]).size == parameters


def test_the_trivial_predictor_lies_above_what_a_model_reaches():
    for name, expected in [
        ("digits-mlp", np.log(10)),
        ("breast-cancer-logistic", 0.66),
        ("diabetes-least-squares", 0.5),
    ]:
        assert PROBLEMS[name]().predictor == pytest.approx(expected, rel=0.2)


def test_units_change_the_columns_and_not_what_a_linear_model_can_do():
    """With W u and b - W m the outputs on the units' columns are those of W and b on the plain ones."""
    plain, measured = (PROBLEMS[name]().to(dtype=torch.float64) for name in ("digits-softmax", "digits-units"))
    center = plain.data.train.x.mean(0)
    x, z = (torch.cat([split.x for split in p.data.splits.values()]) for p in (plain, measured))
    # of a column that is 0 everywhere the unit shows nowhere
    units = (z.abs().amax(0) / (x - center).abs().amax(0)).nan_to_num(nan=1.0)
    shown = units[x.std(0) > 0]
    assert (float(shown.min()), float(shown.max())) == pytest.approx((0.3, 30), rel=0.2)
    w = {"weight": torch.randn(10, 64, dtype=torch.float64), "bias": torch.randn(10, dtype=torch.float64)}
    same = {"weight": w["weight"] / units, "bias": w["bias"] + w["weight"] @ center}
    for split in ("train", "valid", "test"):
        a, b = (p.data.splits[split] for p in (plain, measured))
        assert torch.equal(a.y, b.y)
        losses = [p.objective.measure(v, {}, d.x, d.y)["loss"] for p, v, d in ((plain, w, a), (measured, same, b))]
        torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=2e-4)  # columns are kept in float32


def test_units_square_the_conditioning():
    """Condition number of the covariance of the columns that vary, against that of the plain digits."""
    plain = PROBLEMS["digits-softmax"]()
    varies = plain.data.train.x.std(0).numpy() > 0.1
    conditions = [
        np.linalg.cond(np.cov(problem.data.train.x.double().numpy()[:, varies].T))
        for problem in (PROBLEMS["digits-units"](spread=1.0), PROBLEMS["digits-units"](), plain)
    ]
    assert conditions[0] == pytest.approx(conditions[2], rel=1e-3)
    assert conditions[1] > 50 * conditions[0]


@pytest.mark.slow
def test_on_badly_scaled_columns_a_comparison_sees_that_adaptive_steps_are_faster(tmp_path):
    done = ow.compare(PROBLEMS["digits-units"](), [ow.SGD(), ow.Adagrad()], studies=4, trials=8, seeds=2, out=tmp_path)
    (found,) = done.document["problems"]["digits-units"]["verdicts"]
    assert (found["a"], found["b"], found["words"]) == ("adagrad", "sgd", "faster")
    assert found["ratio"] < 0.5


@pytest.mark.parametrize(("n", "p", "kappa", "seed"), [(200, 50, 100.0, 0), (30, 30, 1e6, 1), (50, 4, 1.0, 2)])
def test_kappa_is_the_condition_number_of_the_hessian(n, p, kappa, seed):
    data = synthetic_least_squares(n, p, kappa, seed=seed).data.train
    assert np.linalg.cond(data.x.numpy()) ** 2 == pytest.approx(kappa, rel=1e-8)
    assert np.linalg.eigvalsh(data.x.numpy().T @ data.x.numpy() / n)[-1] == pytest.approx(1.0)


def test_the_optimum_of_least_squares_solves_the_normal_equations_and_beats_every_neighbour():
    problem = synthetic_least_squares()
    (x, y), w = (problem.data.train.x, problem.data.train.y), problem.optimum.w
    losses = problem.objective.measure(w, {}, x, y)["loss"]
    assert float(losses.mean()) == pytest.approx(problem.optimum.value, rel=1e-12)
    assert float((x.T @ (x @ w["weight"].T - y)).abs().max()) < 1e-10
    # chi-square with n - p degrees of freedom: noise^2 / 2 (1 - p/n), standard deviation 12 %
    assert problem.optimum.value == pytest.approx(0.01 / 2 * 0.75, rel=0.4)
    assert problem.target.value == pytest.approx(1.01 * problem.optimum.value, rel=1e-5)
    assert synthetic_least_squares(n=20, p=20).target is None


def test_rosenbrock_is_that_of_scipy():
    problem = rosenbrock(d=6)
    w = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradient, value = grad_and_value(lambda w: problem.objective.losses({"w": w}, {}, None, None)[0].sum())(w)
    np.testing.assert_allclose(float(value), rosen(w.numpy()))
    np.testing.assert_allclose(gradient.numpy(), rosen_der(w.numpy()))
    assert problem.start(9)[0]["w"].tolist() == [-1.2, 1.0, -1.2, 1.0, -1.2, 1.0]
    assert (
        problem.objective.measure(problem.optimum.w, {}, None, None)["objective"].item() == problem.optimum.value == 0
    )
    assert problem.sampler == Full()


def test_gradient_noise_of_the_noisy_quadratic_model_has_variance_c_over_batch_size():
    h, c, batch, steps = [1.0, 0.5, 0.0], [4.0, 0.0, 9.0], 16, 20_000
    problem = nqm(h, c, w0=[1.0, 2.0, 3.0], batch_size=batch)
    draws, _ = problem.sampler.take(problem.sampler.init(0), problem.examples, steps)
    w, _ = problem.start(0)

    def gradient(noise):
        return torch.func.grad(lambda w: problem.objective.losses(w, {}, noise, None)[0].sum())(w)["w"]

    gradients = torch.func.vmap(gradient)(draws.fresh)  # [S, 3]
    variance = torch.tensor(c, dtype=torch.float64) / batch
    # means: 4 standard errors; variances: 4 sqrt(2 / S) = 4 % relative
    torch.testing.assert_close(
        gradients.mean(0), w["w"] * torch.tensor(h).double(), rtol=0, atol=4 * (9 / 16 / steps) ** 0.5
    )
    torch.testing.assert_close(gradients.var(0), variance, rtol=0.04, atol=1e-12)
    correlation = torch.corrcoef(gradients[:, [0, 2]].T)[0, 1]
    assert abs(correlation) < 4 / steps**0.5
    assert draws.examples.unique().tolist() == [batch]


def test_noise_does_not_depend_on_how_a_run_is_cut_into_segments():
    sampler = nqm(d=37).sampler
    assert isinstance(sampler, Stream)
    whole, _ = sampler.take(sampler.init(5), 1, 12)
    state, parts = sampler.init(5), []
    for steps in (1, 4, 7):
        draws, state = sampler.take(state, 1, steps)
        parts.append(draws.fresh)
    assert torch.equal(torch.cat(parts), whole.fresh)


def test_the_standard_noisy_quadratic_model_has_harmonic_curvature_and_unit_starts():
    problem = nqm(d=4)
    assert problem.objective.value.h.tolist() == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert problem.sampler.draw.c.tolist() == problem.objective.value.h.tolist()
    starts = torch.stack([nqm(d=100, h=None).start(seed)[0]["w"] for seed in range(100)])
    assert float(starts.square().mean()) == pytest.approx(1.0, abs=4 * (2 / 1e4) ** 0.5)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (nqm, "either the Hessian's diagonal `h` or the dimension `d`"),
        (lambda: nqm([1.0], d=1), "either the Hessian's diagonal"),
        (lambda: nqm(d=0), "has no parameters"),
        (lambda: nqm([1.0, 2.0], c=[1.0]), "2 entries in h but 1 in c"),
        (lambda: nqm([1.0, -2.0]), "negative entry"),
        (lambda: nqm([1.0, float("nan")]), "finite number per coordinate"),
        (lambda: nqm(d=2, second_moment=-1.0), "second_moment=-1"),
        (lambda: rosenbrock(d=1), "at least 2 dimensions"),
        (lambda: PROBLEMS["digits-units"](spread=0.5), "spread=0.5"),
        (lambda: PROBLEMS["digits-units"](spread=float("inf")), "spread=inf"),
        (lambda: synthetic_least_squares(n=5, p=6), "1 <= p <= n"),
        (lambda: synthetic_least_squares(kappa=0.5), "kappa=0.5"),
        (lambda: synthetic_least_squares(noise=-1.0), "noise=-1"),
    ],
)
def test_parameters_that_make_no_problem_are_refused(build, sentence):
    with pytest.raises(BadProblem) as refusal:
        build()
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("parameters", "text"), [({}, "p"), ({"d": 100}, "p:d=100"), ({"a": 1e-7, "b": 1234567.5}, "p:a=1e-07,b=1234567.5")]
)
def test_a_spelled_reference_loses_no_digit(parameters, text):
    assert spell("p", parameters) == text


def test_importing_the_room_loads_no_data():
    script = "import sys, optwise.problems; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", ["breast-cancer-logistic", "diabetes-least-squares", "least-squares"])
def test_a_linear_network_is_known_to_solvers_as_the_linear_model_it_is(name):
    problem = named(name).to(dtype=torch.float64)
    w, buffers = problem.start(3)
    row = Layout.of(w).pack(w)
    losses, _ = problem.objective.losses(w, buffers, problem.data.train.x, problem.data.train.y)
    torch.testing.assert_close(problem.smooth.value(row), losses.mean(), rtol=1e-13, atol=0)
    assert problem.smooth.model is not None
