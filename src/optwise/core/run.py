"""Everything that was measured in one trial, and how it ended."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from optwise.core.answer import Answer
from optwise.core.budget import SECONDS
from optwise.core.cards import run_card, runs_card
from optwise.core.certificate import Certificate
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.finding import Finding
from optwise.core.forecast import Floats, Forecast
from optwise.core.layout import Layout, Leaves
from optwise.core.method import Method
from optwise.core.metric import Target
from optwise.core.showing import Card, Shown, Terse
from optwise.core.spending import Spending, StepTime
from optwise.core.status import Status

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


class Measurement(NamedTuple):
    """One number: ``split`` is empty where there is no data."""

    step: int
    split: str
    metric: str
    value: float

    @property
    def name(self) -> str:
        """Full name, ``valid/loss`` or ``objective``."""
        return f"{self.split}/{self.metric}" if self.split else self.metric


class Phase(Enum):
    """What a trial is for."""

    EXPLORE = "explore"
    CONFIRM = "confirm"
    DEFAULT = "default"
    REFERENCE = "reference"


@dataclass(frozen=True, order=True)
class TrialName:
    """The address of a trial: ``digits-mlp/adamw/2/7``; a confirmation is ``.../2/c3``, at defaults ``.../d/c3``.

    Args:
        problem, method: Names.
        study: Number of the study, from 0; -1 at library defaults.
        index: Point of the design, or fresh seed of a confirmation, from 0.
        confirm: Whether it is a confirmation.

    Example:
        >>> str(TrialName.parse("digits-mlp/adamw/2/c3")), TrialName.parse("p/m/d/c0").phase.value
        ('digits-mlp/adamw/2/c3', 'default')
    """

    problem: str
    method: str
    study: int
    index: int
    confirm: bool = False

    def __str__(self) -> str:
        study = "d" if self.study < 0 else str(self.study)
        return f"{self.problem}/{self.method}/{study}/{'c' if self.confirm else ''}{self.index}"

    @property
    def phase(self) -> Phase:
        """What the trial is for."""
        if self.study < 0:
            return Phase.DEFAULT
        return Phase.CONFIRM if self.confirm else Phase.EXPLORE

    @classmethod
    def parse(cls, text: str) -> TrialName:
        """Read the address; problem names may hold no slash.

        Raises:
            BadProtocol: It cannot be read.
        """
        match = re.fullmatch(r"([^/]+)/([^/]+)/(\d+|d)/(c?)(\d+)", text)
        if match is None or (match[3] == "d" and not match[4]):
            raise BadProtocol(
                f"Trial {text!r} cannot be read; write problem/method/study/index, as in digits-mlp/adamw/2/7."
            )
        return cls(match[1], match[2], -1 if match[3] == "d" else int(match[3]), int(match[5]), bool(match[4]))


class Weights(Terse, ABC):
    """A handle to weights: memory, a file, a sharded checkpoint."""

    step: int | None = None
    """The step at which they were held; ``None`` for those of the end."""

    @abstractmethod
    def load(self) -> Leaves:
        """The leaves by name."""


@dataclass(frozen=True, eq=False)
class HeldWeights(Weights):
    """Weights in memory.

    Args:
        leaves: By name.
        step: At which they were held; ``None`` for those of the end.
    """

    leaves: Leaves
    step: int | None = None

    def load(self) -> Leaves:
        return self.leaves


@dataclass(frozen=True)
class Execution:
    """How a run was executed.

    Args:
        rung: ``solo``, ``vmap`` or ``traced``.
        rows: Trials that shared the pass.
        dtype, device: Of the parameters.
        chunk: Which unit of commit it belonged to.
        reason: Why this rung, one sentence.
        retried_solo: Whether the row was run again alone after its chunk failed.
        share_seconds: Wall-clock seconds of the chunk over its rows: what the trial cost here. It says nothing about
            the speed of the method; ``None`` where nobody looked at the clock.
    """

    rung: str
    rows: int
    dtype: str
    device: str
    chunk: str = ""
    reason: str = ""
    retried_solo: bool = False
    share_seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Run(Shown):
    """One trial.

    Args:
        problem: Name of the problem.
        method: The closed method.
        seed: Seed of start and data order.
        status: How it ended.
        counts: Steps, examples, example-gradients and further units, each counted.
        measurements: A long table in order of steps.
        spending: The counters at each evaluation.
        execution: How it was executed; ``None`` for a predicted run.
        weights: Handle to the final weights, where they were kept.
        seconds: Time of the steps alone, where the run had the clock to itself; ``None`` for a batched row.
        evaluation_seconds: Time spent measuring, apart.
        findings, certificate: What was found, what is proved.
        traceback: Text of the exception that ended a crashed run.
        infeasible: Label: worse than the start or the trivial predictor, or a loss above 1e6 times the start.
        measured: Whether it was run; theory predicts runs with ``False``.
        name: Its address within a comparison.
        point: The values chosen for the method's open fields, by path.
        key: Its content key within a comparison.
        forecast: What theory says, of a predicted run.
        answer: What a solver answered, of a run of ``solve``.
        best_weights: Handle to the weights that were measured at ``best_step``, where they were kept.
        best_step: The evaluation with the best value of the metric that selects, the start apart.
    """

    problem: str
    method: Method
    seed: int
    status: Status
    counts: Mapping[str, float]
    measurements: tuple[Measurement, ...]
    execution: Execution | None = None
    weights: Weights | None = None
    seconds: float | None = None
    evaluation_seconds: float | None = None
    findings: tuple[Finding, ...] = ()
    certificate: Certificate | None = None
    traceback: str = ""
    infeasible: bool = False
    measured: bool = True
    name: TrialName | None = None
    point: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    forecast: Forecast | None = None
    answer: Answer | None = None
    spending: Spending = field(default_factory=Spending)
    best_weights: Weights | None = None
    best_step: int | None = None

    @property
    def w(self) -> Tensor:
        """The answer of ``solve``, in the shape of the problem's one leaf; of several leaves, their packed vector."""
        leaves = self.state_dict()
        return next(iter(leaves.values())) if len(leaves) == 1 else Layout.of(leaves).pack(leaves)

    @property
    def value(self) -> float:
        """Objective of ``solve`` at the answer, penalty included, in float64."""
        return self._solved().value

    @property
    def why(self) -> str:
        """Why ``solve`` took this method, and what else there is to say of its answer."""
        return self._solved().why

    @property
    def classes(self) -> tuple[Any, ...]:
        """The caller's labels of a classifier that ``solve`` fitted, as -1 and 1, or as the columns of w."""
        return self._solved().classes

    @property
    def trace(self) -> pd.DataFrame:
        """The course of ``solve``: iteration, seconds, value, certificate, step, and a column for each count."""
        return self._solved().frame()

    def _solved(self) -> Answer:
        if self.answer is None:
            raise RunFailed("This run was not made by `ow.solve`; read its `curve(metric)` and `state_dict()`.")
        return self.answer

    @property
    def risk(self) -> Floats:
        """Predicted excess over the optimum at steps 0 to k: ``bias + noise / batch size``."""
        return self._predicted().risk

    @property
    def bias(self) -> Floats:
        """What the start leaves behind at steps 0 to k, of a predicted run."""
        return self._predicted().bias

    @property
    def noise(self) -> Floats:
        """What the noise of batches of one adds at steps 0 to k, of a predicted run."""
        return self._predicted().noise

    def _predicted(self) -> Forecast:
        if self.forecast is None:
            raise RunFailed("This run was measured, not predicted; read its `curve(metric)`, or ask `ow.predict`.")
        return self.forecast

    def steps_to(self, target: float | Target) -> int | None:
        """First step at or past the target, among all steps of a predicted run, evaluations of a measured one.

        What is measured fluctuates, so that a hit must hold: the next evaluation is at or past the target too. The last
        evaluation counts alone where nothing came after it, because the budget was spent or the method had ended.

        Args:
            target: Where a run was measured a :class:`Target`; where it was predicted an excess over the optimum too.

        Returns:
            ``None`` for a miss.

        Raises:
            BadProtocol: A bare number asked of a measured run, or a metric that was not predicted.
        """
        if self.forecast is not None:
            return self.forecast.steps_to(target)
        if not isinstance(target, Target):
            raise BadProtocol(f"Target {target:g} names no metric; give one, as in AtMost('valid/loss', {target:g}).")
        curve = self.curve(target.metric)
        hits = [target.reached_by(value) for _, value in curve]
        hits.append(self.ended_whole)
        return next((step for k, (step, _) in enumerate(curve) if hits[k] and hits[k + 1]), None)

    @property
    def ended_whole(self) -> bool:
        """Whether nothing was to come after the last evaluation: it did not diverge, crash or stop short there."""
        return self.status.ok or self.status is Status.STALLED

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """``(step, value)`` of one metric by full name, in order."""
        return [(m.step, m.value) for m in self.measurements if m.name == metric]

    def evaluations_at(self) -> tuple[int, ...]:
        """The steps at which the run was measured, in order, the start's 0 included."""
        return tuple(sorted({m.step for m in self.measurements}))

    def spent(self, axis: str, step: float, *, timing: StepTime | None = None) -> float:
        """What the run had spent of ``axis`` after ``step`` steps, by its own counters.

        Exact at the steps of :meth:`evaluations_at` and at the end, straight lines between them.

        Args:
            axis: ``steps``, ``examples``, ``example-gradients``, ``evaluations``, another unit that the run counted,
                or ``seconds``.
            step: Steps taken.
            timing: How long the method's steps take; only seconds need it.

        Raises:
            BadProtocol: Seconds without a timing.
            UnknownName: An axis that nobody counted.
        """
        paid = self.spending if self.spending.steps else Spending.spread(self.evaluations_at(), self.counts)
        if axis != SECONDS:
            return paid.at(axis, step)
        if timing is None:
            raise BadProtocol(f"{self.problem}: seconds are steps times a step's time; give the method's timing.")
        return timing.of(paid, step)

    @property
    def weights_step(self) -> int | None:
        """The step that the weights of :meth:`state_dict` are of; ``None`` where none were kept."""
        if self.weights is None:
            return None
        end = self.counts.get("steps", self.counts.get("iterations", 0))
        return int(end) if self.weights.step is None else self.weights.step

    def state_dict(self) -> Leaves:
        """The weights by leaf name, ready for ``module.load_state_dict``: those of the end, or of ``weights_step``.

        Raises:
            RunFailed: The weights were not kept.
        """
        if self.weights is None:
            raise RunFailed("The weights of this run were not kept; `optwise rerun` makes them again.")
        return self.weights.load()

    def frame(self) -> pd.DataFrame:
        """One row a measurement: step, split, metric, value."""
        import pandas as pd

        return pd.DataFrame(self.measurements, columns=list(Measurement._fields))

    def raise_if_failed(self) -> None:
        """For scripts: raise :class:`RunFailed` unless the run ended well."""
        if not self.status.ok:
            raise RunFailed(f"The run ended: {self.status.value}.")

    def card(self) -> Card:
        return run_card(self)


class Runs(Shown, tuple[Run, ...]):
    """Several runs in their order, told by how many of each method there are and how they ended."""

    def card(self) -> Card:
        return runs_card(self)
