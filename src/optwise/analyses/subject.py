"""What the check rules of one method are about: its name, the metric that selects, and what a good trial is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optwise.analyses.intervals import clustered_share_interval
from optwise.core.budget import STEPS
from optwise.core.finding import Interval
from optwise.core.metric import OBJECTIVE, Direction, Target
from optwise.core.outcomes import best_value
from optwise.core.run import Run
from optwise.core.standing import Standing, eligible, ranked, spent_to_rank, standing

PLAYBOOK = "Deep Learning Tuning Playbook"
"""Source of a rule whose numbers stand there too."""
PLAYBOOK_RULE = "rule: Deep Learning Tuning Playbook; threshold: optwise, own choice"
OWN = "optwise, own choice"


@dataclass(frozen=True)
class Share:
    """How many runs do something, with the interval of the share; runs of one study count as one sample.

    Args:
        count: That do.
        n: Of so many.
        interval: Where the share may lie.
    """

    count: int
    n: int
    interval: Interval

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.n

    def exceeds(self, acceptable: float) -> bool:
        """Whether the share is more than what is acceptable, by more than chance."""
        return self.interval.low is not None and self.interval.low > acceptable


@dataclass(frozen=True)
class Subject:
    """One method on one problem, and the question asked of it.

    Args:
        problem: Name.
        method: Name within the comparison.
        metric: The metric that selects, by full name.
        direction: Which way it is better.
        target: Where time counts, the value to reach.
        tuned: Whether each study chose a setting, which its runs share; else all runs are of one setting.
        arrives: Whether a run reached the target within the budget that every method had; ``None`` asks the run alone.
        axis: What time is counted in.
    """

    problem: str
    method: str
    metric: str
    direction: Direction
    target: Target | None = None
    tuned: bool = True
    arrives: Callable[[Run], bool] | None = None
    axis: str = STEPS

    def __str__(self) -> str:
        return f"{self.problem}/{self.method}"

    @property
    def loss(self) -> str:
        """What the method minimises, by full name: the training loss, or the objective where there are no data."""
        return "train/loss" if "/" in self.metric else OBJECTIVE

    def cost(self, run: Run) -> float:
        """The run's best value, turned so that lower is better; ``inf`` where it has none."""
        return best_value(run, self.metric, self.direction) * self.direction.sign

    def curve(self, run: Run) -> list[tuple[int, float]]:
        """``(step, cost)`` after the start: the curve of the metric, turned so that lower is better."""
        return [(step, value * self.direction.sign) for step, value in run.curve(self.metric) if step > 0]

    def feasible(self, run: Run) -> bool:
        """Whether a study may select the run."""
        return eligible(run, self.metric, self.direction)

    def missed(self, run: Run) -> bool:
        """Whether the run did not reach the target."""
        if self.arrives is not None:
            return not self.arrives(run)
        return not math.isfinite(self.standing(run).spent)

    def standing(self, run: Run) -> Standing:
        """What the run is worth to the rule that selects."""
        return standing(run, metric=self.metric, direction=self.direction, target=self.target, axis=self.axis)

    def spent(self, run: Run, step: float) -> float:
        """What the run had spent after some steps, in the unit of :meth:`standing`."""
        return spent_to_rank(run, self.axis, step)

    def ranked(self, search: Sequence[Run]) -> list[Run]:
        """Feasible trials, best first by the rule that selects: earliest at the target, misses by best value."""
        return ranked(search, metric=self.metric, direction=self.direction, target=self.target, axis=self.axis)

    def seed_sd(self, confirm: Sequence[Run], number: Callable[[Run], float] | None = None) -> float | None:
        """Standard deviation of a number over seeds, pooled within studies; ``None`` without two of one study.

        Args:
            confirm: Confirmations.
            number: Of a run, its best value by default; what is not finite is left out.
        """
        known = [[x for x in map(number or self.cost, runs) if math.isfinite(x)] for runs in self.alike(confirm)]
        freedom = sum(len(numbers) - 1 for numbers in known if numbers)
        squares = sum(float(np.var(numbers)) * len(numbers) for numbers in known if numbers)
        return math.sqrt(squares / freedom) if freedom else None

    def alike(self, runs: Sequence[Run]) -> list[list[Run]]:
        """Runs that share a setting, and so are no independent samples of what the method does when it is tuned."""
        return studies(runs) if self.tuned or len(runs) == 0 else [list(runs)]

    def share(self, runs: Sequence[Run], holds: Callable[[Run], bool]) -> Share:
        """How many runs do something.

        Args:
            runs: At least one.
            holds: What.
        """
        groups = self.alike(runs)
        counts = [sum(map(holds, group)) for group in groups]
        return Share(sum(counts), len(runs), clustered_share_interval(counts, [len(group) for group in groups]))


def studies(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs by study, in order; runs without an address are one study."""
    groups: dict[int | None, list[Run]] = {}
    for run in runs:
        groups.setdefault(None if run.name is None else run.name.study, []).append(run)
    return list(groups.values())


def anchor(*parts: str) -> str:
    """The id of a chart on the page, every other character than letters and digits turned into a dash.

    Example:
        >>> anchor("axis", "my adam", "betas[0]")
        'axis-my-adam-betas-0-'
    """
    return re.sub(r"[^A-Za-z0-9]", "-", "-".join(parts))
