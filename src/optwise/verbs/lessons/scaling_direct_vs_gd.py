"""One factorisation against a hundred gradient steps as the columns grow: seconds measured here, and bytes."""

from __future__ import annotations

import statistics
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import pandas as pd
import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.engine.loop import OneThread
from optwise.methods.solvers.direct import Cholesky
from optwise.methods.solvers.gradient_descent import GradientDescent
from optwise.numerics.factorisation_costs import peak_bytes_cholesky
from optwise.numerics.factorisations import cholesky_solve_normal
from optwise.numerics.memory import total_bytes
from optwise.problems.formulations.regressions import ridge
from optwise.report.lessons.scaling import DESCENT, NORMAL, SMALL, scaling_figure
from optwise.verbs.lessons.declared import Scaling
from optwise.verbs.lessons.lesson import Lesson

PUBLISHED = Scaling()
"""With fewer rows than columns X^T X is singular, and has no Cholesky factor without a ridge."""
DIRECT_SIZES = (250, 500, 1000, 2000, 3000)
SIZES = (*DIRECT_SIZES, 10_000, 30_000, 50_000)
ENOUGH_SECONDS = 2.0
"""What takes longer is not repeated again."""
LARGEST = 100_000
LECTURE_BYTES = 64e9
ITEM = 8  # bytes of a float64


def scaling_direct_vs_gd(asked: Scaling = PUBLISHED) -> Lesson:
    """How seconds and bytes of a direct solve and of gradient descent grow with the columns (recap figure 2.4)."""
    rows = scaling_data(asked)
    memory = memory_data(rows["p"].tolist(), n=asked.rows)
    machines = limit_data({"this machine": float(total_bytes()), "a machine of 64 GB": LECTURE_BYTES}, n=asked.rows)
    machines["seconds"] = [predicted(rows, p, asked) for p in machines["p"]]
    everything = pd.concat([rows, memory, machines], ignore_index=True)
    figure = scaling_figure(rows, memory, machines, n=asked.rows, steps=asked.steps, l2=asked.l2)
    return Lesson("scaling-direct-vs-gd", figure, everything, asked)


def scaling_data(
    asked: Scaling = PUBLISHED, *, direct_sizes: Sequence[int] = DIRECT_SIZES, sizes: Sequence[int] = SIZES
) -> pd.DataFrame:
    """Seconds by route and number of columns p, of which the direct ones beyond ``direct_sizes`` are predicted.

    Columns: panel (``seconds``), route, p, ``seconds`` (median of the repeats, on one thread), ``measured`` (true or
    false), ``flops``, and ``gap``: (f - f*) / (f0 - f*) of what was computed.

    Args:
        asked: Rows, steps, ridge, repeats and seed.
        direct_sizes: Columns at which X^T X is formed and factorised.
        sizes: Columns at which the others are measured; it holds ``direct_sizes``.
    """
    rows = []
    with OneThread():
        for p in sizes:
            generator = torch.Generator().manual_seed(asked.seed)
            X = torch.randn(asked.rows, p, generator=generator, dtype=torch.float64)
            y = torch.randn(asked.rows, generator=generator, dtype=torch.float64)
            for route, solve in _routes(X, y, asked).items():
                if route == NORMAL and p not in direct_sizes:
                    continue
                seconds, w = _timed(solve, asked.repeats)
                rows.append(
                    {
                        "panel": "seconds",
                        "route": route,
                        "p": p,
                        "seconds": seconds,
                        "measured": True,
                        "flops": flops(route, p, asked),
                        "gap": _gap(X, y, w, asked.l2),
                    }
                )
    found = pd.DataFrame(rows)
    beyond = [p for p in (*sizes, LARGEST) if p > max(direct_sizes)]
    guesses = [
        {"panel": "seconds", "route": NORMAL, "p": p, "seconds": predicted(found, p, asked), "measured": False}
        for p in beyond
    ]
    return pd.concat(
        [found, pd.DataFrame(guesses).assign(flops=[flops(NORMAL, p, asked) for p in beyond])], ignore_index=True
    )


