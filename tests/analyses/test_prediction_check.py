"""Runs made by plain numpy against predictions: right ones pass at the stated rate, wrong ones are found."""

import math
from dataclasses import replace

import numpy as np
import pytest

import optwise as ow
from optwise.analyses.prediction_check import prediction, used
from optwise.analyses.prediction_comparison import hold, over_the_course, step_by_step
from optwise.analyses.predictions import Predicted, Predictions
from optwise.analyses.subject import Subject
from optwise.core.finding import Grade
from optwise.core.method import Recorded
from optwise.core.metric import Direction
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.status import Status
from optwise.verbs.forecasting import predicted

STUDIES, SEEDS = 8, 4
RUNS = STUDIES * SEEDS
AT = list(range(0, 101, 5))
SUBJECT = Subject("p", "m", "objective", Direction.MIN)
HARMONIC = 1 / np.arange(1, 11.0)


def values(h, c, start, *, lr, momentum=0.0, batch_size=16, fixed=False, runs=RUNS, rng, factor=1.0):
    """Values at the steps AT [runs, K] of momentum on a noisy quadratic; ``factor`` is on gradients."""
    w = np.tile(np.sqrt(start), (runs, 1)) if fixed else rng.standard_normal((runs, len(h))) * np.sqrt(start)
    lr, v, found = np.broadcast_to(lr, runs)[:, None], np.zeros_like(w), []
    for k in range(AT[-1] + 1):
        if k in AT:
            found.append(0.5 * (h * w * w).sum(1))
        g = h * w + np.sqrt(c / batch_size) * rng.standard_normal(w.shape)
        v = momentum * v + factor * g
        w = w - lr * v
    return np.array(found).T


