"""From what a caller says to a frozen protocol: defaults filled in, mistakes refused with a sentence."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, TypedDict, Unpack

import torch

from optwise.core.budget import EXAMPLE_GRADIENTS, Budget
from optwise.core.errors import BadMethod, BadProblem, BadProtocol, UnknownName, UnmetNeed
from optwise.core.matching import mismatch
from optwise.core.method import Method
from optwise.core.metric import Target
from optwise.core.problem import Problem
from optwise.core.protocol import Protocol
from optwise.core.sampler import Full, Poisson, Shuffled, Stream, WithReplacement, describe
from optwise.core.schedule import Schedule
from optwise.core.showing import brief
from optwise.engine.executors import EXECUTORS, ExecutorName
from optwise.methods import DEFAULT_SCHEDULE, METHODS, Torch
from optwise.numerics.sequential import nominal_level
from optwise.numerics.statistics import fewest_for

DEFAULT_METHODS = ("sgd", "momentum", "adagrad", "adam", "adamw")
DEFAULT_STUDIES = 8
"""Measured by benchmarks/false_alarms.py: power 0.92 at a true time ratio of 3 over five methods; six reach 0.73."""
SEPARATED = "separated"
LOOKS = 4
"""Looks of a sequential design: after as many studies as a fixed one has, and after two, three and four times that."""
FOLDERS = "runs"

Asked = Sequence[Method | type] | None
TargetAsked = Target | str | None


@dataclass(frozen=True, eq=False)
class Question:
    """A protocol with the objects it speaks of, ready to be checked and run.

    Args:
        protocol: What is compared, and how.
        problems: By name, each with the sampler of the protocol.
        executor: Where chunks run.
        workers: Processes at once.
    """

    protocol: Protocol
    problems: Mapping[str, Problem]
    executor: ExecutorName
    workers: int


class Settings(TypedDict, total=False):
    """Everything a caller may say about a comparison besides its problems and methods; each has a default.

    Attributes:
        studies: Searches of each method; by default 8, or the fewest with which Holm can reach the level.
        trials: Points of each search, 16.
        seeds: Fresh seeds that confirm each selected point, 4.
        budget: Of each trial, ``1000steps``; a bare number means steps.
        evaluations: Evenly spaced measurements of a trial, its start and end included, 41.
        target: A target, or its text ``valid/loss<=0.25``; ``"default"`` takes each problem's own; ``None`` compares
            best values.
        metric: What selects; by default each problem's main metric.
        axis: What time is counted in, ``example-gradients``.
        level: Of tests and intervals, 0.95.
        margin: Relative margin of equivalence, 0.02.
        resamples: Of bootstrap bands, 10,000.
        batch_size: Replaces that of the problems' samplers.
        dtype: Of the parameters, ``float32``.
        device: Where they live, ``cpu``.
        workers: Processes at once; by default one per core.
        executor: ``processes`` or ``local``; by default processes where there is more than one.
        seed: Base of every other seed, 0.
        schedule: Given to every method that has none; by default 5 % warm-up, then cosine to 0.
        scientific: Method to the paths that are the question's subject.
        against: The one method that the others are compared with, named before any trial: its pairs alone share the
            correction. By default all pairs do.
        until: ``"separated"`` adds studies until every pair is told apart, at most four times ``studies``, in a
            sequential design whose looks are corrected for.
        tol, max_seconds, repeats: Of a comparison of solvers, which has no other setting: what each certificate must
            reach, 1e-6; after how long a run is ended, 60; runs of each for its seconds, 5.
    """

    studies: int | None
    trials: int
    seeds: int
    budget: Budget | str | int
    evaluations: int
    target: TargetAsked
    metric: str | None
    axis: str
    level: float
    margin: float
    resamples: int
    batch_size: int | None
    dtype: str
    device: str
    workers: int | None
    executor: str | None
    seed: int
    schedule: Schedule | None
    scientific: Mapping[str, tuple[str, ...]] | None
    against: str | None
    until: str | None
    tol: float
    max_seconds: float
    repeats: int


def ask(problems: Problem | Sequence[Problem], methods: Asked = None, **settings: Unpack[Settings]) -> Question:
    """Fill in the defaults and freeze the protocol.

    Args:
        problems: One or several, their names unique.
        methods: Methods, method classes, or ``torch.optim.Optimizer`` classes; ``None`` takes the default five.
        settings: See :class:`Settings`; one list of settings serves every verb that compares.

    Raises:
        CallerError: With one sentence that says what to do.
    """
    refuse_unknown("setting", settings, Settings.__annotations__)
    chosen = named_problems(problems, settings.get("batch_size"))
    named = _methods(methods, settings.get("schedule") or DEFAULT_SCHEDULE)
    for name in ("tol", "max_seconds", "repeats"):
        if settings.get(name) is not None:
            raise BadProtocol(f"{name} belongs to comparisons of solvers alone, and not all methods here are solvers.")
    for problem in chosen.values():
        for method in named.values():
            _match(problem, method)
    level, device = settings.get("level", 0.95), settings.get("device", "cpu")
    _device(device)
    against, until, budget = settings.get("against"), settings.get("until"), settings.get("budget", "1000steps")
    pairs = len(named) - 1 if against is not None else comb(len(named), 2)
    asked = settings.get("studies")
    studies = _enough(pairs, level, looks=0 if until is None else LOOKS) if asked is None else asked
    looks = _looks(until, studies)
    place, workers = _place(settings.get("executor"), settings.get("workers"), device)
    target, metric = settings.get("target", "default"), settings.get("metric")
    protocol = Protocol(
        problems={name: _describe(problem) for name, problem in chosen.items()},
        methods=named,
        budget=budget if isinstance(budget, Budget) else Budget.parse(str(budget)),
        studies=looks[-1] if looks else studies,
        trials=settings.get("trials", 16),
        seeds=settings.get("seeds", 4),
        evaluations=settings.get("evaluations", 41),
        targets={name: _target(problem, target) for name, problem in chosen.items()},
        metrics={name: _metric(problem, metric) for name, problem in chosen.items()},
        axis=settings.get("axis", EXAMPLE_GRADIENTS),
        level=level,
        margin=settings.get("margin", 0.02),
        resamples=settings.get("resamples", 10_000),
        dtype=settings.get("dtype", "float32"),
        device=device,
        seed=settings.get("seed", 0),
        scientific=settings.get("scientific") or {},
        against=against,
        looks=looks,
    )
    return Question(protocol, chosen, place, workers)


def refuse_unknown(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse a misspelt keyword, which would otherwise leave a default in place without a word.

    Raises:
        UnknownName: With the nearest names.
    """
    for name in given:
        if name not in known:
            raise UnknownName(kind, name, known)


