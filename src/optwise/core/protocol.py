"""The frozen plan of a comparison, what identifies it, and the keys of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS, Budget
from optwise.core.errors import BadProtocol, UnknownName
from optwise.core.method import Method, Recorded
from optwise.core.metric import Target
from optwise.core.plain import digest, plain
from optwise.core.run import TrialName

AXES = (EXAMPLE_GRADIENTS, STEPS, SECONDS)
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Study:
    """One search of one method on one problem: numbered points, the one it selects, its confirmation.

    Args:
        problem, method: Names.
        number: From 0.
        points: The closed values of each numbered point, by path.
        selected: Index of the selected point; ``None`` before the search ends, or where no trial was feasible.
    """

    problem: str
    method: str
    number: int
    points: tuple[Mapping[str, Any], ...]
    selected: int | None = None


@dataclass(frozen=True)
class Protocol:
    """What is compared, and how.

    Args:
        problems: Name to description (reference, sampler, fingerprint).
        methods: Name to method, open or closed, each with its schedule.
        budget: Of each trial.
        studies: Independent searches of each method.
        trials: Points of each search.
        seeds: Fresh seeds that confirm each selected point.
        evaluations: How many evenly spaced measurements, the start and the end included.
        targets: Problem to target, ``None`` where there is none.
        metrics: Problem to the metric that selects.
        axis: What time is counted in.
        level: Of tests and intervals.
        margin: Relative margin of equivalence.
        resamples: Of bootstrap bands.
        dtype, device: Of every trial.
        seed: Base of every other seed.
        scientific: Method to paths that are the question's subject; all other open fields are nuisances.
        against: The one method whose pairs are asked about; ``None`` asks about all pairs.
        looks: Numbers of studies at which a sequential design looks, all of them planned; empty for a single look.
    """

    problems: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Method]
    budget: Budget
    studies: int
    trials: int = 16
    seeds: int = 4
    evaluations: int = 41
    targets: Mapping[str, Target | None] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    axis: str = EXAMPLE_GRADIENTS
    level: float = 0.95
    margin: float = 0.02
    resamples: int = 10_000
    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0
    scientific: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    against: str | None = None
    looks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for word in ("studies", "trials", "seeds", "resamples"):
            count = getattr(self, word)
            if not isinstance(count, int) or count < 1:
                raise BadProtocol(f"{word} is {count}; a comparison needs a whole number of at least 1.")
        if self.evaluations < 2:
            raise BadProtocol(f"evaluations is {self.evaluations}; a run needs at least 2, its start and its end.")
        if not 0 < self.level < 1:
            raise BadProtocol(f"level is {self.level:g}; give a number between 0 and 1, as in 0.95.")
        if not 0 <= self.margin < 1:
            raise BadProtocol(f"margin is {self.margin:g}; give a share between 0 and 1, as in 0.02.")
        if self.against is not None and self.against not in self.methods:
            raise UnknownName("method to compare against", self.against, self.methods)
        if self.axis not in AXES:
            raise UnknownName("axis", self.axis, AXES)
        if self.dtype not in DTYPES:
            raise UnknownName("dtype", self.dtype, DTYPES)

    @property
    def folder_hash(self) -> str:
        """What a folder is about: problems, sampler, budget, evaluations, trials, seeds per study, dtype, base seed."""
        return digest(self.folder_part)

    @property
    def folder_part(self) -> dict[str, Any]:
        """What a folder is about, as plain JSON: two protocols that agree here may share a folder."""
        part: dict[str, Any] = plain(
            {
                "problems": self.problems,
                "budget": str(self.budget),
                "evaluations": self.evaluations,
                "trials": self.trials,
                "seeds": self.seeds,
                "dtype": self.dtype,
                "seed": self.seed,
            }
        )
        return part

    @property
    def question_part(self) -> dict[str, Any]:
        """What is asked of the folder, as plain JSON."""
        part: dict[str, Any] = plain(
            {
                "methods": {name: method.describe() for name, method in self.methods.items()},
                "studies": self.studies,
                "targets": {name: None if t is None else str(t) for name, t in self.targets.items()},
                "metrics": self.metrics,
                "axis": self.axis,
                "level": self.level,
                "margin": self.margin,
                "resamples": self.resamples,
                "scientific": self.scientific,
                "device": self.device,
                # left out where not asked for: what was recorded before there were such questions keeps its hash
                **({} if self.against is None else {"against": self.against}),
                **({"looks": list(self.looks)} if self.looks else {}),
            }
        )
        return part

    @property
    def hash(self) -> str:
        """The whole protocol: what the folder is about, and the question asked of it."""
        return digest({"folder": self.folder_hash, "question": self.question_part})

    @classmethod
    def read(cls, folder_part: Mapping[str, Any], question_part: Mapping[str, Any]) -> Protocol:
        """The protocol of a record; its methods can be scored and drawn, not run."""
        question = dict(question_part)
        methods = {
            name: Recorded(name=name, description=description) for name, description in question.pop("methods").items()
        }
        targets = {name: None if t is None else Target.parse(t) for name, t in question.pop("targets").items()}
        scientific = {name: tuple(paths) for name, paths in question.pop("scientific").items()}
        question["looks"] = tuple(question.get("looks", ()))
        rest = {**folder_part, **question, "budget": Budget.parse(folder_part["budget"])}
        return cls(methods=methods, targets=targets, scientific=scientific, **rest)

    def evaluation_steps(self, steps: int) -> tuple[int, ...]:
        """The steps at which a run of ``steps`` steps is measured, from 0 to ``steps``."""
        return tuple(
            int(k) for k in np.unique(np.rint(np.linspace(0, steps, min(self.evaluations, steps + 1))).astype(int))
        )

    def names(self, problem: str, method: str) -> tuple[list[TrialName], list[TrialName]]:
        """Addresses of a method's search, and of its confirmations (library defaults last).

        A closed method has no search: its studies are their confirmations alone.
        """
        is_open = self.methods[method].is_open
        search = [
            TrialName(problem, method, study, index)
            for study in range(self.studies if is_open else 0)
            for index in range(self.trials)
        ]
        confirm = [
            TrialName(problem, method, study, index, confirm=True)
            for study in [*range(self.studies), -1]
            for index in range(self.seeds)
        ]
        return search, confirm


def trial_key(
    *,
    fingerprint: str,
    sampler: Mapping[str, Any],
    method: Method,
    seed: int,
    steps: int,
    evaluation_steps: tuple[int, ...],
    dtype: str,
    device: str,
    versions: Mapping[str, str],
    budget: Budget | None = None,
) -> str:
    """What a trial is by content: two trials with one key are one trial, whatever they are called.

    Args:
        fingerprint: Of the problem's data and loss at seed 0.
        sampler: Its description.
        method: Closed.
        seed: Of start and data order.
        steps: How long.
        evaluation_steps: When it was measured.
        dtype: Of the parameters.
        device: Of the parameters.
        versions: Of the packages that make the numbers.
        budget: What ends it, where that is not ``steps``.
    """
    counted = {} if budget is None else {"budget": str(budget)}
    return digest(
        {
            **counted,
            "fingerprint": fingerprint,
            "sampler": sampler,
            "method": method.describe(),
            "seed": seed,
            "steps": steps,
            "evaluation_steps": list(evaluation_steps),
            "dtype": dtype,
            "device": device,
            "versions": versions,
        }
    )[:32]
