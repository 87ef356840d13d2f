"""Thousands of settings searched for the step at a target: in groups, on as few curvatures as each group needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optwise.core.counts import real_number, real_numbers, whole_number
from optwise.core.method import Method
from optwise.theory.compression import ConstantRule, bounds_at, compressed_nodes
from optwise.theory.first_hits import Search, first_hits
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.models import factors_of
from optwise.theory.moments import Nodes, moments, pulls
from optwise.theory.orders import WHOLE, needed_orders, octaves_of, order_by_octave
from optwise.theory.spectrum import Order, sums
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from, steps_of

MOST_STEPS = 20_000_000
"""Steps of the longest forecast: its arrays then hold half a gigabyte."""

KEPT_CURVATURES = 256
"""Up to this many distinct curvatures a survey compresses nothing."""

CHUNK_NUMBERS = 2**14
"""Settings times curvatures that are advanced together: their arrays stay in the cache."""

ALIKE = 1.15
"""Ratio of the nodes that settings of one group need."""

HARDEST = 2
"""Settings of a group whose compression is bounded: those that need the most nodes."""

UNMET = 1000
"""The step at which it is bounded where nothing meets the target."""

ACCEPTED = 1e-9
"""Bound relative to the target up to which a group's nodes are enough; else twice as many are taken."""

MANY = 512
"""Nodes of an octave beyond which all are taken."""

PROBED_TOGETHER = 4096
"""Settings that are probed together."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What is looked for.

    Args:
        target: Excess over the optimum that counts as met.
        sizes: Batch sizes [B].
        most: Last step that counts.
    """

    target: float
    sizes: Floats
    most: int

    @classmethod
    def of(cls, target: Any, sizes: Any, most: Any) -> Asked:
        """What a caller gave, as numbers.

        Raises:
            BadProtocol: What are none; a horizon that no forecast has. Whether the problem has such batches is another
                question.
        """
        return cls(
            real_number(target, "A target", "give the excess over the optimum that is to be met, as 0.01"),
            real_numbers(sizes, "Batch sizes", "give a list of numbers of at least 1, as [1, 8, 64]"),
            whole_number(most, "max_steps", least=1, most=MOST_STEPS),
        )


@dataclass(frozen=True, eq=False)
class Found:
    """First steps at the target.

    Args:
        steps: Of each setting at each batch size [T, B], infinite for a miss.
        bound: What compressing the spectrum missed at most, relative to the target, at the hits that were looked at.
    """

    steps: Floats
    bound: float = 0.0


def searched(methods: Sequence[Method], nodes: Nodes, asked: Asked) -> Found:
    """First steps at the target.

    Args:
        methods: Closed settings of one linear rule.
        nodes: The whole spectrum.
        asked: What is looked for.
    """
    found: list[Found] = []
    for first in range(0, len(methods), PROBED_TOGETHER):
        few = list(methods[first : first + PROBED_TOGETHER])
        factors = [factors_of(method, asked.most) for method in few]
        plain = LinearRule(few, _ends(nodes)[0])
        constant = constant_from(plain, asked.most) if all(f is None for f in factors) else None
        if constant is None or constant[0]:
            found.append(Found(_walked(few, nodes, asked)))
        else:
            found.append(_constant(few, plain, constant[1], nodes, asked))
    return Found(np.concatenate([each.steps for each in found]), max(each.bound for each in found))


def _ends(nodes: Nodes) -> tuple[Floats, Floats]:
    """Upper end, middle and lower end of each octave of curvature [O * 3], and the octaves' masses [O]."""
    measures = (nodes.bias, nodes.noise)
    h = np.concatenate([each.h for each in measures])
    if not h.size:
        return np.ones(3), np.zeros(1)
    largest = h.max()
    places = octaves_of(h, largest)
    upper = largest * 2.0 ** -np.arange(places.max() + 1)
    # a node that leans has its mass in its direction, too
    bias = nodes.bias.weights if nodes.lean is None else nodes.bias.weights * (nodes.lean**2).sum(0)
    weights = np.concatenate([bias, np.zeros(nodes.noise.size)])
    return np.stack([upper, 0.75 * upper, 0.5 * upper], axis=1).reshape(-1), sums(places, weights, upper.size)


