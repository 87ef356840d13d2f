"""Light and dark: every colour that charts, tables and text use, and what it becomes on a dark screen."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.report.drawing import GRID, INK, PALETTE, RULE
from optwise.report.figures.ratios import WORDS

_PALETTE_IN_THE_DARK = (
    *("#4da3dd", "#f0803c", "#2fc79a", "#e3a2c6", "#f2b63a", "#7cc8f2", "#f2f2f2"),
    *("#e07aa2", "#c9c95a", "#a99cf0", "#b5b5b5", "#cf9767"),
)
DARK: Mapping[str, str] = {
    INK: "#e8ebee",
    RULE: "#a3adb8",
    GRID: "#2d343c",
    **dict(zip(PALETTE, _PALETTE_IN_THE_DARK, strict=True)),
    WORDS["not separated"]: "#9aa4ae",
    # contours and lines in the background, the grounds of boxes
    "#b4bcc6": "#56606b",
    "#6f7882": "#8b95a0",
    "#eaf2f9": "#17344b",
    "#fdf3e3": "#3a2c14",
    "#f6f8fa": "#1c2228",
}
"""What a chart's colours become on a dark screen; colours of no name here stay as they are."""


def swatch(colour: str) -> str:
    """A small square of a colour of the palette."""
    return f'<i class="swatch" style="background:{_variable(colour)}"></i>'


def theme_css() -> str:
    """The colours as variables, and the rules that turn those of charts on a dark screen; print stays light."""
    light = "".join(f"{_name(colour)}:{colour};" for colour in DARK)
    dark = "".join(f"{_name(colour)}:{turned};" for colour, turned in DARK.items())
    charts = "\n".join(
        f':is(.chart, .diagram) svg[{part}="{colour}" i], :is(.chart, .diagram) svg [{part}="{colour}" i] '
        f"{{ {part}: {_variable(colour)}; }}"
        for colour in DARK
        for part in ("fill", "stroke")
    )
    paper = "\n".join(
        f':is(.chart, .diagram) svg [{part}="white"] {{ {part}: var(--paper); }}' for part in ("fill", "stroke")
    )
    return (
        f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{\n:root {{ {dark} }}\n{charts}\n"
        f"{paper}\n}}\n"
    )


PAPER = "#13171b"
"""What white becomes on a dark screen, as on the page."""


def svg_style() -> str:
    """The same as a style element inside an SVG file, which follows the screen of whoever looks at it."""
    rules = "".join(
        f'svg[{part}="{colour}" i],[{part}="{colour}" i]{{{part}:{turned}}}'
        for colour, turned in {**DARK, "white": PAPER}.items()
        for part in ("fill", "stroke")
    )
    return f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"


def _name(colour: str) -> str:
    return f"--c-{colour.removeprefix('#').lower()}"


def _variable(colour: str) -> str:
    return f"var({_name(colour)}, {colour})"
