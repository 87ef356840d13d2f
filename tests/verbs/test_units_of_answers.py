"""`auto` gives the same answer with the same word whatever the unit of the objective and of each coordinate."""

import numpy as np
import pytest
import torch

import optwise as ow

RNG = np.random.default_rng(5)
T = torch.linspace(0, 2, 15, dtype=torch.float64)
X, E = RNG.standard_normal((30, 3)), RNG.standard_normal(30)
SIGNS = torch.from_numpy(np.where(RNG.standard_normal(30) > 0, 1.0, -1.0))
START = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
SIDE = torch.ones(2, dtype=torch.float64)


def residuals(w):
    return w[0] * torch.exp(-w[1] * T) + w[2] - 2 * torch.exp(-1.5 * T) - 0.3 * torch.cos(9 * T)


def valley(w):
    return 1 + 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def logistic(w):
    return torch.nn.functional.softplus(torch.from_numpy(X) @ w * SIGNS).mean()


# each takes the factor of the objective and the units of the coordinates
PROBLEMS = {
    "squares": lambda c, d: ow.problems.nonlinear_least_squares(lambda z: c**0.5 * residuals(z * d), START / d),
    "smooth": lambda c, d: ow.problems.smooth(lambda z: c * residuals(z * d).square().sum(), START / d),
    "valley": lambda c, d: ow.problems.smooth(lambda z: c * valley(z * d[:2]), -1.2 * SIDE / d[:2]),
    "convex": lambda c, d: ow.problems.smooth(lambda z: c * logistic(z * d), torch.zeros(3, dtype=torch.float64)),
    "bounds": lambda c, d: ow.problems.smooth(
        lambda z: c * valley(z * d[:2]), -1.2 * SIDE / d[:2], (-2 * SIDE / d[:2], 0.5 * SIDE / d[:2])
    ),
    "least squares": lambda c, d: ow.problems.least_squares(c**0.5 * X * d.numpy(), c**0.5 * (X.sum(1) + E)),
    "nnls": lambda c, d: ow.problems.nnls(c**0.5 * X * d.numpy(), c**0.5 * (X.sum(1) + E)),
    "huber": lambda c, d: ow.problems.huber(c * X * d.numpy(), c * (X.sum(1) + E), delta=0.5 * c),
    "logistic": lambda c, d: ow.problems.logistic(X * d.numpy(), SIGNS.numpy()),
}
UNITS = ((1.0, 1.0, 1.0), (1e-12, 1.0, 1e12), (1e12, 1e-12, 1.0), (1e-6, 1e6, 1.0))


@pytest.mark.parametrize("name", PROBLEMS)
def test_no_unit_changes_an_answer_or_its_word(name):
    first = None
    for factor in (1.0, 1e-12, 1e12):
        for units in UNITS:
            d = torch.tensor(units, dtype=torch.float64)
            run = ow.solve(PROBLEMS[name](factor, d))
            w = (run.w.flatten() * d[: run.w.numel()]).numpy()
            first = first or (run.status, w)
            assert run.status is first[0], (factor, units, run.why)
            assert np.allclose(w, first[1], rtol=1e-3, atol=1e-6), (factor, units, w)
    assert first[0].ok
