"""Every run is charged what it spent: it ends by its own counter, and says at each evaluation what that stood at."""

import itertools
import random
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from optwise.core.budget import Budget, Evaluations, ExampleGradients, Examples, Steps
from optwise.core.errors import UnknownName
from optwise.core.method import UNSET, Procedure, Rule
from optwise.core.sampler import Full, Poisson, Shuffled, WithReplacement
from optwise.core.spending import Spending, StepTime
from optwise.core.status import Status
from optwise.engine.allowance import planned_steps
from optwise.engine.loop import run_chunk
from optwise.engine.procedures import IDLE_STEPS
from optwise.methods import SGD, Torch, WarmupCosine
from optwise.methods.solvers import NewtonCG

UNITS = ("examples", "example-gradients", "evaluations")
SAMPLERS = {
    "short last batches": Shuffled(16),
    "full": Full(),
    "with replacement": WithReplacement(7),
    "batches of any size": Poisson(0.2),
}


class Sharpness(torch.optim.SGD):
    """Two gradients a step: one before it moves, one where it has moved to."""

    @torch.no_grad()
    def step(self, closure):
        super().step()
        return closure()


class Counted(torch.optim.SGD):
    """As many gradients a step as a hyperparameter says: V3."""

    def __init__(self, params, lr=0.1, gradients=1):
        super().__init__(params, lr=lr)
        self.gradients = gradients

    def step(self, closure):
        for _ in range(self.gradients):
            super().step(closure)


class Whimsical(torch.optim.SGD):
    """Asks as often as a die says, each time from another point."""

    def step(self, closure):
        for _ in range(int(torch.randint(1, 5, ()))):
            super().step(closure)


class Accumulating(torch.optim.SGD):
    """Moves at every third call only."""

    calls = 0

    def step(self, closure=None):
        self.calls += 1
        if self.calls % 3 == 0:
            super().step()


class Deaf(torch.optim.SGD):
    """Takes a closure and never calls it."""

    def step(self, closure=None):
        super().step()


PROCEDURES = {
    "sgd": Torch(torch.optim.SGD, lr=0.1),
    "lbfgs": Torch(torch.optim.LBFGS, lr=0.5),
    "lbfgs of two iterations": Torch(torch.optim.LBFGS, lr=0.5, max_iter=2),
    "lbfgs with a line search": Torch(torch.optim.LBFGS, lr=0.5, line_search_fn="strong_wolfe"),
    "sam": Torch(Sharpness, lr=0.1),
    "three gradients": Torch(Counted, gradients=3),
    "eleven gradients": Torch(Counted, gradients=11),
    "any number of gradients": Torch(Whimsical, lr=0.1),
    "accumulating": Torch(Accumulating, lr=0.1),
    "deaf": Torch(Deaf, lr=0.1),
}


@dataclass(frozen=True, kw_only=True)
class TwoGradients(Rule):
    """A rule that declares two gradients a step."""

    lr: float = UNSET

    defaults: ClassVar = {"lr": 0.1}
    gradients_per_step: ClassVar[float] = 2.0

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return w - self.lr * g, state


def budgeted(chunk, problem, budget, evaluations=6):
    """The chunk under a budget in a unit of its own, as a comparison plans it."""
    budget = Budget.parse(budget) if isinstance(budget, str) else budget
    steps = planned_steps(budget, problem, gradients_per_step=chunk.trials[0].method.gradients_per_step)
    at = sorted({round(steps * i / (evaluations - 1)) for i in range(evaluations)})
    return replace(chunk, steps=steps, evaluation_steps=tuple(at), budget=None if budget.unit == "steps" else budget)