def made(table, *, seeds=SEEDS, status=Status.BUDGET_SPENT):
    """Confirmation runs whose curves are the rows of a table, ``seeds`` of them a study; a NaN ends a run."""
    found = []
    for i, row in enumerate(np.asarray(table, dtype=np.float64)):
        last = int(np.flatnonzero(~np.isfinite(row))[0]) + 1 if not np.isfinite(row).all() else len(row)
        found.append(
            Run(
                problem="p",
                method=Recorded(name="m", description={}),
                seed=i,
                status=status if last == len(row) and np.isfinite(row[-1]) else Status.NOT_FINITE,
                counts={},
                measurements=tuple(
                    Measurement(k, "", "objective", float(f)) for k, f in zip(AT[:last], row[:last], strict=True)
                ),
                name=TrialName("p", "m", i // seeds, i % seeds, confirm=True),
            )
        )
    return found


def told(h, c, start, *, lr, momentum=0.0, batch_size=16, fixed=False, dtype="float64"):
    """What theory says, of as many studies as there are rates."""
    problem = ow.problems.nqm(h=h, c=c, w0=np.sqrt(start) if fixed else None, batch_size=batch_size)
    problem = replace(problem, quadratic=replace(problem.quadratic, start=np.asarray(start)))
    rates = np.broadcast_to(lr, STUDIES)
    methods = {i: ow.Momentum(lr=float(rate), momentum=momentum) for i, rate in enumerate(rates)}
    found = predicted(problem, methods, AT, dtype=dtype)
    assert found.reason == ""
    return found


def by_hand(risk, deviation=None, *, diverges=False, optimum=0.0, dtype="float64", studies=STUDIES, heavy=()):
    """Predictions as given, the same of every study."""
    risk = np.broadcast_to(np.asarray(risk, dtype=np.float64), len(AT))
    deviation = None if deviation is None else np.broadcast_to(np.asarray(deviation, dtype=np.float64), len(AT))
    each = Predicted(0, np.array(AT), risk, deviation, diverges, np.isin(AT, heavy))
    return Predictions(
        "objective", optimum, float(risk[0]), dtype, studies=tuple(replace(each, study=i) for i in range(studies))
    )


EASY = {"h": HARMONIC, "c": HARMONIC, "start": np.ones(10), "lr": 0.3}
ONE = {"h": np.ones(1), "c": np.ones(1), "start": np.ones(1), "lr": 0.3}
SPIKE = {
    "h": np.array([1.0] + [0.05] * 100),
    "c": np.array([1.0] + [0.05] * 100),
    "start": np.ones(101),
    "lr": np.geomspace(0.05, 1.0, STUDIES),
}
FIXED = {**EASY, "fixed": True, "momentum": 0.9, "lr": 0.05}
CASES = {"ten directions": EASY, "one direction": ONE, "a spike": SPIKE, "a fixed start": FIXED}


def per_run(case):
    return {**case, "lr": np.repeat(np.broadcast_to(case["lr"], STUDIES), SEEDS)}


# right predictions


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_runs_that_do_what_theory_says_pass(case):
    rng, predictions = np.random.default_rng(1), told(**case)
    for _ in range(40):
        finding = prediction(SUBJECT, made(values(**per_run(case), rng=rng)), predictions)
        # 40 honest comparisons at 0.1 % each; the seed is fixed
        assert (finding.check, finding.grade, finding.advice) == ("prediction", Grade.PASS, "")
        assert finding.evidence.startswith("32 runs of m at 21 steps agree with the prediction of objective (largest")
        assert finding.interval.low < finding.value < finding.interval.high


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_false_alarms_stay_at_their_rate(case):
    """Over 2000 comparisons: at most 0.1 % at the level of the check, at most 5 % at 50 times that level."""
    comparisons, rng, predictions = 2000, np.random.default_rng(2), told(**case)
    shares = []
    for _ in range(comparisons):
        runs = made(values(**per_run(case), rng=rng))
        held = [hold(each, runs, predictions) for each in predictions.studies]
        shares.append(used(held, step_by_step(held), over_the_course(held)))
    alarms, loose = sum(share <= 1 for share in shares), sum(share <= 50 for share in shares)
    # a rate of 0.1 % gives more than 7 of 2000 with a chance of 0.1 %, one of 5 % more than 131
    assert alarms <= 7
    assert loose <= 131
    assert loose > 0, "a check that never complains has no level"


def estimated(kind, *, runs, rng):
    """Predictions without a deviation, and the excess of runs: epochs of a data set, or rows that multiply."""
    if kind == "data":
        x = np.random.default_rng(5).standard_normal(50)
        problem = ow.problems.mean_estimation(x, w0=1.0)
        w, lr, found = np.ones(runs), 0.1, []
        for k in range(AT[-1] + 1):
            if k in AT:
                found.append(problem.quadratic.optimum + 0.5 * (w - x.mean()) ** 2)
            w = w - lr * (w - x[rng.integers(50, size=runs)])
    else:
        problem, lr, found = ow.problems.least_squares_sgd(h=HARMONIC, batch_size=4), 0.2, []
        w = rng.standard_normal((runs, 10))
        for k in range(AT[-1] + 1):
            if k in AT:
                found.append(0.5 * (HARMONIC * w * w).sum(1))
            rows = rng.standard_normal((runs, 4, 10)) * np.sqrt(HARMONIC)
            residuals = np.einsum("nbd,nd->nb", rows, w) - rng.standard_normal((runs, 4))
            w = w - lr * np.einsum("nbd,nb->nd", rows, residuals) / 4
    own = predicted(problem, dict.fromkeys(range(STUDIES), ow.SGD(lr=lr)), AT, dtype="float64")
    assert all(each.deviation is None for each in own.studies)
    return replace(own, metric="objective"), np.array(found).T


@pytest.mark.parametrize("kind", ["data", "rows"])
def test_where_no_deviation_is_known_the_runs_give_their_own(kind):
    rng = np.random.default_rng(3)
    predictions, table = estimated(kind, runs=20 * RUNS, rng=rng)
    for part in table.reshape(20, RUNS, -1):
        finding = prediction(SUBJECT, made(part), predictions)
        assert finding.grade is Grade.PASS
        assert "standard errors, of the spread of the runs)" in finding.evidence
    twice = replace(predictions, studies=tuple(replace(s, risk=s.risk * 3) for s in predictions.studies))
    assert prediction(SUBJECT, made(table[:RUNS]), twice).grade is Grade.FAIL


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["data", "rows"])
def test_false_alarms_stay_at_their_rate_where_the_spread_is_estimated(kind):
    comparisons = 2000
    predictions, table = estimated(kind, runs=comparisons * RUNS, rng=np.random.default_rng(4))
    findings = [prediction(SUBJECT, made(part), predictions) for part in table.reshape(comparisons, RUNS, -1)]
    # as above: a rate of 0.1 % gives more than 7 with a chance of 0.1 %
    assert sum(finding.grade is Grade.FAIL for finding in findings) <= 7


