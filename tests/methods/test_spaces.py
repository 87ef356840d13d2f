"""Open and closed methods: what is searched by default, what a given number closes, what is refused."""

import math
import pickle

import pytest

from optwise.analyses.fairness_checks import LATTICE
from optwise.core.errors import BadMethod
from optwise.core.plain import digest
from optwise.core.space import Choice, LogUniform, OneMinus
from optwise.core.wrapper import Wrapper
from optwise.methods import METHODS, SGD, Adam, AdamW, Momentum, NAdamW, RMSProp, WarmupCosine

# the published defaults of the comparison protocol: path, low, high; "1-" where one minus the value is searched
SPACES = {
    "sgd": {"lr": (1e-3, 10)},
    "momentum": {"lr": (1e-3, 10), "1-momentum": (5e-3, 1)},
    "nesterov": {"lr": (1e-3, 10), "1-momentum": (5e-3, 1)},
    "adagrad": {"lr": (1e-3, 10)},
    "rmsprop": {"lr": (1e-4, 1), "1-alpha": (4e-3, 1)},
    "adam": {"lr": (1e-4, 1), "1-betas[0]": (4e-3, 1)},
    "adamw": {"lr": (1e-4, 1), "1-betas[0]": (4e-3, 1)},
    "nadamw": {"lr": (1e-4, 1), "1-betas[0]": (4e-3, 1)},
    "schedule-free-sgd": {"lr": (1e-2, 100), "1-momentum": (5e-3, 1)},
    "ema": {"lr": (1e-3, 10), "1-decay": (1e-3, 1)},
    "polyak": {"lr": (1e-3, 10)},
    "preconditioned": {"lr": (1e-3, 10), "1-power": (0, 1)},
    "phases": {"lr": (1e-3, 10)},
}


@pytest.mark.parametrize("name", METHODS)
def test_the_default_space_is_that_of_the_protocol(name):
    written = {
        ("1-" if isinstance(d, OneMinus) else "") + path: (d.of.low, d.of.high)
        if isinstance(d, OneMinus)
        else (d.low, d.high)
        for path, d in METHODS[name]().space.fields.items()
    }
    assert written == SPACES[name]


@pytest.mark.parametrize("name", METHODS)
def test_every_corner_of_the_default_space_is_within_the_limits(name):
    method = METHODS[name]()
    for u in (0.0, 1.0):
        closed = method.close(method.space.point((u,) * method.space.dimensions))
        closed.require_closed()


@pytest.mark.parametrize("name", METHODS)
def test_a_memory_is_searched_down_to_none_so_that_no_general_method_excludes_its_special_case(name):
    """With a shorter range momentum could lose to plain descent by its space alone."""
    for path, distribution in METHODS[name]().space.fields.items():
        if isinstance(distribution, OneMinus):
            assert distribution.at(1.0) == 0.0, path
            assert all(0 <= distribution.at(u) < 1 for u in (1e-3, 0.5, 1 - 1e-12, 1 - 2**-53)), path


@pytest.mark.parametrize("name", METHODS)
def test_learning_rates_of_all_methods_span_four_decades(name):
    """A method that is searched more narrowly is found sooner or not at all, by its range and not by its steps."""
    assert METHODS[name]().space.fields["lr"].log_volume == pytest.approx(4 * math.log(10))


@pytest.mark.parametrize("case", LATTICE, ids=lambda case: f"{case.special} in {case.general}")
def test_the_space_of_a_general_method_holds_that_of_its_special_case(case):
    """What the check *inclusion* concludes from a special case that wins holds only then."""
    special, general = (METHODS[name]().space.fields for name in (case.special, case.general))
    for path, distribution in special.items():
        assert all(0 <= general[path].position(distribution.at(u)) <= 1 for u in (0.0, 1.0))


@pytest.mark.parametrize("name", METHODS)
def test_weight_decay_is_searched_by_no_default_space_and_is_the_library_s_own(name):
    """Open in one method alone it would be an advantage, or a burden, that the others do not have."""
    method = METHODS[name]()
    assert not [path for path in method.space.fields if "weight_decay" in path]
    if "weight_decay" in type(method).defaults:
        assert method.weight_decay == type(method).defaults["weight_decay"]


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if not issubclass(cls, Wrapper)])
def test_a_given_number_closes_the_others_at_the_library_s_defaults(name):
    closed = METHODS[name](lr=0.25)
    assert not closed.is_open
    assert closed.label == name
    assert {f: getattr(closed, f) for f in closed.hyperparameter_names()} == {**METHODS[name].defaults, "lr": 0.25}


def test_one_open_field_leaves_one_question():
    assert list(AdamW(lr=LogUniform(1e-4, 1e-1)).space.fields) == ["lr"]
    assert list(Adam(betas=(0.9, OneMinus(LogUniform(1e-3, 0.1)))).space.fields) == ["betas[1]"]
    assert list(Adam(betas=Choice((0.9, 0.999), (0.95, 0.98))).space.fields) == ["betas"]


def test_a_schedule_s_open_field_is_part_of_the_method_s_space():
    method = SGD(lr=0.1, schedule=WarmupCosine(warmup=LogUniform(0.01, 0.2)))
    assert method.close({"schedule.warmup": 0.1}) == SGD(lr=0.1, schedule=WarmupCosine(warmup=0.1))


@pytest.mark.parametrize("name", METHODS)
def test_a_description_is_stable_and_blind_to_the_label(name):
    method = METHODS[name]()
    assert digest(method.describe()) == digest(METHODS[name](name="mine").describe())
    assert digest(method.describe()) != digest(method.at_defaults().close({"lr": 0.25}).describe())
    assert pickle.loads(pickle.dumps(method)) == method


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: SGD(lr=-1.0), "lr"),
        (lambda: SGD(lr=math.nan), "lr"),
        (lambda: SGD(lr=0.1, weight_decay=-0.1), "weight_decay"),
        (lambda: Momentum(lr=0.1, momentum=1.0), "momentum"),
        (lambda: RMSProp(lr=0.1, alpha=1.5), "alpha"),
        (lambda: Adam(lr=0.1, betas=(0.9, 1.0)), r"betas\[1\]"),
        (lambda: Adam(lr=0.1, eps=-1e-8), "eps"),
        (lambda: Adam(lr=0.1, betas=0.9), "betas"),
        (lambda: AdamW(lr=0.1, betas=(0.9,)), "betas"),
        (lambda: NAdamW(lr=0.1, momentum_decay=-1), "momentum_decay"),
    ],
)
def test_a_number_outside_its_limits_is_refused_by_name(build, field):
    with pytest.raises(BadMethod, match=rf"^\w+\.{field} is "):
        build()


def test_lists_and_docs_name_each_method_once():
    assert all(cls.__name__.lower() == name.replace("-", "") for name, cls in METHODS.items())
