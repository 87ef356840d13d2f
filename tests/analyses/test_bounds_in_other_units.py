"""No bound is below the distance to the optimum, and `auto` finds it, whatever units the columns of a design have.

The oracle is the same problem in good units: a point of the one is a point of the other, and F is the same there.
"""

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.certificate import CertificateKind
from optwise.verbs.formulating import formulate

RNG = np.random.default_rng(3)
X, NOISE = RNG.standard_normal((40, 4)), RNG.standard_normal(40)
Y = X @ [1.0, -1.0, 0.5, 0.0] + NOISE
LOSSES = {
    "squares": lambda X, **parts: ow.problems.least_squares(X, Y, **parts),
    "logistic": lambda X, **parts: ow.problems.logistic(X, Y > 0, **parts),
    "huber": lambda X, **parts: ow.problems.huber(X, Y, 0.5, **parts),
    "softmax": lambda X, **parts: ow.problems.softmax(X, (Y > 0) + (Y > 1), **parts),
}


def l1(s):
    return ow.penalties.WeightedL1(torch.tensor(0.1 * s))


# each takes the units of the columns, in which w is 1/s as long
PARTS = {
    "box": lambda s: {"constraint": (-0.3 / s, 0.3 / s)},
    "below": lambda s: {"constraint": (-0.3 / s, None)},
    "above": lambda s: {"constraint": (None, 0.3 / s)},
    "l1": lambda s: {"penalty": l1(s)},
    "l1 in a box": lambda s: {"penalty": l1(s), "constraint": (-0.3 / s, 0.3 / s)},
}
UNITS = [np.array([size] * k + [1.0] * (4 - k)) for size in (1e-20, 1e-15, 1e-8, 1e8, 1e15, 1e20) for k in (1, 2, 3)]
CASES = [(loss, part) for loss in LOSSES for part in PARTS if loss != "softmax"]


def places(w):
    """The optimum and points that are off it by one coordinate."""
    for j in range(len(w)):
        for factor in (0.0, 0.5, 1.001, -1.0):
            place = w.copy()
            place[j] *= factor
            yield place
    yield w


@pytest.mark.parametrize(("loss", "part"), CASES)
def test_no_bound_is_below_the_distance_to_the_optimum(loss, part):
    found = ow.solve(LOSSES[loss](X, **PARTS[part](np.ones(4))), tol=1e-11)
    assert found.certificate.kind is CertificateKind.OPTIMALITY
    for s in UNITS:
        formulated = formulate(LOSSES[loss](X * s, **PARTS[part](s)))
        constraint = formulated.problem.constraint
        for place in places(found.w.numpy()):
            w = torch.tensor(place / s)
            w = w if constraint is None else constraint.project(w)
            proof, value = formulated.certify(w, None), formulated.exact.value(w)
            if proof.kind is CertificateKind.OPTIMALITY:
                assert proof.value >= (value - found.value) / abs(value) * (1 - 1e-6) - 1e-12, (s, place, proof)


@pytest.mark.parametrize(("loss", "part"), CASES)
def test_auto_finds_and_proves_the_same_optimum(loss, part):
    found = ow.solve(LOSSES[loss](X, **PARTS[part](np.ones(4))), tol=1e-11)
    for s in UNITS:
        run = ow.solve(LOSSES[loss](X * s, **PARTS[part](s)))
        assert run.certificate.kind is CertificateKind.OPTIMALITY, (s, run.why)
        assert run.status.ok, (s, run.why)
        assert abs(run.value - found.value) <= 2e-6 * found.value, (s, run.why)


@pytest.mark.parametrize("size", [1e-100, 1e-8, 1e8, 1e100])
def test_nor_do_classes_mind(size):
    found = ow.solve(LOSSES["softmax"](X), tol=1e-10)
    s = np.array([size, 1.0, 1.0, 1.0])
    run = ow.solve(LOSSES["softmax"](X * s))
    assert run.status.ok
    assert abs(run.value - found.value) <= 2e-6 * found.value


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e300])
@pytest.mark.parametrize("reach", [1e-300, 1e300])
def test_nor_is_anything_lost_where_units_leave_the_numbers(size, reach):
    """Bounds and weights that other units would take to 0 or infinity stay what they are."""
    s = np.array([size, 1.0, 1.0, 1.0])
    for parts in ({"constraint": (-reach, reach)}, {"penalty": ow.penalties.L1(min(reach, 1e200))}):
        run = ow.solve(LOSSES["squares"](X * s, **parts), max_seconds=20)
        if "constraint" in parts:
            assert float(run.w.abs().max()) <= reach * (1 + 1e-12), run.why
        if run.certificate.kind is CertificateKind.OPTIMALITY and run.status.ok and "penalty" in parts:
            assert run.value <= 0.5 * np.mean(Y**2) * (1 + 1e-6), run.why  # no more than at 0