def metered(problem, method, seed, limit):
    """Oracle: the procedure driven by hand on metered batches until ``limit`` gradients were asked; counts by step."""
    spent = []
    problem = problem.to(dtype=torch.float64)

    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    class Counting:
        factor, asked, examples = 1.0, 0, 0

        def value_and_gradient(self, w):
            self.asked += 1
            leaves = {n: leaf.detach().requires_grad_() for n, leaf in w.items()}
            with torch.enable_grad():
                loss = F.cross_entropy(functional_call(net, leaves, (self.x,)), self.y)
                gradients = torch.autograd.grad(loss, list(leaves.values()))
            return loss.detach(), dict(zip(leaves, gradients, strict=True))

    oracles, train = Counting(), problem.data.train
    state, total = problem.sampler.init(seed), 0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        iterates = method.iterate(oracles, problem.start(seed)[0])
        while total < limit:
            draws, state = problem.sampler.take(state, problem.examples, 1)
            drawn = draws.indices[0][draws.weights[0] > 0]
            oracles.x, oracles.y = train.x[drawn], train.y[drawn]
            before = oracles.asked
            next(iterates)
            total += (oracles.asked - before) * len(drawn)
            spent.append(total)
    return spent


@pytest.mark.parametrize("name", PROCEDURES)
def test_a_procedure_ends_with_the_step_that_spends_its_gradients(problem, chunk_of, name):
    budget = 900
    chunk = budgeted(chunk_of([PROCEDURES[name]], "solo"), problem, ExampleGradients(budget))
    (run,) = run_chunk(problem, chunk).runs
    by_hand = metered(problem, PROCEDURES[name], 0, budget)
    assert run.status is Status.BUDGET_SPENT, run.traceback
    assert run.counts["steps"] == len(by_hand)
    assert run.counts["example-gradients"] == by_hand[-1] >= budget
    assert all(spent < budget for spent in by_hand[:-1]), "no step is begun after the budget is spent"
    assert run.spending.exact
    for step in run.evaluations_at():
        assert run.spent("example-gradients", step) == [0, *by_hand][step]


@pytest.mark.parametrize("name", PROCEDURES)
def test_a_procedure_is_measured_at_the_first_step_past_each_even_share_of_its_budget(problem, chunk_of, name):
    chunk = budgeted(chunk_of([PROCEDURES[name]], "solo"), problem, ExampleGradients(900), evaluations=10)
    (run,) = run_chunk(problem, chunk).runs
    spent = [0, *metered(problem, PROCEDURES[name], 0, 900)]
    shares = [100.0 * i for i in range(10)]  # two epochs of 50 examples each: whole steps, so that shares are exact
    assert run.evaluations_at() == tuple(sorted({next(k for k, s in enumerate(spent) if s >= n) for n in shares}))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("method", [SGD(lr=0.05), TwoGradients(), SGD(lr=0.05, schedule=WarmupCosine())])
