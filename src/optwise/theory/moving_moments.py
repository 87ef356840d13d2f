"""Second moments of many settings and batch sizes on their way, where noise multiplies: one entry for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from optwise.core.method import Method
from optwise.core.quadratic import Quadratic
from optwise.theory.coordinates import Coordinates
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats, applied, congruence, form, inner, outer
from optwise.theory.models import factors_of
from optwise.theory.moments import pulls, with_center
from optwise.theory.row_maps import RowMap
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from

Whole = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Settings:
    """T settings of one linear rule at N curvatures, whose step is the last of few from some step on.

    Args:
        start: What a unit start makes of the state, with the optimum as its last part where it matters [m, T, N].
        far: What a unit optimum makes of it [m, T, N].
        A: Each step's transition [m, m, T, N].
        v: What a unit gradient adds in each [m, T, N].
        u: Where the rule is measured before the first step and after each [m, T, N].
    """

    start: Floats
    far: Floats
    A: list[Floats]
    v: list[Floats]
    u: list[Floats]

    @property
    def m(self) -> int:
        """Numbers of state of a coordinate."""
        return len(self.start)

    @classmethod
    def of(cls, methods: Sequence[Method], h: Floats, most: int, *, far: bool) -> Settings | None:
        """Closed settings of one rule over ``most`` steps; ``None`` where the step keeps changing.

        Args:
            methods: T of them.
            h: Curvatures [N].
            most: Steps.
            far: Whether the optimum is not 0 somewhere.
        """
        if any(factors_of(method, most) is not None for method in methods):
            return None
        rule = LinearRule(methods, h)
        constant = constant_from(rule, most)
        if constant is None:
            return None
        steps, seen, m, T, N = [*constant[0], constant[1]], rule.measured_at(), rule.m, len(methods), h.size
        before = Step(np.zeros((m, *seen.shape)), seen, seen)
        start, optimum = np.broadcast_to(rule.start, (m, T, N)), np.zeros((m, T, N))
        if far and any(pulls(step, rule.start) for step in (before, *steps)):
            before, *steps = (with_center(step, rule.start) for step in (before, *steps))
            start = np.concatenate([start, np.zeros((1, T, N))])
            optimum = np.concatenate([optimum, np.ones((1, T, N))])
        shape = start.shape
        u = [np.broadcast_to(step.u, shape) for step in (before, *steps)]
        v = [np.broadcast_to(step.v, shape) for step in steps]
        return cls(start, optimum, [step.transition(h) for step in steps], v, u)

    def some(self, rows: Whole) -> Settings:
        """Some of the settings."""
        parts = ([each[..., rows, :] for each in stacks] for stacks in (self.A, self.v, self.u))
        return Settings(self.start[:, rows], self.far[:, rows], *parts)


class Entries(Protocol):
    """Second moments of E entries on their way."""

    def after(self, place: int) -> None:
        """Move all on by the step of this place."""

    def risk(self, place: int) -> Floats:
        """Expected excess [E], measured before the first step or, from 1 on, after that of the place before."""

    def state(self) -> tuple[Floats, Floats]:
        """All moments of each entry, and the size each may be compared with [E, ...]."""

    def keep(self, chosen: Whole) -> None:
        """Go on with some of the entries."""


class OnFreshRows:
    """Where rows are Gaussian and new in every step: coordinates are coupled through one number [m, m, E, N]."""

    def __init__(self, own: Settings, at: Coordinates, sizes: Floats) -> None:
        self.own, self.at, self.sizes = own, at, sizes[:, None]
        self.half, self.mass = 0.5 * at.h * at.count, at.h * at.count
        crossed = outer(own.start, own.far)
        self.P = outer(own.start, own.start) * at.start + (crossed + np.swapaxes(crossed, 0, 1)) * at.cross
        self.P = self.P + outer(own.far, own.far) * at.square

    def after(self, place: int) -> None:
        s, v = self.P[0, 0], self.own.v[place]
        variance = (self.at.h**2 * s + self.at.h * (s @ self.mass)[:, None] + self.at.c) / self.sizes
        self.P = congruence(self.own.A[place], self.P) + outer(v, v) * variance

    def risk(self, place: int) -> Floats:
        return np.asarray(form(self.P, self.own.u[place]) @ self.half)

    def state(self) -> tuple[Floats, Floats]:
        root = np.sqrt(np.abs(np.einsum("aaen->aen", self.P)))
        return np.moveaxis(self.P, 2, 0), np.moveaxis(outer(root, root), 2, 0)

    def keep(self, chosen: Whole) -> None:
        self.own, self.P, self.sizes = self.own.some(chosen), self.P[:, :, chosen], self.sizes[chosen]


class OnRows:
    """Where batches are rows of a data set: mean [m, E, d] and second moments [m, m, E, d, d] of all coordinates."""

    def __init__(self, own: Settings, noise: RowMap, quadratic: Quadratic, offset: Floats, sizes: Floats) -> None:
        kept = quadratic.h > 0
        self.own, self.noise, self.sizes = own, noise, sizes[:, None, None]
        self.half = 0.5 * quadratic.h[kept]
        self.mean = own.start * offset[kept] + own.far * quadratic.center[kept]
        spread = np.zeros(noise.d) if quadratic.fixed_start else quadratic.start[kept]
        self.second = np.einsum("aep,beq->abepq", self.mean, self.mean)
        self.second += np.einsum("aep,bep,pq->abepq", own.start, own.start, np.diag(spread))

    def after(self, place: int) -> None:
        A, v = self.own.A[place], self.own.v[place]
        noise = self.noise.covariance(self.second[0, 0], self.mean[0]) / self.sizes
        self.mean = applied(A, self.mean)
        half = np.einsum("acep,cbepq->abepq", A, self.second)
        self.second = np.einsum("acepq,bceq->abepq", half, A)
        for a, b in np.ndindex(self.second.shape[:2]):
            if np.any(v[a]) and np.any(v[b]):
                self.second[a, b] += v[a][:, :, None] * v[b][:, None] * noise

    def risk(self, place: int) -> Floats:
        u, own = self.own.u[place], np.einsum("abepp->abep", self.second)
        return np.asarray(np.einsum("aep,abep,bep->ep", u, own, u) @ self.half)

    def state(self) -> tuple[Floats, Floats]:
        root = np.sqrt(np.abs(np.einsum("aaepp->aep", self.second)))
        sizes = np.einsum("aep,beq->eabpq", root, root), np.einsum("aep->eap", root)
        parts = np.moveaxis(self.second, 2, 0), np.moveaxis(self.mean, 1, 0)
        count = self.second.shape[2]
        flat = [np.concatenate([each.reshape(count, -1) for each in pair], axis=1) for pair in (parts, sizes)]
        return flat[0], flat[1]

    def keep(self, chosen: Whole) -> None:
        self.own, self.mean = self.own.some(chosen), self.mean[:, chosen]
        self.second, self.sizes = self.second[:, :, chosen], self.sizes[chosen]


class BelowRows:
    """What the risk on rows of a data set is at least: noise of the mean's own way, and none of what noise has left.

    What it leaves out of the covariance is positive semidefinite. Means and variances of coordinates [m, m, E, d].
    """

    def __init__(self, own: Settings, noise: RowMap, quadratic: Quadratic, offset: Floats, sizes: Floats) -> None:
        kept = quadratic.h > 0
        self.own, self.noise, self.sizes = own, noise, sizes[:, None]
        self.half = 0.5 * quadratic.h[kept]
        self.mean = own.start * offset[kept] + own.far * quadratic.center[kept]
        self.P = np.zeros((own.m, own.m, sizes.size, noise.d))

    def after(self, place: int) -> None:
        A, v = self.own.A[place], self.own.v[place]
        self.P = congruence(A, self.P) + outer(v, v) * (self.noise.variances(self.mean[0]) / self.sizes)
        self.mean = applied(A, self.mean)

    def risk(self, place: int) -> Floats:
        u = self.own.u[place]
        return np.asarray((inner(u, self.mean) ** 2 + form(self.P, u)) @ self.half)

    def state(self) -> tuple[Floats, Floats]:
        second = np.moveaxis(self.P + outer(self.mean, self.mean), 2, 0)
        root = np.sqrt(np.abs(np.einsum("eaap->eap", second)))
        sizes = np.concatenate([np.einsum("eap,ebp->eabp", root, root), root[:, None]], axis=1)
        return np.concatenate([second, np.moveaxis(self.mean, 1, 0)[:, None]], axis=1), sizes

    def keep(self, chosen: Whole) -> None:
        self.own, self.mean = self.own.some(chosen), self.mean[:, chosen]
        self.P, self.sizes = self.P[:, :, chosen], self.sizes[chosen]
