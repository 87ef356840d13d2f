"""The bank of studies that simulations replay: what its loader says is what was run."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from optwise.core.metric import AtLeast, AtMost, Direction
from optwise.core.run import TrialName
from optwise.design.seeds import scramble_seed, trial_seed
from optwise.design.sobol import sobol_points
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import DEFAULT_SCHEDULE, AdamW
from optwise.problems import digits_mlp


@pytest.fixture(scope="module")
def bank():
    """The script that makes and loads it."""
    path = Path(__file__).parents[2] / "benchmarks" / "bank.py"
    spec = importlib.util.spec_from_file_location("bank", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bank"] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bank"]


@pytest.fixture(scope="module")
def loaded(bank):
    return bank.load_bank()


def every_study(loaded, bank):
    return [study for trials in bank.DESIGNS for study in loaded.studies(trials)]


def test_it_holds_64_studies_of_16_trials_and_16_of_64_with_whole_curves(loaded):
    assert [len(loaded.studies(trials)) for trials in (16, 64)] == [64, 16]
    evaluations = len(loaded.axes["steps"])
    assert evaluations == 41
    assert all(len(amounts) == evaluations and (np.diff(amounts) > 0).all() for amounts in loaded.axes.values())
    for trials in (16, 64):
        for study in loaded.studies(trials):
            for curves in (study.search, *study.confirmed.values()):
                for values in curves.values.values():
                    assert values.shape == (len(curves), evaluations)
                    gone = np.isnan(values)
                    assert (gone[:, :-1] <= gone[:, 1:]).all(), "nothing is measured after a run has ended"
            assert len(study.search) == trials
            assert all(len(curves) == 4 for curves in study.confirmed.values())


def test_points_and_seeds_are_those_that_the_base_seed_gives(bank, loaded):
    seeds = []
    for study in every_study(loaded, bank):
        base = loaded.about["base_seeds"][str(study.trials)]
        design = sobol_points(AdamW().space, study.trials, scramble_seed(base, bank.PROBLEM, bank.METHOD, study.number))
        assert [study.point(i) for i in range(study.trials)] == list(design)
        names = [TrialName(bank.PROBLEM, bank.METHOD, study.number, i) for i in range(study.trials)]
        assert study.search.seeds.tolist() == [trial_seed(base, bank.PROBLEM, name) for name in names]
        fresh = [trial_seed(base, bank.PROBLEM, replace(name, confirm=True)) for name in names[:4]]
        assert all(curves.seeds.tolist() == fresh for curves in study.confirmed.values())
        seeds += [*study.search.seeds.tolist(), *fresh]
    assert len(set(seeds)) == len(seeds)


def test_what_every_rule_selects_was_confirmed(bank, loaded):
    rules = [*(AtMost("valid/loss", value) for value in loaded.about["targets"]), None]
    for study in every_study(loaded, bank)[::5]:
        assert all(loaded.select(study, rule) in study.confirmed for rule in rules)


def test_hits_in_arrays_are_the_hits_of_runs(bank, loaded):
    """Two ways to one answer: a vectorised one here, and the rule by which every comparison times a run."""
    targets = [AtMost("valid/loss", v) for v in (0.05, 0.08, 0.2)]
    targets += [AtLeast("valid/accuracy", 0.975), AtMost("train/loss", 1e-3)]
    for study in every_study(loaded, bank)[::16]:
        for index in (None, *study.confirmed):
            curves = study.search if index is None else study.confirmed[index]
            runs = loaded.runs(study, index=index)
            for target in targets:
                steps = [run.steps_to(target) for run in runs]
                found = loaded.times(curves, target, axis="steps")
                assert [None if np.isinf(t) else int(t) for t in found] == steps
                spent = loaded.times(curves, target)
                for run, step, amount in zip(runs, steps, spent, strict=True):
                    assert np.isinf(amount) if step is None else amount == run.spent("example-gradients", step)


def test_example_gradients_are_those_of_shuffled_epochs_with_their_short_last_batch(loaded):
    problem = digits_mlp()
    draws, _ = problem.sampler.take(problem.sampler.init(0), problem.examples, 1000)
    counted = np.concatenate([[0], np.cumsum(draws.examples.numpy())])
    for name in ("examples", "example-gradients"):
        assert loaded.axes[name].tolist() == counted[loaded.axes["steps"].astype(int)].tolist()


@pytest.mark.slow
def test_trials_run_again_are_those_of_the_bank(bank, loaded):
    """Alone and in float32, so that rounding differs; steep trials amplify it, gentle ones are followed to the end."""
    study, steps = loaded.studies(16)[3], tuple(int(k) for k in loaded.axes["steps"])
    lr = study.points["lr"]
    gentle = np.flatnonzero((lr > 3e-4) & (lr < 3e-3))[:3]
    assert len(gentle) >= 2
    chunk = Chunk(
        id="again",
        rung="solo",
        rows=1,
        steps=steps[-1],
        evaluation_steps=steps,
        dtype="float32",
        device="cpu",
        trials=tuple(
            Trial(
                TrialName(bank.PROBLEM, bank.METHOD, study.number, int(i)),
                "",
                replace(AdamW(), schedule=DEFAULT_SCHEDULE).close(study.point(int(i))),
                int(study.search.seeds[i]),
            )
            for i in gentle
        ),
    )
    torch.set_num_threads(1)
    for i, run in zip(gentle, run_chunk(digits_mlp(), chunk).runs, strict=True):
        for metric, tolerance in (("valid/loss", 1e-3), ("train/loss", 1e-3), ("valid/accuracy", 0)):
            again = np.array([value for _, value in run.curve(metric)])
            np.testing.assert_allclose(
                again,
                study.search.values[metric][i],
                rtol=tolerance,
                atol=1 / 359 + 1e-6 if metric == "valid/accuracy" else 1e-6,
            )
        assert run.status.value == study.search.statuses[i]


def test_the_direction_of_a_metric_is_the_problem_s(bank, loaded):
    study = loaded.studies(64)[0]
    problem = digits_mlp()
    assert problem.direction("valid/accuracy") is Direction.MAX
    best = np.nanmax(study.search.values["valid/accuracy"][:, 1:], axis=1)
    chosen = loaded.select(study, None, metric="valid/accuracy")
    assert best[chosen] == best[~study.search.infeasible].max()
