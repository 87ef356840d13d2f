"""What the check rules of one method are about: its name, the metric that selects, and what a good trial is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, steps_to_target
from optwise.core.run import Run

PLAYBOOK = "Deep Learning Tuning Playbook"
"""Source of a rule whose numbers stand there too."""
PLAYBOOK_RULE = "rule: Deep Learning Tuning Playbook; threshold: optwise, own choice"
OWN = "optwise, own choice"


@dataclass(frozen=True)
class Subject:
    """One method on one problem, and the question asked of it.

    Args:
        problem: Name.
        method: Name within the comparison.
        metric: The metric that selects, by full name.
        direction: Which way it is better.
        target: Where time counts, the value to reach.
    """

    problem: str
    method: str
    metric: str
    direction: Direction
    target: Target | None = None

    def __str__(self) -> str:
        return f"{self.problem}/{self.method}"

    def cost(self, run: Run) -> float:
        """The run's best value, turned so that lower is better; ``inf`` where it has none."""
        return best_value(run, self.metric, self.direction) * self.direction.sign

    def curve(self, run: Run) -> list[tuple[int, float]]:
        """``(step, cost)`` after the start: the curve of the metric, turned so that lower is better."""
        return [(step, value * self.direction.sign) for step, value in run.curve(self.metric) if step > 0]

    def feasible(self, run: Run) -> bool:
        """Whether a study may select the run."""
        return not run.infeasible and run.status.ok and math.isfinite(self.cost(run))

    def ranked(self, search: Sequence[Run]) -> list[Run]:
        """Feasible trials, best first by the rule that selects: earliest at the target, misses by best value."""

        def place(run: Run) -> tuple[float, float]:
            step = None if self.target is None else steps_to_target(run, self.target)
            return math.inf if step is None else float(step), self.cost(run)

        return sorted((run for run in search if self.feasible(run)), key=place)

    def seed_sd(self, confirm: Sequence[Run]) -> float | None:
        """Standard deviation of the best value over seeds, pooled within studies; ``None`` without two of one study."""
        by_study: dict[int, list[float]] = {}
        for run in confirm:
            if run.name is not None and math.isfinite(self.cost(run)):
                by_study.setdefault(run.name.study, []).append(self.cost(run))
        freedom = sum(len(costs) - 1 for costs in by_study.values())
        squares = sum(float(np.var(costs)) * len(costs) for costs in by_study.values())
        return math.sqrt(squares / freedom) if freedom else None


def anchor(*parts: str) -> str:
    """The id of a chart on the page, every other character than letters and digits turned into a dash.

    Example:
        >>> anchor("axis", "my adam", "betas[0]")
        'axis-my-adam-betas-0-'
    """
    return re.sub(r"[^A-Za-z0-9]", "-", "-".join(parts))