def test_a_rule_ends_with_the_step_that_spends_its_budget_on_every_rung(problem, chunk_of, unit, name, method):
    problem = problem.with_sampler(SAMPLERS[name])
    amount = 411 if unit != "evaluations" else 21
    chunk = budgeted(chunk_of([method] * 3), problem, Budget(amount, unit))
    batched = ("vmap", "traced") if unit == "example-gradients" else ("vmap",)  # tracing takes most of the time
    solo, *others = (run_chunk(problem, replace(chunk, rung=rung)).runs for rung in ("solo", *batched))
    price = method.gradients_per_step
    for t, run in enumerate(solo):
        sizes = problem.sampler.take(problem.sampler.init(t), problem.examples, 200)[0].examples.tolist()
        by_step = {
            "examples": list(itertools.accumulate(sizes)),
            "example-gradients": [price * total for total in itertools.accumulate(sizes)],
            "evaluations": [price * (k + 1) for k in range(200)],
        }
        end = next(k + 1 for k, spent in enumerate(by_step[unit]) if spent >= amount)
        assert run.status is Status.BUDGET_SPENT
        assert run.counts == {"steps": end, **{u: spent[end - 1] for u, spent in by_step.items()}}
        assert run.evaluations_at()[-1] == end
        for step in run.evaluations_at()[1:]:
            assert {u: run.spent(u, step) for u in UNITS} == {u: spent[step - 1] for u, spent in by_step.items()}
        for other in (runs[t] for runs in others):
            assert other.counts == run.counts
            assert other.spending == run.spending
            for leaf_name, leaf in run.state_dict().items():
                torch.testing.assert_close(other.state_dict()[leaf_name], leaf, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", SAMPLERS)
def test_torch_s_class_and_our_rule_spend_a_budget_alike_and_decay_alike(problem, chunk_of, name):
    problem = problem.with_sampler(SAMPLERS[name])
    pair = (SGD(lr=0.3, schedule=WarmupCosine()), Torch(torch.optim.SGD, lr=0.3, schedule=WarmupCosine()))
    ours, theirs = (
        run_chunk(problem, budgeted(chunk_of([m], "solo"), problem, "600example-gradients")).runs[0] for m in pair
    )
    assert ours.counts == theirs.counts
    if problem.sampler.even:
        assert ours.spending == theirs.spending
    for leaf_name, leaf in ours.state_dict().items():
        torch.testing.assert_close(leaf, theirs.state_dict()[leaf_name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("budget", [Steps(7), Examples(100), Evaluations(20), ExampleGradients(100)])
@pytest.mark.parametrize("name", ["lbfgs", "sam", "any number of gradients"])
def test_spending_never_falls_and_ends_at_the_counts(problem, chunk_of, budget, name):
    (run,) = run_chunk(problem, budgeted(chunk_of([PROCEDURES[name]], "solo"), problem, budget)).runs
    assert run.spending.steps == run.evaluations_at()
    for unit in ("steps", *UNITS):
        amounts = [run.spent(unit, step) for step in run.evaluations_at()]
        assert amounts[0] == 0
        assert amounts == sorted(amounts)
        assert amounts[-1] == run.counts[unit]
    assert run.counts[budget.unit] >= budget.amount
    assert run.counts[budget.unit] - budget.amount <= run.spending.dearest_step(budget.unit) * run.counts["steps"]


def test_a_hyperparameter_that_multiplies_gradients_shortens_the_run(problem, chunk_of):
    """V3: each is charged its own, whatever the class costs at its defaults."""
    methods = [Torch(Counted, gradients=k) for k in (1, 2, 5, 10)]
    runs = run_chunk(problem, budgeted(chunk_of(methods, "solo"), problem, ExampleGradients(1000))).runs
    assert [run.counts["evaluations"] / run.counts["steps"] for run in runs] == [1, 2, 5, 10]
    assert all(1000 <= run.counts["example-gradients"] < 1000 + 160 for run in runs)
    assert [run.counts["steps"] for run in runs] == sorted((run.counts["steps"] for run in runs), reverse=True)


class Hesitant(Procedure):
    """Never asks for a gradient."""

    def iterate(self, oracles, w):
        while True:
            yield w, {"loss": float(oracles.value(w))}


class Brief(Procedure):
    """Ends by itself after five steps."""

    def iterate(self, oracles, w):
        for _ in range(5):
            loss, g = oracles.value_and_gradient(w)
            w = {n: leaf - 0.1 * g[n] for n, leaf in w.items()}
            yield w, {"loss": float(loss)}


def test_a_procedure_that_spends_nothing_of_its_budget_is_stalled_in_the_end(problem, chunk_of):
    chunk = budgeted(chunk_of([Hesitant(name="hesitant")], "solo"), problem, ExampleGradients(64))
    (run,) = run_chunk(problem, chunk).runs
    assert run.status is Status.STALLED
    assert run.counts["steps"] == run.counts["evaluations"] == IDLE_STEPS
    assert run.counts["example-gradients"] == 0
    (run,) = run_chunk(problem, replace(chunk, budget=Evaluations(10))).runs
    assert (run.status, run.counts["evaluations"]) == (Status.BUDGET_SPENT, 10)


def test_the_end_of_a_procedure_that_ends_by_itself_is_measured_and_charged(problem, chunk_of):
    (run,) = run_chunk(problem, budgeted(chunk_of([Brief(name="brief")], "solo"), problem, "1600examples")).runs
    assert run.status is Status.STALLED
    assert run.counts["steps"] == 5
    assert run.evaluations_at()[-1] == 5
    assert run.spent("example-gradients", 5) == run.counts["example-gradients"] == 16 * 3 + 2 + 16


def test_a_row_that_is_not_finite_is_charged_until_then(problem, chunk_of):
    chunk = budgeted(chunk_of([SGD(lr=0.1), SGD(lr=1e308), SGD(lr=0.1)]), problem, ExampleGradients(500))
    runs = run_chunk(problem, chunk).runs
    assert [run.status for run in runs] == [Status.BUDGET_SPENT, Status.NOT_FINITE, Status.BUDGET_SPENT]
    assert runs[1].counts["steps"] < runs[0].counts["steps"]
    assert runs[1].spending.steps[-1] == runs[1].counts["steps"]
    assert runs[1].spent("examples", runs[1].counts["steps"]) == runs[1].counts["examples"]


def test_rows_that_end_at_different_steps_are_what_they_are_alone(problem, chunk_of):
    """Poisson batches spend a budget after another number of steps in each row."""
    problem = problem.with_sampler(Poisson(0.3))
    chunk = budgeted(chunk_of([SGD(lr=0.2, schedule=WarmupCosine())] * 8), problem, Examples(700))
    together = run_chunk(problem, chunk).runs
    ends = [run.counts["steps"] for run in together]
    assert len(set(ends)) > 3
    for trial, run in zip(chunk.trials, together, strict=True):
        (alone,) = run_chunk(problem, replace(chunk, trials=(trial,), rung="solo")).runs
        assert (alone.counts, alone.spending, alone.status) == (run.counts, run.spending, run.status)
        assert [m[:3] for m in alone.measurements] == [m[:3] for m in run.measurements]
        for ours, theirs in zip(alone.measurements, run.measurements, strict=True):
            assert ours.value == pytest.approx(theirs.value, rel=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("examples", [1, 5, 50, 64])
def test_a_sampler_knows_what_it_will_look_at_before_it_draws(name, examples):
    sampler = SAMPLERS[name]
    drawn = sampler.take(sampler.init(3), examples, 40)[0].examples
    assert sampler.sizes(3, examples, 40).tolist() == drawn.tolist()
    if sampler.even:
        after = list(itertools.accumulate(drawn.tolist()))
        assert [float(sampler.examples_after(float(k), examples)) for k in range(41)] == [0, *after]
        for amount in random.Random(0).sample(range(1, int(after[-1]) + 1), min(8, int(after[-1]))):
            assert sampler.steps_for(amount, examples) == next(k + 1 for k, a in enumerate(after) if a >= amount)


def test_seconds_are_charged_by_the_evaluations_that_a_run_asked_for():
    """A step that was timed asked for two; a run whose steps ask for six takes three times as long."""
    timing = StepTime(2e-3, evaluations=2.0)
    dear = Spending((0, 10), {"evaluations": (0.0, 60.0)})
    assert timing.of(dear, 10) == pytest.approx(3 * 10 * 2e-3)
    assert StepTime(2e-3).of(Spending((0, 10), {"evaluations": (0.0, 10.0)}), 5) == pytest.approx(5 * 2e-3)
    assert StepTime(2e-3, evaluations=0.0).of(dear, 10) == pytest.approx(10 * 2e-3), "nothing was asked, steps count"


def test_runs_of_before_counters_were_kept_are_spread_over_their_own_steps(problem, chunk_of):
    (run,) = run_chunk(problem, chunk_of([SGD(lr=0.1)])).runs
    old = replace(run, spending=Spending())
    assert old.spent("example-gradients", 6) == run.counts["example-gradients"] / 2
    assert old.spent("example-gradients", 12) == run.counts["example-gradients"]
    assert not Spending.spread([0, 4, 12], run.counts).exact
    with pytest.raises(UnknownName, match="rounds"):
        run.spent("rounds", 4)


def test_a_solver_among_tuned_methods_is_charged_for_products_with_the_hessian(make_problem, chunk_of):
    """Each costs about what a gradient does, and is asked of the whole problem."""
    problem = make_problem(lambda: nn.Linear(6, 3)).with_sampler(Full())
    (run,) = run_chunk(problem, budgeted(chunk_of([NewtonCG()], "solo"), problem, ExampleGradients(1500))).runs
    asked = run.counts["gradients"] + run.counts["hvps"]
    assert run.counts["hvps"] > 0
    assert run.counts["example-gradients"] == 50 * asked
    assert run.counts["evaluations"] >= asked
    assert run.counts["example-gradients"] >= 1500
    spent = [run.spent("example-gradients", k) for k in run.evaluations_at()]
    assert all(amount < 1500 for amount in spent[:-1]), "no step is begun after the budget is spent"
