r"""Linear rules found out by probing: whatever a Rule's own step does to unit vectors is what theory computes with.

A rule is linear when its state after a step is a linear function of its state and gradient before it. With the
parameter first, :math:`z = (w, \text{state})`, one coordinate then moves by

.. math:: z_{k+1} = M_k z_k + v_k g_k, \qquad \text{measured at } \langle u_k, z_k \rangle

Leaves of the state that do not have the parameters' shape are clocks: numbers that run by themselves, such as a count
of steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from optwise.core.errors import BadMethod, NotLinear
from optwise.core.method import Method, Rule
from optwise.core.oracles import Oracle
from optwise.theory.matrices import Floats
from optwise.theory.probes import TOLERANCE, WIDTH, Probes, agree, expected_of, few_probes, probes
from optwise.theory.settings import Numbers, Settings, extremes, is_number, kind_of, sentences
from optwise.theory.steps import Step

Tree: TypeAlias = Any

LOOKED_AT_CURVATURES = 8
"""Curvatures at which later steps are compared with the one before."""

CLOSELY = 1024
"""Steps that are looked at from states of all sizes; of later ones a few states see what lasts."""

NOT_LINEAR = (
    "is not linear: twice the state and gradient do not give twice the step in every coordinate by itself, so its "
    "moments obey no recursion"
)


class LinearRule:
    """A rule at T settings, probed.

    Args:
        rules: Closed rules of one kind, different settings of one method; their schedules are not looked at.
        curvatures: Where a rule that looks at curvature is probed [N].

    Raises:
        BadMethod: A rule that is not linear, with what shows it; a method that is no rule, or still open; two kinds of
            rules.
    """

    def __init__(self, rules: Sequence[Method], curvatures: Floats) -> None:
        self.rules = [_rule(method) for method in rules]
        self.values = values = [rule.values() for rule in self.rules]
        self.label = self.rules[0].label
        first = self.rules[0]
        if not first.elementwise:
            raise NotLinear(self.label, "looks at shapes, so no coordinate moves by itself")
        self.looks = Oracle.CURVATURE in first.needs
        known = curvatures if self.looks and curvatures.size else np.ones(1)
        self.curvatures = torch.from_numpy(known)
        if any(kind_of(rule, own) != kind_of(first, values[0]) for rule, own in zip(self.rules, values, strict=True)):
            raise BadMethod(f"{self.label} and other kinds of rules were given together; ask for one kind at a time.")
        paths = [path for path, value in values[0].items() if is_number(value)]
        for own in values:
            for path in paths:
                if not math.isfinite(own[path]):
                    raise BadMethod(
                        f"{self.label} has {path} = {own[path]}, and no step of it is a number; give a finite one."
                    )
        self._numbers = {path: torch.tensor([own[path] for own in values], dtype=torch.float64) for path in paths}
        self._paths = paths
        self._numbers.setdefault("lr", torch.zeros(len(self.rules), dtype=torch.float64))  # a rule need not have one
        self._template, self._width = first, len(known) if self.looks else WIDTH
        with sentences(self.label):
            self._look_at_start()
            # under vmap a branch on the numbers of some settings raises, instead of being taken for all
            twice = Settings(self._numbers, self.clocks, self._fixed)
            self._stepped(twice.repeated(2, [clock.repeat(2, *[1] * (clock.ndim - 1)) for clock in self.clocks]))

    def _look_at_start(self) -> None:
        """Which leaves are coordinates of z, which are clocks, and which are given and stay."""
        width = self._width
        shown = torch.arange(1.0, width + 1, dtype=torch.float64) * (-1.0) ** torch.arange(width) + 0.25
        flat = [torch.full((width,), value, dtype=torch.float64) for value in (0.0, 1.0)]
        at_one = self._start(flat[1], self.rules)
        few = extremes(self.values)
        at_zero, at_shown, again = (self._start(w, [self.rules[i] for i in few]) for w in (flat[0], shown, shown))
        # as ones: a curvature of 0 that is kept in the state is given, too
        wider = self._started(self.rules[0], torch.zeros(width + 2, dtype=torch.float64))[0]
        self._names, self._clocks, self._given = [], [], []
        zeta = [torch.ones(len(self.rules), width, dtype=torch.float64)]
        for i, (zero, all_ones, other, twice) in enumerate(zip(at_zero, at_one, at_shown, again, strict=True)):
            one = all_ones[few]
            if not torch.equal(other, twice):
                raise NotLinear(self.label, "does not start twice in the same state")
            if (tuple(one.shape[1:]), tuple(wider[i].shape)) != ((width,), (width + 2,)):
                if not (torch.equal(zero, one) and torch.equal(one, other)):
                    raise NotLinear(self.label, "starts with a number that depends on the parameters")
                self._clocks.append(i)
            elif not one.is_floating_point():
                raise NotLinear(self.label, f"keeps a state of {str(one.dtype).removeprefix('torch.')} numbers")
            elif bool((zero == 0).all() and (wider[i] == 0).all()):
                if not torch.allclose(other, shown * one, rtol=1e-12, atol=0.0):
                    raise NotLinear(self.label, "starts with a state that is not linear in the parameters")
                self._names.append(i)
                zeta.append(all_ones.to(torch.float64))
            elif torch.equal(zero, one) and torch.equal(one, other):
                self._given.append(i)
            else:
                raise NotLinear(self.label, "starts with a state that is not linear in the parameters")
        self.begin = [at_one[i] for i in self._clocks]
        self.clocks = list(self.begin)
        self._fixed = [at_one[i] for i in self._given]
        self.m = 1 + len(self._names)
        self.start: Floats = self._each_curvature(torch.stack(zeta).numpy(), "starts")  # [m, T, N]

    def _start(self, w: Tensor, rules: Sequence[Rule]) -> list[Tensor]:
        leaves = [self._started(rule, w) for rule in rules]
        self._tree = leaves[0][1]
        return [torch.stack(parts) for parts in zip(*(flat for flat, _ in leaves), strict=True)]

    def _started(self, rule: Rule, w: Tensor) -> tuple[list[Tensor], Any]:
        h = self.curvatures.clone() if self.looks and len(w) == self._width else torch.ones_like(w)
        return pytree.tree_flatten(rule.start(w.clone(), h))

    def _each_curvature(self, found: Floats, does: str) -> Floats:
        """``found`` [..., P] at each curvature [..., N]; coordinates of equal curvature must not differ."""
        if self.looks:
            return found
        if not np.allclose(found, found[..., :1], rtol=1e-12, atol=0.0, equal_nan=True):
            raise NotLinear(self.label, f"{does} differently in coordinates that differ by their place only")
        return found[..., :1]

    @property
    def coordinates(self) -> list[int]:
        """Which leaves of the state belong to z, in its order, behind the parameter."""
        return self._names

    def probe(self, factors: Floats) -> Step:
        """The step at the clocks' present values, which are moved on by one; ``factors`` [T] multiply the rates."""
        rates = self._at_factors(torch.from_numpy(np.asarray(factors, dtype=np.float64)))
        with sentences(self.label):
            M, v, self.clocks = self._stepped(Settings(rates, self.clocks, self._fixed))
            return Step(M, v, self.measured_at())

    def _at_factors(self, factors: Tensor) -> Numbers:
        return {**self._numbers, "lr": self._numbers["lr"] * factors}

    def probe_later(self, later: Floats, ticks: Sequence[Tensor], factors: Floats) -> Step | None:
        """Several later steps at once, with T K settings, the steps of one setting T apart; ``None`` if clocks differ.

        Args:
            later: Steps taken before each of them [K].
            ticks: How far each clock moves in a step, at every setting [T, ...] each.
            factors: Factors of the learning rates [T, K].
        """
        K, all_rows = len(later), Settings(self._numbers, [], self._fixed)
        before, ticked = (self._clocks_at(later + moved, ticks) for moved in (0, 1))
        at = all_rows.repeated(K, before)
        at.numbers["lr"] = at.numbers["lr"] * torch.from_numpy(factors.T.copy()).reshape(-1)
        with sentences(self.label):
            M, v, clocks = self._stepped(at)
            if not all(torch.equal(clock, expected) for clock, expected in zip(clocks, ticked, strict=True)):
                return None
            return Step(M, v, self._looked(all_rows.repeated(K, ticked)))

    def takes(self, step: Step, later: Floats, ticks: Sequence[Tensor], rows: list[int]) -> bool:
        """Whether the settings at ``rows`` take one and the same ``step`` [at them] after each of the ``later`` steps.

        Each of them is taken from states of all sizes, or from a few where none is early: a step that is another
        one, or none of a linear rule any more, makes something else of one of these.
        """
        N = len(self.curvatures)
        seen = np.unique(np.linspace(0, N - 1, min(N, LOOKED_AT_CURVATURES)).astype(int))
        T, K = len(rows), len(later)
        numbers = {path: n[rows] for path, n in self._numbers.items()}
        columns = seen if self.looks else np.arange(self._width)
        own = (probes if later.min() < CLOSELY else few_probes)(self.m, len(columns))
        narrow = Settings(numbers, [], [leaf[rows][:, columns] for leaf in self._fixed])
        before, ticked = (self._clocks_at(at, ticks, rows) for at in (later, later + 1))
        with sentences(self.label):
            after, clocks, given = self.stepped(narrow.repeated(K, before), own)
            points = self.seen(narrow.repeated(K, ticked), own)
        kept = narrow.repeated(K, before).fixed
        for found, left in zip((*clocks, *given), (*ticked, *kept), strict=True):
            if not torch.equal(found, left[:, None].expand_as(found)):
                return False
        z, g = np.moveaxis(own.states.numpy(), 1, 0)[:, None], own.gradients.numpy()  # [m, 1, J, P], [J, P]
        M, v, u = (part[..., None, :] for part in (step.M[..., seen], step.v[..., seen], step.u[..., seen]))
        expected, size = expected_of(M, v, z, g)  # [m, T, J, P], [T, J, P]
        shape = (K, T, *g.shape)
        pairs = (
            (np.moveaxis(after.numpy(), 2, 0).reshape(self.m, *shape), expected[:, None], size),
            (points.numpy().reshape(shape), (u * z).sum(0), (np.abs(u) * np.abs(z)).sum(0)),
        )
        rounding = 1e-15 * np.abs(z).sum(0)
        return all(agree(a, b, 1e-13 * c + rounding) for a, b, c in pairs)

    def _clocks_at(self, later: Floats, ticks: Sequence[Tensor], rows: Any = slice(None)) -> list[Tensor]:
        found = []
        for start, tick in zip(self.begin, ticks, strict=True):
            after = torch.from_numpy(later).reshape(-1, *[1] * start.ndim)
            found.append((start[rows] + after * tick[rows]).to(start.dtype).reshape(-1, *start.shape[1:]))
        return found

    def measured_at(self) -> Floats:
        """Where the rule is measured at the clocks' present values: u [m, T, N]."""
        return self._looked(Settings(self._numbers, self.clocks, self._fixed))

    def _looked(self, at: Settings) -> Floats:
        m, N = self.m, len(self.curvatures)
        if type(self._template).evaluation_weights is Rule.evaluation_weights:
            return np.concatenate([np.ones((1, at.count, N)), np.zeros((m - 1, at.count, N))])
        own = probes(m, self._width)
        seen = self.seen(at, own).numpy()  # [T, J, P]
        u = self._each_curvature(np.moveaxis(seen[:, :m], 1, 0).copy(), "is measured")
        states = np.moveaxis(own.states.numpy(), 1, 0)[:, None]  # [m, 1, J, P]
        expected = (u[:, :, None] * states).sum(0)
        size = (np.abs(u[:, :, None]) * np.abs(states)).sum(0)
        if not agree(seen, expected, TOLERANCE * size):
            raise NotLinear(self.label, "is measured at a point that is not linear in its state")
        return u

    def seen(self, at: Settings, own: Probes) -> Tensor:
        """Where the rule is measured at every setting and probe [T, J, P]."""

        def look(numbers: Numbers, clocks: list[Tensor], fixed: list[Tensor]) -> Tensor:
            rule = self._at(numbers)

            def one(z: Tensor) -> Tensor:
                return rule.evaluation_weights(z[0], self._state(z, clocks, fixed))

            return torch.func.vmap(one)(own.states.clone())

        found: Tensor = at.each(look)
        return found

    def stepped(self, at: Settings, own: Probes) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """What a step makes of every setting and probe [T, J, m, P], of its clocks and of given leaves [T, J, ...]."""

        def step(numbers: Numbers, clocks: list[Tensor], fixed: list[Tensor]) -> tuple[Tensor, ...]:
            rule = self._at(numbers)

            def one(z: Tensor, g: Tensor) -> tuple[Tensor, ...]:
                w, state = rule.step(z[0], g, self._state(z, clocks, fixed))
                after = pytree.tree_leaves(state)
                kept = (after[i].clone() for i in (*self._clocks, *self._given))
                return torch.stack([w, *(after[i] for i in self._names)]), *kept

            # a tensor of its own for each probe, so that what a rule sums up is summed over that probe alone
            stepped: tuple[Tensor, ...] = torch.func.vmap(one)(own.states.clone(), own.gradients.clone())
            return stepped

        after, *rest = at.each(step)
        return after, rest[: len(self._clocks)], rest[len(self._clocks) :]

    def _stepped(self, at: Settings) -> tuple[Floats, Floats, list[Tensor]]:
        """M and v at the clocks' values, and the clocks afterwards."""
        own, m = probes(self.m, self._width), self.m
        after, clocks, given = self.stepped(at, own)
        for fixed, left in zip(at.fixed, given, strict=True):
            if not torch.equal(fixed[:, None].expand_as(left), left):
                raise NotLinear(self.label, "moves by itself where parameters and gradients are 0")
        if any(not torch.equal(clock, clock[:, :1].expand_as(clock)) for clock in clocks):
            raise NotLinear(self.label, "keeps a number that depends on parameters or gradients")
        found = np.moveaxis(after.numpy(), 2, 0)  # [m, T, J, P]
        if not np.all(np.isfinite(found[:, :, : m + 2])):
            raise NotLinear(self.label, "makes inf or nan of parameters, state and gradients of 0 and 1")
        if not np.all(found[:, :, m + 1] == 0):
            raise NotLinear(self.label, "moves by itself where parameters and gradients are 0")
        basis = self._each_curvature(found[:, :, : m + 1], "steps")
        M, v = np.moveaxis(basis[:, :, :m], 2, 1).copy(), basis[:, :, m].copy()  # [m, m, T, N], [m, T, N]
        z, g = np.moveaxis(own.states.numpy(), 1, 0)[:, None, m + 2 :], own.gradients.numpy()[m + 2 :]
        expected, size = expected_of(M[:, :, :, None], v[:, :, None], z, g)
        if not agree(found[:, :, m + 2 :], expected, TOLERANCE * size):
            raise NotLinear(self.label, NOT_LINEAR)
        return M, v, [clock[:, 0].detach() for clock in clocks]

    def _at(self, numbers: Numbers) -> Rule:
        """The rule of one setting; a single one differs from itself in its learning rate only."""
        if len(self.rules) == 1:
            return self._template.at_lr(numbers["lr"])
        return self._template.close({path: numbers[path] for path in self._paths})

    def _state(self, z: Tensor, clocks: list[Tensor], fixed: list[Tensor]) -> Tree:
        """The rule's state at ``z`` [m, P]."""
        leaves = {i: z[place + 1] for place, i in enumerate(self._names)}
        leaves |= dict(zip(self._clocks, clocks, strict=True))
        leaves |= dict(zip(self._given, fixed, strict=True))
        return pytree.tree_unflatten([leaves[i] for i in range(len(leaves))], self._tree)


def _rule(method: Method) -> Rule:
    if not isinstance(method, Rule):
        raise NotLinear(method.label, "is no rule that can be probed, but keeps its own host-side state")
    return method if method.schedule is None else replace(method, schedule=None)