def test_three_runs_have_no_spread_to_speak_of_and_four_have():
    rng = np.random.default_rng(3)
    predictions, table = estimated("data", runs=4, rng=rng)
    assert prediction(SUBJECT, made(table[:3]), predictions) is None
    assert prediction(SUBJECT, made(table), predictions).grade is Grade.PASS


# wrong predictions, each found with 8 studies x 4 seeds

WRONG = {
    "noise declared 1.5 times too small": ({**EASY, "c": HARMONIC / 1.5, "lr": 0.8}, {}),
    "noise declared 1.5 times too large": ({**EASY, "c": HARMONIC * 1.5, "lr": 0.8}, {}),
    "one curvature declared 20 % too small": ({**EASY, "h": HARMONIC * [1, 1, 1 / 1.2, *[1] * 7], "fixed": True}, {}),
    "momentum without its factor 1 - momentum": ({**FIXED, "fixed": False}, {"factor": 0.1}),
    "momentum that is 0.85, not 0.9": (FIXED, {"momentum": 0.85}),
    "starts declared half as large": ({**EASY, "start": np.full(10, 0.5)}, {}),
    "a fixed start declared 1 % too large": ({**EASY, "start": np.full(10, 1.02), "fixed": True}, {}),
}


@pytest.mark.parametrize(("declared", "real"), WRONG.values(), ids=WRONG.keys())
def test_whatever_is_declared_wrong_is_found(declared, real):
    predictions, rng = told(**declared), np.random.default_rng(7)
    true = {**declared, "h": HARMONIC, "c": HARMONIC, "start": np.ones(10), **real}
    for _ in range(5):
        finding = prediction(SUBJECT, made(values(**per_run(true), rng=rng)), predictions)
        assert finding.grade is Grade.FAIL
        assert finding.evidence.startswith(("At step ", "Over 21 steps, "))
        assert ", 32 runs of m have " in finding.evidence
        low, high = finding.interval.low, finding.interval.high
        assert low < finding.value < high
        assert not low <= 0 <= high, "what is called a difference excludes none"
        assert "Look at the" in finding.advice


def test_the_sentence_names_step_mean_error_and_prediction():
    table = np.ones((RUNS, len(AT)))
    table[:, 3] = 1.5
    finding = prediction(SUBJECT, made(table), by_hand(1.0, 0.4))
    # 0.4 / sqrt(32) is one standard error
    assert finding.evidence == (
        "At step 15, 32 runs of m have objective 1.5 ± 0.071 on average where theory predicts 1: +0.5, "
        "7.1 standard errors."
    )
    assert finding.value == pytest.approx(0.5)
    # 99.9 % of a normal lie within 3.29 deviations; the least skewness, 1.5 * 0.4 / sqrt(32), moves its quantile by
    # (3.29^2 - 1) / 6 of that (Cornish and Fisher)
    quantile = 3.2905 - 0.6 / math.sqrt(32) * (3.2905**2 - 1) / 6
    assert finding.interval.high - finding.value == pytest.approx(quantile * 0.4 / math.sqrt(32), rel=2e-3)
    table[:, 0] = 3.0
    assert (
        "the start and the curvatures h that p declares" in prediction(SUBJECT, made(table), by_hand(1.0, 0.4)).advice
    )


