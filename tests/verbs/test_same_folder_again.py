"""A folder asked again: what is there is not run again, what is missing is added, another experiment is refused."""

import pytest
import torch
from small_comparisons import ASKED, METHODS, OWN_TRIALS, compare, flowers, results, stored, timeless

import optwise as ow
from optwise.core.errors import BadFolder
from optwise.store.folder import Folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Asked for one method; the tests below ask for more, in their order."""
    path = tmp_path_factory.mktemp("runs") / "grows"
    _, told = compare(path, methods=METHODS[:1])
    assert (told.trials, told.planned, told.ended) == (OWN_TRIALS, (OWN_TRIALS, 0), True)
    return path


def test_the_same_call_runs_nothing_and_writes_the_same(folder):
    before, trials = results(folder), stored(folder)
    _, told = compare(folder, methods=METHODS[:1])
    assert (told.trials, told.planned) == (0, (OWN_TRIALS, OWN_TRIALS))
    assert stored(folder) == trials
    assert timeless(results(folder)) == timeless(before)


def test_an_added_method_runs_only_its_own_trials_and_changes_no_other_number(folder):
    before, trials = results(folder), stored(folder)
    _, told = compare(folder)
    assert told.planned == (2 * OWN_TRIALS, OWN_TRIALS)
    assert told.ran == {("adam", "explore"): 16, ("adam", "confirm"): 8, ("adam", "default"): 2}
    after = stored(folder)
    assert {key: after[key] for key in trials} == trials
    assert len(after) == 2 * OWN_TRIALS
    (own,), (now,) = (doc["problems"].values() for doc in (before, results(folder)))
    assert timeless(now["methods"]["sgd"]) == timeless(own["methods"]["sgd"])


def test_added_studies_run_only_their_own_trials(folder):
    before, trials = results(folder), stored(folder)
    _, told = compare(folder, studies=6)
    assert told.trials == 2 * (2 * 4 + 2 * 2)
    assert told.planned == (2 * (6 * 4 + 6 * 2 + 2), 2 * OWN_TRIALS)
    after = stored(folder)
    assert {key: after[key] for key in trials} == trials
    (own,), (now,) = (doc["problems"].values() for doc in (before, results(folder)))
    for name, method in own["methods"].items():
        assert now["methods"][name]["selected"][:4] == method["selected"]
        assert now["methods"][name]["confirm"]["per_study"][:4] == method["confirm"]["per_study"]
        assert now["methods"][name]["default"] == method["default"]


def test_fewer_methods_and_studies_are_a_question_about_what_is_there(folder):
    _, told = compare(folder, methods=METHODS[1:], studies=2)
    assert told.trials == 0
    (problem,) = results(folder)["problems"].values()
    assert list(problem["methods"]) == ["adam"]
    assert problem["methods"]["adam"]["search"]["trials"] == 8
    assert problem["verdicts"] == []


def test_another_level_margin_and_axis_run_nothing(folder):
    _, told = compare(folder, level=0.9, margin=0.1, axis="steps", resamples=100)
    assert told.trials == 0
    assert told.planned == (2 * OWN_TRIALS, 2 * OWN_TRIALS)
    assert results(folder)["protocol"]["level"] == 0.9


def test_another_target_searches_nothing_and_confirms_what_it_selects(folder):
    _, told = compare(folder, target=ow.AtMost("valid/loss", 0.9))
    assert {phase for _, phase in told.ran} <= {"confirm"}
    (problem,) = results(folder)["problems"].values()
    for method in problem["methods"].values():
        assert method["confirm"]["n"] == 8, "confirmations chosen by another rule are not counted here"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"budget": "21steps"}, r"budget \(20steps there, 21steps here\)"),
        ({"trials": 5}, r"trials \(4 there, 5 here\)"),
        ({"seeds": 3}, r"seeds \(2 there, 3 here\)"),
        ({"dtype": "float64"}, r"dtype \(float32 there, float64 here\)"),
        ({"seed": 1}, r"seed \(0 there, 1 here\)"),
        ({"batch_size": 8}, r"batch_size \(16 there, 8 here\)"),
        ({"problems": flowers(shift=torch.tensor([0.0, 0.0, 0.5]))}, "fingerprint"),
    ],
)
def test_another_experiment_is_refused_and_told_apart(folder, changed, words):
    with pytest.raises(BadFolder, match=words):
        compare(folder, **changed)


def test_a_folder_knows_its_protocols_and_the_latest_is_answered(folder):
    comparison, _ = compare(folder)
    with Folder.existing(folder) as opened:
        assert next(reversed(opened.protocols())) == comparison.protocol.hash
        assert len(opened.protocols()) == 6


def test_chunks_left_unfinished_are_finished_and_nothing_else(tmp_path):
    class Stop(Exception):
        pass

    class Impatient:
        def __init__(self):
            self.left = 1

        def plan(self, total, cached): ...
        def note(self, text): ...
        def done(self): ...

        def advance(self, *_):
            if self.left == 0:
                raise Stop
            self.left -= 1

    whole, _ = compare(tmp_path / "whole")
    with Folder.open(
        tmp_path / "cut", folder_hash=whole.protocol.folder_hash, protocol=whole.protocol.folder_part
    ) as cut:
        cut.copy_plan_from(tmp_path / "whole")
    with pytest.raises(Stop):
        ow.compare(flowers(), METHODS, out=tmp_path / "cut", progress=Impatient(), **ASKED)
    kept = stored(tmp_path / "cut")
    assert 0 < len(kept) < 2 * OWN_TRIALS
    _, told = compare(tmp_path / "cut")
    assert told.trials == 2 * OWN_TRIALS - len(kept)
    assert stored(tmp_path / "cut") == stored(tmp_path / "whole")
    assert timeless(results(tmp_path / "cut")) == timeless(results(tmp_path / "whole"))


def test_two_names_for_one_setting_are_two_methods(tmp_path):
    twins = [ow.SGD(lr=0.1, name="one"), ow.SGD(lr=0.1, name="two")]
    comparison, told = compare(tmp_path / "twins", methods=twins)
    assert told.trials == 2 * (4 * 2 + 2)
    assert len({run.seed for run in comparison.runs}) == 20
