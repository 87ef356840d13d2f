"""A problem made ready to be solved, and what a caller may ask refused before any work."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from optwise.analyses.certificates import certify
from optwise.analyses.certificates.precision import reachable
from optwise.analyses.certificates.refuting import refutation, refuted
from optwise.analyses.certificates.unboundedness import ray_certificate
from optwise.core.certificate import Certificate
from optwise.core.composite import Composite, start_row
from optwise.core.errors import BadProblem, BadProtocol
from optwise.core.layout import Layout
from optwise.core.problem import Problem
from optwise.core.sampler import Full
from optwise.core.showing import brief
from optwise.problems.gradients import detached, wants_gradient, warn_of_gradients
from optwise.problems.numbers import real_tensor, refuse_not_finite

TOL = 1e-6
"""What a certificate must reach unless somebody says otherwise."""


@dataclass(frozen=True, eq=False)
class Formulated:
    """A problem ready to be solved: as solvers see it, and once more in float64 for the certificate.

    Args:
        problem: The problem over all its examples.
        composite: In its own dtype.
        exact: In float64.
        optimum: Its known best value, where there is one.
        deadline: When the caller's time is up: no ray is followed any more.
    """

    problem: Problem
    composite: Composite
    exact: Composite
    optimum: float | None
    deadline: float = math.inf

    def certify(self, w: Tensor, dual: Tensor | None) -> Certificate:
        """The certificate of a point, from scratch in float64."""
        exact_dual = None if dual is None else dual.detach().double()
        proof = certify(self.exact, w.detach().double(), exact_dual, optimum=self.optimum)
        said = self.refuted(w) if proof.meets(self.exact.tol) else ""
        return refuted(said) if said else proof

    def refuted(self, w: Tensor) -> str:
        """A part of the problem that is not what it says, as a sentence; empty where none is found."""
        return refutation(self.exact, w.detach().double())

    def find_ray(self, w: Tensor, direction: Tensor) -> Certificate | None:
        """A certificate that the objective falls for ever along a direction, if it does."""
        limited = replace(self.exact, deadline=self.deadline)
        return ray_certificate(limited, w.detach().double(), direction.detach().double())


def formulate(problem: Problem, tol: float = TOL) -> Formulated:
    """A problem as solvers see it, over all its examples.

    Raises:
        BadProblem: It cannot be evaluated at its start, or not in float64, or its value there is not finite.
    """
    whole = problem if isinstance(problem.sampler, Full) else problem.with_sampler(Full())
    own = start_row(whole)
    if not own.is_floating_point():
        raise BadProblem(f"{problem.name} starts with {own.dtype} parameters; a solver needs float32 or float64.")
    try:
        composite = Composite.of(whole, tol=tol)
        same = own.dtype == torch.float64
        exact = replace(composite, counts=dict(composite.counts)) if same else _exact(whole, tol, composite.unit)
    except RuntimeError as error:
        raise BadProblem(f"{problem.name} cannot be evaluated: {str(error).splitlines()[0]}") from error
    if not math.isfinite(exact.start_value):
        raise BadProblem(
            f"{problem.name} is {exact.start_value} at its start; look at its start, its terms and its data."
        )
    return Formulated(whole, composite, exact, None if whole.optimum is None else whole.optimum.value)


def _exact(problem: Problem, tol: float, unit: float) -> Composite:
    try:
        return Composite.of(problem.to(dtype=torch.float64), tol=tol, unit=unit)
    except RuntimeError as error:
        raise BadProblem(
            f"{problem.name} cannot be recomputed in float64 ({str(error).splitlines()[0]}); hold its data in parts "
            "that `to` casts, or build it in float64."
        ) from error


def prepared(problem: Problem, tol: float, max_seconds: float | None, w0: Any) -> tuple[Formulated, Tensor]:
    """What a caller asked for, checked before any work: the problem made ready, and where to start [p]."""
    if not isinstance(problem, Problem):
        raise BadProblem(f"{brief(problem)} is no Problem; make one, as in ow.problems.lasso(X, y, weight=0.1).")
    if not (isinstance(tol, int | float) and 0 < tol < 1):
        raise BadProtocol(f"tol is {tol}; give a number between 0 and 1, as in 1e-6.")
    if max_seconds is not None and not max_seconds > 0:
        raise BadProtocol(f"max_seconds is {max_seconds}; give a positive number, or none.")
    formulated = formulate(problem, tol)
    w = formulated.composite.start if w0 is None else _start(formulated.problem, w0)
    assert w is not None
    floor = reachable(w.dtype)
    if tol < floor:
        name = str(w.dtype).removeprefix("torch.")
        raise BadProtocol(
            f"tol is {tol:g}, but weights in {name} cannot be certified below {floor:.2g}; "
            + ("give float64 data, or a larger tol." if w.dtype != torch.float64 else "give a larger tol.")
        )
    return formulated, w


def _start(problem: Problem, w0: Any) -> Tensor:
    leaves, _ = problem.start(0)
    row = Layout.of(leaves).pack(leaves)
    if wants_gradient(w0):
        warn_of_gradients(["w0"])
    w = real_tensor(detached(w0), "w0").to(row)
    shapes = [(row.numel(),), *(tuple(leaf.shape) for leaf in leaves.values() if len(leaves) == 1)]
    if tuple(w.shape) not in shapes:
        raise BadProblem(f"w0 has shape {tuple(w.shape)}, but {problem.name} has parameters of shape {shapes[-1]}.")
    refuse_not_finite(w, "w0")
    return w.reshape(-1).clone()
