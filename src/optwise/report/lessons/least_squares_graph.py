"""The graph of least squares with the local Jacobian of every step, and their product."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from torch import Tensor

from optwise.core.graph import Graph
from optwise.report.drawing import Figure
from optwise.report.graph_drawing import MINUS, TIMES, WIDTH, graph_svg, number_text
from optwise.report.words import plural

W, Z1, Z2, F = "w", "z₁", "z₂", "f"
FORMULAS = {Z1: f"X w {MINUS} y", Z2: "||z₁||²", F: "½ z₂"}
SYMBOLS = {(W, Z1): "X", (Z1, Z2): "2 z₁ᵀ", (Z2, F): "½"}
NARROW = 360.0
"""Width of the drawing on a page of 400 pixels."""
SHOWN = 6
"""Entries of the product up to which it is written out."""


def jacobian_rows(graph: Graph, formulas: Mapping[tuple[str, str], Tensor]) -> pd.DataFrame:
    """One row a step: columns source, target, symbol, rows, columns, entries, flow, difference.

    ``entries`` are those of the measured local Jacobian, rows separated by semicolons; ``flow`` is the row that leaves
    it on the way back; ``difference`` is the largest one between it and its formula.

    Args:
        graph: Of the values w, z1, z2 and f.
        formulas: X, 2 z1ᵀ and 1/2 by the names of their ends.
    """
    rows = []
    for edge in graph.edges:
        ends = (edge.source, edge.target)
        if edge.jacobian is None:
            raise ValueError(f"the Jacobian of {edge.target} by {edge.source} is needed; allow larger ones")
        rows.append(
            {
                "source": edge.source,
                "target": edge.target,
                "symbol": SYMBOLS[ends],
                "rows": edge.size[0],
                "columns": edge.size[1],
                "entries": _entries(edge.jacobian),
                "flow": _entries(edge.gradient.reshape(1, -1)) if edge.gradient is not None else "",
                "difference": float((edge.jacobian - formulas[ends]).abs().max()),
            }
        )
    return pd.DataFrame(rows)


def least_squares_graph_figure(graph: Graph, rows: pd.DataFrame, gradient: Tensor) -> Figure:
    """The figure ``least-squares-graph``.

    Args:
        graph: Of the values w, z1, z2 and f.
        rows: From :func:`jacobian_rows`.
        gradient: Autograd's gradient of f by w [p].
    """
    product = graph.derivative(W)  # [1, p]
    apart = float((product[0] - gradient.flatten()).abs().max())
    n, p = graph.node(Z1).size, graph.node(W).size
    worst = float(rows["difference"].max())
    written = f"= {_row(product)}" if p <= SHOWN else f"is 1{TIMES}{p}"
    sizes = f"1{TIMES}1 · 1{TIMES}{n} · {n}{TIMES}{p}"
    wrong = f"½ · 2 z₁ · X would be 1{TIMES}1 · {n}{TIMES}1 · {n}{TIMES}{p}"
    conclusions = (
        f"∂f/∂w = ½ · 2 z₁ᵀ · X {written}, of sizes {sizes}",
        f"gradient = (∂f/∂w)ᵀ = Xᵀ z₁; largest difference from autograd: {number_text(apart)}",
        f"Without the transpose nothing fits: {wrong}.",
    )

    def drawn(width: float) -> str:
        return graph_svg(
            graph,
            formulas={**FORMULAS, W: plural(p, "number")},
            symbols=SYMBOLS,
            conclusions=conclusions,
            described="The graph of least squares: w, then z₁ = X w - y, then z₂ = ||z₁||², then f = z₂ / 2.",
            width=width,
        )

    return Figure(
        anchor="least-squares-graph",
        question="How does autograd get the gradient of least squares?",
        answer=(
            f"As the product of three local Jacobians, last step first: ½ · 2 z₁ᵀ · X, of sizes {sizes}, and then "
            f"transposed. On torch's own graph they differ from their formulas by at most {number_text(worst)}, and "
            f"their product from autograd's gradient by at most {number_text(apart)}."
        ),
        key=(
            "Boxes are values, solid arrows the computation. Dashed arrows are the way back: a row arrives from the "
            "right and leaves multiplied by the local Jacobian below the arrow. Each Jacobian was measured by sending "
            "basis rows through autograd's own operations; those between two named values are multiplied together."
        ),
        diagram=drawn(WIDTH),
        narrow=drawn(NARROW),
    )


def _row(matrix: Tensor) -> str:
    return f"[{', '.join(number_text(value) for value in matrix[0].tolist())}]"


def _entries(matrix: Tensor) -> str:
    return "; ".join(" ".join(f"{value + 0.0:.17g}" for value in row) for row in matrix.tolist())
