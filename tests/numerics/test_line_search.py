"""Laws of the line searches: their conditions checked from outside, on functions made to be hard for them."""

import math
import warnings

import numpy as np
import pytest
from scipy.optimize import line_search as scipy_search

from optwise.numerics.line_search import Search, armijo, strong_wolfe


def counted(phi):
    """The function, and the list of steps at which it was asked."""
    asked = []

    def asking(t):
        asked.append(t)
        return phi(t)

    return asking, asked


def rational(t, beta=2.0):
    return -t / (t * t + beta), (t * t - beta) / (t * t + beta) ** 2


def quintic(t, beta=0.004):
    u = t + beta
    return u**5 - 2 * u**4, 5 * u**4 - 8 * u**3


def wavy(t, beta=0.01, waves=39):
    if t <= 1 - beta:
        value, slope = 1 - t, -1.0
    elif t >= 1 + beta:
        value, slope = t - 1, 1.0
    else:
        value, slope = (t - 1) ** 2 / (2 * beta) + beta / 2, (t - 1) / beta
    angle = waves * math.pi * t / 2
    return value + 2 * (1 - beta) / (waves * math.pi) * math.sin(angle), slope + (1 - beta) * math.cos(angle)


def two_hyperbolas(first, second):
    left, right = (math.sqrt(1 + b * b) - b for b in (first, second))

    def phi(t):
        near, far = math.hypot(1 - t, second), math.hypot(t, first)
        return left * near + right * far, -left * (1 - t) / near + right * t / far

    return phi


# section 5 of Moré and Thuente (1994): function, c1, c2, evaluations from the four starts 10^-3, 10^-1, 10, 10^3 in all
PUBLISHED = {
    "1": (rational, 1e-3, 0.1, 6 + 3 + 1 + 4),
    "2": (quintic, 0.1, 0.1, 12 + 8 + 8 + 11),
    "3": (wavy, 0.1, 0.1, 12 + 12 + 10 + 13),
    "4": (two_hyperbolas(1e-3, 1e-3), 1e-3, 1e-3, 4 + 1 + 3 + 4),
    "5": (two_hyperbolas(1e-2, 1e-3), 1e-3, 1e-3, 6 + 3 + 7 + 8),
    "6": (two_hyperbolas(1e-3, 1e-2), 1e-3, 1e-3, 13 + 11 + 8 + 11),
}


def holds(found, phi, c1, c2):
    """Whether the strong Wolfe conditions hold, from the function itself."""
    (start, downhill), (value, slope) = phi(0.0), phi(found.step)
    assert (found.value, found.slope) == (value, slope)
    return value <= start + c1 * found.step * downhill and abs(slope) <= c2 * abs(downhill)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_functions_are_searched_in_about_the_published_number_of_evaluations(name):
    phi, c1, c2, published = PUBLISHED[name]
    value, slope = phi(0.0)
    spent = 0
    for step in (1e-3, 1e-1, 1e1, 1e3):
        asking, asked = counted(phi)
        found = strong_wolfe(asking, value=value, slope=slope, step=step, sufficient=c1, curvature=c2)
        assert found.success
        assert found.reason == "wolfe"
        assert holds(found, phi, c1, c2)
        assert asked[0] == step
        assert found.evaluations == len(asked)
        spent += len(asked)
    assert spent <= published + 2  # two trials of function 1 stop at a cubic where the published rule takes a secant


@pytest.mark.parametrize("step", [0.2, 1.0, 1.8])
def test_a_first_trial_that_satisfies_the_conditions_is_the_only_one(step):
    phi = lambda t: ((1 - t) ** 2, 2 * t - 2)  # noqa: E731
    found = strong_wolfe(phi, value=1.0, slope=-2.0, step=step)
    assert found == Search(step, *phi(step), evaluations=1, success=True, reason="wolfe")
    value = phi(step)[0]
    assert armijo(lambda t: phi(t)[0], value=1.0, slope=-2.0, step=step)[:2] == (step, value)


def bumpy(rng):
    """A random quadratic with waves on it, bounded below, falling at 0."""
    curve, *waves = rng.uniform(0.05, 3.0), *rng.normal(size=(4, 3))

    def phi(t):
        value, slope = 0.5 * curve * t * t - 3.0 * t, curve * t - 3.0
        for height, speed, phase in waves:
            value += 0.3 * height * math.sin(2 * speed * t + phase)
            slope += 0.6 * height * speed * math.cos(2 * speed * t + phase)
        return value, slope

    return phi


