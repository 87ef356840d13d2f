"""What all figures share: the frame around a chart, its colours and type, its data as JSON, its image files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import altair as alt
import pandas as pd
import vl_convert

from optwise.core.errors import BadFolder
from optwise.core.showing import Terse
from optwise.report.readings import spans_decades

Chart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart
Spec: TypeAlias = dict[str, Any]

# Okabe and Ito's colour-blind safe set without its yellow (too pale on white), then dark ones after Paul Tol
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#999933", "#332288", "#8C8C8C", "#7A4419"),
)
INK, RULE, GRID = "#1b1f24", "#5b6570", "#e7eaee"
NO_PREFIX_ON_ZERO = "datum.value == 0 ? '0' : datum.label"  # d3 would write 0k
CROSS = "M-1,-1L1,1M-1,1L1,-1"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SCHEMA = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
_WIDTH = 720  # of image files; on the page a chart takes the width of its container

_CONFIG: Mapping[str, Any] = {
    "font": FONT,
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 11.5,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": GRID,
        "domainColor": RULE,
        "tickColor": RULE,
        "labelLimit": 170,
        "labelOverlap": True,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 150,
        "symbolStrokeWidth": 2.5,
        "columnPadding": 14,
    },
    "title": {"color": INK, "fontSize": 12, "fontWeight": "normal"},
}


@dataclass(frozen=True)
class Figure(Terse):
    """One question, its answer and the charts that show it.

    Args:
        anchor: Where links on the page lead; also the name of its files.
        question: What the figure asks.
        answer: What the data say, with seeds and budget.
        key: How to read it: what lines, bands and marks stand for.
        panels: Charts by label.
        together: Whether panels stand side by side (small multiples); otherwise the reader picks one.
        diagram: An SVG element that stands in place of charts; text inside it is already escaped.
    """

    anchor: str
    question: str
    answer: str
    key: str
    panels: Mapping[str, Chart] = field(default_factory=dict)
    together: bool = False
    diagram: str = ""


def colours(methods: Sequence[str]) -> dict[str, str]:
    """One colour per method, the same in every figure and table.

    Example:
        >>> colours(["sgd", "adam"])
        {'sgd': '#0072B2', 'adam': '#D55E00'}
    """
    return {method: PALETTE[i % len(PALETTE)] for i, method in enumerate(methods)}


def legend(entries: Sequence[str], symbol: str) -> alt.Legend:
    """A legend with as many columns as the chart has room for."""
    room = 50 + 7.5 * min(max(map(len, entries), default=0), 20)
    columns = alt.ExprRef(f"max(1, floor(width / {room:g}))")
    return alt.Legend(symbolType=symbol, symbolOpacity=1, columns=columns)


def method_colour(present: Sequence[str], methods: Sequence[str], *, symbol: str = "stroke") -> alt.Color:
    """The colour channel by method.

    Args:
        present: Methods the figure has data of; only these are in its legend.
        methods: All methods of the comparison: their order sets the colours.
        symbol: Shape of the legend's symbols.
    """
    palette = colours(methods)
    scale = alt.Scale(domain=list(present), range=[palette[method] for method in present])
    return alt.Color("method:N", scale=scale, legend=legend(present, symbol))


def value_scale(values: Sequence[float], *, domain: Sequence[float] | None = None) -> alt.Scale:
    """Scale of a vertical axis: log where all values are positive and span enough to be worth it."""
    ends = alt.Undefined if domain is None else list(domain)
    if spans_decades(values):
        return alt.Scale(type="log", domain=ends, nice=False)
    return alt.Scale(type="linear", domain=ends, nice=domain is None, zero=False)


def inline(frame: pd.DataFrame) -> alt.InlineData:
    """Rows as the data of a chart: six significant digits, nothing that JSON has no word for."""
    return alt.InlineData(values=[{str(k): compact(v) for k, v in row.items()} for row in frame.to_dict("records")])


def compact(value: Any) -> Any:
    """A value as small JSON: numbers to six significant digits, ``None`` for NaN and infinity.

    Example:
        >>> compact([0.123456789, float("nan"), 64.0, "sgd"])
        [0.123457, None, 64, 'sgd']
    """
    if isinstance(value, list | tuple):
        return [compact(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    as_float = float(value)
    if not math.isfinite(as_float):
        return None
    rounded = float(f"{as_float:.6g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded


def spec_of(chart: Chart) -> Spec:
    """The Vega-Lite specification of a chart, dressed in the report's type and colours."""
    spec: Spec = chart.to_dict()
    # the page names the dialect itself; a schema's address would only look like a request
    spec.pop("$schema", None)
    return {**spec, "config": dict(_CONFIG)}


def script_json(value: Any) -> str:
    r"""JSON that can stand inside a script element: no text in it can end the element.

    Example:
        >>> print(script_json({"name": "</script>"}))
        {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def images(chart: Chart, path: str | Path) -> Path:
    """Write a chart as PNG, SVG or PDF, by the path's suffix; no browser is needed.

    Args:
        chart: Of any figure.
        path: File to write.

    Raises:
        BadFolder: The suffix names no image format, or the file cannot be written.
    """
    path = Path(path)
    spec = spec_of(chart)
    if spec.get("width") == "container":
        spec["width"] = _WIDTH
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg", ".pdf"):
        raise BadFolder(f"{path.name} does not say which image to write; end it in .png, .svg or .pdf.")
    try:
        if suffix == ".png":
            path.write_bytes(vl_convert.vegalite_to_png(spec, vl_version=SCHEMA, scale=2.0))
        elif suffix == ".svg":
            path.write_text(vl_convert.vegalite_to_svg(spec, vl_version=SCHEMA), encoding="utf-8")
        else:
            path.write_bytes(vl_convert.vegalite_to_pdf(spec, vl_version=SCHEMA))
    except OSError as error:
        raise BadFolder(f"{path.name} cannot be written ({error.strerror}); choose another folder.") from error
    return path
