"""The steps of a linear rule one after the other, and whether they are one and the same: as few probes as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from optwise.theory.linear_rules import LOOKED_AT_CURVATURES, LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.settings import extremes
from optwise.theory.steps import Step

ONE_BY_ONE = 16
"""Steps at which a rule with clocks is looked at one by one."""

AT_ONCE = 2**15
"""Settings times curvatures times steps that are then probed in one call."""

PROBED = 8
"""How much more a setting weighs there whose step is held against probes of all sizes."""

FARTHEST = 48
"""Logarithm of the last step beyond its horizon at which a rule is asked whether it has changed."""

SAMPLED = 32
"""Steps at which every setting is looked at, where only some settings are looked at in every step."""


def steps_of(rule: LinearRule, count: int, factors: Sequence[Floats | None]) -> Iterator[Step]:
    """The first ``count`` steps of a rule that has taken none.

    Where its clocks count steps, or it has none, they are probed many at once.

    Args:
        rule: At T settings.
        count: How many.
        factors: The schedule's factors of each setting [count]; ``None`` for a constant one.
    """
    table = np.stack([np.ones(count) if f is None else f for f in factors])  # [T, count]
    if not rule.clocks and np.all(table == table[:, :1]):
        step = rule.probe(table[:, 0])
        yield from (step for _ in range(count))
        return
    first = [rule.clocks]
    for k in range(min(count, ONE_BY_ONE)):
        yield rule.probe(table[:, k])
        first.append(rule.clocks)
    ticks, k = _ticks(first), min(count, ONE_BY_ONE)
    together = AT_ONCE // (len(rule.rules) * len(rule.curvatures))
    while k < count and ticks is not None and together > 1:
        later = np.arange(k, min(k + together, count), dtype=np.float64)
        many = rule.probe_later(later, ticks, table[:, k : k + len(later)])
        if many is None:
            break
        yield from _apart(many, len(later))
        k += len(later)
        rule.clocks = [begin + k * tick for begin, tick in zip(rule.begin, ticks, strict=True)]
    while k < count:
        yield rule.probe(table[:, k])
        k += 1


def constant_from(rule: LinearRule, count: int) -> tuple[list[Step], Step] | None:
    """The first few steps and the one that all later ones equal, for constant factors; ``None`` if they differ.

    A rule without clocks cannot change. One with clocks is looked at step by step at first; where its clocks count
    steps, a few settings, those with the least and the largest numbers among them, are then looked at in every later
    step and at the powers of 2 beyond, and all settings at a few steps. The rule is left where it was.

    Args:
        rule: At T settings, before its first step.
        count: Steps over which it must stay constant.
    """
    ones = np.ones(len(rule.rules))
    if not rule.clocks:
        return [], rule.probe(ones)
    try:
        found, clocks = [], [rule.clocks]
        for _ in range(ONE_BY_ONE):
            found.append(rule.probe(ones))
            clocks.append(rule.clocks)
    finally:
        rule.clocks = list(rule.begin)
    last, ticks = found[-1], _ticks(clocks)
    settled = next(k for k in range(ONE_BY_ONE) if all(step.same_as(last) for step in found[k:]))
    if settled == ONE_BY_ONE - 1 or ticks is None:
        return None
    horizon = max(count, ONE_BY_ONE + 1)
    beyond = 2.0 ** np.arange(horizon.bit_length(), FARTHEST)
    every = np.concatenate([np.arange(ONE_BY_ONE, horizon, dtype=np.float64), beyond])
    few = extremes(rule.values)
    some = every if len(few) == len(rule.rules) else np.random.default_rng(0).permutation(every)[:SAMPLED]
    asked = [(few, every)] if some is every else [(few, every), (list(range(len(rule.rules))), some)]
    if not all(_stays(rule, last, ticks, rows, later) for rows, later in asked):
        return None
    return found[:settled], last


def _stays(rule: LinearRule, step: Step, ticks: Sequence[Tensor], rows: list[int], later: Floats) -> bool:
    """Whether the settings at ``rows`` take the one ``step`` at each of the ``later`` steps."""
    together = max(1, AT_ONCE // (PROBED * len(rows) * min(len(rule.curvatures), LOOKED_AT_CURVATURES)))
    one = step.some(rows)
    return all(rule.takes(one, later[i : i + together], ticks, rows) for i in range(0, len(later), together))


def _ticks(seen: Sequence[Sequence[Tensor]]) -> list[Tensor] | None:
    """How far each clock moves in a step, if all move by the same whole number every time they were ``seen``."""
    begin, after = seen[0], seen[1]
    ticks = [b - a for a, b in zip(begin, after, strict=True)]
    counted = all(
        torch.equal(clock, start + k * tick) and torch.equal(tick, tick.round())
        for k, clocks in enumerate(seen)
        for clock, start, tick in zip(clocks, begin, ticks, strict=True)
    )
    return ticks if counted else None


def _apart(many: Step, K: int) -> Iterator[Step]:
    """The K steps that were probed together, each at its T settings."""
    T = many.M.shape[2] // K
    for k in range(K):
        own = slice(k * T, (k + 1) * T)
        yield Step(many.M[:, :, own], many.v[:, own], many.u[:, own])
