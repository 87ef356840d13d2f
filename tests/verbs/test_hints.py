"""What a page offers to carry away: code that trains as the method did, commands that ask what was asked."""

import math
import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_comparisons import ASKED, compare, flowers

import optwise as ow
from optwise.analyses.best_study import best_study
from optwise.catalog import load_problem
from optwise.cli.questions import read_question
from optwise.core.metric import AtMost, Direction
from optwise.core.protocol import Protocol
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.space import closed_description
from optwise.core.status import Status
from optwise.methods import DEFAULT_SCHEDULE, METHODS, SCHEDULES
from optwise.verbs.asking import ask
from optwise.verbs.command_words import compare_call, compare_command
from optwise.verbs.hinting import easier, hints
from optwise.verbs.settings_as_code import setting_code, short

IN_TORCH = [name for name, cls in METHODS.items() if cls.torch_class]
SCHEDULED = [
    ow.WarmupCosine(warmup=0.2),
    ow.WarmupCosine(warmup=0.0, final=0.1),
    ow.WarmupLinear(final=0.25),
    ow.WarmupStableDecay(warmup=0.3, decay=0.5),
    ow.InverseSqrt(),
    ow.StepDecay(3, 0.5),
    ow.Exponential(0.9),
    ow.InverseTime(2.0),
    ow.WarmupCosine(horizon=7),
    ow.Milestones((3, 9), (0.5, 0.05)),
    ow.Table((1.0, 0.5, 0.75)),
]


def carried_out(code, model):
    """What the code made, with ``model`` as its network."""
    names = {"model": model}
    exec(code, names)
    return names


@pytest.mark.parametrize("name", IN_TORCH)
def test_the_code_makes_the_optimizer_whose_steps_the_rule_takes(name):
    rule = METHODS[name]()
    rule = rule.close(rule.space.point((0.4,) * rule.space.dimensions))
    model = torch.nn.Linear(3, 1, bias=False).double()
    w, state = model.weight.detach().clone(), rule.init(model.weight.detach())
    optimizer = carried_out(setting_code(replace(rule, schedule=ow.Constant()).describe(), steps=9), model)["optimizer"]
    # the printed numbers are rounded: take them back for both
    told = {k: v for k, v in optimizer.param_groups[0].items() if k in rule.hyperparameter_names()}
    rule = replace(rule, **told)
    for k in range(9):
        g = torch.tensor([[1.0, -2.0, 0.5]]).double() * math.cos(k) + 0.1 * w
        model.weight.grad = g.clone()
        optimizer.step()
        w, state = rule.step(w, g, state)
        # torch's NAdam keeps the product of its momenta in single precision
        torch.testing.assert_close(model.weight.detach(), w, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULED, ids=str)
