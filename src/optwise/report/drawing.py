"""What all figures share: the frame around a chart, its colours and type, its data as JSON, its image files."""

from __future__ import annotations

import itertools
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
from optwise.core.metric import Direction
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
        "labelSeparation": 6,
    },
    "legend": {
        "orient": "top",
        "offset": 8,
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
class Control:
    """What the reader may choose beside a figure: one parameter of its charts.

    Args:
        parameter: Its name in the charts.
        label: What the choice is called.
        options: What it may be.
        shown: What it is at first.
    """

    parameter: str
    label: str
    options: tuple[str, ...]
    shown: str


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
        narrow: The same for a page too narrow for that one.
        legend: Name to colour, where the page draws the legend itself, as buttons that set names apart.
        controls: What the page offers to choose.
    """

    anchor: str
    question: str
    answer: str
    key: str
    panels: Mapping[str, Chart] = field(default_factory=dict)
    together: bool = False
    diagram: str = ""
    narrow: str = ""
    legend: Mapping[str, str] = field(default_factory=dict)
    controls: Sequence[Control] = ()


HELD = "held"
"""Parameter of charts that hold several methods: the names set apart, all of them where it is empty."""
_APART = f"!length({HELD}) || indexof({HELD}, datum.method) >= 0"


def held() -> alt.Parameter:
    """The parameter that the buttons of a legend set."""
    return alt.param(name=HELD, value=[])


def dimmed(full: float) -> Any:
    """An opacity: ``full``, and faint where other methods are set apart."""
    return alt.when(_APART).then(alt.value(full)).otherwise(alt.value(full / 12))


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
    """Scale of a vertical axis: log where all values are positive and span a decade."""
    if spans_decades(values):
        return alt.Scale(type="log", domain=alt.Undefined if domain is None else list(domain), nice=False)
    return linear_scale(domain=domain)


def linear_scale(*, domain: Sequence[float] | None = None) -> alt.Scale:
    """Linear scale of a vertical axis, without a zero that would press the data together."""
    return alt.Scale(
        type="linear", domain=alt.Undefined if domain is None else list(domain), nice=domain is None, zero=False
    )


def metric_scale(values: Sequence[float], direction: Direction, *, domain: Sequence[float] | None = None) -> alt.Scale:
    """Scale of a metric: what is to be maximised (an accuracy) is linear, since its best is no zero to come near."""
    return value_scale(values, domain=domain) if direction is Direction.MIN else linear_scale(domain=domain)


def inline(frame: pd.DataFrame, name: str = "") -> alt.InlineData:
    """Rows as the data of a chart: six significant digits, nothing that JSON has no word for.

    Args:
        frame: The rows.
        name: What they are called where the reader downloads them; rows without a name are drawn only.
    """
    values = [{str(k): compact(v) for k, v in row.items()} for row in frame.to_dict("records")]
    return alt.InlineData(values=values, name=name or alt.Undefined)


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
    """The Vega-Lite specification of a chart, dressed in the report's type and colours.

    Rows that have a name stand once, under ``datasets``, however many layers draw them.
    """
    spec: Spec = chart.to_dict(validate=False)  # its parts were checked when they were made, and the tests check all
    # the page names the dialect itself; a schema's address would only look like a request
    spec.pop("$schema", None)
    datasets = dict(spec.pop("datasets", {}))
    spec = _gathered(spec, datasets)
    return {**spec, **({"datasets": datasets} if datasets else {}), "config": dict(_CONFIG)}


def _gathered(part: Any, datasets: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_gathered(item, datasets) for item in part]
    if not isinstance(part, Mapping):
        return part
    found = {key: _gathered(value, datasets) for key, value in part.items() if key != "data"}
    data = part.get("data")
    if isinstance(data, Mapping) and "name" in data and "values" in data:
        names = (data["name"] if i == 1 else f"{data['name']} ({i})" for i in itertools.count(1))
        name = next(name for name in names if datasets.setdefault(name, data["values"]) == data["values"])
        found["data"] = {"name": name}
    elif data is not None:
        found["data"] = data
    return found


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
