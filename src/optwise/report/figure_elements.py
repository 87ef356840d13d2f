"""Figures as HTML: question, what the reader may choose, the charts as one described image, answer and key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from optwise.report.drawing import Chart, Figure, Spec, script_json, spec_of
from optwise.report.themes import swatch
from optwise.report.words import escape, prose

AXIS = 70
"""About what the vertical axis of a chart takes of its width."""
_COLUMNS = re.compile(r"max\(1, floor\(width / ([\d.]+)\)\)")


def figure_element(figure: Figure, basis: str, *, level: int = 3) -> str:
    """A figure with its question above and its caption below, as HTML.

    Args:
        figure: What is shown.
        basis: What its caption ends with: seeds and budget.
        level: Of its heading.
    """
    key = " ".join(part for part in (figure.key, basis) if part)
    specs = {label: page_spec(figure, chart) for label, chart in figure.panels.items()}
    return (
        f'<figure id="{figure.anchor}"><h{level}>{escape(figure.question)}</h{level}>{_tools(figure)}'
        f"{_charts(figure, specs)}<figcaption>{_data(figure, specs)}"
        f'<b id="{figure.anchor}-answer">{prose(figure.answer)}</b>'
        f'<details class="reading"><summary>How to read it</summary><p>{prose(key)}</p></details>'
        f"</figcaption></figure>\n"
    )


def charts_element(figure: Figure, *, frame: str) -> str:
    """The charts of a figure alone, or its diagram, as HTML, all of them in a frame.

    Args:
        figure: What is shown.
        frame: Class of the frame.
    """
    specs = {label: _by_container(page_spec(figure, chart)) for label, chart in figure.panels.items()}
    return _charts(figure, specs, frame=frame)


def _by_container(part: Any) -> Any:
    """The same specification, its legends in as many columns as the container has room for.

    The width of a chart is what the container and its axis leave, and is found only after its legend was laid out: a
    legend that waits for it is drawn twice, and for a moment over what stands above.
    """
    if isinstance(part, Mapping):
        columns = _COLUMNS.fullmatch(str(part.get("expr", "")))
        if columns:
            return {"expr": f"max(1, floor((max(containerSize()[0] - {AXIS}, 100) + 0 * width) / {columns[1]}))"}
        return {key: value if key == "datasets" else _by_container(value) for key, value in part.items()}
    return [_by_container(item) for item in part] if isinstance(part, list) else part


def _charts(figure: Figure, specs: Mapping[str, Spec], *, frame: str = "") -> str:
    """Charts side by side or one at a time, as the figure says: each is one image to whoever does not see it.

    Its name is the question with the panel, its description the answer, which stands beside it as text.
    """
    described = f'role="img" aria-describedby="{figure.anchor}-answer"'
    if figure.diagram:
        named = f'id="{figure.anchor}-panels" {described} aria-label="{escape(figure.question)}"'
        if figure.narrow:
            both = f'<div class="wide">{figure.diagram}</div><div class="narrow">{figure.narrow}</div>'
            return f'<div {named} class="diagram">{both}</div>'
        return f'<div {named} class="diagram">{figure.diagram}</div>'
    hosts = []
    for i, (label, spec) in enumerate(specs.items()):
        name = f"{figure.anchor}-chart{i}"
        hidden = " hidden" if i and not figure.together and not frame else ""
        said = f"{figure.question} {label}" if len(specs) > 1 else figure.question
        hosts.append(
            f'<div class="chart" id="{name}" {described} aria-label="{escape(said)}" '
            f'data-spec="{name}-spec" data-panel="{escape(label)}"{hidden}></div>'
            f'<script type="application/json" id="{name}-spec">'
            f"{script_json({**spec, 'description': said})}</script>"
        )
    frame = frame or ("panels" if figure.together else "panel")
    return f'<div id="{figure.anchor}-panels" class="{frame}">{"".join(hosts)}</div>'


def page_spec(figure: Figure, chart: Chart) -> Spec:
    """The specification as the page draws it: no ground of its own, and what the page offers itself left out."""
    spec = spec_of(chart)
    spec["config"] = {**spec["config"], "background": "transparent"}
    chosen = {control.parameter for control in figure.controls}
    for parameter in spec.get("params", []):
        if parameter["name"] in chosen:
            parameter.pop("bind", None)
    return _without_legends(spec) if figure.legend else spec


def _without_legends(part: Any) -> Any:
    """The same without legends of methods."""
    if isinstance(part, list):
        return [_without_legends(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {
        key: {**value, "legend": None}
        if key == "color" and isinstance(value, Mapping) and value.get("field") == "method"
        else value
        if key == "datasets"
        else _without_legends(value)
        for key, value in part.items()
    }


def _tools(figure: Figure) -> str:
    """The legend as buttons, and what can be chosen."""
    chosen = []
    if len(figure.panels) > 1 and not figure.together:
        options = {f"{figure.anchor}-chart{i}": label for i, label in enumerate(figure.panels)}
        chosen.append(_select("metric", f'data-panels="{figure.anchor}-panels"', options))
    for control in figure.controls:
        named = f'data-figure="{figure.anchor}" data-parameter="{escape(control.parameter)}"'
        chosen.append(_select(control.label, named, {option: option for option in control.options}, control.shown))
    parts = _legend(figure) + (f'<span class="choices">{"".join(chosen)}</span>' if chosen else "")
    return f'<div class="tools">{parts}</div>' if parts else ""


def _data(figure: Figure, specs: Mapping[str, Spec]) -> str:
    """A button that downloads the rows, where any table has a name."""
    tables = [name for spec in specs.values() for name in spec.get("datasets", {})]
    if all(name.startswith("data-") for name in tables):
        return ""
    said = escape(f"data of “{figure.question}” as CSV")
    return f'<button type="button" class="data" data-csv="{figure.anchor}" aria-label="{said}">data (CSV)</button>'


def _legend(figure: Figure) -> str:
    if not figure.legend:
        return ""
    buttons = "".join(
        f'<button type="button" class="name" aria-pressed="false" data-figure="{figure.anchor}" '
        f'data-name="{escape(name)}">{swatch(colour)}{escape(name)}</button>'
        for name, colour in figure.legend.items()
    )
    return f'<span class="legend" role="group" aria-label="Set methods apart">{buttons}</span>'


def _select(label: str, attributes: str, options: Mapping[str, str], shown: str = "") -> str:
    entries = "".join(
        f'<option value="{escape(value)}"{" selected" if value == shown else ""}>{escape(text)}</option>'
        for value, text in options.items()
    )
    return f'<label>{escape(label)} <select {attributes} autocomplete="off">{entries}</select></label>'
