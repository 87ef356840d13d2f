"""What contradicts itself in an operator or in the loss of a linear model: an adjoint, a derivative, a conjugate."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from optwise.analyses.certificates.doubted_points import EXACT, LEAST, SLACK, direction
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator

TURNED = (1.0, 0.0, -1.0, 0.5, 10.0, -10.0)
"""Multiples of the predictions at which a loss is looked at."""
SHARES = (1.0, 0.5, 0.99, 1.01, 2.0, -1.0)
"""Multiples of its derivative at which its conjugate is asked, inside its domain and outside."""


def adjoint_faults(operator: LinearOperator, w: Tensor, name: str) -> Iterator[str]:
    """Whether an adjoint is not that of its forward product, as a sentence."""
    for seed in (5, 11):
        d = direction(w, w, seed=seed)
        image = operator.forward(d)
        u = direction(image, image, seed=seed + 1)
        pulled = operator.adjoint(u)
        along, back = float(u @ image), float(pulled @ d)
        size = float((u * image).abs().sum()) + float((pulled * d).abs().sum())
        if abs(along - back) > EXACT * size:
            yield (
                f"The adjoint of {name} is not that of its forward product: <u, A w> is {along:.6g} and <A^T u, w> is "
                f"{back:.6g}."
            )
        if seed == 5 and float((operator.forward(2 * d) - 2 * image).norm()) > EXACT * float(image.norm()):
            yield f"The forward product of {name} is not linear: of twice a vector it is not twice what it is of it."


def loss_faults(model: LinearModel, w: Tensor) -> Iterator[str]:
    """What contradicts itself in the loss of a linear model around its predictions, a sentence each."""
    loss, y, name = model.loss, model.y, type(model.loss).__name__
    z = model.X.forward(w)
    points = [factor * z for factor in TURNED] + [y.to(z)]
    values = [loss.values(x, y) for x in points]
    least = min(float(value.min()) for value in values)
    if least < loss.lower_bound - SLACK * abs(loss.lower_bound):
        yield f"{name} says that it is never below {loss.lower_bound:g}, and is {least:g} for a prediction."
    slopes = [loss.derivative(x, y) for x in points]
    for x, value, slope in zip(points, values, slopes, strict=True):
        for other, there, steep in zip(points, values, slopes, strict=True):
            size = LEAST + SLACK * (value.abs() + there.abs() + (slope * (other - x)).abs())
            if bool((there < value + slope * (other - x) - size).any()):
                yield f"{name} is below a tangent: it is not convex, or its derivative is another one; mend either."
                return
            apart, room = (slope - steep).abs(), loss.smoothness * (other - x).abs()
            if bool((apart > room * (1 + EXACT) + LEAST + SLACK * (slope.abs() + steep.abs())).any()):
                yield f"{name} says that it curves by no more than {loss.smoothness:g}, and does; mend smoothness."
                return
    if model.has_conjugate:
        for share in SHARES:
            u = share * slopes[0]
            dual = loss.conjugate(u, y)
            for x, value in zip(points, values, strict=True):
                size = LEAST + SLACK * (value.abs() + dual.abs() + (u * x).abs())
                if bool((value + dual < u * x - size).any()):
                    yield f"The conjugate of {name} is too small: with a value it makes less than u z; mend it."
                    return
