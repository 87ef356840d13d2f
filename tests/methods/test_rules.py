"""Built-in rules are torch.optim's, one row or many at once, in one precision throughout."""

import inspect

import pytest
import torch
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from optwise.methods import METHODS, SGD, Adagrad, Adam, AdamW, Momentum, NAdamW, Nesterov, RMSProp

STEPS = 200

# each rule at one setting, and the class and arguments of torch.optim that it must equal
TABLE = {
    "sgd": (SGD(lr=0.1), torch.optim.SGD, {"lr": 0.1}),
    "sgd-decay": (SGD(lr=0.3, weight_decay=0.05), torch.optim.SGD, {"lr": 0.3, "weight_decay": 0.05}),
    "momentum": (Momentum(lr=0.05), torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "momentum-dampened": (
        Momentum(0.2, 0.8, 0.6, 0.01),
        torch.optim.SGD,
        {"lr": 0.2, "momentum": 0.8, "dampening": 0.6, "weight_decay": 0.01},
    ),
    "momentum-none": (
        Momentum(0.2, momentum=0.0, dampening=0.5),
        torch.optim.SGD,
        {"lr": 0.2, "momentum": 0.0, "dampening": 0.5},
    ),
    "nesterov": (
        Nesterov(0.05, 0.9, 0.01),
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adagrad": (Adagrad(lr=0.1), torch.optim.Adagrad, {"lr": 0.1}),
    "adagrad-all": (
        Adagrad(0.2, 0.01, 0.03, 0.1, 1e-3),
        torch.optim.Adagrad,
        {"lr": 0.2, "lr_decay": 0.01, "weight_decay": 0.03, "initial_accumulator_value": 0.1, "eps": 1e-3},
    ),
    "rmsprop": (RMSProp(lr=0.01), torch.optim.RMSprop, {"lr": 0.01}),
    "rmsprop-all": (
        RMSProp(0.003, 0.8, 1e-4, 0.03, 0.7),
        torch.optim.RMSprop,
        {"lr": 0.003, "alpha": 0.8, "eps": 1e-4, "weight_decay": 0.03, "momentum": 0.7},
    ),
    "adam": (Adam(lr=0.01), torch.optim.Adam, {"lr": 0.01}),
    "adam-all": (
        Adam(0.02, (0.7, 0.95), 1e-3, 0.03),
        torch.optim.Adam,
        {"lr": 0.02, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.03},
    ),
    "adam-forgetful": (Adam(0.02, (0.0, 0.4)), torch.optim.Adam, {"lr": 0.02, "betas": (0.0, 0.4)}),
    "adamw": (AdamW(lr=0.01), torch.optim.AdamW, {"lr": 0.01}),
    "adamw-all": (
        AdamW(0.02, (0.95, 0.99), 1e-4, 0.3),
        torch.optim.AdamW,
        {"lr": 0.02, "betas": (0.95, 0.99), "eps": 1e-4, "weight_decay": 0.3},
    ),
    "nadamw": (NAdamW(lr=0.01), torch.optim.NAdam, {"lr": 0.01, "decoupled_weight_decay": True}),
    "nadamw-all": (
        NAdamW(0.02, (0.8, 0.95), 1e-4, 0.3, 0.05),
        torch.optim.NAdam,
        {
            "lr": 0.02,
            "betas": (0.8, 0.95),
            "eps": 1e-4,
            "weight_decay": 0.3,
            "momentum_decay": 0.05,
            "decoupled_weight_decay": True,
        },
    ),
}
CASES = pytest.mark.parametrize("case", TABLE)
TORCH_NAMES = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadamw": torch.optim.NAdam,
}


@pytest.fixture(autouse=True)
def float64_by_default():
    """Torch keeps NAdam's product of coefficients in the default dtype, and an oracle may not round."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def quadratic():
    """Gradient of 1/2 sum h_i w_i^2 with curvatures from 0.01 to 1, and a start."""
    h = torch.logspace(-2, 0, 6)
    return lambda w: h * w, torch.linspace(-2, 3, 6)


def mlp():
    """Gradient of the squared error of a 3-4-1 tanh network on 8 examples, and a start: flat rows both."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, 3, generator=generator), torch.randn(8, generator=generator)

    def loss(w):
        hidden = torch.tanh(x @ w[:12].reshape(3, 4) + w[12:16])
        return (hidden @ w[16:20] + w[20] - y).square().mean()

    return grad(loss), torch.randn(21, generator=generator) / 2


def torch_run(cls, arguments, gradient, start):
    """The iterates of torch's optimizer alone."""
    p = torch.nn.Parameter(start.clone())
    optimizer = cls([p], **arguments)
    iterates = []
    for _ in range(STEPS):
        p.grad = gradient(p.detach())
        optimizer.step()
        iterates.append(p.detach().clone())
    return iterates


PROBLEMS = pytest.mark.parametrize("problem", [quadratic, mlp])


def relative(a, b):
    return float((a - b).norm() / b.norm())


def torch_state(rule, optimizer, p, k):
    """What torch's optimizer knows before step ``k``, under our names, which are its names."""
    known = {n: v for n, v in optimizer.state[p].items() if isinstance(v, torch.Tensor)}
    counted = {"step": torch.tensor(float(k))}
    ours = rule.init(p.detach())
    return {n: {**ours, **counted, **known}[n].clone().to(ours[n].dtype) for n in ours}


@CASES
@PROBLEMS
def test_one_step_from_every_state_of_a_torch_run_is_the_step_torch_takes(case, problem):
    rule, cls, arguments = TABLE[case]
    gradient, start = problem()
    p = torch.nn.Parameter(start.clone())
    optimizer = cls([p], **arguments)
    worst = 0.0
    for k in range(STEPS):
        w, state = p.detach().clone(), torch_state(rule, optimizer, p, k)
        p.grad = gradient(w)
        ours, _ = rule.step(w, p.grad.clone(), state)
        optimizer.step()
        worst = max(worst, relative(ours, p.detach()))
    assert worst <= 1e-12


@CASES
@PROBLEMS
def test_a_whole_trajectory_is_that_of_torch(case, problem):
    """Where a last bit at the start spreads in torch itself, the two may differ in the same proportion."""
    rule, cls, arguments = TABLE[case]
    gradient, start = problem()
    theirs, nudged = (torch_run(cls, arguments, gradient, w) for w in (start, start * (1 + 2.3e-16)))
    w, state = start, rule.init(start)
    for k in range(STEPS):
        w, state = rule.step(w, gradient(w), state)
        spread = relative(nudged[k], theirs[k])
        assert relative(w, theirs[k]) <= 1e-11 * max(1.0, spread / 1e-12)


def rows(rule, T=5):
    """The same rule at T settings: every closed number scaled, as float64 tensors by path [T]."""
    scale = torch.linspace(0.5, 1.0, T, dtype=torch.float64)
    return {path: scale * value for path, value in rule.values().items()}


def batch(rule, shape, T=5, dtype=torch.float64):
    """Parameters, gradients and states after two steps, so that nothing is zero any more [T, ...]."""
    generator = torch.Generator().manual_seed(1)
    w, g = (torch.randn(T, *shape, generator=generator).to(dtype) for _ in range(2))
    states = []
    for row in range(T):
        state = rule.init(w[row])
        for _ in range(2):
            _, state = rule.step(w[row], g[row], state)
        states.append(state)
    return w, g, {n: torch.stack([s[n] for s in states]) for n in states[0]}


def step_of(rule):
    return lambda point, w, g, state: rule.close(point).step(w, g, state)


SHAPES = pytest.mark.parametrize("shape", [(), (7,), (3, 2)])


@CASES
@SHAPES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_with_their_own_hyperparameters_step_at_once_as_one_by_one(case, shape, dtype):
    """Batching is an optimisation: it changes neither a number nor a precision."""
    rule = TABLE[case][0]
    point, (w, g, state) = rows(rule), batch(rule, shape, dtype=dtype)
    together, states = vmap(step_of(rule))(point, w, g, state)
    assert together.dtype == dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    for t in range(len(w)):
        closed = rule.close({path: float(values[t]) for path, values in point.items()})
        alone, alone_state = closed.step(w[t], g[t], {n: s[t] for n, s in state.items()})
        assert alone.dtype == dtype
        torch.testing.assert_close(together[t], alone, rtol=tolerance, atol=tolerance)
        for n, value in alone_state.items():
            assert value.dtype == states[n].dtype == state[n].dtype
            torch.testing.assert_close(states[n][t], value, rtol=tolerance, atol=tolerance)


@CASES
def test_states_start_at_once_as_one_by_one(case):
    rule = TABLE[case][0]
    point, w = rows(rule), torch.randn(5, 4)
    together = vmap(lambda point, w: rule.close(point).init(w))(point, w)
    for t in range(5):
        alone = rule.close({path: float(values[t]) for path, values in point.items()}).init(w[t])
        assert together.keys() == alone.keys()
        assert all(torch.equal(together[n][t], alone[n]) for n in alone)


@CASES
def test_a_traced_batched_step_replays_to_the_same_numbers(case):
    """The trace is made on one batch and replayed on another: nothing of the first may have been baked in."""
    rule = TABLE[case][0]
    step, point = vmap(step_of(rule)), rows(rule)
    w, g, state = batch(rule, (7,), dtype=torch.float32)
    start = {n: torch.stack([s] * 5) for n, s in rule.init(w[0]).items()}
    replay = make_fx(step)(point, w, g, start)
    other = {path: values * 0.9 for path, values in point.items()}
    expected_w, expected_state = step(other, g, w, state)
    got_w, got_state = replay(other, g, w, state)
    assert torch.equal(got_w, expected_w)
    assert all(torch.equal(got_state[n], expected_state[n]) for n in expected_state)


@CASES
def test_a_step_changes_nothing_that_was_handed_in(case):
    rule = TABLE[case][0]
    w, g, state = batch(rule, (4,))
    before = [t.clone() for t in (w[0], g[0], *state.values())]
    rule.step(w[0], g[0], {n: s[0] for n, s in state.items()})
    assert all(torch.equal(a, b) for a, b in zip(before, (w[0], g[0], *state.values()), strict=True))


def test_an_overflowing_square_rests_where_torch_rests():
    """A gradient of 1e200 makes the average infinite, not NaN: the row lives on exactly as torch's does."""
    rule, g = Adam(lr=0.1), torch.tensor([1e200, 1.0])
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([p], lr=0.1)
    w, state = torch.zeros(2), rule.init(torch.zeros(2))
    for _ in range(3):
        p.grad = g.clone()
        optimizer.step()
        w, state = rule.step(w, g, state)
    assert w[0] == p[0] == 0
    torch.testing.assert_close(w, p.detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", TORCH_NAMES)
def test_defaults_are_those_of_torch(name):
    shipped = inspect.signature(TORCH_NAMES[name]).parameters
    for field, value in METHODS[name].defaults.items():
        assert shipped[field].default == value, field


@pytest.mark.parametrize("name", TORCH_NAMES)
def test_positional_hyperparameters_stand_in_torch_s_order(name):
    shipped = [field for field in inspect.signature(TORCH_NAMES[name]).parameters if field != "params"]
    ours = METHODS[name].hyperparameter_names()
    assert [field for field in shipped if field in ours] == list(ours)
