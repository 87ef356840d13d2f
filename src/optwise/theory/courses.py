"""A rule on its way over the curvatures of a problem: its responses step by step, or thousands of steps at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optwise.core.method import Method
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.models import factors_of
from optwise.theory.moments import Nodes, moments, pulls
from optwise.theory.responses import Standing, Totals, responses, totals
from optwise.theory.spreads import Spread
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from, steps_of


@dataclass(frozen=True, eq=False)
class Course:
    """A rule on its way.

    Args:
        rule: At one setting, before its first step.
        nodes: Curvatures; without the optimum where nothing pulls elsewhere.
        steps: How many.
        factors: The schedule's [steps]; ``None`` where they are all 1.
        settled: The first few steps, and the one that all later ones equal; ``None`` where the step keeps changing.
        first: Where the rule is measured before its first step [m, 1, N].
    """

    rule: LinearRule
    nodes: Nodes
    steps: int
    factors: Floats | None
    settled: tuple[list[Step], Step] | None
    first: Floats

    def walk(self) -> Iterator[Step]:
        """Its steps, one after the other."""
        return steps_of(self.rule, self.steps, [self.factors])

    def blocks(self) -> Iterator[tuple[Floats, Floats]]:
        """Squared responses of the start [L, Nb] and of unit noise [L, Nn], block after block from step 0."""
        single = self.walk() if self.settled is None else iter(self.settled[0])
        taken = -1
        for F, G, z, P in moments(self.rule.start, self.first, single, self.nodes):  # noqa: B007 - the last state goes on
            taken += 1
            yield F, G
        if self.settled is not None and taken < self.steps:
            at = Standing(self.rule.start, z, P, self.settled[1], self.nodes)
            yield from responses(at, self.steps - taken)

    def totals(self, spread: Spread | None, batch: float) -> Totals:
        """Bias and noise [steps + 1] from step 0 on, and the variance of a run where ``spread`` says how it is made.

        Args:
            spread: Of responses.
            batch: B.
        """
        bias, noise, variance = [], [], []
        single = self.walk() if self.settled is None else iter(self.settled[0])
        taken, weights, noisy = -1, self.nodes.bias.weights, self.nodes.noise.weights
        with np.errstate(over="ignore", invalid="ignore"):
            for F, G, z, P in moments(self.rule.start, self.first, single, self.nodes):  # noqa: B007
                taken += 1
                bias.append(F @ weights)
                noise.append(G @ noisy)
                if spread is not None:
                    variance.append(spread.of(F, G / batch))
            if self.settled is not None and taken < self.steps:
                at = Standing(self.rule.start, z, P, self.settled[1], self.nodes)
                rest = totals(at, self.steps - taken, spread, batch)
                bias.append(rest.bias)
                noise.append(rest.noise)
                if rest.variance is not None:
                    variance.append(rest.variance)
        own, added = np.concatenate(bias), np.concatenate(noise)
        return Totals(own, added, np.concatenate(variance) if variance else None)


def course(method: Method, nodes: Nodes, steps: int, *, curvatures: Floats | None = None) -> Course:
    """The course of a closed method.

    Args:
        method: A linear rule.
        nodes: Curvatures, with the optimum where it is not 0.
        steps: How many.
        curvatures: Others at which a rule that looks at them is probed.
    """
    factors = factors_of(method, steps)
    if nodes.lean is not None:  # whether the optimum matters is looked up at the curvatures without it
        plain = LinearRule([method], nodes.upright().h if curvatures is None else curvatures)
        constant = constant_from(plain, steps) if factors is None else None
        if constant is not None and nodes.plain is not None:
            seen = [*constant[0], constant[1], Step(constant[1].M, constant[1].v, plain.measured_at())]
            if not any(pulls(step, plain.start) for step in seen):
                nodes = nodes.upright()
    rule = LinearRule([method], nodes.h if curvatures is None else curvatures)
    settled = constant_from(rule, steps) if factors is None else None
    return Course(rule, nodes, steps, factors, settled, rule.measured_at())