def memory_data(sizes: Sequence[int], *, n: int = PUBLISHED.rows) -> pd.DataFrame:
    """Bytes in float64: columns panel (``bytes``), what, p, bytes.

    ``peak`` is what our Cholesky solve holds at once; ``vectors`` are w, its gradient and the next w.
    """
    columns = sorted({*sizes, LARGEST})
    held: Mapping[str, Callable[[int], int]] = {
        "peak": lambda p: peak_bytes_cholesky(n, p, ITEM),
        "gram": lambda p: ITEM * p * p,
        "design": lambda p: ITEM * n * p,
        "vectors": lambda p: ITEM * 3 * p,
        "small gram": lambda _: ITEM * n * n,
    }
    rows = [{"panel": "bytes", "what": what, "p": p, "bytes": size(p)} for what, size in held.items() for p in columns]
    return pd.DataFrame(rows)


def limit_data(machines: Mapping[str, float], *, n: int = PUBLISHED.rows) -> pd.DataFrame:
    """The first p at which the direct solve is refused before it starts: columns panel, machine, limit, p, bytes."""
    rows = []
    for machine, limit in machines.items():
        p = bisect_right(range(10**10), limit, key=lambda p: peak_bytes_cholesky(n, p, ITEM))
        needed = peak_bytes_cholesky(n, p, ITEM)
        rows.append({"panel": "refusal", "machine": machine, "limit": limit, "p": p, "bytes": needed})
    return pd.DataFrame(rows)


def flops(route: str, p: int, asked: Scaling = PUBLISHED) -> float:
    """Operations: additions and multiplications each count one.

    Example:
        >>> f"{flops(NORMAL, 50_000):.3g} {flops(DESCENT, 50_000):.3g} {flops(SMALL, 50_000):.3g}"
        '4.22e+13 2e+09 1e+09'
    """
    n = asked.rows
    counts = {
        NORMAL: 2 * n * p**2 + p**3 / 3,
        DESCENT: asked.steps * 4.0 * n * p,
        SMALL: 2 * n**2 * p + n**3 / 3,
    }
    return counts[route]


def predicted(rows: pd.DataFrame, p: int, asked: Scaling = PUBLISHED) -> float:
    """Seconds of the direct solve at p from those of its largest measured size, in proportion to the operations."""
    own = rows[(rows["route"] == NORMAL) & rows["measured"].astype(bool)]
    last = own.iloc[int(own["p"].to_numpy().argmax())]
    return float(last["seconds"] * flops(NORMAL, p, asked) / last["flops"])


def _routes(X: Tensor, y: Tensor, asked: Scaling) -> Mapping[str, Callable[[], Tensor]]:
    term = ridge(X, y, asked.l2, reduction="sum").smooth
    assert term is not None  # of every formulation
    start = X.new_zeros(X.shape[1])
    lr = 1.8 / (float(torch.linalg.eigvalsh(X @ X.T)[-1]) + asked.l2)  # the lecture's step; not timed

    def normal() -> Tensor:
        return cholesky_solve_normal(X, y, l2=asked.l2).w

    def descent() -> Tensor:
        *_, last = islice(GradientDescent(lr=lr).solve(Composite(term), start), asked.steps)
        return last.w

    def small() -> Tensor:
        return next(iter(Cholesky().solve(Composite(term), start))).w

    return {NORMAL: normal, DESCENT: descent, SMALL: small}


def _timed(solve: Callable[[], Tensor], repeats: int) -> tuple[float, Tensor]:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        w = solve()
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > ENOUGH_SECONDS:
            break
    return statistics.median(seconds), w


def _gap(X: Tensor, y: Tensor, w: Tensor, l2: float) -> float:
    """The relative gap of the ridge objective from w = 0, by its exact minimiser X^T (X X^T + l2 I)^-1 y."""
    best = X.T @ torch.linalg.solve(X @ X.T + l2 * torch.eye(len(X), dtype=X.dtype), y)
    moved, whole = w - best, best
    gap = [float((X @ v).square().sum() + l2 * v.square().sum()) for v in (moved, whole)]
    return gap[0] / gap[1]