def test_a_wrong_precise_study_is_not_drowned_by_noisy_ones():
    """Added up unweighted, seven studies of size 100 would hide that the one of size 0.1 is three times too large."""
    rng = np.random.default_rng(8)
    sizes = np.array([0.1] + [100.0] * 7)
    predictions = by_hand(1.0, 0.1)
    studies = tuple(
        replace(s, risk=size * s.risk, deviation=s.deviation * (size if size < 1 else 2.0 * size))
        for s, size in zip(predictions.studies, sizes, strict=True)
    )
    factors = np.repeat(np.where(sizes < 1, 3.0, 1.0), SEEDS)
    spread = np.repeat(np.where(sizes < 1, 0.1, 0.2), SEEDS)
    table = np.repeat(sizes, SEEDS)[:, None] * (
        factors[:, None] + spread[:, None] * rng.standard_normal((RUNS, len(AT)))
    )
    assert prediction(SUBJECT, made(table), replace(predictions, studies=studies)).grade is Grade.FAIL


# without noise


@pytest.mark.parametrize(("dtype", "small", "large"), [("float32", 5e-5, 5e-4), ("float64", 5e-10, 5e-9)])
def test_without_noise_only_rounding_is_allowed(dtype, small, large):
    risk = 0.5 ** np.arange(len(AT))
    right, wrong = (np.tile(risk * (1 + off), (RUNS, 1)) for off in (small, large))
    finding = prediction(SUBJECT, made(right), by_hand(risk, 0.0, dtype=dtype))
    assert finding.grade is Grade.PASS
    assert finding.evidence.endswith(f"(largest deviation {small:.1g} of the value).")
    finding = prediction(SUBJECT, made(wrong), by_hand(risk, 0.0, dtype=dtype))
    assert (finding.grade, finding.evidence.count("standard")) == (Grade.FAIL, 0)


def test_single_precision_runs_of_the_engine_stay_within_what_rounding_may_change(engine_values):
    """Noiseless momentum in float32, over 30 decades of values, against theory in float64."""
    for table, predictions in engine_values:
        assert prediction(SUBJECT, made(table, seeds=1), predictions).grade is Grade.PASS


@pytest.fixture
def engine_values():
    from optwise.engine.chunks import Chunk, Trial
    from optwise.engine.loop import run_chunk

    problem = ow.problems.nqm(h=HARMONIC, c=0 * HARMONIC, w0=np.ones(10))
    rules = [ow.Momentum(lr=lr, momentum=m) for lr in (0.01, 0.3, 1.0) for m in (0.0, 0.9, 0.99)]
    rules = [replace(rule, schedule=s) for rule in rules for s in (None, ow.WarmupCosine())]
    found = []
    for dtype in ("float32", "float64"):
        trials = tuple(Trial(TrialName("p", "m", i, 0, confirm=True), str(i), r, i) for i, r in enumerate(rules))
        chunk = Chunk(
            id="x",
            rung="solo",
            rows=1,
            steps=AT[-1],
            evaluation_steps=tuple(AT),
            dtype=dtype,
            device="cpu",
            trials=trials,
            splits=(),
            keep_weights=False,
            reason="",
        )
        runs = run_chunk(problem, chunk).runs
        table = [[value for _, value in run.curve("objective")] for run in runs]
        found.append((table, predicted(problem, dict(enumerate(rules)), AT, dtype=dtype)))
    return found


# runs that end


def test_a_run_that_explodes_where_theory_does_not_is_a_disagreement():
    table = np.ones((RUNS, len(AT)))
    table[5, 4:] = np.nan
    table[9, 4:] = np.inf
    finding = prediction(SUBJECT, made(table), by_hand(1.0, 0.1))
    assert finding.grade is Grade.FAIL
    assert finding.evidence == "2 of 32 runs of m ended not finite where the prediction is a number."
    assert finding.value == 2 / 32
    assert finding.interval.low < 2 / 32 < finding.interval.high


