"""What is wrong with a training, on runs whose truth is known: quadratics, predicted floors, real runs."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import optwise as ow
from optwise.analyses.checks import method_checks
from optwise.analyses.courses import course, relative_fall
from optwise.analyses.diagnosis import diagnosis
from optwise.analyses.subject import Subject
from optwise.analyses.training import Elsewhere, Training
from optwise.core.finding import Grade
from optwise.core.method import Recorded
from optwise.core.metric import AtLeast, AtMost, Direction
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.space import LogUniform, Space
from optwise.core.status import Status
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods.schedules import Constant, InverseTime, WarmupCosine

STEPS, EVALUATIONS = 400, 41
AT = np.rint(np.linspace(0, STEPS, EVALUATIONS)).astype(int)
QUADRATIC = Subject("p", "m", "objective", Direction.MIN, tuned=False)
VALID = Subject("p", "m", "valid/loss", Direction.MIN, tuned=False)
SMALL, LARGE, FLOOR = "learning-rate-too-small", "learning-rate-too-large", "noise-floor"


def run(curves, index=0, *, study=0, lr=0.1, status=Status.BUDGET_SPENT, point=None, **fields):
    """One confirmation; ``curves`` by full metric name, one value per evaluation, short where it ended."""
    rows = [
        Measurement(int(k), *name.rpartition("/")[::2], float(v))
        for name, values in curves.items()
        for k, v in zip(AT, values, strict=False)
    ]
    return Run(
        problem="p",
        method=Recorded(name="m", description={"class": "M", "lr": lr, **fields}),
        seed=0,
        status=status,
        counts={},
        measurements=tuple(rows),
        name=TrialName("p", "m", study, index, confirm=True),
        point=point or {},
    )


def told(runs, *, subject=QUADRATIC, space=None, paid="steps", **known):
    """The diagnosis of some runs, under a learning rate that stays unless said otherwise."""
    used = [(int(k), float(k)) for k in AT] if paid == "steps" else paid
    return diagnosis(Training(subject, runs, space or Space({}), margin=0.02, paid=used, **known))


def of_curves(*curves, metric="objective", **known):
    return told([run({metric: curve}, i) for i, curve in enumerate(curves)], **known)


# gradient descent on quadratics, where curvature says which learning rates are stable and which get anywhere


def descent(curvatures, lr, *, beta=0.0, factors=None, start=1.0):
    """Values of 1/2 sum h w^2 under heavy ball from the same w in each coordinate, ended where they overflow."""
    h, w, velocity, values = np.asarray(curvatures), start * np.ones(len(curvatures)), 0.0, []
    scale = np.ones(STEPS) if factors is None else factors
    for k in range(STEPS + 1):
        values.append(0.5 * float(h @ w**2))
        if k == STEPS or not values[-1] < 1e100:
            break
        velocity = beta * velocity + h * w
        w = w - lr * scale[k] * velocity
    return [values[k] for k in AT if k < len(values)]  # what grows beyond all numbers ends


def quadratic(curvatures, lr, *, offset=0.0, beta=0.0, schedule=None, **known):
    factors = None if schedule is None else schedule.factors(STEPS)
    values = [v + offset for v in descent(curvatures, lr, beta=beta, factors=factors)]
    status = Status.BUDGET_SPENT if len(values) == EVALUATIONS else Status.NOT_FINITE
    used = np.concatenate([[0.0], np.cumsum(np.ones(STEPS) if factors is None else factors)])
    return told(
        [run({"objective": values}, lr=lr, status=status)], paid=[(int(k), float(used[k])) for k in AT], **known
    )


SPECTRA = {"one": [1.0], "even": [1.0, 1.0, 1.0], "wide": np.logspace(-3, 0, 20), "steep": [1.0, 0.1, 0.01]}
SCHEDULES = {"none": None, "cosine": WarmupCosine(warmup=0.05)}


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("lr", [2.02, 2.1, 3.0, 50.0, 1e6])
def test_beyond_two_over_the_largest_curvature_it_is_too_large(spectrum, lr):
    assert quadratic(SPECTRA[spectrum], lr).check == LARGE


@pytest.mark.parametrize("offset", [0.0, 100.0, -100.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("lr", [1e-9, 1e-6, 1e-5, 1e-4])
def test_where_no_curvature_is_met_within_the_budget_it_is_too_small(spectrum, lr, schedule, offset):
    """Over a budget of K steps a coordinate falls by exp(-2 lr h K): here by 8 % at most."""
    others = Elsewhere(offset, "another")
    found = quadratic(SPECTRA[spectrum], lr, offset=offset, schedule=SCHEDULES[schedule], elsewhere=others)
    assert (found.check, found.grade) == (SMALL, Grade.WARN)
    assert "Raise the learning rate" in found.advice


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("lr", np.logspace(-1.5, math.log10(1.9), 8))
@pytest.mark.parametrize("elsewhere", [None, Elsewhere(0.0, "another")])
def test_a_learning_rate_that_is_stable_and_gets_somewhere_is_neither(spectrum, lr, schedule, elsewhere):
    found = quadratic(SPECTRA[spectrum], float(lr), schedule=SCHEDULES[schedule], elsewhere=elsewhere)
    assert found.check in ("course", "still-improving")


def test_over_twelve_decades_it_is_too_small_then_neither_then_too_large():
    for spectrum, beta in itertools.product(SPECTRA, (0.0, 0.9)):
        checks = [quadratic(SPECTRA[spectrum], 10.0**e, beta=beta).check for e in range(-8, 4)]
        kinds = [
            kind for kind, _ in itertools.groupby(SMALL if c == SMALL else LARGE if c == LARGE else "" for c in checks)
        ]
        assert kinds == [SMALL, "", LARGE], (spectrum, beta, checks)


def test_a_loss_alone_that_is_not_negative_is_taken_to_have_all_of_itself_to_lose():
    assert quadratic([1.0], 1e-4).check == SMALL
    # an optimum of 100 cannot be known from one curve that fell from 100.5 to 100.0 and stopped there
    assert quadratic([1.0], 0.05, offset=100.0).check == "course"


def test_steps_that_shrink_on_a_constant_gradient_are_too_small_where_others_got_far():
    falls = [1.0 - 1e-3 * math.sqrt(k / STEPS) for k in AT]
    assert of_curves(falls, elsewhere=Elsewhere(0.0, "another")).check == SMALL
    dead = [1.0] + [0.997] * (EVALUATIONS - 1)
    assert of_curves(dead, elsewhere=Elsewhere(0.0, "another")).check == "course", "it fell at once and stood still"


def test_a_run_that_is_thrown_up_and_comes_back_to_its_start_is_unstable_and_one_that_then_wins_is_not():
    """The first happens to networks whose units die, the second to those thrown into a better valley."""
    others = Elsewhere(0.0, "another")
    thrown = [1.0, 4.0, 2.0, *np.linspace(1.2, 0.95, EVALUATIONS - 3)]
    better = [1.0, 4.0, 2.0, *np.linspace(0.5, 0.01, EVALUATIONS - 3)]
    assert of_curves(thrown, elsewhere=others).check == LARGE
    assert of_curves(better, elsewhere=others).check != LARGE
    walk = 1.0 + 0.001 * np.sin(AT)
    assert of_curves(walk, elsewhere=others).check != LARGE, "noise of tiny steps throws nothing"


def test_a_learning_rate_that_is_searched_or_unknown_is_never_called_too_small():
    still = {"objective": [1.0] * EVALUATIONS}
    searched = told([run(still, point={"lr": 1e-6})], space=Space({"lr": LogUniform(1e-8, 1e-4)}))
    unknown = told([run(still, lr=None)])
    assert [searched.check, unknown.check] == ["course", "course"]


@pytest.mark.parametrize(
    ("method", "rate"),
    [
        (ow.SGD(lr=0.5), 0.5),
        (ow.EMA(ow.Adam(lr=1e-3)), 1e-3),
        (ow.Torch(torch.optim.SGD, lr=0.25, momentum=0.9), 0.25),
        (ow.SGD(lr=LogUniform(1e-3, 1.0)), None),
    ],
)
def test_a_learning_rate_is_found_however_deep_it_lies(method, rate):
    one = replace(run({"objective": [1.0] * EVALUATIONS}), method=Recorded(name="m", description=method.describe()))
    assert Training(QUADRATIC, [one], Space({}), margin=0.02).rate == rate


def test_rounding_around_a_loss_that_stands_still_is_no_instability():
    rng = np.random.default_rng(0)
    curves = [1.0986 * (1 + 1e-7 * rng.standard_normal(EVALUATIONS)) for _ in range(4)]
    assert of_curves(*curves).check == SMALL
    assert of_curves(*(-c for c in curves)).check == SMALL


def test_a_run_in_ten_may_diverge_by_chance_and_half_of_them_may_not():
    fine, dead = descent([1.0], 0.1), [1.0, 5.0, math.nan]

    def of(bad, n):
        return told(
            [
                run(
                    {"objective": dead if i < bad else fine},
                    i,
                    status=Status.NOT_FINITE if i < bad else Status.BUDGET_SPENT,
                )
                for i in range(n)
            ]
        )

    assert of(1, 16).check != LARGE
    found = of(8, 16)
    assert (found.check, found.value) == (LARGE, 0.5)
    assert "8 not finite" in found.evidence
    assert "Lower the learning rate" in found.advice


# noise


def stochastic(h, c, lr, *, seeds, start=1.0):
    """Runs of SGD on a quadratic with gradient noise of variance c, measured without noise."""
    rng = np.random.default_rng(1)
    h, c = np.asarray(h), np.asarray(c)
    w, values = start * np.ones((seeds, len(h))), []
    for _ in range(STEPS + 1):
        values.append(0.5 * (w**2 @ h))
        w = w - lr * (h * w + np.sqrt(c) * rng.standard_normal(w.shape))
    return np.array(values)[AT].T


@pytest.mark.parametrize("schedule", [Constant(), WarmupCosine(), InverseTime(0.1)])
def test_a_plateau_is_a_noise_floor_where_the_learning_rate_stays_and_theory_puts_it_there(schedule):
    """The oracle is the predicted risk: its floor, and how much of it is left to fall in the last third."""
    h, c, lr = torch.linspace(0.5, 1.0, 4, dtype=torch.float64), torch.ones(4, dtype=torch.float64) * 0.1, 0.2
    problem = ow.problems.nqm(h, c, torch.ones(4, dtype=torch.float64))
    forecast = ow.predict(problem, ow.SGD(lr=lr), budget=ow.Steps(STEPS), batch_size=1).forecast
    assert forecast.risk[STEPS * 2 // 3] == pytest.approx(forecast.floor, rel=1e-6)
    used = [(int(k), float(schedule.factors(STEPS)[:k].sum())) for k in AT]
    runs = [run({"objective": v}, i, lr=lr) for i, v in enumerate(stochastic(h, c, lr, seeds=8))]
    found = told(runs, paid=used)
    assert found.check == (FLOOR if isinstance(schedule, Constant) else "course")
    if found.check == FLOOR:
        levels = [r.curve("objective")[k][1] for r in runs for k in range(28, EVALUATIONS)]
        assert np.mean(levels) == pytest.approx(forecast.floor, rel=0.2)
        assert "decay" in found.advice


def test_a_run_that_theory_sees_far_above_its_floor_is_still_improving():
    h, c, lr = [0.5, 1.0], [1e-4, 1e-4], 0.002
    forecast = ow.predict(
        ow.problems.nqm(torch.tensor(h), torch.tensor(c), torch.ones(2)),
        ow.SGD(lr=lr),
        budget=ow.Steps(STEPS),
        batch_size=1,
    )
    assert forecast.risk[-1] < 0.9 * forecast.risk[STEPS * 2 // 3]
    runs = [run({"objective": v}, i, lr=lr) for i, v in enumerate(stochastic(h, c, lr, seeds=8))]
    found = told(runs)
    assert found.check == "still-improving"
    predicted = 1 - forecast.risk[-1] / forecast.risk[STEPS * 2 // 3]
    assert found.value == pytest.approx(predicted, rel=0.15)
    assert "larger budget" in found.advice


def test_noise_without_a_trend_is_called_improving_in_one_comparison_of_forty_at_most():
    """The interval of a mean over runs leaves 2.5 % above: autocorrelated noise within a run does not matter."""
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(200):
        noise = np.zeros((6, EVALUATIONS))
        for k in range(1, EVALUATIONS):
            noise[:, k] = 0.9 * noise[:, k - 1] + 0.2 * rng.standard_normal(6)
        curves = [np.exp(row) for row in noise]
        _, ends = relative_fall([[course(list(zip(AT.tolist(), c.tolist(), strict=True))) for c in curves]])
        alarms += ends.low > 0
    assert alarms <= 200 * 0.025 + 3 * math.sqrt(200 * 0.025 * 0.975)


def test_where_the_target_is_reached_neither_noise_nor_a_trend_costs_time():
    timed = Subject("p", "m", "objective", Direction.MIN, AtMost("objective", 0.9), tuned=False)
    h, c = [0.5, 1.0], [1e-4, 1e-4]
    runs = [run({"objective": v}, i, lr=0.002) for i, v in enumerate(stochastic(h, c, 0.002, seeds=8))]
    assert told(runs, subject=timed).check == "course"


# validation, and metrics to maximise


def test_an_accuracy_that_still_rises_is_still_improving():
    subject = Subject("p", "m", "valid/accuracy", Direction.MAX, AtLeast("valid/accuracy", 0.99), tuned=False)
    rising = {
        "valid/accuracy": [0.1 + 0.6 * k / STEPS for k in AT],
        "train/loss": [2.0 * math.exp(-3 * k / STEPS) for k in AT],
    }
    found = told([run(rising, i) for i in range(4)], subject=subject)
    assert found.check == "still-improving"
    assert "4 of 4 runs miss the target" in found.evidence


@pytest.mark.parametrize("metric", ["valid/loss", "valid/accuracy"])
def test_validation_that_gets_worse_while_train_improves_is_overfitting_and_not_instability(metric):
    rng = np.random.default_rng(0)
    falling = 2.0 * np.exp(-4 * AT / STEPS)
    worse = 1.0 + 1.5 * np.abs(AT / STEPS - 0.3) + 0.001 * rng.standard_normal((6, EVALUATIONS))
    sign, up = (1, Direction.MIN) if metric == "valid/loss" else (-1, Direction.MAX)
    name = metric.partition("/")[2]
    fitted = {"train/loss": falling} | ({f"train/{name}": -falling} if sign < 0 else {})
    runs = [run({metric: sign * one, **fitted}, i) for i, one in enumerate(worse)]
    found = told(runs, subject=Subject("p", "m", metric, up, tuned=False), paid=None, decays=True)
    assert (found.check, found.value) == ("overfitting", 1.0)
    assert "smaller budget" not in found.advice


def test_overfitting_in_half_of_the_runs_may_be_chance():
    falling = 2.0 * np.exp(-4 * AT / STEPS)
    worse, fine = 1.0 + 1.5 * np.abs(AT / STEPS - 0.3), 1.0 + np.exp(-9 * AT / STEPS)
    of = [run({"valid/loss": worse if i < 18 else fine, "train/loss": falling}, i) for i in range(32)]
    assert told(of, subject=VALID, paid=None, decays=True).check == "course"


# exclusion


def families():
    """Curves of every kind, and the runs of each."""
    rng = np.random.default_rng(3)
    t = AT / STEPS
    shapes = {
        "exponential": lambda a: np.exp(-(10**a) * t),
        "line": lambda a: 1 - 10 ** (a - 2) * t,
        "bounce": lambda a: 1 + 10**a * np.abs(np.sin(40 * t)),
        "growth": lambda a: np.exp(10**a * t),
        "hook": lambda a: 0.2 + np.abs(t - 0.3) * 10**a,
        "floor": lambda a: 0.1 + np.exp(-20 * t),
        "step": lambda a: np.where(t > 0.5, 0.1, 1.0) + 0 * a,
        "power": lambda a: (1 + 100 * t) ** -abs(a),
    }
    for (name, shape), a, noise, offset in itertools.product(shapes.items(), (-1.0, 0.0, 1.0), (0.0, 0.1), (0.0, -5.0)):
        curves = [shape(a) * np.exp(noise * rng.standard_normal(EVALUATIONS)) + offset for _ in range(6)]
        yield f"{name} {a} {noise} {offset}", curves


@pytest.mark.parametrize("target", [None, 0.15])
@pytest.mark.parametrize("decays", [False, True])
def test_of_all_that_is_said_about_one_method_at_most_one_thing_is_about_its_training(target, decays):
    kinds = {SMALL, LARGE, FLOOR, "still-improving", "overfitting"}
    goal = None if target is None else AtMost("valid/loss", target)
    subject = Subject("p", "m", "valid/loss", Direction.MIN, goal, tuned=False)
    seen = set()
    for name, curves in families():
        for train in (curves, [c[::-1] for c in curves], [np.exp(-3 * AT / STEPS)] * len(curves)):
            runs = [
                run({"valid/loss": v, "train/loss": t}, i) for i, (v, t) in enumerate(zip(curves, train, strict=True))
            ]
            paid = None if decays else [(int(k), float(k)) for k in AT]
            found = method_checks(subject, space=Space({}), search=[], confirm=runs, needs_horizon=decays, paid=paid)
            said = [f for f in found if f.grade is not Grade.PASS]
            about = [f for f in said if f.check in kinds]
            assert len(about) <= 1, (name, [f.evidence for f in about])
            advice = " ".join(f.advice for f in said)
            assert "smaller budget" not in advice
            assert not ("Lower the learning rate" in advice and "larger" in advice), (name, advice)
            seen |= {f.check for f in about}
    assert {SMALL, LARGE, "overfitting"} <= seen
    assert decays or target or {FLOOR, "still-improving"} <= seen


# real runs


def wine_like(scale):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(90, 5, generator=generator) * scale
    y = (x @ torch.randn(5, 3, generator=generator) + scale * torch.randn(90, 3, generator=generator)).argmax(1)
    return ow.problems.from_module(
        lambda: nn.Linear(5, 3), nn.functional.cross_entropy, (x[:60], y[:60]), valid=(x[60:], y[60:]), batch_size=20
    )


def trained(problem, methods, steps=80):
    """Each method with three seeds for real, float32, in one chunk; the diagnosis by method."""
    at = tuple(np.rint(np.linspace(0, steps, 21)).astype(int).tolist())
    trials = tuple(
        Trial(TrialName("p", str(i), 0, k, confirm=True), f"{i}/{k}", method, 7 * i + k)
        for i, method in enumerate(methods)
        for k in range(3)
    )
    done = run_chunk(problem, Chunk("c", "vmap", len(trials), steps, at, "float32", "cpu", trials)).runs
    lowest = min((v, r.name.method) for r in done for _, v in r.curve("train/loss") if math.isfinite(v))
    found = []
    for i, method in enumerate(methods):
        factors = np.ones(steps) if method.schedule is None else method.schedule.factors(steps)
        paid = [(k, float(factors[:k].sum())) for k in at]
        others = None if lowest[1] == str(i) else Elsewhere(lowest[0], "another")
        subject = Subject("p", str(i), "valid/loss", Direction.MIN, tuned=False)
        own = [run for run in done if run.name.method == str(i)]
        found.append(diagnosis(Training(subject, own, Space({}), margin=0.02, paid=paid, elsewhere=others)))
    return [one.check for one in found]


@pytest.mark.parametrize("schedule", [None, WarmupCosine()])
@pytest.mark.parametrize(
    "method",
    [
        lambda lr, s: ow.SGD(lr=lr, schedule=s),
        lambda lr, s: ow.Momentum(lr=lr, momentum=0.9, schedule=s),
        lambda lr, s: ow.Adam(lr=lr, schedule=s),
    ],
)
def test_softmax_over_twelve_decades_is_too_small_first_and_too_large_last(method, schedule):
    """Rows that are not separable: a large step cannot end at a perfect fit."""
    checks = trained(wine_like(10.0), [method(10.0**e, schedule) for e in range(-8, 4)])
    small, large = [i for i, c in enumerate(checks) if c == SMALL], [i for i, c in enumerate(checks) if c == LARGE]
    assert small == list(range(len(small))), checks
    assert large == list(range(12 - len(large), 12)), checks
    assert len(small) >= 3, checks
    assert len(large) >= 2, checks
    assert len(small) + len(large) < 12, "something in the middle is neither"
