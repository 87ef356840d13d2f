r"""Linear rules found out by probing: whatever a Rule's own step does to unit vectors is what theory computes with.

A rule is linear when its state after a step is a linear function of its state and gradient before it. With the
parameter first, :math:`z = (w, \text{state})`, one coordinate then moves by

.. math:: z_{k+1} = M_k z_k + v_k g_k, \qquad \text{measured at } \langle u_k, z_k \rangle

Leaves of the state without dimensions are clocks: numbers that run by themselves, such as a count of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from optwise.core.errors import BadMethod, NotLinear, OptwiseError
from optwise.core.method import Method, Rule
from optwise.core.oracles import Oracle
from optwise.theory.matrices import Floats

Tree: TypeAlias = Any
Numbers: TypeAlias = dict[str, Tensor]

TOLERANCE = 1e-9
"""Norm-relative; rounding of a step stays below 1e-14, and no rule is linear up to 1e-9 by chance at three scales."""

SCALES = (1e-4, 1e-2, 1.0, 1.0, 1e2, 1e4)
"""Sizes of the random states on which linearity is checked: clipping and eps show at one of them."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step at T settings and N curvatures, N = 1 where the rule does not look at them.

    Args:
        M: What the state becomes without a gradient [m, m, T, N].
        v: What a unit gradient adds [m, T, N].
        u: Where the rule is measured after the step [m, T, N].
    """

    M: Floats
    v: Floats
    u: Floats

    def transition(self, h: Floats) -> Floats:
        """``A(h) = M + h v e_1^T`` [m, m, T, N] for curvatures ``h`` [N]: the gradient is ``h w`` plus noise."""
        T, N = self.M.shape[2], h.size
        A = np.broadcast_to(self.M, (*self.M.shape[:2], T, N)).copy()
        with np.errstate(over="ignore", invalid="ignore"):
            A[:, 0] += self.v * h
        return A

    def same_as(self, other: Step) -> bool:
        """Whether two steps are one up to rounding."""
        pairs = ((self.M, other.M), (self.v, other.v), (self.u, other.u))
        return all(np.allclose(a, b, rtol=1e-14, atol=0.0) for a, b in pairs)


@dataclass(frozen=True, eq=False)
class Settings:
    """Where a rule is probed: numbers by path, clocks and given leaves, each with one entry per setting."""

    numbers: Numbers
    clocks: list[Tensor]
    fixed: list[Tensor]

    @property
    def count(self) -> int:
        """T: how many."""
        return len(self.numbers["lr"])

    def each(self, function: Callable[..., Any]) -> Any:
        """``function`` of each setting's numbers, clocks and given leaves, stacked; vmapped where there are several."""
        if self.count > 1:
            return torch.func.vmap(function)(self.numbers, self.clocks, self.fixed)
        numbers = {path: n[0] for path, n in self.numbers.items()}
        found = function(numbers, [c[0] for c in self.clocks], [f[0] for f in self.fixed])
        return pytree.tree_map(lambda part: part[None], found)