def test_runs_that_explode_where_theory_does_agree_for_as_long_as_numbers_last():
    growth = 10.0 ** (3 * np.arange(len(AT)))  # 1e60 at the end, beyond single precision
    rng = np.random.default_rng(9)
    chi = rng.standard_normal((RUNS, 1)) ** 2
    table = np.where(growth * chi > 1e36, np.nan, growth * chi)
    predictions = by_hand(growth, math.sqrt(2) * growth, diverges=True, dtype="float32")
    finding = prediction(SUBJECT, made(table), predictions)
    assert finding.grade is Grade.PASS
    # 1e28 is the last power of 1000 below 1e30 / 40
    assert finding.evidence.startswith("32 runs of m at 10 steps agree")
    assert finding.evidence.endswith("; it diverges, and so did 32 of them.")
    early = table.copy()
    early[0, 3:] = np.nan
    assert prediction(SUBJECT, made(early), predictions).grade is Grade.FAIL, "not yet"


def test_runs_that_stay_small_where_theory_explodes_are_a_disagreement():
    risk = np.array([1.0] + [np.inf] * (len(AT) - 1))
    finding = prediction(SUBJECT, made(np.ones((RUNS, len(AT)))), by_hand(risk, risk * 0.1, diverges=True))
    assert finding.grade is Grade.FAIL
    assert "32 of 32 runs of m stayed small where the prediction grows beyond all numbers" in finding.evidence


def test_what_the_machine_ended_says_nothing():
    table = np.ones((RUNS, len(AT)))
    killed = [replace(run, status=Status.OUT_OF_MEMORY, measurements=()) for run in made(table[:SEEDS])]
    finding = prediction(SUBJECT, [*killed, *made(table)[SEEDS:]], by_hand(1.0, 0.1))
    assert finding.evidence.startswith("28 runs of m at 21 steps agree")


# nothing to compare


def test_where_nothing_is_predicted_nothing_is_said():
    runs = made(np.ones((RUNS, len(AT))))
    assert prediction(SUBJECT, runs, None) is None
    assert prediction(SUBJECT, runs, replace(by_hand(1.0, 0.1), studies=(), reason="m is not linear.")) is None
    assert prediction(SUBJECT, [], by_hand(1.0, 0.1)) is None
    assert prediction(SUBJECT, runs, replace(by_hand(1.0, 0.1), metric="train/loss")) is None


def test_where_rare_runs_make_the_mean_nothing_is_compared():
    table = np.ones((RUNS, len(AT)))
    table[:, 2:] = 1e-3  # a thousandth of what is expected
    rng = np.random.default_rng(10)
    table *= rng.uniform(0.9, 1.1, table.shape)
    assert prediction(SUBJECT, made(table), by_hand(1.0)).grade is Grade.FAIL
    finding = prediction(SUBJECT, made(table), by_hand(1.0, heavy=AT[2:]))
    assert finding.grade is Grade.PASS
    assert finding.evidence.startswith("32 runs of m at 2 steps agree")


def test_a_sample_that_one_run_dominates_says_nothing_of_its_mean():
    table = np.full((RUNS, len(AT)), 1e-9)
    table[0] = 1.0
    assert prediction(SUBJECT, made(table), by_hand(1.0)) is None


def test_the_excess_over_an_optimum_is_what_is_compared():
    rng = np.random.default_rng(11)
    table = 5.0 + rng.chisquare(4, (RUNS, len(AT))) / 4
    # a gamma of 4 degrees of freedom: mean 1, variance 1/2
    assert prediction(SUBJECT, made(table), by_hand(1.0, 0.5**0.5, optimum=5.0)).grade is Grade.PASS
    finding = prediction(SUBJECT, made(table), by_hand(2.0, 2**0.5, optimum=5.0))
    assert finding.grade is Grade.FAIL
    assert "where theory predicts 7" in finding.evidence
