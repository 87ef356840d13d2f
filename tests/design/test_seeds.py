"""Seeds of trials and designs: own to each, disjoint by construction, the same for ever."""

from itertools import product

import pytest

from optwise.core.run import TrialName
from optwise.design.seeds import scramble_seed, trial_seed


def test_no_two_trials_and_no_two_designs_of_a_big_protocol_share_a_seed():
    problems, methods = ["digits-mlp", "digits-softmax", "nqm"], [f"method{i}" for i in range(8)]
    seeds = []
    for problem, method, study in product(problems, methods, range(-1, 12)):
        seeds.append(scramble_seed(0, problem, method, study))
        search = [TrialName(problem, method, study, index) for index in range(64 if study >= 0 else 0)]
        confirm = [TrialName(problem, method, study, index, confirm=True) for index in range(16)]
        seeds += [trial_seed(0, problem, trial) for trial in search + confirm]
    assert len(set(seeds)) == len(seeds) > 20_000


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("digits-mlp/adamw/2/7", 71751823559368432),
        ("digits-mlp/adamw/2/c7", 770095316952916338),
        ("digits-mlp/adamw/d/c0", 5876329812096330595),
        ("digits-mlp/sgd/0/0", 220219533285349694),
        ("digits-mlp/sgd/0/c0", 2772976754745713805),
    ],
)
def test_the_seed_of_a_trial_never_changes(name, seed):
    """Folders of older versions resume only as long as these numbers stand."""
    trial = TrialName.parse(name)
    assert trial_seed(0, trial.problem, trial) == seed


def test_the_seed_of_a_design_never_changes():
    assert scramble_seed(0, "digits-mlp", "adamw", 2) == 3661328529613558843
    assert scramble_seed(17, "digits-mlp", "sgd", 0) == 6131119581223125966


def test_another_base_seed_changes_every_seed():
    trial = TrialName("p", "m", 0, 0)
    assert len({trial_seed(base, "p", trial) for base in range(100)}) == 100
    assert len({scramble_seed(base, "p", "m", 0) for base in range(100)}) == 100
