"""Methods as nouns: open and closed, addressed by path, described and read back."""

import json

import pytest
import torch

from optwise.core.errors import BadMethod, UnknownName
from optwise.core.method import Recorded, Rule
from optwise.core.space import Choice, LogUniform, OneMinus, Role, Uniform, space_of
from optwise.methods import (
    EMA,
    METHODS,
    SGD,
    AdamW,
    Momentum,
    Polyak,
    Preconditioned,
    StepDecay,
    Torch,
    WarmupCosine,
)

OPEN = [
    *(cls() for cls in METHODS.values()),
    *(cls(schedule=WarmupCosine(warmup=Uniform(0.0, 0.2))) for cls in METHODS.values()),
    AdamW(betas=(OneMinus(LogUniform(4e-3, 0.3)), OneMinus(LogUniform(1e-4, 0.1)))),
    EMA(Preconditioned(Momentum())),
    Polyak(AdamW(schedule=WarmupCosine(warmup=Uniform(0.0, 0.2)))),
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
    assert set(AdamW().space.fields) == {"lr", "betas[0]"}
    assert not AdamW(lr=1e-3).is_open
    assert set(AdamW(lr=LogUniform(1e-4, 1e-1)).space.fields) == {"lr"}
    assert AdamW(lr=0.5).values() == {
        **AdamW().at_defaults().values(),
        "lr": 0.5,
    }


def test_fields_of_the_rule_within_stand_beside_those_of_its_wrapper():
    method = EMA(Preconditioned(Momentum()))
    assert list(method.space.fields) == ["lr", "momentum", "power", "decay"]
    assert method.space.fields["momentum"] == Momentum().space.fields["momentum"]
    closed = method.close({"lr": 0.5, "momentum": 0.8, "power": 0.25, "decay": 0.7})
    assert closed == EMA(Preconditioned(Momentum(lr=0.5, momentum=0.8), power=0.25), decay=0.7)
    assert closed.values() == {
        "lr": 0.5,
        "momentum": 0.8,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "power": 0.25,
        "damping": 0.0,
        "decay": 0.7,
    }
    assert method.roles(frozenset({"momentum"}))["momentum"] is Role.SCIENTIFIC
    with pytest.raises(BadMethod, match=r"EMA\.lr is still open"):
        method.require_closed()
    with pytest.raises(UnknownName, match="parameter of ema-preconditioned-momentum 'inner'"):
        method.close({"inner": 1.0})


@pytest.mark.parametrize(
    ("method", "still_open"),
    [
        (EMA(), {"lr", "decay"}),
        (EMA(SGD()), {"lr", "decay"}),
        (EMA(SGD(schedule=StepDecay(9), name="s")), {"lr", "decay"}),
        (EMA(SGD(lr=0.1)), set()),
        (EMA(SGD(lr=LogUniform(1e-3, 1.0))), {"lr"}),
        (EMA(SGD(), decay=0.9), {"lr"}),
        (EMA(decay=0.9), {"lr"}),
        (EMA(SGD(lr=0.1), decay=Uniform(0.5, 0.9)), {"decay"}),
        (EMA(Preconditioned()), {"lr", "power", "decay"}),
        (EMA(Preconditioned(power=0.5)), {"lr"}),
        (EMA(Preconditioned(SGD(lr=0.1))), set()),
        (Polyak(), {"lr"}),
    ],
    ids=lambda value: "" if isinstance(value, set) else repr(sorted(value.values())),
)
def test_a_wrapper_asks_for_its_own_fields_only_where_nothing_was_given(method, still_open):
    assert set(method.space.fields) == still_open


def test_a_wrapper_at_its_defaults_wraps_a_rule_at_its_defaults():
    method = EMA(Preconditioned(AdamW(lr=0.5, schedule=StepDecay(9)), power=0.1), decay=0.5).at_defaults()
    assert method == EMA(Preconditioned(AdamW(lr=1e-3)), decay=0.99)


def test_a_wrapper_is_called_after_what_it_wraps_and_the_name_within_does_not_matter():
    assert EMA().label == "ema-sgd"
    assert EMA(Preconditioned(Momentum())).label == "ema-preconditioned-momentum"
    assert EMA(SGD(), name="mine").label == "mine"
    assert EMA(SGD(lr=0.1, name="inside")) == EMA(SGD(lr=0.1))
    assert EMA(SGD(lr=0.1)).describe() == EMA(SGD(lr=0.1), name="other").describe()
    assert EMA(SGD(lr=0.1)).describe() != EMA(Momentum(lr=0.1)).describe()
    assert EMA(SGD(lr=0.1)).describe() != Polyak(SGD(lr=0.1)).describe()


def test_a_wrapper_is_what_the_rule_within_is():
    class Twice(Rule):
        """Pays two gradients a step, and looks at shapes."""

        elementwise = False
        gradients_per_step = 2.0

        def init(self, w):
            return {}

        def step(self, w, g, state):
            return w, state

    method = EMA(Preconditioned(Twice()))
    assert (method.elementwise, method.gradients_per_step, method.borrowed_space) == (False, 2.0, False)
    assert method.kinds == (EMA, Preconditioned, Twice)
    assert (EMA().elementwise, EMA().gradients_per_step, EMA().kinds) == (True, 1.0, (EMA, SGD))
    assert SGD().kinds == (SGD,)


def test_one_schedule_is_enough():
    inside = EMA(Preconditioned(SGD(lr=0.1, schedule=StepDecay(9))))
    assert inside == EMA(Preconditioned(SGD(lr=0.1)), schedule=StepDecay(9))
    assert inside == EMA(Preconditioned(SGD(lr=0.1, schedule=StepDecay(9))), schedule=StepDecay(9))
    assert (inside.schedule, inside.inner.schedule) == (StepDecay(9), None)
    assert EMA(SGD(lr=0.1, schedule=WarmupCosine(warmup=Uniform(0.0, 0.2)))).space.fields.keys() == {"schedule.warmup"}
    with pytest.raises(
        BadMethod, match=r"EMA is given the schedule StepDecay\(.*, and the rule within StepDecay\(.*keep one"
    ):
        EMA(SGD(lr=0.1, schedule=StepDecay(9)), schedule=StepDecay(8))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: EMA(EMA(SGD())), "EMA of EMA of SGD has two fields called decay, which no point could tell apart"),
        (
            lambda: Preconditioned(EMA(Preconditioned())),
            "Preconditioned of EMA of Preconditioned of SGD has two fields",
        ),
        (lambda: EMA(Torch(torch.optim.Adam)), "EMA wraps a rule, whose steps are pure functions, and adam is none"),
        (lambda: EMA(torch.optim.Adam), "EMA wraps a rule, whose steps are pure functions, and Adam is none"),
        (lambda: EMA(SGD), r"EMA is given the class SGD; give a rule, `EMA\(SGD\(\)\)`"),
        (lambda: Polyak(0.9), "Polyak wraps a rule, whose steps are pure functions, and 0.9 is none"),
        (lambda: EMA(SGD(lr=0.1), decay=1.5), r"EMA.decay is 1.5; it must lie in \[0, 1\]"),
        (lambda: EMA(SGD()).close({"lr": -1.0}), "SGD.lr is -1.0"),
        (lambda: Preconditioned(power=2.0), "Preconditioned.power is 2.0"),
        (lambda: Preconditioned(damping=-1.0), "Preconditioned.damping is -1.0"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_in_a_sentence(build, words):
    with pytest.raises(BadMethod, match=words) as refused:
        build()
    assert str(refused.value).endswith(".")


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
