"""HTML files that make no request: the head with its policy, the charts as data, the two scripts that draw them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import vl_convert

from optwise.report.drawing import SCHEMA, Figure, script_json, spec_of
from optwise.report.words import escape

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def html_file(title: str, body: str) -> str:
    """A whole HTML file around a body whose text is already escaped.

    A content security policy admits no other script than the two whose hashes it names, and lets nothing be fetched.

    Args:
        title: Of the window, plain text.
        body: What stands inside ``main``, as HTML.
    """
    scripts = [_bundle(), _packaged("page.js")]
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{_packaged('page.css')}</style></head>\n"
    )
    last = "".join(f"<script>{script}</script>\n" for script in scripts)
    return f"{head}<body><main>\n{body}</main>\n{last}</body></html>\n"


def figure_element(figure: Figure, basis: str) -> str:
    """A figure with its question above and its caption below, as HTML.

    Args:
        figure: What is shown.
        basis: What its caption ends with: seeds and budget.
    """
    return (
        f'<figure id="{figure.anchor}"><h3>{escape(figure.question)}</h3>{_choice(figure)}'
        f"{charts_element(figure)}"
        f"<figcaption><b>{escape(figure.answer)}</b> {escape(f'{figure.key} {basis}')}</figcaption></figure>\n"
    )


def charts_element(figure: Figure, *, frame: str = "") -> str:
    """The charts of a figure alone, or its diagram, as HTML.

    Args:
        figure: What is shown.
        frame: Class of a frame that shows all of them; by default side by side or one at a time, as the figure says.
    """
    if figure.diagram:
        return f'<div id="{figure.anchor}-panels" class="diagram">{figure.diagram}</div>'
    hosts = []
    for i, (label, chart) in enumerate(figure.panels.items()):
        spec = {**spec_of(chart), "description": f"{figure.question} {label}"}
        name = f"{figure.anchor}-chart{i}"
        hidden = " hidden" if i and not figure.together and not frame else ""
        hosts.append(
            f'<div class="chart" id="{name}" data-spec="{name}-spec"{hidden}></div>'
            f'<script type="application/json" id="{name}-spec">{script_json(spec)}</script>'
        )
    frame = frame or ("panels" if figure.together else "panel")
    return f'<div id="{figure.anchor}-panels" class="{frame}">{"".join(hosts)}</div>'


def _choice(figure: Figure) -> str:
    if len(figure.panels) < 2 or figure.together:
        return ""
    options = "".join(
        f'<option value="{figure.anchor}-chart{i}">{escape(label)}</option>' for i, label in enumerate(figure.panels)
    )
    return (
        f'<label class="choose">metric <select data-panels="{figure.anchor}-panels" autocomplete="off">{options}'
        "</select></label>"
    )


def _policy(scripts: Iterable[str]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    # charts carry style attributes of their own, so inline styles stay allowed; nothing may be fetched
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


@cache
def _bundle() -> str:
    bundle: str = vl_convert.javascript_bundle(snippet=_SNIPPET, vl_version=SCHEMA)
    return bundle


@cache
def _packaged(name: str) -> str:
    return files("optwise.report").joinpath(name).read_text(encoding="utf-8")
