"""Thousands of settings searched for the step at a target: in groups, on as few curvatures as each group needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.method import Method
from optwise.theory.compression import compressed_nodes
from optwise.theory.first_hits import Search, first_hits
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.models import factors_of
from optwise.theory.moments import Nodes, moments, pulls
from optwise.theory.orders import needed_orders, octaves_of, order_by_octave
from optwise.theory.spectrum import sums
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from, steps_of

KEPT_CURVATURES = 256
"""Up to this many distinct curvatures a survey compresses nothing."""

CHUNK_NUMBERS = 2**14
"""Settings times curvatures that are advanced together: their arrays stay in the cache."""

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


def searched(methods: Sequence[Method], nodes: Nodes, asked: Asked) -> Floats:
    """First steps at the target [T, B], infinite for a miss.

    Args:
        methods: Closed settings of one linear rule.
        nodes: The whole spectrum.
        asked: What is looked for.
    """
    found = []
    for first in range(0, len(methods), PROBED_TOGETHER):
        few = list(methods[first : first + PROBED_TOGETHER])
        factors = [factors_of(method, asked.most) for method in few]
        plain = LinearRule(few, _ends(nodes)[0])
        constant = constant_from(plain, asked.most) if all(f is None for f in factors) else None
        if constant is None or constant[0]:
            found.append(_walked(few, nodes, asked))
        else:
            found.append(_constant(few, plain, constant[1], nodes, asked))
    return np.concatenate(found)


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


def _constant(methods: list[Method], plain: LinearRule, step: Step, nodes: Nodes, asked: Asked) -> Floats:
    """Settings whose step does not change, in groups that need about as many nodes."""
    first = Step(step.M, step.v, plain.measured_at())
    if nodes.lean is not None and not pulls(first, plain.start) and not pulls(step, plain.start):
        nodes = nodes.upright()
    found = np.full((len(methods), asked.sizes.size), np.inf)
    for rows, small in _groups(step, nodes, asked):
        start, seen, own = plain.start[:, rows], first.u[:, rows], step.some(rows)
        if plain.looks:
            rule = LinearRule([methods[t] for t in rows], small.h)
            start, seen, own = rule.start, rule.measured_at(), rule.probe(np.ones(len(rows)))
        found[rows] = first_hits(Search(start, seen, own, small, asked.target, asked.sizes, asked.most))
    return found


def _groups(step: Step, nodes: Nodes, asked: Asked) -> Iterator[tuple[NDArray[np.intp], Nodes]]:
    """Places of settings, and the curvatures that do for them."""
    T, whole = step.M.shape[2], nodes.bias.size + nodes.noise.size
    distinct = np.union1d(nodes.bias.h, nodes.noise.h).size
    if distinct <= KEPT_CURVATURES:
        length = max(1, CHUNK_NUMBERS // max(nodes.bias.size, nodes.noise.size, 1))
        yield from ((np.arange(i, min(i + length, T)), nodes) for i in range(0, T, length))
        return
    ends, masses = _ends(nodes)
    with np.errstate(divide="ignore"):
        excess = np.log(masses / asked.target)
    orders = needed_orders(step, ends, excess, asked.most)
    counts = sums(octaves_of(np.union1d(nodes.bias.h, nodes.noise.h), ends[0]), np.ones(distinct), len(masses))
    needed = np.minimum(orders, counts).sum(1)
    largest, ranked, at, made = float(ends[0]), np.argsort(needed, kind="stable"), 0, {}
    while at < T:
        length = max(1, int(CHUNK_NUMBERS // needed[ranked[at]]))
        rows = ranked[at : at + length]
        rows = rows[needed[rows] <= 1.15 * needed[rows[0]]]
        own = np.minimum(orders[rows].max(0), whole)
        key = own.tobytes()
        if key not in made:
            made[key] = compressed_nodes(nodes, order_by_octave(own, largest))
        yield np.sort(rows), made[key]
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