class LinearRule:
    """A rule at T settings, probed.

    Args:
        rules: Closed rules of one kind, different settings of one method; their schedules are not looked at.
        curvatures: Where a rule that looks at curvature is probed [N].

    Raises:
        BadMethod: A rule that is not linear, with what shows it; a method that is no rule, or still open.
    """

    def __init__(self, rules: Sequence[Method], curvatures: Floats) -> None:
        self.rules = [_rule(method) for method in rules]
        self.label = self.rules[0].label
        first = self.rules[0]
        if not first.elementwise:
            raise NotLinear(self.label, "looks at shapes, so no coordinate moves by itself")
        looks = Oracle.CURVATURE in first.needs
        self.curvatures = torch.from_numpy(curvatures) if looks else torch.ones(1, dtype=torch.float64)
        paths = [path for path, value in first.values().items() if _is_number(value)]
        self._numbers = {
            path: torch.tensor([rule.values()[path] for rule in self.rules], dtype=torch.float64) for path in paths
        }
        self._template = first
        with _sentences(self.label):
            self._look_at_start()
            # under vmap a branch on the numbers of some coordinates raises, instead of being taken for all
            numbers = {path: n.repeat(2) for path, n in self._numbers.items()}
            self._stepped(Settings(numbers, self._doubled(self.clocks), self._doubled(self._fixed)))

    @staticmethod
    def _doubled(parts: list[Tensor]) -> list[Tensor]:
        return [part.repeat(2, *[1] * (part.ndim - 1)) for part in parts]

    def _look_at_start(self) -> None:
        """Which leaves are coordinates of z, which are clocks, and which are given and stay."""
        at_zero, at_one, at_two = (self._start(value) for value in (0.0, 1.0, 2.0))
        shape = self._grid(1).shape
        self._names, self._clocks, self._given = [], [], []
        zeta = [torch.ones(len(self.rules), shape[0], dtype=torch.float64)]
        for i, (zero, one, two) in enumerate(zip(at_zero, at_one, at_two, strict=True)):
            if zero.ndim == 1:  # one number per setting: a clock
                self._clocks.append(i)
            elif bool((zero == 0).all()):
                if not torch.allclose(two, 2 * one, rtol=1e-12, atol=0.0):
                    raise NotLinear(self.label, "starts with a state that is not linear in the parameters")
                self._names.append(i)
                zeta.append(one[..., 0])
            else:
                self._given.append(i)
        self.begin = [at_one[i] for i in self._clocks]
        self.clocks = list(self.begin)
        self._fixed = [at_one[i][..., :1] for i in self._given]
        self.m = 1 + len(self._names)
        self.start: Floats = torch.stack(zeta).numpy()  # [m, T, N]

    def _grid(self, probes: int) -> Tensor:
        return torch.zeros(len(self.curvatures), probes, dtype=torch.float64)

    def _start(self, value: float) -> list[Tensor]:
        w = torch.full_like(self._grid(1), value)
        leaves = [self._started(rule, w) for rule in self.rules]
        self._tree = leaves[0][1]
        return [torch.stack(parts) for parts in zip(*(flat for flat, _ in leaves), strict=True)]

    def _started(self, rule: Rule, w: Tensor) -> tuple[list[Tensor], Any]:
        return pytree.tree_flatten(rule.start(w, self.curvatures[:, None].expand_as(w).clone()))

    def probe(self, factors: Floats) -> Step:
        """The step at the clocks' present values, which are moved on by one; ``factors`` [T] multiply the rates."""
        rates = {**self._numbers, "lr": self._numbers["lr"] * torch.from_numpy(np.asarray(factors, dtype=np.float64))}
        with _sentences(self.label):
            M, v, self.clocks = self._stepped(Settings(rates, self.clocks, self._fixed))
            return Step(M, v, self.measured_at())

    def probe_later(self, later: Floats, ticks: Sequence[Tensor], factors: Floats) -> Step | None:
        """Several later steps at once, with T K settings, the steps of one setting T apart; ``None`` if clocks differ.

        Args:
            later: Steps taken before each of them [K].
            ticks: How far each clock moves in a step, at every setting [T] each.
            factors: Factors of the learning rates [T, K].
        """
        K, after = len(later), torch.from_numpy(later)
        numbers = {path: n.repeat(K) for path, n in self._numbers.items()}
        fixed = [leaf.repeat(K, *[1] * (leaf.ndim - 1)) for leaf in self._fixed]
        rates = {**numbers, "lr": numbers["lr"] * torch.from_numpy(factors.T.copy()).reshape(-1)}
        before, ticked = (
            [
                (start + (after + moved)[:, None] * tick).reshape(-1)
                for start, tick in zip(self.begin, ticks, strict=True)
            ]
            for moved in (0, 1)
        )
        with _sentences(self.label):
            M, v, clocks = self._stepped(Settings(rates, before, fixed))
            if not all(torch.equal(clock, expected) for clock, expected in zip(clocks, ticked, strict=True)):
                return None
            return Step(M, v, self._looked(Settings(numbers, ticked, fixed)))

    def measured_at(self) -> Floats:
        """Where the rule is measured at the clocks' present values: u [m, T, N]."""
        return self._looked(Settings(self._numbers, self.clocks, self._fixed))

    def _looked(self, at: Settings) -> Floats:
        m, N = self.m, len(self.curvatures)
        if type(self._template).evaluation_weights is Rule.evaluation_weights:
            return np.concatenate([np.ones((1, at.count, N)), np.zeros((m - 1, at.count, N))])
        states, _ = _probes(m)

        def look(numbers: Numbers, clocks: list[Tensor], fixed: list[Tensor]) -> Tensor:
            z = states[:, None, :].expand(m, N, states.shape[1]).clone()
            return self._at(numbers).evaluation_weights(z[0], self._state(z, clocks, fixed))

        seen = at.each(look).numpy()  # [T, N, J]
        u: Floats = np.moveaxis(seen[..., :m], -1, 0).copy()
        expected = np.einsum("i...,ir->...r", u, states.numpy())
        if not np.all(np.abs(seen - expected) <= TOLERANCE * np.abs(states.numpy()).max(0)):
            raise NotLinear(self.label, "is measured at a point that is not linear in its state")
        return u

    def _stepped(self, at: Settings) -> tuple[Floats, Floats, list[Tensor]]:
        """M and v at the clocks' values, and the clocks afterwards."""
        m, N = self.m, len(self.curvatures)
        states, gradients = _probes(m)  # [m, J], [J]

        def step(numbers: Numbers, clocks: list[Tensor], fixed: list[Tensor]) -> tuple[Tensor, ...]:
            batched = 0.0 * numbers["lr"]  # a branch on numbers that are not batched would go unnoticed
            z = states[:, None, :].expand(m, N, states.shape[1]) + batched
            g = gradients.expand(N, gradients.numel()) + batched
            w, state = self._at(numbers).step(z[0], g, self._state(z, clocks, fixed))
            after = pytree.tree_leaves(state)
            return torch.stack([w, *(after[i] for i in self._names)]), *(
                after[i] for i in (*self._clocks, *self._given)
            )

        stepped, *rest = at.each(step)
        clocks, given = rest[: len(self._clocks)], rest[len(self._clocks) :]
        for fixed, after in zip(at.fixed, given, strict=True):
            if not torch.equal(fixed.expand_as(after), after):
                raise NotLinear(self.label, "moves by itself where parameters and gradients are 0")
        M, v = self._checked(stepped.movedim(1, 0).numpy(), states.numpy(), gradients.numpy())
        return M, v, [clock.detach() for clock in clocks]

    def _at(self, numbers: Numbers) -> Rule:
        """The rule of one setting; a single one differs from itself in its learning rate only."""
        return self._template.at_lr(numbers["lr"]) if len(self.rules) == 1 else self._template.close(numbers)

    def _state(self, z: Tensor, clocks: list[Tensor], fixed: list[Tensor]) -> Tree:
        """The rule's state at ``z`` [m, N, J]."""
        leaves = {i: z[place + 1] for place, i in enumerate(self._names)}
        leaves |= dict(zip(self._clocks, clocks, strict=True))
        leaves |= {i: leaf.expand(z.shape[1:]) for i, leaf in zip(self._given, fixed, strict=True)}
        return pytree.tree_unflatten([leaves[i] for i in range(len(leaves))], self._tree)

    def _checked(self, stepped: Floats, states: Floats, gradients: Floats) -> tuple[Floats, Floats]:
        """M and v out of a step of all probes [m, T, N, J], once the random ones have shown that it is linear."""
        m = self.m
        M, v, zero = np.moveaxis(stepped[..., :m], -1, 1).copy(), stepped[..., m].copy(), stepped[..., m + 1]
        if not np.all(zero == 0):
            raise NotLinear(self.label, "moves by itself where parameters and gradients are 0")
        z, g = states[:, m + 2 :], gradients[m + 2 :]
        expected = np.einsum("ij...,jr->i...r", M, z) + v[..., None] * g
        size = np.abs(M).max((0, 1))[..., None] * np.abs(z).max(0) + np.abs(v).max(0)[..., None] * np.abs(g)
        if not np.all(np.abs(stepped[..., m + 2 :] - expected) <= TOLERANCE * size):
            raise NotLinear(
                self.label,
                "is not linear: twice the state and gradient do not give twice the step, so its moments obey no "
                "recursion",
            )
        return M, v


def _rule(method: Method) -> Rule:
    method.require_closed()
    if not isinstance(method, Rule):
        raise NotLinear(method.label, "is no rule that can be probed, but keeps its own host-side state")
    for path, value in method.values().items():
        if isinstance(value, float) and not math.isfinite(value):
            raise BadMethod(f"{method.label} has {path} = {value}, and no step of it is a number; give a finite one.")
    return replace(method, schedule=None)


@cache
def _probes(m: int) -> tuple[Tensor, Tensor]:
    """States [m, J] and gradients [J]: unit vectors, a unit gradient, nothing, and random ones of several sizes."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor(SCALES, dtype=torch.float64)
    random = torch.randn(m + 1, sizes.numel(), generator=generator, dtype=torch.float64) * sizes
    basis = torch.eye(m + 1, m + 2, dtype=torch.float64)
    both = torch.cat([basis, random], dim=1)
    return both[:m], both[m]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _sentences:  # noqa: N801 - reads as a statement: with _sentences(label)
    """What a user's step raises while it is probed, as one sentence."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, OptwiseError):
            text = (str(error).strip().splitlines() or [""])[0][:160]
            raise BadMethod(f"{self.label} cannot be probed: {type(error).__name__}: {text}.") from error
