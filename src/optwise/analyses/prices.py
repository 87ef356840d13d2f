"""What questions to a problem cost, by counting operations and numbers: no clock, so that every machine agrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from optwise.analyses.fitted_costs import FLOP_SECONDS, NUMBER_SECONDS, OPERATION_SECONDS
from optwise.core.composite import Composite
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle

ASKED_SECONDS = 2.5e-6
"""Of a small tensor operation inside a function that is asked, whatever its size."""
BACKWARDS = 3.0
"""Times the cost of a value that it costs together with its gradient by automatic differentiation."""
DECOMPOSED = 10.0
"""Operations for each entry and row of a matrix that is decomposed."""
_PRODUCTS = ("mm", "matmul", "linear", "conv", "einsum", "tensordot", "attention")
_DECOMPOSITIONS = ("svd", "eig", "cholesky", "solve", "inv", "qr", "lstsq", "det", "matrix_exp", "matrix_norm")


@dataclass(frozen=True)
class Prices:
    """Frozen seconds of the questions to a problem: the machine's that the cost model was fitted on.

    Args:
        value: Of f.
        gradient: Of f together with its gradient.
        simple: Of one question to each of the simple parts: a proximal map, a projection, the operator.
        linear: Whether f is a loss of linear predictions, whose cost is that of its products.
        again: F at the start once more, where it differs from what it was before: a random loss.
    """

    value: float
    gradient: float
    simple: float
    linear: bool = False
    again: float | None = None

    def asked(self, counts: Mapping[str, float]) -> float:
        """Frozen seconds of questions by name, factorisations apart.

        Example:
            >>> Prices(1.0, 3.0, 0.0).asked({"evaluations": 5.0, "gradients": 2.0})
            9.0
        """
        of = counts.get
        simple = (of("proxes", 0.0) + of("projections", 0.0)) * self.simple
        products, gradients, hvps = of("products", 0.0), of("gradients", 0.0), of("hvps", 0.0)
        if self.linear:  # some methods book products, others gradients, some both
            return simple + max(0.5 * products, gradients + hvps) * self.gradient
        smooth = of("evaluations", 0.0) * self.value + gradients * (self.gradient - self.value)
        return simple + smooth + 2 * hvps * self.gradient + 0.5 * products * self.simple


def prices_of(problem: Composite) -> Prices:
    """The prices of a problem; f is asked for one value at its start where its sizes do not tell.

    Args:
        problem: As solvers see it, with its start.
    """
    w, model = problem.start, problem.smooth.model
    assert w is not None
    simple = _simple(problem, w)
    if model is not None and model.X.matrix is not None:
        gradient = products_seconds(*model.X.shape)
        return Prices(gradient / 2, gradient, simple, linear=True)
    here = w.clone()  # what was kept of the start must be computed again
    if model is not None:
        value = counted(lambda: model.X.forward(here))[1]
        return Prices(value, 2 * value, simple, linear=True)
    with torch.no_grad():
        found, value = counted(lambda: float(problem.smooth.value(here)))
    return Prices(value, BACKWARDS * value, simple, again=_another(problem, found))


def asked_again(problem: Composite) -> float | None:
    """F at the start once more, where it differs from what it was by more than rounding; ``None`` where it does not."""
    assert problem.start is not None
    here = problem.start.clone()
    if problem.smooth.model is not None:
        return None
    with torch.no_grad():
        return _another(problem, counted(lambda: float(problem.smooth.value(here)))[0])


def _another(problem: Composite, f: float | None) -> float | None:
    assert problem.start is not None
    if f is None:
        return None
    again = f + problem.g(problem.start)
    return again if apart(again, problem.start_value, problem.start.dtype) else None


def products_seconds(n: int, p: int) -> float:
    """Of one product with a dense design of n rows and p columns, and one with its transpose."""
    return 2 * n * p * NUMBER_SECONDS + 10 * OPERATION_SECONDS


def apart(a: float, b: float, dtype: torch.dtype) -> bool:
    """Whether two values of one point differ by more than the order of a sum can make them.

    Example:
        >>> apart(1.0, 1.0 + 1e-15, torch.float64), apart(1.0, 1.01, torch.float64)
        (False, True)
    """
    return abs(a - b) > 1e3 * torch.finfo(dtype).eps * max(abs(a), abs(b))


def counted(ask: Callable[[], Any]) -> tuple[Any, float]:
    """What a question gives, and its frozen seconds.

    Each operation of torch counts, with the numbers that go in and out, and a product of matrices or a decomposition
    with its arithmetic. What happens outside of torch is not seen. What raises gives ``None``:
    whoever asks in earnest will see it.

    Example:
        >>> small, large = torch.ones(10), torch.ones(10**6)
        >>> counted(lambda: float(small.exp().sum()))[1] < counted(lambda: float(large.exp().sum()))[1]
        True
    """
    found = None
    with _Counting() as mode, suppress(Exception):
        found = ask()
    return found, max(mode.seconds, ASKED_SECONDS)


class _Counting(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        out = [_numbers(tensor) for tensor in _tensors(found)]
        if out:  # else a shape, a dtype: no operation
            given = list(_tensors((args, tuple((kwargs or {}).values()))))
            self.seconds += ASKED_SECONDS + _arithmetic(getattr(func, "__name__", ""), given, sum(out))
        return found


def _arithmetic(name: str, given: list[Tensor], out: int) -> float:
    """Seconds that go with sizes. Of a product of [m, k] and [k, n] the sizes of all three multiply to (m k n)^2."""
    sizes = [_numbers(tensor) for tensor in given]
    seconds = (sum(sizes) + out) * NUMBER_SECONDS
    if any(part in name for part in _PRODUCTS) and len(sizes) > 1:
        return seconds + 2 * math.sqrt(float(sizes[0]) * sizes[1] * out) * FLOP_SECONDS
    if any(part in name for part in _DECOMPOSITIONS) and given and given[0].ndim > 1:
        return seconds + DECOMPOSED * sizes[0] * min(given[0].shape[-2:]) * FLOP_SECONDS
    return seconds


def _numbers(tensor: Tensor) -> int:
    return tensor.numel() if tensor.layout is torch.strided else tensor.values().numel()


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _tensors(branch)


def _simple(problem: Composite, w: Tensor) -> float:
    """Of one proximal map or value of the penalty, one projection, and the operator forth and back."""
    penalty, constraint, operator = problem.penalty, problem.constraint, problem.operator
    seconds, at = 0.0, w
    if operator is not None:
        image, forth = _product(operator, w)
        at, seconds = w if image is None else image, seconds + 2 * forth
    if penalty is not None:
        ask = (lambda: penalty.prox(at, 1.0)) if Oracle.PROX in penalty.oracles else (lambda: penalty.value(at))
        seconds += counted(ask)[1]
    if constraint is not None and Oracle.PROJECTION in constraint.oracles:
        seconds += counted(lambda: constraint.project(w))[1]
    return seconds


def _product(operator: LinearOperator, w: Tensor) -> tuple[Tensor | None, float]:
    image: Tensor | None
    image, seconds = counted(lambda: operator.forward(w))
    return image, seconds