def test_the_code_follows_the_schedule_to_its_end_and_stays_there(schedule):
    code = setting_code(ow.SGD(lr=0.5, schedule=schedule).describe(), steps=20)
    made = carried_out(code, torch.nn.Linear(2, 1))
    seen = []
    for _ in range(25):
        seen.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["schedule"].step()
    factors = (
        schedule.factors(25) if schedule.horizon else np.append(schedule.factors(20), [schedule.factors(20)[-1]] * 5)
    )
    np.testing.assert_allclose(seen, 0.5 * factors, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("schedule", [*SCHEDULED, ow.Constant()], ids=str)
@pytest.mark.parametrize("steps", [1, 2, 13, 1000])
def test_a_schedule_written_out_is_the_schedule(schedule, steps):
    horizon = schedule.horizon or steps
    factors = [eval(schedule.expression(horizon), {"math": math}, {"k": min(k, horizon - 1)}) for k in range(steps)]
    np.testing.assert_allclose(factors, schedule.factors(steps), rtol=1e-12, atol=1e-15)


def test_every_schedule_is_written_out():
    assert {type(schedule).__name__ for schedule in SCHEDULED} | {"Constant"} == {
        cls.__name__ for cls in SCHEDULES.values()
    }


def test_a_users_own_optimizer_is_imported_and_what_torch_lacks_is_optwises():
    own = setting_code({"class": "Torch", "optimizer": "mine.own:Sign", "hyperparameters": {"lr": 0.1}}, steps=5)
    assert own.splitlines() == [
        "import torch",
        "from mine.own import Sign",
        "",
        "optimizer = Sign(model.parameters(), lr=0.1)",
    ]
    for schedule in (None, ow.WarmupCosine(warmup=0.2)):
        wrapped = ow.EMA(ow.Momentum(lr=0.1, schedule=schedule), decay=0.9, schedule=schedule)
        code = setting_code(wrapped.describe(), steps=5)
        assert eval(code.partition("method = ")[2], {"ow": ow}) == wrapped


@pytest.mark.parametrize("value", [0.032310810716, 0.999583421, 1e-8, 0.9, 1 - 1e-6, 123456.789, 1.0, 0.0])
def test_a_printed_number_is_short_and_so_is_its_distance_to_one(value):
    printed = float(short(value))
    assert abs(printed - value) <= 5e-4 * abs(value)
    assert value in (0.0, 1.0) or abs((1 - printed) - (1 - value)) <= 5e-4 * abs(1 - value) + 1e-16
    assert len(short(value)) <= 9


def run(study, index, values):
    return Run(
        problem="p",
        method=ow.SGD(lr=0.1),
        seed=0,
        status=Status.BUDGET_SPENT,
        counts={"steps": 10 * (len(values) - 1)},
        measurements=tuple(Measurement(10 * i, "valid", "loss", v) for i, v in enumerate(values)),
        name=TrialName("p", "m", study, index, confirm=True),
    )


def test_the_setting_to_use_is_that_of_the_study_that_missed_least_and_then_arrived_first():
    late = [run(0, 0, [2.0, 0.9, 0.5, 0.5]), run(0, 1, [2.0, 0.9, 0.5, 0.5])]
    early = [run(1, 0, [2.0, 0.5, 0.5, 0.5]), run(1, 1, [2.0, 0.9, 0.5, 0.5])]
    missed = [run(2, 0, [2.0, 0.1, 0.1, 0.1]), run(2, 1, [2.0, 0.9, 0.9, 0.9])]
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "axis": "steps"}
    runs = [*late, *early, *missed]
    assert best_study(runs, target=AtMost("valid/loss", 0.6), **asked) == 1
    assert (
        best_study(runs, target=AtMost("valid/loss", 0.01), **asked) == 0
    )  # all miss: the best median, then the first
    assert best_study([*missed, *late], target=None, **asked) == 0 or best_study(missed, target=None, **asked) == 2
    assert best_study([], target=None, **asked) is None


WRAPPED = [
    ow.EMA(ow.Momentum()),
    ow.Torch(torch.optim.RAdam),
    ow.SGD(schedule=ow.WarmupCosine(warmup=ow.Uniform(0, 0.5))),
]


@pytest.mark.parametrize("method", [*(METHODS[name]() for name in IN_TORCH), *WRAPPED], ids=lambda method: method.label)
def test_a_description_is_closed_as_the_method_itself_is(method):
    point = method.space.point((0.3,) * method.space.dimensions)
    assert closed_description(method.describe(), point) == method.close(point).describe()


@pytest.mark.parametrize(
    ("value", "direction"), [(0.0625949, "min"), (0.977777, "max"), (0.0, "min"), (-3.14159, "max")]
)
def test_a_proposed_target_is_no_harder_than_what_was_reached(value, direction):
    way = Direction(direction)
    found = easier(value, way)
    assert (found - value) * way.sign >= 0
    assert abs(found - value) <= 1e-3 * abs(value)


ASKED_OF_DIGITS = {
    "the defaults": {},
    "other settings": {
        "studies": 3,
        "trials": 4,
        "seeds": 2,
        "budget": "300steps",
        "evaluations": 11,
        "axis": "steps",
        "level": 0.9,
        "margin": 0.1,
        "resamples": 100,
        "dtype": "float64",
        "seed": 5,
        "target": None,
        "metric": "valid/accuracy",
    },
    "other batches and schedules": {
        "batch_size": 32,
        "schedule": ow.WarmupLinear(warmup=0.1),
        "target": "valid/loss<=0.3",
    },
}
METHODS_OF_DIGITS = {
    "all built in": None,
    "spaces of one's own": [
        ow.SGD(lr=ow.LogUniform(1e-4, 1e-1), name="slow"),
        ow.Adam(lr=0.1, betas=(ow.OneMinus(ow.LogUniform(1e-3, 1.0)), 0.99)),
        ow.Torch(torch.optim.RAdam),
        ow.Torch(torch.optim.RMSprop, lr=ow.LogUniform(1e-4, 1e-1), momentum=0.5),
    ],
}  # fmt: skip


@pytest.mark.parametrize("asked", ASKED_OF_DIGITS.values(), ids=ASKED_OF_DIGITS.keys())
@pytest.mark.parametrize("methods", METHODS_OF_DIGITS.values(), ids=METHODS_OF_DIGITS.keys())
def test_the_command_asks_the_very_comparison_that_was_asked(asked, methods):
    protocol = ask(load_problem("digits-mlp"), methods, workers=1, **asked).protocol
    read = Protocol.read(protocol.folder_part, protocol.question_part)
    command = compare_command(read, "runs/a folder", more={"studies": 5})
    words = shlex.split(command)
    assert words[:2] == ["optwise", "compare"]
    assert parsed(words[2:]) == replace(protocol, studies=5)


