"""Whose turn it is: the method that is expected to take least work, given what was predicted and what was spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import final

from optwise.analyses.solver_costs import predicted_seconds, rank, spent_seconds
from optwise.core.composite import Composite
from optwise.core.problem import Problem
from optwise.verbs.explaining import Choice, look_closely, matching_features

ATTEMPTS = 6
"""Methods that are tried at most."""
LEAST = 0.25
"""What a method is given at least, in frozen seconds."""
PATIENCE = 10.0
"""Times its prediction that a method is given."""
LONGER = 4.0
"""Times what it has had already that a method is given when its turn comes again."""
MOST, DEAR = 120.0, 1000.0
"""What all methods are given together where nobody set a time, in frozen seconds and in times the least prediction."""
WORST = 1e16
"""A condition number beyond which rounding decides."""


@final
class Turns:
    """The methods for a problem, one after the other, each for some work; who has not stalled may get another turn.

    Work is what was asked and factorised, priced in *frozen seconds*: those of the machine that the cost model was
    fitted on, made from sizes and counts. Nothing here looks at a clock, so that turns are the same on every machine,
    in every process and under every load.

    A method that was not done when its work was up will take at least as much again. If that could be due to a worse
    condition number than was assumed, the assumption is raised until it would have been predicted, so that all others
    that depend on it fall back as well.

    Args:
        problem: What is solved.
        composite: As solvers see it.
        timed: Whether the caller's own limit of time ends it.
    """

    def __init__(self, problem: Problem, composite: Composite, *, timed: bool) -> None:
        self._composite = composite
        matched = matching_features(problem, composite)
        self._of, self._prices = matched.of, matched.prices
        self._ranks = {name: rank(name, self._of) for name in matched.methods}  # of those that may be asked
        self._spent: dict[str, float] = {}
        self._in_vain = 0.0
        least = min(self._ranks.values(), default=0.0)
        self._most = math.inf if timed else max(MOST, DEAR * least)

    @property
    def again(self) -> float | None:
        """F at the start once more, where it was another one: the loss is random."""
        return self._prices.again

    def next(self) -> Choice | None:
        """The method whose turn it is; ``None`` where none is left."""
        while self.left > 0 and (names := self._allowed()):
            name = min(names, key=self._expected)
            choice = look_closely(name, predicted_seconds(name, self._of), self._of, self._composite)
            if choice.eligible:
                return choice
            del self._ranks[name]
        return None

    def given(self, choice: Choice) -> float:
        """How much work it may take this time, in frozen seconds.

        None is cut off before the next one is expected to be done. Once others were not done in time, predictions are
        worth less: then it is a few times what all have had. Who is alone may take all that is left.
        """
        if self.alone:
            return self.left
        asked, spent = max(LEAST, PATIENCE * choice.seconds), self.spent
        others = [self._expected(name)[0] for name in self._allowed() if name != choice.method]
        asked = max(asked, min([*others, LONGER * asked]))
        own = LONGER * self._spent.get(choice.method, 0.0)
        return min(max(min(asked, LONGER * max(spent, LEAST)), own) if spent > 0 else asked, self.left)

    def work(self, method: str, iterations: int, counts: Mapping[str, float]) -> float:
        """Frozen seconds of so many iterations and questions."""
        return spent_seconds(method, self._of, self._prices, iterations, counts)

    def gradients(self, work: float) -> float:
        """Work in gradient equivalents: how many gradients could have been had for it."""
        return work / self._prices.gradient

    @property
    def spent(self) -> float:
        """Work of the turns that were cut off, in frozen seconds; a method that stalled is not asked again."""
        return sum(self._spent.values())

    @property
    def left(self) -> float:
        """What may still be spent; without end where the caller's limit is one of time."""
        return self._most - self.spent

    @property
    def alone(self) -> bool:
        """Whether nobody else is left."""
        return len(self._allowed()) == 1

    def unfinished(self, choice: Choice, work: float) -> None:
        """Its work was up: it is asked again once the others are expected to take more."""
        if choice.method in self._spent:
            self._in_vain = max(self._in_vain, self._spent[choice.method] + work)
        self._spent[choice.method] = self._spent.get(choice.method, 0.0) + work
        worse = self._of
        while worse.condition < WORST and predicted_seconds(choice.method, worse) < work:
            worse = replace(worse, condition=10.0 * worse.condition)
        if predicted_seconds(choice.method, worse) >= work:
            self._of, self._ranks = worse, {name: rank(name, worse) for name in self._ranks}

    def stalled(self, choice: Choice) -> None:
        """It can do no better: it is not asked again."""
        self._spent.setdefault(choice.method, 0.0)
        del self._ranks[choice.method]

    def _allowed(self) -> list[str]:
        fresh = len(self._spent) < ATTEMPTS
        return [name for name in self._ranks if fresh or name in self._spent]

    def _expected(self, name: str) -> tuple[float, bool]:
        """Work expected, and whether the method had a turn.

        Who had none is expected to take no more than two turns of another took in vain: predictions are wrong then.
        """
        if name in self._spent:
            return max(self._ranks[name], self._spent[name]), True
        return min(self._ranks[name], self._in_vain or self._ranks[name]), False
