"""When a running solver is looked at, which of its points is the best one, and whether it still gets anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.solver import Iterate

PATIENCE = 300
"""Iterations without any progress, in value or measure, after which a solver counts as stalled; more on long runs."""
PROGRESS = 0.99
"""Factor on its best measure that counts as progress."""
RELOOK = 0.5
"""A measure must fall by this factor after a certificate that was not met before it is looked at again."""
SPACING = 1.3
"""Growth of the distance between looks at the certificate of a solver that has no measure."""
FIRST_RAY = 32
"""Iteration at which a certificate is looked at whatever the measure, and the way gone so far is followed on, in case
it falls for ever; then at twice that, and so on."""
SOLVERS_LIVE_IN = ("optwise.methods", "optwise.numerics", "optwise.analyses")
"""Where a division by zero or an overflow is that of a step, not of the function that is minimised."""

Certify = Callable[[Tensor, Tensor | None], Certificate]

NOTHING = Certificate(CertificateKind.STATIONARITY, "none", math.inf, violation=math.inf)
"""What proves nothing."""

LOOSE = 0.1
"""A relative bound above which a lower objective says more."""


def how_close(certificate: Certificate, found: Iterate, tol: float) -> tuple[int, float]:
    """By what points are compared, smaller is better: those that are proved first, then by bound, then by objective.

    A gradient that is small but not small enough says less than a lower objective, and so does a loose bound. Outside
    of its set the objective may be low, and says nothing: such a point comes last.

    Args:
        certificate: Of the point.
        found: The point.
        tol: What a certificate must reach.
    """
    value = math.inf if math.isnan(certificate.value) else certificate.value
    if certificate.meets(tol):
        return 0, value
    if certificate.hopeless:
        return 1, -math.inf
    if certificate.kind is CertificateKind.OPTIMALITY and value <= LOOSE:
        return 1, value
    return (2, found.value) if certificate.violation <= tol else (3, value)


@dataclass
class Watch:
    """The looks at the certificate, and the best point they found."""

    certify: Certify
    tol: float
    best: Iterate
    certificate: Certificate | None = None
    closeness: tuple[int, float] = (4, math.inf)
    seconds: float = 0.0
    looked: float = math.inf
    due: float = 1.0
    last: Iterate | None = None
    lowest: Iterate | None = None
    measure: float = math.inf
    moved: int = 0

    def look(self, found: Iterate) -> Certificate:
        """Certify a point and keep it if it is the best so far."""
        started = time.perf_counter()
        try:
            certificate = self.certify(found.w, found.dual)
        except ArithmeticError as error:
            if not is_ours(error):
                raise
            certificate = NOTHING  # of numbers near the ends of their range nothing is proved
        self.seconds += time.perf_counter() - started
        closeness = how_close(certificate, found, self.tol)
        if closeness < self.closeness:
            self.best, self.certificate, self.closeness = found, certificate, closeness
        return certificate

    def keep(self, found: Iterate, certificate: Certificate) -> None:
        """The point is the answer, whatever others are."""
        self.best, self.certificate = found, certificate

    @property
    def proof(self) -> Certificate:
        """The certificate of the best point; one that proves nothing where none could be computed."""
        return self.certificate or NOTHING

    def worth_a_look(self, found: Iterate, iteration: int) -> bool:
        """Whether the certificate may be met, or nobody knows and it is time to see."""
        if iteration >= FIRST_RAY and iteration.bit_count() == 1:
            return True
        if math.isnan(found.measure):
            if iteration < self.due:
                return False
            self.due = max(iteration + 1, iteration * SPACING)
            return True
        if found.measure <= self.tol and found.measure <= RELOOK * self.looked:
            self.looked = found.measure
            return True
        return False

    def stands_still(self, found: Iterate, iteration: int) -> bool:
        """Whether neither value nor measure has got better for long."""
        eps = torch.finfo(found.w.dtype).eps
        better = self.lowest is None or found.value < self.lowest.value - 4 * eps * abs(self.lowest.value)
        if better:
            self.lowest = found
        if found.measure < PROGRESS * self.measure:
            self.measure, better = found.measure, True
        self.moved = iteration if better else self.moved
        return iteration - self.moved > max(PATIENCE, iteration // 2)


def is_ours(error: ArithmeticError) -> bool:
    """Whether an error of arithmetic is that of a step, not of the function that is minimised."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    home = "" if innermost is None else innermost.tb_frame.f_globals.get("__name__", "")
    return bool(home.startswith(SOLVERS_LIVE_IN))
