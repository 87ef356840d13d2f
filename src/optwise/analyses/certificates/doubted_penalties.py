"""What contradicts itself in a penalty: its proximal map, its conjugate, what it says of its shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress

import torch
from torch import Tensor

from optwise.analyses.certificates.doubted_points import SLACK, direction
from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.numerics.finiteness import all_finite

BEYOND = (1.0, 1 + 1e-6, 1.001, 1.5, 10.0)
"""Times a subgradient at which a conjugate is asked: it lies in the domain, and most of these outside."""
ALONE, HALVES, MANY = 8, 4, 20_000
"""Single coordinates, and random halves of them, of a subgradient that are made longer; above so many only halves."""
WIDE = (1e-3, 1.0, 30.0, 1e4)
"""How many sizes of the answer apart the ends of a chord are."""
FAR = (1.0, 30.0)
"""How many sizes of the answer a point is long that a conjugate is held against."""
NUDGES = (1.0, 0.3, 0.03, -0.03, -0.3)
"""Where between a proximal point and what was mapped to it a lower point is looked for."""
SMALL, MASKS = (1e-4, -1e-4), 2
"""The same for some coordinates that are not 0, where one that is wrong counts before others do; how many halves."""

Values = Callable[[Tensor], Tensor]


def penalty_faults(problem: Composite, penalty: Penalty, w: Tensor) -> Iterator[str]:
    """What contradicts itself in a penalty near the answer, a sentence each."""
    image = w if problem.operator is None else problem.operator.forward(w)
    size = float(image.abs().max()) or 1.0
    mixed = direction(image, image, seed=3)
    mixed = size * mixed / mixed.abs().max()
    wide = image.new_tensor(WIDE)[:, None] * mixed
    points = torch.cat([image[None], torch.zeros_like(image)[None], wide])  # [k, m]
    values = _each(penalty.value, points)  # [k]
    yield _unsteady(penalty, image, values[0])
    yield _below_its_bound(penalty, points, values)
    if penalty.convex:
        yield _bends_down(penalty, points, values)
    if Oracle.SUBDIFFERENTIAL in penalty.oracles:
        yield _not_a_sum(penalty, mixed)
    if Oracle.PROX not in penalty.oracles:
        return
    slope = problem.smooth.value_and_gradient(w)[1]
    natural = _natural_step(slope, size)
    mapped = w - natural * slope if problem.operator is None else 2.0 * image
    for k, (t, v) in enumerate(((natural, mapped), (size, mixed), (0.1 * natural, FAR[-1] * mixed))):
        x = penalty.prox(v.clone(), t)
        if not all_finite(x):
            continue
        if k == 0 and float((penalty.prox(v.clone(), t) - x).norm()) > SLACK * float(v.norm() + x.norm()):
            yield f"The prox of {type(penalty).__name__} is not the same twice; give a function of v and step alone."
        others = x + x.new_tensor(NUDGES)[:, None] * (v - x)
        if k < 2:
            others = torch.cat([others, _nearby(x, v), torch.stack([image, torch.zeros_like(x), 0.5 * x])])
        yield _not_proximal(penalty, x, v, t, others)
        if Oracle.CONJUGATE in penalty.oracles and k < 2:
            yield _small_conjugate(penalty, (v - x) / t, torch.stack([x, image, v]), size)


def young_fault(value: Values, conjugate: Values, duals: Tensor, points: Tensor, name: str) -> str:
    """Whether a conjugate is below what a point makes of it, as a sentence; outside of its domain too.

    Args:
        value: Of the function.
        conjugate: Of it.
        duals: Where the conjugate is asked [d, p].
        points: What it is held against [k, p].
        name: Of the function.
    """
    dual, primal = _each(conjugate, duals), _each(value, points)
    sums, products = dual[:, None] + primal, duals @ points.mT  # [d, k]
    size = SLACK * (dual.abs()[:, None] + primal.abs() + duals.abs() @ points.abs().mT)
    for i, j in torch.nonzero(sums < products - size).tolist()[:1]:
        if float(conjugate(duals[i])) + float(value(points[j])) < float(products[i, j] - size[i, j]):
            return (
                f"The conjugate of {name} is too small: the value at x and the conjugate at u make "
                f"{float(sums[i, j]):.6g} where <u, x> is {float(products[i, j]):.6g}; mend its formula, or leave it "
                "out."
            )
    return ""


def _each(function: Values, points: Tensor) -> Tensor:
    """A function of each of some points [k]: of all at once, where it is written for leading dimensions."""
    with suppress(Exception):  # what is written for one vector is asked one by one
        found, last = function(points), function(points[-1])
        if found.shape == points.shape[:1] and last.ndim == 0 and bool(found[-1] == last):
            return found.double()
    return torch.tensor([float(function(point)) for point in points], dtype=torch.float64)


def _unsteady(penalty: Penalty, x: Tensor, before: Tensor) -> str:
    """Whether a penalty is another one when it is asked again, as a sentence."""
    one, other = float(before), float(penalty.value(x.clone()))
    if abs(one - other) > SLACK * max(abs(one), abs(other)):
        return f"{type(penalty).__name__} is not the same twice: it was {one:.6g} and, asked again, {other:.6g}."
    return ""


def _below_its_bound(penalty: Penalty, points: Tensor, values: Tensor) -> str:
    least = penalty.lower_bound
    lowest = int(values.argmin())
    if math.isfinite(least) and (g := float(penalty.value(points[lowest]))) < least - SLACK * abs(least):
        name = type(penalty).__name__
        return f"{name} says that it is never below {least:g}, and is {g:g} at a point; mend its lower_bound."
    return ""


def _bends_down(penalty: Penalty, points: Tensor, values: Tensor) -> str:
    """Whether a penalty that says it is convex lies above one of its chords, as a sentence."""
    first = torch.cat([torch.zeros_like(points), -points, points[:-1]])
    second = torch.cat([points, points, points[1:]])
    ends = 0.5 * (
        torch.cat([values[1].expand(len(points)), _each(penalty.value, -points), values[:-1]])
        + torch.cat([values, values, values[1:]])
    )
    middles = _each(penalty.value, 0.5 * (first + second))
    for k in torch.nonzero(middles > ends + SLACK * (ends.abs() + middles.abs()))[:1, 0].tolist():
        sides = 0.5 * (float(penalty.value(first[k])) + float(penalty.value(second[k])))
        middle = float(penalty.value(0.5 * (first[k] + second[k])))
        if middle > sides + SLACK * (abs(sides) + abs(middle)):
            return (
                f"{type(penalty).__name__} says that it is convex, and halfway between two points it is {middle:.4g}, "
                f"above their mean {sides:.4g}; set convex = False in its class."
            )
    return ""


def _not_a_sum(penalty: Penalty, x: Tensor) -> str:
    """Whether a penalty that says it is separable is not the sum of its parts, as a sentence."""
    first = torch.rand(x.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64) < 0.5
    parts = [torch.nonzero(part)[:, 0] for part in (first, ~first)]
    if not all(len(part) for part in parts):
        return ""
    total = sum(float(penalty.restricted(part).value(x[part])) for part in parts)
    whole = float(penalty.value(x))
    if abs(total - whole) > SLACK * (abs(total) + abs(whole)):
        return (
            f"{type(penalty).__name__} says that it is separable, and restricted to two halves of the coordinates it "
            f"is {total:.6g} together, {whole:.6g} over all; mend restricted, or leave it out."
        )
    return ""


def _nearby(x: Tensor, v: Tensor) -> Tensor:
    """Points close to a proximal one in some of the coordinates that are not 0 [k, m].

    Of these the right ones lose less than a wrong one gains, since they lose to second order.
    """
    masks = torch.ones(1 + MASKS, len(x), dtype=x.dtype)
    masks[1:] = torch.rand(MASKS, len(x), generator=torch.Generator().manual_seed(9)) < 0.5
    close = x.new_tensor(SMALL)[:, None, None] * (masks * ((x != 0) * (v - x)))
    return x + close.reshape(-1, len(x))


def _not_proximal(penalty: Penalty, x: Tensor, v: Tensor, t: float, others: Tensor) -> str:
    points = torch.cat([others, x[None]])
    g, squares = t * _each(penalty.value, points), 0.5 * (points - v).square().sum(1)  # [k]
    sums, size = g + squares, SLACK * (g.abs() + squares)
    k = int((sums + size).nan_to_num(math.inf, math.inf).argmin())
    if sums[k] + size[k] < sums[-1] - size[-1]:
        level, there = (
            t * float(penalty.value(point)) + 0.5 * float((point - v).square().sum()) for point in (x, points[k])
        )
        if there < level - float(size[-1] + size[k]):
            return (
                f"The prox of {type(penalty).__name__} is not that of its value: of a step {t:.3g} it gives a point "
                f"where t g(x) + |x - v|^2 / 2 is {level:.6g}, and {there:.6g} was found; see ow.check_prox."
            )
    return ""


def _small_conjugate(penalty: Penalty, subgradient: Tensor, points: Tensor, size: float) -> str:
    """Young's inequality at multiples of a subgradient, of all of it and of parts."""
    m, seeds = len(subgradient), torch.Generator().manual_seed(10)
    alone = torch.randperm(m, generator=seeds)[: ALONE if m <= MANY else 0]
    masks = torch.zeros(len(alone) + HALVES, m, dtype=subgradient.dtype)
    masks[torch.arange(len(alone)), alone] = 1.0
    masks[len(alone) :] = torch.rand(HALVES, m, generator=seeds) < 0.5
    duals = torch.cat(
        [
            subgradient.new_tensor(BEYOND)[:, None] * subgradient,
            *((1 + (factor - 1) * masks) * subgradient for factor in BEYOND[-2:]),
        ]
    )
    ways = torch.cat([subgradient[None], masks * subgradient])
    longest = ways.abs().amax(1, keepdim=True)
    ways = size * ways / longest.where(longest > 0, 1.0)
    points = torch.cat([points, *(far * ways for far in FAR)])
    return young_fault(penalty.value, penalty.conjugate, duals, points, type(penalty).__name__)


def _natural_step(slope: Tensor, size: float) -> float:
    """The step after which a gradient step has moved as far as w is large."""
    steepest = float(slope.abs().max())
    t = size / steepest if steepest > 0 else size
    return t if 0 < t < math.inf else 1.0
