"""Figures as charts to hold in the hand: the page's own, chosen by name, shown without a network."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import altair as alt
import vl_convert

from optwise.core.errors import BadProtocol, UnknownName
from optwise.report.drawing import SCHEMA, Chart, Figure, spec_of

NotebookChart: TypeAlias = Chart | alt.ConcatChart
MIME = f"application/vnd.vegalite.{SCHEMA.split('.')[0]}+json"
WIDTH, PANEL_WIDTH, ROW = 560, 220, 3
"""Of a chart, of one of several side by side, and how many of these stand in a row."""
LARGEST = 200_000
"""Characters of a picture made of lines, which holds every point that only a pointer shows; beyond, it is pixels."""
SHARPNESS = 2.0
"""Its pixels for one of the screen."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "curves": ("curves", "courses"),
    "intervals": ("pairs", "more-pairs"),
    "budget-curves": ("budget",),
    "predictions": ("predictions",),
    "prediction-ratios": ("predictions-ratios",),
}
"""Name of a figure to the kinds of figures of the page that it stands for; every other kind is its own name."""
ALIASES: Mapping[str, str] = {
    "forest": "intervals",
    "pairs": "intervals",
    "budget": "budget-curves",
    "courses": "curves",
}
NEEDS: Mapping[str, str] = {
    "intervals": "two methods that can be compared",
    "sensitivity": "a target",
    "predictions": "a problem that declares its quadratic",
    "prediction-ratios": "a problem that declares its quadratic",
    "axes": "a method with an open field",
    "budget-curves": "a method with an open field",
    "profile": "several problems",
    "ranks": "several problems",
}
"""What a comparison must have for a figure to be drawn."""


class Place(NamedTuple):
    """What a figure's anchor says: its name, and the places of its problem and method."""

    name: str
    problem: int | None
    method: int | None


def place(figure: Figure) -> Place:
    """Read an anchor, as in ``p0-axes-m1``."""
    found = re.fullmatch(r"(?:p(\d+)-)?(.+?)(?:-m(\d+))?", figure.anchor)
    assert found is not None
    name = next((name for name, kinds in NAMES.items() if found[2] in kinds), found[2])
    return Place(name, *(None if digits is None else int(digits) for digits in (found[1], found[3])))


def chart_named(
    drawn: Sequence[Figure],
    name: str,
    *,
    problem: int | None = None,
    method: int | None = None,
    panel: str | None = None,
) -> NotebookChart:
    """The chart of the figures of one name; several stand below one another.

    Args:
        drawn: Every figure of a comparison.
        name: As in :data:`NAMES`.
        problem: Only figures of the problem at this place, besides those of all problems.
        method: Only figures of the method at this place.
        panel: Label of the panel, a metric for ``curves``; ``None`` takes the first one.

    Raises:
        UnknownName: No figure has the name, or no panel the label.
        BadProtocol: The comparison has no such figure.
    """
    asked = ALIASES.get(name, name)
    places = [(figure, place(figure)) for figure in drawn]
    known = list(dict.fromkeys(at.name for _, at in places))
    if asked not in known:
        if asked not in {*NAMES, *NEEDS}:
            raise UnknownName("figure", name, known)
        raise BadProtocol(
            f"There is no figure {name} here, which takes {NEEDS.get(asked, 'runs')}; there are {', '.join(known)}."
        )
    chosen = [
        figure
        for figure, at in places
        if at.name == asked and at.problem in (None, problem) and (method is None or at.method in (None, method))
    ]
    if not chosen:
        raise BadProtocol(f"There is no figure {name} for what was asked; leave the problem or the method out.")
    charts = [chart for figure in chosen for chart in _charts(figure, panel)]
    return offline(charts[0] if len(charts) == 1 else alt.concat(*charts, columns=1))


def _charts(figure: Figure, panel: str | None) -> Iterable[NotebookChart]:
    """The panels of a figure: those that stand together in rows, else the one that was asked for."""
    if panel is not None and panel not in figure.panels:
        raise UnknownName("panel", panel, figure.panels)
    if panel is None and figure.together:
        small = [sized(chart, PANEL_WIDTH) for chart in figure.panels.values()]
        yield alt.concat(*small, columns=ROW, title=figure.question)
    else:
        yield sized(figure.panels[panel or next(iter(figure.panels))], WIDTH)


def sized(chart: Chart, width: int) -> Chart:
    """The chart with a width of its own where it would take that of its container, which a cell has none of."""
    return chart.properties(width=width) if chart.to_dict().get("width") == "container" else chart


class Offline:
    """How a chart shows itself in a notebook: its specification, and beside it a picture that needs no script.

    Where the reader has chosen a renderer of Altair's, that one is used.
    """

    def _repr_mimebundle_(self, *arguments: Any, **keywords: Any) -> Any:
        if alt.renderers.active != "default":
            return super()._repr_mimebundle_(*arguments, **keywords)  # type: ignore[misc]
        spec = spec_of(self)  # type: ignore[arg-type]
        shown: dict[str, Any] = {MIME: spec, "text/plain": repr(self)}
        lines = vl_convert.vegalite_to_svg(spec, vl_version=SCHEMA)
        if len(lines) <= LARGEST:
            return {**shown, "image/svg+xml": lines}
        picture = vl_convert.vegalite_to_png(spec, vl_version=SCHEMA, scale=SHARPNESS)
        width, height = (size / SHARPNESS for size in struct.unpack(">II", picture[16:24]))  # of the PNG's header
        shown["image/png"] = base64.b64encode(picture).decode("ascii")
        return shown, {"image/png": {"width": width, "height": height}}


def offline(chart: NotebookChart) -> NotebookChart:
    """The same chart, shown without a network."""
    shown, kind = chart.copy(), type(chart)
    own = type(kind.__name__, (Offline, kind), {"__module__": kind.__module__})
    object.__setattr__(shown, "__class__", own)  # Altair's own way of setting writes into the chart
    return shown
