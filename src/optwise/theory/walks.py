"""The steps of a linear rule one after the other, and whether they are one and the same: as few probes as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from optwise.theory.linear_rules import LinearRule, Step
from optwise.theory.matrices import Floats

ONE_BY_ONE = 16
"""Steps at which a rule with clocks is looked at one by one."""

AT_ONCE = 2**15
"""Settings times curvatures times steps that are then probed in one call."""


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
    steps, it is then probed at all of the next thousands of steps at once, and at the powers of 2 beyond them. The rule
    is left where it was.

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
    together = AT_ONCE // (len(rule.rules) * len(rule.curvatures))
    dense = np.arange(ONE_BY_ONE, max(min(count, together), ONE_BY_ONE + 1), dtype=np.float64)
    beyond = 2.0 ** np.arange(0, max(count, 2).bit_length())
    later = np.union1d(dense, beyond[beyond > ONE_BY_ONE])
    many = rule.probe_later(later, ticks, np.ones((len(rule.rules), len(later))))
    if many is None or not _all_are(last, many, len(later)):
        return None
    return found[:settled], last


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


def _all_are(one: Step, many: Step, K: int) -> bool:
    """Whether the K steps that were probed together are all ``one``, up to rounding."""
    pairs = ((many.M, one.M), (many.v, one.v), (many.u, one.u))
    return all(
        np.allclose(a.reshape(*b.shape[:-2], K, *b.shape[-2:]), b[..., None, :, :], rtol=1e-14, atol=0.0)
        for a, b in pairs
    )


def _apart(many: Step, K: int) -> Iterator[Step]:
    """The K steps that were probed together, each at its T settings."""
    T = many.M.shape[2] // K
    for k in range(K):
        own = slice(k * T, (k + 1) * T)
        yield Step(many.M[:, :, own], many.v[:, own], many.u[:, own])