def _place(executor: str | None, workers: int | None, device: str) -> tuple[ExecutorName, int]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = cores if workers is None else workers
    if count < 1:
        raise BadProtocol(f"workers is {count}; give at least 1.")
    place = executor or ("processes" if count > 1 and device == "cpu" else "local")
    if place not in EXECUTORS:
        raise UnknownName("executor", place, EXECUTORS)
    return ("processes" if place == "processes" else "local"), count


def _enough(pairs: int, level: float, *, looks: int) -> int:
    if not 0 < level < 1:
        return DEFAULT_STUDIES  # the protocol refuses the level with its own sentence
    share = (1 - level) / max(1, pairs)
    return max(DEFAULT_STUDIES, fewest_for(nominal_level(share, range(1, looks + 1)) if looks else share))


def _looks(until: str | None, studies: int) -> tuple[int, ...]:
    if until is None:
        return ()
    if until != SEPARATED:
        raise UnknownName("end of a comparison", until, (SEPARATED,))
    if not isinstance(studies, int) or studies < 1:
        raise BadProtocol(f"studies is {studies}; a comparison needs a whole number of at least 1.")
    return tuple(studies * k for k in range(1, LOOKS + 1))


def named_problems(problems: Problem | Sequence[Problem], batch_size: int | None = None) -> dict[str, Problem]:
    """The problems by name, each with its sampler resized where a batch size is given.

    Raises:
        CallerError: None, one that is no problem, two of one name, a name with a slash, a batch of no data.
    """
    given = [problems] if isinstance(problems, Problem | str) or not isinstance(problems, Iterable) else list(problems)
    if not given:
        raise BadProtocol("No problem was given; name at least one, as in digits-mlp.")
    named: dict[str, Problem] = {}
    for problem in given:
        if not isinstance(problem, Problem):
            raise BadProblem(f"{brief(problem)} is no Problem; make one with ow.problems.from_module or name one.")
        if problem.name in named:
            raise BadProtocol(f"Two problems are called {problem.name!r}; give each a name of its own.")
        if "/" in problem.name:
            raise BadProblem(
                f"The problem name {problem.name!r} holds a slash, which separates parts of a trial's address."
            )
        named[problem.name] = problem if batch_size is None else problem.with_sampler(_resized(problem, batch_size))
    return named


