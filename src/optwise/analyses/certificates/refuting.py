"""Whether the parts of a problem are what they say: a gradient of its value, a proximal map of its penalty.

A certificate is computed from these parts. One that contradicts itself proves nothing, and the culprit is named. What
the library itself defines is held against its laws by tests; only what somebody else wrote is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from optwise.analyses.certificates.doubted_parts import adjoint_faults
from optwise.analyses.certificates.doubted_penalties import penalty_faults
from optwise.analyses.certificates.doubted_sets import set_faults
from optwise.analyses.certificates.doubted_smooth import smooth_faults
from optwise.core.casting import ours
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import Composite


def refuted(said: str) -> Certificate:
    """The certificate of a point of a problem that contradicts itself."""
    return Certificate(CertificateKind.STATIONARITY, "refuted", math.inf, remark=said, hopeless=True)


def refutation(problem: Composite, w: Tensor) -> str:
    r"""Name a part that is not what it says, as a sentence; empty where none is found.

    At the start and at the answer, the gradient is held against autograd or against differences of f, which it must not
    leave on both sides of a kink; f against what it claims to be,

    .. math:: f(w_0) \ge f(w) + \langle \nabla f(w), w_0 - w \rangle + \tfrac{\mu}{2} \|w_0 - w\|^2

    where it claims to be convex; the proximal map against its definition, no point x having a lower
    :math:`t g(x) + \tfrac12 \|x - v\|^2`; a conjugate against Young's inequality; a projection against nearer points;
    an adjoint against the product. Each test is a handful of values, so that it can always be made.

    Args:
        problem: In float64.
        w: The answer [p], where F is finite.
    """
    tests: list[Iterator[str]] = []
    if not ours(problem.smooth):
        tests += [smooth_faults(problem, w)]
    if problem.penalty is not None and not ours(problem.penalty):
        tests += [penalty_faults(problem, problem.penalty, w)]
    if problem.constraint is not None and not ours(problem.constraint):
        tests += [set_faults(problem, problem.constraint, w)]
    if problem.operator is not None and not ours(problem.operator):
        tests += [adjoint_faults(problem.operator, w, "A")]
    return next((said for test in tests for said in test if said), "")