@pytest.mark.parametrize("asked", [{"against": "adamw"}, {"until": "separated"}, {"until": "separated", "studies": 5}])
def test_the_command_keeps_what_was_pledged(asked):
    protocol = ask(load_problem("digits-mlp"), workers=1, **asked).protocol
    assert parsed(shlex.split(compare_command(protocol, "runs/a folder"))[2:]) == protocol


def test_of_several_problems_the_command_asks_the_very_comparison(tmp_path):
    """Problems whose metrics differ have no --metric to share, and no target."""
    chosen = [load_problem(name) for name in ("least-squares", "nqm:d=20", "digits-softmax")]
    for asked in ({}, {"target": None}):
        protocol = ask(chosen, workers=1, **asked).protocol
        words = shlex.split(compare_command(protocol, "runs/a folder"))[2:]
        assert parsed(words[3:], problems=words[:3]) == protocol


@pytest.mark.parametrize("asked", [{}, {"target": "valid/loss<=0.9", "axis": "steps", "level": 0.9, "seed": 3}])
def test_the_call_in_python_goes_on_with_the_folder(asked, tmp_path):
    problem, folder = flowers(), str(tmp_path / "runs")
    done, _ = compare(folder, problems=problem, studies=2, trials=2, **asked)
    call = compare_call(done.protocol, folder, more={"studies": 3})
    again = eval(call, {"ow": ow, "problem": problem})
    assert again.protocol == replace(done.protocol, studies=3)
    assert {str(run.name) for run in done.runs} < {str(run.name) for run in again.runs}


def parsed(words, problems=None):
    """The protocol that the command line makes of these words."""
    words = words if problems is None else ["", *words]
    flags = dict(zip(words[1::2], words[2::2], strict=True))
    out = flags.pop("--out")
    assert out == "runs/a folder"
    methods = [flags.pop("--methods")]
    kinds = {"studies": int, "trials": int, "seeds": int, "evaluations": int, "level": float, "margin": float}
    kinds |= {"resamples": int, "seed": int, "batch_size": int}
    named = {name.removeprefix("--").replace("-", "_"): value for name, value in flags.items()}
    question = read_question(problems or [words[0]], methods, {n: kinds.get(n, str)(v) for n, v in named.items()})
    return ask(question.problems, question.methods, **question.settings).protocol


def test_what_the_command_line_has_no_words_for_is_said_in_python(tmp_path):
    done, _ = compare(tmp_path / "runs", problems=flowers(), studies=2, trials=2)
    found = hints(done.document, done.protocol, done.runs, "runs/mine")
    assert compare_command(done.protocol, "runs/mine") is None
    commands = [step.command for step in found.steps]
    assert any(command.startswith("ow.compare(problem, ['sgd', ") for command in commands)
    assert len(commands) <= 3
    assert [setting.method for setting in found.settings] == list(
        dict.fromkeys(setting.method for setting in found.settings)
    )


def test_steps_follow_from_what_is_open(tmp_path):
    done, _ = compare(tmp_path / "runs", studies=4, trials=2)
    problem = next(iter(done.document["problems"].values()))
    problem["checks"] = [
        {"check": "boundary", "method": "sgd", "status": "warn", "evidence": "", "advice": "",
         "wider": {"field": "lr", "low": 0.001, "high": 100.0}}
    ]  # fmt: skip
    about = {**done.protocol.problems["flowers"], "reference": "mine.py:flowers"}
    named = replace(done.protocol, problems={"flowers": about})
    commands = [step.command for step in hints(done.document, named, done.runs, "runs/x").steps]
    (wider,) = [command for command in commands if "--methods sgd:lr=0.001..100.0,adam" in command]
    assert "--seed 1 " in wider, "a space chosen after a result is judged by other studies"
    assert wider.endswith(" --out runs/x-wider"), "the page that was read stays what it was"
    assert ASKED["trials"] == 4


def test_the_winning_setting_can_be_run_as_it_stands(tmp_path):
    done, _ = compare(tmp_path / "runs", studies=2, trials=2)
    for setting in hints(done.document, done.protocol, done.runs, "runs/x").settings:
        made = carried_out(setting.code, torch.nn.Linear(2, 1))
        assert made["optimizer"].param_groups[0]["lr"] >= 0
        assert "Study" in setting.rule
    assert DEFAULT_SCHEDULE.expression(20) is not None
