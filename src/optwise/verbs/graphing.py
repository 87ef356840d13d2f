"""The graph behind a number, drawn: what autograd recorded, with the local Jacobian of every edge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import vl_convert
from torch import Tensor

from optwise.analyses.autograd_graph import LARGEST, read_graph
from optwise.core.errors import BadFolder
from optwise.report.graph_drawing import graph_svg

SUFFIXES = (".svg", ".png")


def draw_graph(
    result: Tensor,
    names: Mapping[str, Tensor] | None = None,
    path: Path | str = "graph.svg",
    *,
    largest: int = LARGEST,
) -> Path:
    """Draw the autograd graph of a number: forward edges solid, the way back dashed, with local Jacobians.

    Args:
        result: One number with a graph.
        names: What to call parameters and intermediate tensors, ``{"w": w, "z": z}``.
        path: File to write, ``.svg`` or ``.png``.
        largest: Entries of a local Jacobian up to which it is measured; of a larger one only the shape is shown.

    Returns:
        The file.

    Raises:
        BadProblem: ``result`` is not one number or has no graph that can still be walked back.
        BadFolder: The suffix names no image, or the file cannot be written.
    """
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise BadFolder(f"{file.name} does not say which image to write; end it in .svg or .png.")
    svg = graph_svg(read_graph(result, names, largest=largest))
    try:
        if file.suffix.lower() == ".svg":
            file.write_text(svg, encoding="utf-8")
        else:
            file.write_bytes(vl_convert.svg_to_png(svg, scale=2.0))
    except OSError as error:
        raise BadFolder(f"{file.name} cannot be written ({error.strerror}); choose another folder.") from error
    return file
