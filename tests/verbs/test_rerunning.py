"""One stored trial again: the same bits in the same company, and a refusal where the problem is another."""

import pytest
import torch
from small_comparisons import compare

import optwise as ow
from optwise.catalog import load_problem, method_of
from optwise.core.errors import BadFolder, BadProtocol, UnknownName
from optwise.verbs.rerunning import rerun

NAME = "least-squares:n=40,p=4,kappa=4"
METHODS = [ow.SGD(), torch.optim.RAdam]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two methods, one batched and one alone, with a batch size of its own."""
    comparison, _ = compare(
        tmp_path_factory.mktemp("runs") / "r", load_problem(NAME), METHODS, studies=2, batch_size=7, target=None
    )
    return comparison.folder


@pytest.fixture(scope="module")
def fewer(tmp_path_factory):
    """Asked first for two studies, then for one: chunks hold trials that the latest protocol leaves out."""
    path = tmp_path_factory.mktemp("runs") / "fewer"
    for studies in (2, 1):
        compare(path, load_problem(NAME), METHODS[:1], studies=studies, target=None)
    return path


def again(folder, trial, **loaders):
    return rerun(folder, trial, **{"load_problem": load_problem, "load_method": method_of, **loaders})


@pytest.mark.parametrize("method", ["sgd", "radam"])
@pytest.mark.parametrize("trial", ["0/0", "1/3", "1/c1", "d/c0"])
def test_a_trial_runs_again_bit_for_bit(folder, method, trial):
    report = again(folder, f"{NAME}/{method}/{trial}")
    assert report.same
    assert report.document["largest_difference"] == 0.0
    assert report.document["rung"] == report.document["stored_rung"] == {"sgd": "vmap", "radam": "solo"}[method]
    curve = report.document["curves"]["valid/loss"]
    assert curve["stored"] == curve["again"]
    assert report.sentence.startswith(f"{NAME}/{method}/{trial} is the same as its record bit for bit")
    assert report.run.state_dict()["weight"].shape == (1, 4)


def test_the_company_of_a_trial_is_its_chunk_whoever_was_asked_for_last(fewer):
    assert again(fewer, f"{NAME}/sgd/0/2").document["largest_difference"] == 0.0
    with pytest.raises(UnknownName, match="trial"):
        again(fewer, f"{NAME}/sgd/1/2")


def test_an_edited_problem_is_not_rerun(folder):
    edited = "least-squares:n=40,p=4,kappa=4,seed=1"
    with pytest.raises(BadFolder, match="is not what the folder ran"):
        again(folder, f"{NAME}/sgd/0/0", load_problem=lambda _: load_problem(edited))


def test_a_problem_of_a_script_cannot_be_built_from_the_record(done):
    with pytest.raises(BadFolder, match="built in a script"):
        again(done.folder, "flowers/sgd/0/0")


@pytest.mark.parametrize(
    ("trial", "error"), [("sgd/0/0", BadProtocol), (f"{NAME}/sgd/9/0", UnknownName), (f"{NAME}/adam/0/0", UnknownName)]
)
def test_a_trial_that_is_not_there_is_refused(folder, trial, error):
    with pytest.raises(error):
        again(folder, trial)


def test_a_method_that_steps_otherwise_now_is_seen(folder):
    def other(description):
        return method_of({**description, "lr": 1.001 * description["lr"]})

    report = again(folder, f"{NAME}/sgd/0/0", load_method=other)
    assert not report.same
    assert report.document["parted_at_step"] > 0
    assert "different from its record" in report.sentence
