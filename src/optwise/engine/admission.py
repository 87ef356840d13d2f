"""Which problems and rules may share a pass: only those whose batched step is the solo step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from optwise.core.method import Rule
from optwise.core.problem import Problem
from optwise.engine.program import Program, program_of
from optwise.engine.rungs import RungName, stepper_of
from optwise.engine.timing import some_batches

ADMISSION_STEPS = 12
"""Float64 steps along which a batched step must equal the solo one; some rules change their formula after step 5."""

ADMISSION_TOLERANCE = 1e-10
"""Norm-relative; rounding alone stays below 1e-12, a wrong formula is far above."""


def unbatchable(problem: Problem) -> str:
    """Why trials of this problem cannot share a pass, as far as its parts know; empty where they know of no reason."""
    if problem.objective.unbatchable:
        return f"the module {problem.objective.unbatchable}"
    if problem.objective.coupled and problem.data is not None and problem.sampler.padded(problem.examples):
        return "examples of a batch see each other, and batches of unequal size would be padded"
    return ""


def admission_error(problem: Problem, rules: Sequence[Rule], rung: RungName = "traced") -> str:
    """Why a batched step is refused: empty where it equals the solo step along a float64 run.

    At each state of a solo run, one batched step from that very state is compared with the solo step, so that chaos
    cannot hide an error or feign one.
    """
    cast = problem.to(dtype=torch.float64)
    rules = [rules[t % len(rules)] for t in range(max(2, min(3, len(rules))))]
    program = program_of(cast, rules[0])
    solo, batched = (stepper_of(kind, program, rules) for kind in ("solo", rung))
    rows = solo.start(range(len(rules)))
    factors = torch.ones(len(rules), dtype=torch.float64)
    for k, batch in enumerate(some_batches(cast, len(rules), ADMISSION_STEPS)):
        expected, got = solo.step(rows, factors, batch), batched.step(rows, factors, batch)
        if not torch.equal(expected.alive, got.alive):
            return f"the batched step {k + 1} ends another row than the solo step"
        for part, given, wanted in zip(("parameters", "state", "buffers"), got[:3], expected[:3], strict=True):
            pairs = zip(pytree.tree_leaves(given), pytree.tree_leaves(wanted), strict=True)
            error = max((_relative(a, b) for a, b in pairs), default=0.0)
            if not error <= ADMISSION_TOLERANCE:
                return f"the {part} after batched step {k + 1} differ from the solo step's by {error:.1e} in float64"
        rows = expected
    return misdeclared(solo.program)


def misdeclared(program: Program) -> str:
    """Why a rule is not elementwise although it says so; empty where it is, or where it does not say so."""
    rule = program.rule
    if not rule.elementwise:
        return ""
    leaves, _ = program.problem.start(0)
    flat = program.layout.pack(leaves)
    states, state = program.state_by_leaf(rule, flat), program.whole_state(rule, flat)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        g = torch.randn(flat.shape, generator=generator, dtype=flat.dtype)
        flat, state = rule.step(flat, g, state)
        stepped = {n: rule.step(leaves[n], part, states[n]) for n, part in program.layout.unpack(g).items()}
        leaves, states = {n: s[0] for n, s in stepped.items()}, {n: s[1] for n, s in stepped.items()}
    error = _relative(program.layout.pack(leaves)[None], flat[None])
    if error <= ADMISSION_TOLERANCE:
        return ""
    name = rule.kinds[-1].__name__  # what wraps it steps as it does
    return f"{name} on all parameters at once differs from leaf by leaf by {error:.1e}; set {name}.elementwise = False"


def _relative(a: Tensor, b: Tensor) -> float:
    """Largest norm-relative difference of rows [T, ...]."""
    a, b = (part.reshape(len(part), -1).double() for part in (a, b))
    size = torch.linalg.vector_norm(b, dim=1)
    return float((torch.linalg.vector_norm(a - b, dim=1) / size.clamp(min=1e-300)).max())
