"""What identifies a protocol and its folder, and that a record reads back as the protocol it came from."""

import json
from dataclasses import replace

import pytest

from optwise.core.budget import Steps
from optwise.core.errors import BadProtocol, UnknownName
from optwise.core.metric import AtMost
from optwise.core.protocol import Protocol, trial_key
from optwise.core.run import Phase
from optwise.core.space import LogUniform
from optwise.methods import SGD, AdamW, Constant, Momentum

PROBLEM = {
    "reference": "digits-softmax",
    "sampler": {"class": "Shuffled", "batch_size": 64},
    "fingerprint": "ab" * 32,
    "metrics": {"loss": "min", "accuracy": "max"},
}
PROTOCOL = Protocol(
    problems={"digits": PROBLEM},
    methods={"sgd": SGD(schedule=Constant()), "adamw": AdamW(lr=LogUniform(1e-4, 0.1), name="adamw")},
    budget=Steps(40),
    studies=4,
    trials=8,
    seeds=2,
    evaluations=5,
    targets={"digits": AtMost("valid/loss", 0.25)},
    metrics={"digits": "valid/loss"},
    scientific={"adamw": ("lr",)},
)
SAME_FOLDER = {
    "methods": {"momentum": Momentum()},
    "studies": 6,
    "targets": {"digits": None},
    "metrics": {"digits": "valid/accuracy"},
    "axis": "steps",
    "level": 0.9,
    "margin": 0.05,
    "resamples": 100,
    "device": "cuda",
    "scientific": {},
    "against": "sgd",
    "looks": (4, 8),
}
OTHER_FOLDER = {
    "budget": Steps(41),
    "trials": 16,
    "seeds": 3,
    "evaluations": 6,
    "dtype": "float64",
    "seed": 1,
    "problems": {"digits": {**PROBLEM, "sampler": {"class": "Shuffled", "batch_size": 32}}},
}


@pytest.mark.parametrize("field", SAME_FOLDER)
def test_a_folder_accepts_other_methods_and_other_questions(field):
    other = replace(PROTOCOL, **{field: SAME_FOLDER[field]})
    assert other.folder_hash == PROTOCOL.folder_hash
    assert other.hash != PROTOCOL.hash


@pytest.mark.parametrize("field", OTHER_FOLDER)
def test_a_folder_is_about_one_experiment(field):
    assert replace(PROTOCOL, **{field: OTHER_FOLDER[field]}).folder_hash != PROTOCOL.folder_hash


def test_an_edited_problem_is_another_experiment():
    edited = replace(PROTOCOL, problems={"digits": {**PROBLEM, "fingerprint": "cd" * 32}})
    assert edited.folder_hash != PROTOCOL.folder_hash


def test_every_field_is_covered_by_one_of_the_two_hashes():
    assert set(vars(PROTOCOL)) == set(SAME_FOLDER) | set(OTHER_FOLDER)


def test_a_protocol_reads_back_from_its_own_record():
    folder, question = (json.loads(json.dumps(p)) for p in (PROTOCOL.folder_part, PROTOCOL.question_part))
    again = Protocol.read(folder, question)
    assert again.hash == PROTOCOL.hash
    assert again.targets == PROTOCOL.targets
    assert again.scientific == {"adamw": ("lr",)}
    for name, method in PROTOCOL.methods.items():
        assert dict(again.methods[name].space.fields) == dict(method.space.fields)
        assert again.names("digits", name) == PROTOCOL.names("digits", name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("studies", 0),
        ("trials", 0),
        ("seeds", -1),
        ("resamples", 0),
        ("evaluations", 1),
        ("level", 1.0),
        ("level", 0.0),
        ("margin", -0.1),
        ("margin", 1.0),
    ],
)
def test_counts_and_levels_that_make_no_experiment_are_refused_by_name(field, value):
    with pytest.raises(BadProtocol, match=field):
        replace(PROTOCOL, **{field: value})


@pytest.mark.parametrize("field", ["axis", "dtype"])
def test_a_misspelt_axis_or_dtype_names_the_known_ones(field):
    with pytest.raises(UnknownName, match="Did you mean"):
        replace(PROTOCOL, **{field: f"{getattr(PROTOCOL, field)}s"})


def test_a_run_is_measured_at_its_start_at_its_end_and_evenly_between():
    assert PROTOCOL.evaluation_steps(40) == (0, 10, 20, 30, 40)
    assert PROTOCOL.evaluation_steps(3) == (0, 1, 2, 3), "fewer steps than evaluations"
    assert PROTOCOL.evaluation_steps(42) == (0, 10, 21, 32, 42)


def test_a_closed_method_has_confirmations_and_no_search():
    closed = replace(PROTOCOL, methods={"sgd": SGD(lr=0.1), "adamw": AdamW()})
    search, confirm = closed.names("digits", "sgd")
    assert search == []
    assert [name.phase for name in confirm] == [Phase.CONFIRM] * 8 + [Phase.DEFAULT] * 2
    search, _ = closed.names("digits", "adamw")
    assert len(search) == 4 * 8
    assert len({str(name) for name in [*search, *confirm]}) == 42


def test_a_trial_is_what_it_computes_and_not_what_it_is_called():
    made = {
        "fingerprint": "ab",
        "sampler": {"class": "Full"},
        "method": SGD(lr=0.1),
        "seed": 1,
        "steps": 40,
        "evaluation_steps": (0, 40),
        "dtype": "float32",
        "device": "cpu",
        "versions": {"torch": "2"},
    }
    changes = {
        "fingerprint": "cd",
        "sampler": {"class": "Shuffled", "batch_size": 1},
        "method": SGD(lr=0.2),
        "seed": 2,
        "steps": 41,
        "evaluation_steps": (0, 20, 40),
        "dtype": "float64",
        "device": "cuda",
        "versions": {"torch": "3"},
    }
    key = trial_key(**made)
    assert trial_key(**{**made, "method": SGD(lr=0.1, name="another")}) == key
    assert len({key, *(trial_key(**{**made, name: value}) for name, value in changes.items())}) == 1 + len(changes)
