"""What is seen before scrolling: the verdict, one line under it, the picture, the setting to paste, what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.core.protocol import Protocol
from optwise.report.check_list import linked
from optwise.report.drawing import Figure
from optwise.report.figure_elements import figure_element
from optwise.report.headlines import headline, lines
from optwise.report.hints import MOST, Hints, Setting
from optwise.report.readings import Document, leading
from optwise.report.words import basis, escape, prose, unbroken


def first_screen(document: Document, protocol: Protocol, *, picture: Figure | None, hints: Hints, nav: str) -> str:
    """The top of the page, as HTML.

    Args:
        document: The results document.
        protocol: Its protocol.
        picture: The figure that answers; ``None`` where there is no pair.
        hints: What the reader may do.
        nav: Links to the parts of the page, as HTML.
    """
    problems = ", ".join(document["problems"])
    told = lines(document)
    several = len(told) > 1
    said = "".join(
        f'<p class="line">{f"<b>{escape(name)}</b>: " if several else ""}{linked(document, name, text)}</p>\n'
        for name, text in told.items()
    )
    figure = figure_element(picture, basis(protocol), level=2) if picture is not None else ""
    return (
        f'<header><div class="eyebrow"><p>optwise comparison \N{MIDDLE DOT} {escape(problems)}</p>{nav}</div>\n'
        f"<h1>{prose(headline(document))}</h1>\n{said}</header>\n"
        f'<div class="first"><div>{figure}</div>{_settings(document, hints.settings)}{_steps(hints)}</div>\n'
        '<p id="status" class="aside" role="status"></p>\n'
    )


def _settings(document: Document, settings: Sequence[Setting]) -> str:
    """The setting to paste: the leader's, or the first in order; the others can be chosen."""
    if not settings:
        return ""
    problem = settings[0].problem
    first = leading(document, problem)
    shown = next((i for i, s in enumerate(settings) if (s.problem, s.method) == (problem, first)), 0)
    several = len({s.problem for s in settings}) > 1
    blocks = "".join(
        f'<div id="setting{i}" data-of="settings"{"" if i == shown else " hidden"}>'
        f'<pre tabindex="0"><code id="setting{i}-code">{escape(s.code)}</code></pre>'
        f'<p class="note">{prose(s.rule)} <button type="button" class="copy" data-copies="setting{i}-code" '
        f'aria-label="copy the setting of {escape(s.method)}">copy</button></p></div>'
        for i, s in enumerate(settings)
    )
    options = "".join(
        f'<option value="setting{i}"{" selected" if i == shown else ""}>'
        f"{escape(f'{s.method} on {s.problem}' if several else s.method)}</option>"
        for i, s in enumerate(settings)
    )
    chosen = f'<label class="note">of <select data-shows="settings" autocomplete="off">{options}</select></label>'
    title = "The winning setting, to paste" if first is not None else "A setting to paste (none is ahead)"
    return (
        f'<section><div class="headed"><h2 id="setting">{title}</h2>{chosen if len(settings) > 1 else ""}</div>'
        f"{blocks}</section>"
    )


def _steps(hints: Hints) -> str:
    if not hints.steps:
        return ""
    items = "".join(
        f'<li><p>{prose(step.why)} <button type="button" class="copy" data-copies="step{i}" '
        f'aria-label="copy the command: {prose(step.why)}">copy</button></p>'
        f'<pre class="command" tabindex="0"><code id="step{i}">{unbroken(step.command)}</code></pre></li>'
        for i, step in enumerate(hints.steps[:MOST])
    )
    return f'<section class="next"><h2 id="next">Do next</h2><ol>{items}</ol></section>'