@pytest.mark.parametrize("curvature", [0.9, 0.1])
def test_random_functions_are_searched_in_no_more_evaluations_than_scipy_takes(curvature):
    rng = np.random.default_rng(0)
    ours = theirs = 0
    for _ in range(300):
        phi, scale = bumpy(rng), 10 ** rng.uniform(-2, 2)

        def stretched(t, phi=phi, scale=scale):
            value, slope = phi(scale * t)
            return value, scale * slope

        value, slope = stretched(0.0)
        if slope >= 0.0:
            continue
        found = strong_wolfe(stretched, value=value, slope=slope, step=1.0, curvature=curvature)
        assert found.success
        assert holds(found, stretched, 1e-4, curvature)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns where it finds nothing
            alpha, calls, *_ = scipy_search(
                lambda x, f=stretched: f(float(x[0]))[0],
                lambda x, f=stretched: np.array([f(float(x[0]))[1]]),
                np.zeros(1),
                np.ones(1),
                old_fval=value,
                gfk=np.array([slope]),
                c1=1e-4,
                c2=curvature,
                maxiter=40,
            )
        if alpha is not None:
            ours, theirs = ours + found.evaluations, theirs + calls
    assert theirs > 300
    assert ours <= theirs


def test_no_random_function_takes_many_trials_however_flat_the_slope_must_be():
    """Interpolation alone may creep up on the minimum from one side; halving ends that: 26 trials become 18."""
    rng, most = np.random.default_rng(0), 0
    for _ in range(3000):
        phi, scale = bumpy(rng), 10 ** rng.uniform(-2, 2)
        value, slope = phi(0.0)
        if slope < 0.0:
            found = strong_wolfe(phi, value=value, slope=slope, step=scale, curvature=1e-3)
            assert found.success
            most = max(most, found.evaluations)
    assert most <= 20


@pytest.mark.parametrize("units", [2.0**-30, 2.0**20])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_search_does_not_depend_on_units(name, units):
    """Powers of two change no digit, so the steps must be the same to the last one."""
    phi, c1, c2, _ = PUBLISHED[name]
    value, slope = phi(0.0)
    found = strong_wolfe(phi, value=value, slope=slope, step=0.1, sufficient=c1, curvature=c2)
    scaled = strong_wolfe(
        lambda t: (8.0 * phi(t / units)[0], 8.0 * phi(t / units)[1] / units),
        value=8.0 * value,
        slope=8.0 * slope / units,
        step=0.1 * units,
        sufficient=c1,
        curvature=c2,
    )
    assert (scaled.step / units, scaled.evaluations) == (found.step, found.evaluations)
    alone = lambda t: phi(t)[0]  # noqa: E731
    first = armijo(alone, value=value, slope=slope, step=1e3)
    second = armijo(lambda t: 8.0 * alone(t / units), value=8.0 * value, slope=8.0 * slope / units, step=1e3 * units)
    assert (second.step / units, second.evaluations) == (first.step, first.evaluations)


BARRIERS = {
    "logarithm": lambda t, end: (-t - math.log(1 - t / end), -1 + 1 / (end - t)) if t < end else (math.nan, math.nan),
    "logarithm, infinite": lambda t, end: (
        (-t - math.log(1 - t / end), -1 + 1 / (end - t)) if t < end else (math.inf, 1.0)
    ),
    "parabola in a box": lambda t, end: (
        ((t / end - 0.9) ** 2, 2 * (t / end - 0.9) / end) if t < end else (math.nan, 0.0)
    ),
    "slope lost first": lambda t, end: ((t / end - 0.5) ** 2, 2 * (t / end - 0.5) / end if t < end else math.nan),
    "minus infinity": lambda t, end: (
        ((t / end - 0.5) ** 2, 2 * (t / end - 0.5) / end) if t < end else (-math.inf, -1.0)
    ),
}


