"""Methods as nouns: open and closed, addressed by path, described and read back."""

import json

import pytest
import torch

from optwise.core.errors import BadMethod, UnknownName
from optwise.core.method import Recorded
from optwise.core.space import Choice, LogUniform, OneMinus, Role, Uniform, space_of
from optwise.methods import METHODS, SGD, AdamW, Momentum, StepDecay, Torch, WarmupCosine

OPEN = [
    *(cls() for cls in METHODS.values()),
    *(cls(schedule=WarmupCosine(warmup=Uniform(0.0, 0.2))) for cls in METHODS.values()),
    AdamW(betas=(OneMinus(LogUniform(4e-3, 0.3)), OneMinus(LogUniform(1e-4, 0.1)))),
    Torch(torch.optim.RAdam),
    Torch(torch.optim.SGD, lr=LogUniform(1e-3, 1.0), momentum=Uniform(0.5, 0.99), nesterov=Choice(True, False)),
    Torch(torch.optim.Adam, betas=(OneMinus(LogUniform(1e-2, 0.3)), 0.999), schedule=WarmupCosine()),
]


@pytest.mark.parametrize("method", OPEN, ids=lambda m: f"{m.label}-{m.space.dimensions}")
def test_a_record_has_the_space_of_the_method_it_describes(method):
    description = json.loads(json.dumps(method.describe()))
    assert dict(space_of(description).fields) == dict(method.space.fields)
    assert list(space_of(description).fields) == list(method.space.fields)
    recorded = Recorded(name=method.label, description=description)
    assert recorded.is_open
    assert (recorded.label, recorded.describe()) == (method.label, description)


@pytest.mark.parametrize("method", OPEN, ids=lambda m: f"{m.label}-{m.space.dimensions}")
def test_closing_at_a_point_leaves_nothing_open_and_changes_nothing_else(method):
    point = method.space.point((0.5,) * method.space.dimensions)
    closed = method.close(point)
    closed.require_closed()
    assert closed.values() == {**method.values(), **point}
    assert closed.label == method.label
    assert space_of(closed.describe()).fields == {}
    with pytest.raises(BadMethod, match="still open"):
        method.require_closed()


def test_without_a_number_a_method_is_a_question_and_with_one_an_answer():
    assert set(AdamW().space.fields) == {"lr", "betas[0]", "weight_decay"}
    assert not AdamW(lr=1e-3).is_open
    assert set(AdamW(lr=LogUniform(1e-4, 1e-1)).space.fields) == {"lr"}
    assert AdamW(lr=0.5).values() == {
        **AdamW().at_defaults().values(),
        "lr": 0.5,
    }


def test_a_point_with_an_unknown_path_names_the_known_ones():
    with pytest.raises(UnknownName, match=r"betas\[0\]"):
        AdamW().close({"beta1": 0.9})


def test_values_outside_their_limits_are_refused_with_the_interval():
    for make, words in (
        (lambda: SGD(lr=-0.1), r"SGD.lr is -0.1; it must lie in \[0, inf\)"),
        (lambda: Momentum(momentum=1.0), r"Momentum.momentum is 1.0; it must lie in \[0, 1\)"),
        (lambda: AdamW(betas=(0.9, 1.5)), r"AdamW.betas\[1\] is 1.5"),
        (lambda: SGD(lr="fast"), "must be a number or a distribution"),
        (lambda: AdamW(betas=0.9), "give two numbers"),
    ):
        with pytest.raises(BadMethod, match=words):
            make()


def test_library_defaults_have_no_schedule_and_keep_the_label():
    method = AdamW(schedule=WarmupCosine(), name="mine").at_defaults()
    assert (method.schedule, method.label, method.is_open) == (None, "mine", False)
    assert method.values() == {"lr": 1e-3, "betas[0]": 0.9, "betas[1]": 0.999, "eps": 1e-8, "weight_decay": 1e-2}


def test_open_fields_are_nuisances_unless_they_are_what_is_asked():
    roles = AdamW().roles(frozenset({"weight_decay"}))
    assert roles["weight_decay"] is Role.SCIENTIFIC
    assert roles["lr"] is Role.NUISANCE
    assert roles["eps"] is Role.FIXED


def test_a_label_is_no_part_of_what_a_method_is():
    assert AdamW(name="one").describe() == AdamW(name="two").describe()
    assert AdamW(lr=0.1).describe() != AdamW(lr=0.2).describe()
    assert AdamW(lr=0.1).describe() != AdamW(lr=0.1, schedule=StepDecay(100)).describe()
    assert (AdamW().label, AdamW(name="one").label) == ("adamw", "one")
