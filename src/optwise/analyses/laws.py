"""Laws that a part of a problem must obey, tried at drawn points: how often each failed, and where it failed worst."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.analyses.intervals import share_interval
from optwise.core.errors import BadProblem
from optwise.core.finding import Finding, Grade

ROUNDING = 1e-10
"""Relative violation that counts as rounding in float64. Source: optwise, own choice, half of the digits and some."""
SHOWN = 6
"""Entries of a point that are written out."""


@dataclass
class Law:
    """Trials of an inequality or an equality.

    Args:
        check: Its name, a slug.
        says: What it says, as a clause: ``the prox minimises its objective``.
        source: Where it comes from.
        advice: What to look at if it fails.
        tol: Relative violation that counts as rounding.
    """

    check: str
    says: str
    source: str
    advice: str
    tol: float = ROUNDING
    trials: int = 0
    failures: int = 0
    worst: float = 0.0
    example: str = ""

    def tried(self, violation: float, size: float, example: str, *parts: float | Tensor) -> None:
        """Note one trial.

        Args:
            violation: By how much it failed; at most 0 where it holds with room, NaN where it cannot be computed.
            size: What the violation is relative to.
            example: Where, with a pair of braces for each part; kept of the worst trial.
            parts: Numbers and points.
        """
        relative = violation / max(size, 1e-300) if math.isfinite(violation) else violation
        relative = math.inf if math.isnan(relative) else relative
        self.trials += 1
        self.failures += relative > self.tol
        if relative > max(self.worst, self.tol):
            self.worst = relative
            self.example = example.format(*(shown(p) if isinstance(p, Tensor) else f"{p:.9g}" for p in parts))

    def finding(self, subject: str) -> Finding:
        """What the trials say; the value is the share that failed."""
        if self.failures == 0:
            evidence = f"No counterexample in {self.trials} trials to this: {self.says}."
        else:
            evidence = (
                f"{self.failures} of {self.trials} trials contradict this: {self.says}. The worst, by "
                f"{self.worst:.2g} relative, is {self.example}."
            )
        return Finding(
            check=self.check,
            grade=Grade.FAIL if self.failures else Grade.PASS,
            evidence=evidence,
            subject=subject,
            value=self.failures / self.trials if self.trials else None,
            interval=share_interval(self.failures, self.trials) if self.trials else None,
            source=self.source,
            advice=self.advice if self.failures else "",
        )


def shown(point: Tensor) -> str:
    """A point in a few digits: ``(1, -0.5, ...)``.

    Example:
        >>> shown(torch.tensor([1.0, -0.5]))
        '(1, -0.5)'
    """
    entries = [f"{float(entry):.6g}" for entry in point.reshape(-1)[:SHOWN]]
    return f"({', '.join(entries)}{', ...' if point.numel() > SHOWN else ''})"


def drawn(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    """Points [count, p] of sizes from 0.01 to 100, some of them with zeros, with equal entries or of whole numbers."""
    points = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    points *= 10.0 ** (4 * torch.rand(count, 1, generator=generator, dtype=torch.float64) - 2)
    points[1::5] *= torch.rand(len(points[1::5]), dimension, generator=generator, dtype=torch.float64) < 0.5
    points[2::5] = points[2::5, :1].expand(-1, dimension)
    points[3::5] = points[3::5].round()
    return points


def refuse_other_kind(name: str, given: Tensor, found: Tensor) -> None:
    """Raise unless a map gave a point of the shape and dtype of the one it was given.

    Args:
        name: Of the map.
        given: The point.
        found: Its image.

    Raises:
        BadProblem: It has another shape or dtype.
    """
    if found.shape != given.shape or found.dtype != given.dtype:
        raise BadProblem(
            f"{name} gives {str(found.dtype).removeprefix('torch.')} of shape {tuple(found.shape)} for float64 of "
            f"shape {tuple(given.shape)}; keep both, as in torch.ones_like(v)."
        )