def _constant(methods: list[Method], plain: LinearRule, step: Step, nodes: Nodes, asked: Asked) -> Found:
    """Settings whose step does not change, in groups that need about as many nodes."""
    first = Step(step.M, step.v, plain.measured_at())
    if nodes.lean is not None and not pulls(first, plain.start) and not pulls(step, plain.start):
        nodes = nodes.upright()

    def at(rows: NDArray[np.intp], own: Nodes) -> tuple[Floats, Step, Floats]:
        """Start, step and first look of some settings at some curvatures."""
        if not plain.looks:
            return plain.start[:, rows], step.some(rows), first.u[:, rows]
        rule = LinearRule([methods[t] for t in rows], own.h)
        seen = rule.measured_at()
        return rule.start, rule.probe(np.ones(len(rows))), seen

    found, worst = np.full((len(methods), asked.sizes.size), np.inf), 0.0
    for group in _groups(step, nodes, asked):
        rows, orders = group.rows, group.orders
        while True:
            order = WHOLE if orders is None else order_by_octave(orders, group.largest)
            small = nodes if orders is None else compressed_nodes(nodes, order)
            start, own, seen = at(rows, small)
            found[rows] = first_hits(Search(start, seen, own, small, asked.target, asked.sizes, asked.most))
            missed, hardest = 0.0, rows[-HARDEST:]
            if orders is not None:
                missed = _missed(partial(_first_two, at, hardest), nodes, asked, found[hardest], order)
            if missed <= ACCEPTED:
                break
            orders = None if orders is None or orders.min() >= WHOLE else np.where(orders < MANY, 2 * orders, WHOLE)
        worst = max(worst, missed)
    return Found(found, worst)


def _first_two(
    at: Callable[[NDArray[np.intp], Nodes], tuple[Floats, Step, Floats]], rows: NDArray[np.intp], own: Nodes
) -> tuple[Floats, Step]:
    start, step, _ = at(rows, own)
    return start, step


@dataclass(frozen=True, eq=False)
class _Group:
    """Settings that need about as many nodes: their places, hardest last, and the nodes of each octave.

    ``orders`` is ``None`` where nothing is compressed; ``largest`` is the curvature that octaves are counted from.
    """

    rows: NDArray[np.intp]
    orders: NDArray[np.intp] | None
    largest: float


def _missed(rule: ConstantRule, nodes: Nodes, asked: Asked, found: Floats, order: Order) -> float:
    """Bound on what compressing misses at the first and last hits of the hardest settings, relative to the target."""
    steps = found[np.isfinite(found)]
    steps = steps[steps > 0]
    looked = {int(steps.min()), int(steps.max())} if steps.size else {min(asked.most, UNMET)}
    worst = 0.0
    for k in looked:
        bias, noise = bounds_at(rule, nodes, order, k)
        hit = (found <= k).any(1) | ~np.isfinite(found).any(1)
        # a batch at which this step counts has no more noise than the target
        missed = np.where(hit, bias + noise / asked.sizes.max(), 0.0)  # one number for all where nothing is compressed
        worst = max(worst, float(missed.max(initial=0.0)) / asked.target)
    return worst


def _groups(step: Step, nodes: Nodes, asked: Asked) -> Iterator[_Group]:
    """All settings, in groups."""
    T = step.M.shape[2]
    distinct = np.union1d(nodes.bias.h, nodes.noise.h).size
    if distinct <= KEPT_CURVATURES:
        length = max(1, CHUNK_NUMBERS // max(nodes.bias.size, nodes.noise.size, 1))
        yield from (_Group(np.arange(i, min(i + length, T)), None, 1.0) for i in range(0, T, length))
        return
    ends, masses = _ends(nodes)
    with np.errstate(divide="ignore"):
        excess = np.log(masses / asked.target)
    orders = needed_orders(step, ends, excess, asked.most)
    counts = sums(octaves_of(np.union1d(nodes.bias.h, nodes.noise.h), ends[0]), np.ones(distinct), len(masses))
    needed = np.minimum(orders, counts).sum(1)
    ranked, at = np.argsort(needed, kind="stable"), 0
    while at < T:
        length = max(1, int(CHUNK_NUMBERS // needed[ranked[at]]))
        rows = ranked[at : at + length]
        rows = rows[needed[rows] <= ALIKE * needed[rows[0]]]
        yield _Group(rows, orders[rows].max(0), float(ends[0]))
        at += len(rows)


def _walked(methods: list[Method], nodes: Nodes, asked: Asked) -> Floats:
    """Settings whose step changes, step by step on the whole spectrum."""
    length = max(1, CHUNK_NUMBERS // max(nodes.bias.size, nodes.noise.size, 1))
    found = np.full((len(methods), asked.sizes.size), np.inf)
    for i in range(0, len(methods), length):
        few = methods[i : i + length]
        rule = LinearRule(few, nodes.h)
        own = found[i : i + length]
        walk = steps_of(rule, asked.most, [factors_of(method, asked.most) for method in few])
        with np.errstate(over="ignore", invalid="ignore"):
            for k, (F, G, _, _) in enumerate(moments(rule.start, rule.measured_at(), walk, nodes)):
                bias, noise = F @ nodes.bias.weights, (G @ nodes.noise.weights)[:, None] / asked.sizes
                risk = bias[:, None] + noise
                own[(risk <= asked.target) & np.isinf(own)] = float(k)
                if not np.any(np.isinf(own) & np.isfinite(risk)):
                    break
    return found