def _resized(problem: Problem, batch_size: int) -> Any:
    sampler = problem.sampler
    if batch_size < 1:
        raise BadProtocol(f"batch size is {batch_size}; give at least 1.")
    if isinstance(sampler, Shuffled | WithReplacement | Stream):
        return replace(sampler, batch_size=batch_size)
    if isinstance(sampler, Poisson):
        return Poisson(min(1.0, batch_size / problem.examples))
    if isinstance(sampler, Full) and problem.data is not None:
        return Shuffled(batch_size)
    raise BadProtocol(f"{problem.name} has no data to draw a batch of {batch_size} from; leave the batch size out.")


def _methods(methods: Asked, schedule: Schedule) -> dict[str, Method]:
    named = named_methods([METHODS[name] for name in DEFAULT_METHODS] if methods is None else methods)
    return {
        name: method if method.schedule is not None else replace(method, schedule=schedule)
        for name, method in named.items()
    }


def named_methods(methods: Sequence[Method | type]) -> dict[str, Method]:
    """The methods by name.

    Raises:
        CallerError: None, one that is no method, two of one name, a name with a slash.
    """
    if not methods:
        raise BadProtocol("No method was given; name at least one, as in adamw.")
    named: dict[str, Method] = {}
    for method in map(_method, methods):
        if method.label in named:
            raise BadProtocol(f"Two methods are called {method.label!r}; give one of them another name=.")
        if "/" in method.label:
            raise BadMethod(
                f"The method name {method.label!r} holds a slash, which separates parts of a trial's address."
            )
        named[method.label] = method
    return named


def _method(asked: Method | type) -> Method:
    if isinstance(asked, Method):
        return asked
    if isinstance(asked, type) and issubclass(asked, Method):
        return asked()
    if isinstance(asked, type) and issubclass(asked, torch.optim.Optimizer):
        return Torch(asked)
    raise BadMethod(
        f"{brief(asked)} is no method; give a Method such as ow.AdamW(), a torch.optim.Optimizer class, or a name."
    )


def _match(problem: Problem, method: Method) -> None:
    refusal = mismatch(problem, method)
    if refusal:
        raise UnmetNeed(f"{refusal}; choose another method.")


def _metric(problem: Problem, metric: str | None) -> str:
    name = metric or problem.main_metric
    known = [m for m in problem.metric_names if not m.startswith("test/")]
    if name.startswith("test/"):
        raise BadProtocol(
            f"{name} cannot select: the test split is looked at once, at the end; choose {', '.join(known)}."
        )
    if name not in known:
        raise UnknownName(f"metric of {problem.name}", name, known)
    return name


def _target(problem: Problem, target: TargetAsked) -> Target | None:
    if target == "default":
        return problem.target
    if target is None:
        return None
    if isinstance(target, str):
        target = Target.parse(target)
    name = _metric(problem, target.metric)
    direction = problem.direction(name)
    if target.direction is not direction:
        sign = "<=" if direction.value == "min" else ">="
        raise BadProtocol(
            f"Target {target} points the wrong way: {'lower' if sign == '<=' else 'higher'} is better for {name}; "
            f"write {name}{sign}{target.value:g}."
        )
    return target


def _device(device: str) -> None:
    if device.startswith("meta"):
        raise BadProtocol("Device 'meta' holds no numbers, so nothing can be trained there; try cpu.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadProtocol(f"Device {device!r} cannot be used here ({str(error).splitlines()[0]}); try cpu.") from error


def _describe(problem: Problem) -> dict[str, Any]:
    """What identifies a problem within a protocol, and what the ledger prints of it."""
    w, buffers = problem.start(0)
    other, _ = problem.start(1)
    fixed_start = all(torch.equal(w[name], other[name]) for name in w)
    return {
        "reference": problem.reference,
        "sampler": describe(problem.sampler),
        "fingerprint": problem.fingerprint(),
        "batch_size": problem.batch_size,
        "examples": problem.examples,
        "splits": {} if problem.data is None else {n: s.examples for n, s in problem.data.splits.items()},
        "parameters": sum(leaf.numel() for leaf in w.values()),
        "buffers": sum(leaf.numel() for leaf in buffers.values()),
        "predictor": problem.predictor,
        "metrics": {m.name: m.direction.value for m in problem.metrics},
        "deterministic": fixed_start and isinstance(problem.sampler, Full),
        **({"notes": list(problem.notes)} if problem.notes else {}),
    }