@pytest.mark.parametrize("end", [1e-12, 1e-3, 0.7, 1.0, 3.0, 50.0])
@pytest.mark.parametrize("name", BARRIERS)
def test_trials_beyond_the_domain_only_bound_the_step(name, end):
    end = max(end, 1.01) if "logarithm" in name else end  # -t falls at 0 only where the barrier starts out flatter
    asking, asked = counted(lambda t: BARRIERS[name](t, end))
    value, slope = BARRIERS[name](0.0, end)
    found = strong_wolfe(asking, value=value, slope=slope, step=1.0, curvature=0.1)
    assert found.success
    assert holds(found, lambda t: BARRIERS[name](t, end), 1e-4, 0.1)
    # a tenth is left at each trial outside, after the first; a handful of cubics follows
    assert len(asked) <= 3 + max(0.0, -math.log10(end)) + 8
    backtracked = armijo(lambda t: BARRIERS[name](t, end)[0], value=value, slope=slope, step=100.0)
    assert backtracked.success
    assert backtracked.value <= value + 1e-4 * backtracked.step * slope


def test_a_function_with_holes_never_yields_one():
    rng = np.random.default_rng(1)
    successes = 0
    for _ in range(400):
        phi, speed = bumpy(rng), 10 ** rng.uniform(-1, 3)
        hole = rng.choice([math.nan, math.inf, -math.inf])

        def holed(t, phi=phi, speed=speed, hole=hole):
            return phi(t) if math.sin(speed * t) > -0.3 else (hole, hole)

        value, slope = holed(0.0)
        if slope >= 0.0:
            continue
        found = strong_wolfe(holed, value=value, slope=slope, step=10 ** rng.uniform(-3, 3), curvature=0.5)
        assert math.isfinite(found.value + found.slope)
        assert found.value <= value
        assert (found.value, found.slope) == holed(found.step)
        assert not found.success or holds(found, holed, 1e-4, 0.5)
        successes += found.success
        shrunk = armijo(lambda t, f=holed: f(t)[0], value=value, slope=slope, step=10 ** rng.uniform(-3, 3))
        assert math.isfinite(shrunk.value)
        assert shrunk.success
    assert successes > 200  # holes cover two fifths of the line, and some minimisers


