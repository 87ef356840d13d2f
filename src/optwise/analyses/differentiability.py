"""Whether a function is differentiable at a point: what its difference quotients do along many directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.numerics.difference_quotients import Differences

BARS = 4.0
"""Error bars by which two slopes must differ to be called different. Source: optwise, own choice."""
SETTLED = 1e-2
"""Error bar, as a share of its slope, above which a difference quotient has no limit. Source: optwise, own choice."""
SHORTEST = 6
"""The steps, a factor of 1000 apart, over which a continuous function must move less and less."""
STILL = 0.5
"""Share of its longest move that a jump keeps over these steps: an h^0.1 keeps half. Source: optwise, own choice."""


@dataclass(frozen=True)
class Lines:
    """A function along lines through a point: first the coordinate axes, then directions d, e and d + e in turn.

    Args:
        values: The function on all lines.
        names: What each line is called: ``w[3]``, ``direction 5``.
        units: Length of a step of 1 along each line, so that slopes can be told per unit of the coordinate.
        axes: How many of the lines are coordinate axes; the others come in threes.
    """

    values: Differences
    names: Sequence[str]
    units: Tensor
    axes: int


@dataclass(frozen=True)
class Smoothness:
    """Whether a function is differentiable at a point, as far as straight lines tell.

    Args:
        ok: Whether it is.
        sentence: What was seen.
        gap: The largest difference between slopes that should agree; infinite where there is no slope.
        line: The line where it fails; -1 where it does not.
    """

    ok: bool
    sentence: str
    gap: float
    line: int = -1


def smoothness(lines: Lines, *, tol: float) -> Smoothness:
    r"""Judge differentiability from one-sided derivatives :math:`f'(w; d)`.

    In this order: f may not jump at w, must be finite on both sides, its quotients must have limits, and these must be
    linear in the direction: :math:`f'(w; -d) = -f'(w; d)` and :math:`f'(w; d + e) = f'(w; d) + f'(w; e)`. These are
    necessary conditions: a function can be smooth along every line and jump along a curve.

    Args:
        lines: The function along axes and random directions.
        tol: Relative difference of slopes that counts as none.
    """
    found = [judge(lines) for judge in (_jump, _outside, _unsettled)]
    broken = next((one for one in found if one is not None), None)
    if broken is not None:
        return broken
    kink, gap = _kink(lines, tol=tol)
    if kink is not None:
        return kink
    bent, other = _not_linear(lines, tol=tol)
    if bent is not None:
        return bent
    directions = len(lines.names) - lines.axes
    return Smoothness(
        ok=True,
        sentence=f"one-sided slopes agree along {lines.axes} {'axis' if lines.axes == 1 else 'axes'} and {directions} "
        f"random directions and are linear in the direction; the largest gap is {max(gap, other):.1e}",
        gap=max(gap, other),
    )


def tidy(slope: float) -> str:
    """A slope to six digits; below 1e-9 it is called 0.

    Example:
        >>> tidy(-1e-17), tidy(1 / 3)
        ('0', '0.333333')
    """
    return f"{slope:.6g}" if abs(slope) > 1e-9 else "0"


def _jump(lines: Lines) -> Smoothness | None:
    values = lines.values
    moves = torch.stack([values.ahead, values.behind]).sub(values.center)[:, -SHORTEST:]  # [2, SHORTEST, R]
    least, most = moves.abs().amin(1), moves.abs().amax(1)
    size = max(abs(values.center), float(most.nan_to_num(0.0, 0.0, 0.0).max()))
    jumps = (least > STILL * most) & (least > 1e-9 * size)
    if not bool(jumps.any()):
        return None
    line = int(jumps.any(0).nonzero()[0])
    side = 0 if bool(jumps[0, line]) else 1
    sign = "" if side == 0 else "-"
    return Smoothness(
        ok=False,
        sentence=f"the function is not even continuous: {_step(values):.0e} away along {sign}{lines.names[line]} it is "
        f"{float(moves[side, -1, line]) + values.center:.6g}, at the point itself {values.center:.6g}",
        gap=math.inf,
        line=line,
    )


def _outside(lines: Lines) -> Smoothness | None:
    values = lines.values
    finite = torch.isfinite(torch.stack([values.ahead, values.behind])[:, -3:]).all(1)  # [2, R]
    if bool(finite.all()):
        return None
    side, line = (int(i) for i in (~finite).nonzero()[0])
    return Smoothness(
        ok=False,
        sentence=f"the function is not finite {_step(values):.0e} away along {'-' if side else ''}{lines.names[line]}, "
        "so the point lies on the edge of its domain",
        gap=math.inf,
        line=line,
    )


def _unsettled(lines: Lines) -> Smoothness | None:
    values = lines.values
    for sign, limit, ends in (("", values.forward(), values.ahead), ("-", values.backward(), values.behind)):
        slopes = (ends - values.center) / values.steps[:, None]  # [K, R]
        loose = (limit.error > SETTLED * limit.value.abs()) & (limit.error > 10 * limit.noise)
        # a slope of zero has no share: its bar is held against the slopes at hand
        loose &= limit.error > SETTLED * 1e-3 * float(slopes[0].nan_to_num(0.0, 0.0, 0.0).abs().max())
        if bool(loose.any()):
            line = int(loose.nonzero()[0])
            first, last = float(slopes[2, line]), float(slopes[10, line])
            return Smoothness(
                ok=False,
                sentence=f"the difference quotient along {sign}{lines.names[line]} does not settle: it is {first:.4g} "
                f"at a step of {float(values.steps[2]):.0e} and {last:.4g} at {float(values.steps[10]):.0e}",
                gap=math.inf,
                line=line,
            )
    return None


def _kink(lines: Lines, *, tol: float) -> tuple[Smoothness | None, float]:
    right, left = lines.values.forward(), lines.values.backward()
    gap, size = (right.value + left.value).abs(), torch.maximum(right.value.abs(), left.value.abs())
    bad = gap > BARS * (right.error + left.error) + tol * size
    if not bool(bad.any()):
        return None, float(gap.max())
    on_axes = bad[: lines.axes]
    kinks = torch.where(bad, gap / lines.units, 0.0)
    line = int((kinks[: lines.axes] if bool(on_axes.any()) else kinks).argmax())
    unit = float(lines.units[line])
    ahead, behind = float(right.value[line]) / unit, -float(left.value[line]) / unit
    return Smoothness(
        ok=False,
        sentence=f"along {lines.names[line]} the slope is {tidy(behind)} on the left and {tidy(ahead)} on the right",
        gap=float(kinks[line]),
        line=line,
    ), math.inf


def _not_linear(lines: Lines, *, tol: float) -> tuple[Smoothness | None, float]:
    central = lines.values.central()
    value, error = central.value[lines.axes :].reshape(-1, 3), central.error[lines.axes :].reshape(-1, 3)
    if not len(value):
        return None, 0.0
    gap, size = (value[:, 2] - value[:, 0] - value[:, 1]).abs(), value.abs().amax(1)
    bad = gap > BARS * error.sum(1) + tol * size
    if not bool(bad.any()):
        return None, float(gap.max())
    group = int(torch.where(bad, gap, 0.0).argmax())
    d, e, both = (float(v) for v in value[group])
    return Smoothness(
        ok=False,
        sentence=f"the slope is not linear in the direction: along d, e and d + e it is {tidy(d)}, {tidy(e)} and "
        f"{tidy(both)}, which is not {tidy(d + e)}",
        gap=float(gap[group]),
        line=lines.axes + 3 * group + 2,
    ), math.inf


def _step(values: Differences) -> float:
    return float(values.steps[-1])
