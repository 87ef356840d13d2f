"""A rule held against its probes on a whole run: all coordinates in one vector, as the engine steps it, at every size.

Probes are small. What a rule does with as many coordinates as the problem has, at the sizes that its runs have, in one
row and outside of any batch, is looked at here: the first steps of a run, and single steps over hundreds of decades.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from optwise.core.errors import NotLinear
from optwise.core.method import Method, Rule
from optwise.core.quadratic import Quadratic
from optwise.theory.linear_rules import NOT_LINEAR, LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.probes import TOLERANCE, agree, expected_of, of_all_sizes
from optwise.theory.settings import extremes, sentences

STEPS, LATER = 16, 128
"""Steps of a run that are held against the probes; of a rule with clocks, which may do something else later."""

FAR = 1e100
"""A size beyond which a run that diverges goes on from a state as much shorter, which is as good for a linear rule."""

RUNS = 3
"""Settings of many whose runs are looked at, the first at all sizes."""

MOST = 2**15
"""Coordinates up to which a rule that looks at curvature is held against probes as wide as its problem."""


def hold_in_a_run(methods: Sequence[Method], quadratic: Quadratic) -> None:
    """Refuse what steps a whole run otherwise than its probes say.

    Args:
        methods: T closed settings; those with the least and the largest numbers are looked at.
        quadratic: Whose curvatures, start and noise the run has.

    Raises:
        BadMethod: A rule that is not linear at some size, or looks at how many coordinates there are, or at their
            place; one that draws random numbers.
    """
    # the probes of all settings are looked at wherever they are stepped
    chosen = extremes([method.values() for method in methods])[:RUNS] if len(methods) > 1 else [0]
    for place, i in enumerate(chosen):
        _OneRun(methods[i], quadratic).hold(all_sizes=place == 0)


class _OneRun:
    def __init__(self, method: Method, quadratic: Quadratic) -> None:
        kept = slice(None) if quadratic.dimension <= MOST else slice(None, None, -(-quadratic.dimension // MOST))
        self.linear = LinearRule([method], quadratic.h)
        self.label = self.linear.label
        if not self.linear.looks:
            kept = slice(None)
        elif quadratic.dimension > MOST:
            self.linear = LinearRule([method], quadratic.h[kept].copy())
        self.rule: Rule = self.linear.rules[0]
        self.h, self.center = (torch.from_numpy(part[kept].copy()) for part in (quadratic.h, quadratic.center))
        self.generator = torch.Generator().manual_seed(3)
        signs = torch.where(torch.rand(self.h.shape, generator=self.generator) < 0.5, -1.0, 1.0)
        self.w = self.center + torch.from_numpy(np.sqrt(quadratic.start[kept])) * signs
        self.deviation = torch.from_numpy(np.sqrt(quadratic.c[kept]))

    def hold(self, *, all_sizes: bool) -> None:
        """Take the first steps of the run, and steps of ``all_sizes`` from its first and its last state."""
        if self.linear.looks:
            self._each_curvature_alone()
        with sentences(self.label):
            w, state = self.w, self.rule.start(self.w.clone(), self.h.clone())
            zeta = np.stack([part.numpy() for part in self._parts(torch.ones_like(w), self._started_at_one())])
            self._same(np.stack([part.numpy() for part in self._parts(w, state)]), zeta * w.numpy(), "starts")
            steps = LATER if all_sizes and self.linear.clocks else STEPS
            for k in range(steps):
                w, state = self._nearer(w, state)
                noise = torch.randn(w.shape, generator=self.generator, dtype=torch.float64)
                g = self.h * (w - self.center) + (1.0, 1e-3)[k % 2] * self.deviation * noise
                M, v, u = self._probed()
                if all_sizes and k in (0, STEPS - 1):
                    for z, own in of_all_sizes(self.linear.m, len(self.h), shift=int(k > 0)):
                        self._take((M, v), z, own, state)
                z = torch.stack(self._parts(w, state))
                w, state = self._take((M, v), z, g, state, again=self._take((M, v), z, g, state))
                point, expected = self.rule.evaluation_weights(w.clone(), state).numpy(), 0.0
                parts = [part.numpy() for part in self._parts(w, state)]
                expected = sum(u[i] * part for i, part in enumerate(parts))
                size = sum(np.abs(u[i] * part) for i, part in enumerate(parts))
                self._same(point[None], np.asarray(expected)[None], "is measured", size)

    def _each_curvature_alone(self) -> None:
        """A rule may look at a coordinate's own curvature, and neither at those of others nor at its place."""
        h, method = self.linear.curvatures.numpy(), self.rule
        together = self.linear.probe(np.ones(1))
        self.linear.clocks = list(self.linear.begin)
        for place in {0, h.size // 2, h.size - 1}:
            alone = LinearRule([method], h[[place]]).probe(np.ones(1))
            pairs = ((together.M, alone.M), (together.v, alone.v), (together.u, alone.u))
            if not all(np.allclose(a[..., place], b[..., 0], rtol=1e-12, atol=0.0) for a, b in pairs):
                raise NotLinear(self.label, "looks at curvatures of other coordinates")

    def _started_at_one(self) -> Any:
        return self.rule.start(torch.ones_like(self.h), self.h.clone())

    def _parts(self, w: Tensor, state: Any) -> list[Tensor]:
        leaves = pytree.tree_leaves(state)
        return [w, *(leaves[i] for i in self.linear.coordinates)]

    def _nearer(self, w: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The state with every coordinate that has gone too far drawn back by itself."""
        largest = torch.stack(self._parts(w, state)).abs().amax(0)  # [P]
        if bool((largest < FAR).all()):
            return w, state
        unit = largest.where(~(largest < FAR), 1.0)
        leaves, tree = pytree.tree_flatten(state)
        for i in self.linear.coordinates:
            leaves[i] = (leaves[i] / unit).nan_to_num(1.0, 1.0, -1.0)
        return (w / unit).nan_to_num(1.0, 1.0, -1.0), pytree.tree_unflatten(leaves, tree)

    def _probed(self) -> tuple[Floats, Floats, Floats]:
        """M, v and u after the step [..., P or 1]; the clocks of the probes move on."""
        step = self.linear.probe(np.ones(1))
        return step.M[:, :, 0], step.v[:, 0], step.u[:, 0]

    def _take(
        self, Mv: tuple[Floats, Floats], z: Tensor, g: Tensor, state: Any, again: tuple[Tensor, Any] | None = None
    ) -> tuple[Tensor, Any]:
        """The rule's own step from ``z`` [m, P], held against the probes, and against the same step taken ``again``."""
        leaves, tree = pytree.tree_flatten(state)
        own = [leaf.clone() for leaf in leaves]
        for place, i in enumerate(self.linear.coordinates):
            own[i] = z[place + 1].clone()
        w, after = self.rule.step(z[0].clone(), g.clone(), pytree.tree_unflatten(own, tree))
        if again is not None and not all(
            torch.equal(a, b) for a, b in zip(self._parts(w, after), self._parts(*again), strict=True)
        ):
            raise NotLinear(self.label, "does not take the same step twice from the same point")
        expected, size = expected_of(*Mv, z.numpy(), g.numpy())
        self._same(torch.stack(self._parts(w, after)).numpy(), expected, "steps", size)
        return w, after

    def _same(self, found: Floats, expected: Floats, does: str, size: Floats | None = None) -> None:
        limit = np.abs(expected) if size is None else size
        if found.shape == expected.shape and agree(found, expected, TOLERANCE * limit):
            return
        if does == "steps":
            raise NotLinear(self.label, NOT_LINEAR)
        raise NotLinear(self.label, f"{does} at a point that is not linear in its state, coordinate by coordinate")