@pytest.mark.parametrize("depth", [1e-14, 1e-15, 1e-16, 1e-18])
@pytest.mark.parametrize("curvature", [0.9, 0.1])
def test_near_a_minimum_slopes_decide_what_values_cannot(depth, curvature):
    """The fall of 1 + depth (t^2 - 2 t), its depth, is of the size of the rounding of 1, 2e-16."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        step = 10 ** rng.uniform(-3, 3)
        asking, asked = counted(
            lambda t: (1.0 + depth * (t * t - 2 * t) + rng.uniform(-2e-16, 2e-16), 2 * depth * (t - 1))
        )
        found = strong_wolfe(asking, value=1.0, slope=-2 * depth, step=step, curvature=curvature)
        assert found.success
        assert abs(found.step - 1.0) <= curvature  # which is what the slope condition says here
        assert found.value <= 1.0 + 4 * np.finfo(float).eps
        assert len(asked) <= 12


def test_values_of_float32_need_the_noise_of_float32():
    """Rounded to float32, f falls in stairs of 6e-8: with the noise of float64 that looks like no fall at all."""
    phi = lambda t: (float(np.float32(1.0 + 1e-8 * ((1 - t) ** 2 - 1))), 2e-8 * (t - 1))  # noqa: E731
    given = {"value": 1.0, "slope": -2e-8, "step": 3.0, "curvature": 0.1}
    assert not strong_wolfe(phi, **given).success
    told = strong_wolfe(phi, noise=4 * float(np.finfo(np.float32).eps), **given)
    assert told.success
    assert told.reason == "approximate wolfe"
    assert told.step == pytest.approx(1.0, abs=0.1)


def test_a_return_to_the_first_value_is_no_approximate_success():
    """The approximate conditions are for falls too small to see; the fall of c1 t asked for here would be seen."""
    phi = lambda t: (1.0 - t * (1 - t) ** 2 - 0.5 * t * t * (1 - t), -((1 - t) ** 2) + t * (1 - t) + 0.5 * t * t)  # noqa: E731
    assert phi(0.0) == (1.0, -1.0)
    assert phi(1.0) == (1.0, 0.5)
    found = strong_wolfe(phi, value=1.0, slope=-1.0, step=1.0)
    assert found.reason == "wolfe"
    assert found.evaluations == 2
    assert holds(found, phi, 1e-4, 0.9)


def test_why_a_search_failed_is_said_in_a_word():
    line = {"value": 0.0, "slope": -1.0, "step": 1.0}
    down = lambda t: (-t, -1.0)  # noqa: E731
    up = lambda t: (1.0 + t, -1.0)  # noqa: E731
    lost = lambda t: (math.nan, math.nan)  # noqa: E731
    assert strong_wolfe(down, longest=64.0, **line) == Search(64.0, -64.0, -1.0, 4, success=False, reason="longest")
    assert strong_wolfe(up, **line) == Search(0.0, 0.0, -1.0, 40, success=False, reason="evaluations")
    assert strong_wolfe(lost, most=7, **line) == Search(0.0, 0.0, -1.0, 7, success=False, reason="not finite")
    uphill = line | {"slope": 0.5}
    assert strong_wolfe(down, **uphill) == Search(0.0, 0.0, 0.5, 0, success=False, reason="ascent")
    assert armijo(lambda t: -t, **uphill) == Search(0.0, 0.0, 0.5, 0, success=False, reason="ascent")
    assert armijo(lambda t: math.nan, most=7, **line) == Search(0.0, 0.0, -1.0, 7, success=False, reason="not finite")
    assert armijo(lambda t: 1.0, most=7, **line) == Search(0.0, 0.0, -1.0, 7, success=False, reason="evaluations")
    flat = armijo(lambda t: 1e6, value=1e6, slope=-1e-3, step=1.0)
    assert flat[:3] == (0.0, 1e6, -1e-3)
    assert flat.reason == "rounding"
    assert flat.evaluations < 30


def test_a_kink_ends_at_rounding_with_the_lowest_point_seen():
    """|t - 1/3| satisfies no curvature condition: the interval closes on the kink."""
    found = strong_wolfe(
        lambda t: (abs(t - 1 / 3), math.copysign(1.0, t - 1 / 3)), value=1 / 3, slope=-1.0, step=1.0, most=200
    )
    assert not found.success
    assert found.reason == "rounding"
    assert found.step == pytest.approx(1 / 3, rel=1e-12)


def test_a_slope_that_lies_moves_nothing():
    found = armijo(lambda t: 1.0 + t, value=1.0, slope=-1.0, step=1.0)
    assert found[:3] == (0.0, 1.0, -1.0)
    assert found.reason == "rounding"


def test_backtracking_is_quicker_than_halving():
    rng = np.random.default_rng(3)
    ours = halvings = 0
    for _ in range(200):
        phi = bumpy(rng)
        value, slope = phi(0.0)
        if slope >= 0.0:
            continue
        found = armijo(lambda t, f=phi: f(t)[0], value=value, slope=slope, step=1e4)
        assert found.success
        t, count = 1e4, 1
        while phi(t)[0] > value + 1e-4 * t * slope:
            t, count = t / 2, count + 1
        assert found.step <= 1e4
        ours, halvings = ours + found.evaluations, halvings + count
    assert ours <= 0.6 * halvings


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": math.nan}, "value is nan; it must be finite"),
        ({"step": 0.0}, "step is 0.0; it must be above 0"),
        ({"step": math.inf}, "step is inf; it must be above 0 and finite"),
        ({"sufficient": 0.0}, "sufficient is 0.0; it must be strictly between"),
        ({"most": 0}, "most is 0; it must be at least 1"),
    ],
)
def test_parameters_that_make_no_search_are_refused(change, sentence):
    given = {"value": 0.0, "slope": -1.0, "step": 1.0} | change
    with pytest.raises(ValueError, match=sentence):
        strong_wolfe(lambda t: (-t, -1.0), **given)
    with pytest.raises(ValueError, match=sentence):
        armijo(lambda t: -t, **given)


def test_parameters_of_one_search_alone_are_refused_too():
    given = {"value": 0.0, "slope": -1.0, "step": 1.0}
    with pytest.raises(ValueError, match=r"curvature is 0\.05; it must be from 0\.1, c1, to below 1"):
        strong_wolfe(lambda t: (-t, -1.0), sufficient=0.1, curvature=0.05, **given)
    with pytest.raises(ValueError, match=r"longest is 0\.0; it must be above 0"):
        strong_wolfe(lambda t: (-t, -1.0), longest=0.0, **given)
    with pytest.raises(ValueError, match=r"shrink is 1\.0; it must be strictly between 0 and 1"):
        armijo(lambda t: -t, shrink=1.0, **given)
