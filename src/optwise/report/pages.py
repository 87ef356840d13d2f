"""One self-contained HTML page: verdict first, then tables and figures, provenance last."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

import vl_convert

from optwise.core.protocol import Protocol
from optwise.core.run import Run
from optwise.report.drawing import SCHEMA, Figure, script_json, spec_of
from optwise.report.gallery import anchor, caption, figures
from optwise.report.provenance import how_line, meaning, problem_line, provenance
from optwise.report.readings import Document
from optwise.report.tables import (
    checks_table,
    ledger_table,
    pairs_table,
    results_table,
    selected_table,
    summary_of_checks,
)
from optwise.report.words import escape

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def page(document: Document, protocol: Protocol, runs: Sequence[Run]) -> str:
    """The report as one HTML file that makes no request.

    All text of the user is escaped, charts are data that a fixed script draws, and a content security policy admits
    no other script than the two whose hashes it names.

    Args:
        document: The results document.
        protocol: Its protocol.
        runs: Every run of the comparison, searches and confirmations.
    """
    drawn = figures(document, protocol, runs)
    scripts = [_bundle(), _packaged("page.js")]
    sections = "\n".join(_problem(document, protocol, problem, drawn) for problem in document["problems"])
    across = "".join(_figure(figure, protocol) for figure in drawn if figure.anchor == "profile")
    if across:
        across = f"<section><h2>Across the problems</h2>{across}</section>"
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>optwise: {escape(', '.join(document['problems']))}</title>\n"
        f"<style>{_packaged('page.css')}</style></head>\n"
    )
    body = (
        '<body><main>\n<header><p class="eyebrow">optwise comparison · '
        f"{escape(', '.join(document['problems']))}</p>\n<h1>{escape(document['verdict'])}</h1>\n"
        f'<p class="how">{escape(how_line(protocol))}</p>\n{_contents(document, drawn)}</header>\n'
        "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n"
        f'{sections}\n{across}\n<section><h2 id="meaning">What a verdict means, and what it does not</h2>\n'
        f'<p>{escape(meaning(protocol))}</p></section>\n<section><h2 id="provenance">Provenance</h2>\n'
        f"{provenance(document, protocol)}</section>\n</main>\n"
    )
    return head + body + "".join(f"<script>{script}</script>\n" for script in scripts) + "</body></html>\n"


def _problem(document: Document, protocol: Protocol, problem: str, drawn: Sequence[Figure]) -> str:
    def place(kind: str) -> str:
        return anchor(document, problem, kind)

    own = [figure for figure in drawn if figure.anchor.startswith(place(""))]
    anchors = [*(figure.anchor for figure in own), place("table"), place("ledger")]

    def shown(kind: str) -> str:
        return "".join(_figure(figure, protocol) for figure in own if figure.anchor.startswith(place(kind)))

    order = "Medians over confirmation runs with bootstrap intervals, best first; the order alone is no verdict."
    verdicts = document["problems"][problem]["verdicts"]
    pairs = pairs_table(document, protocol, problem) if verdicts else "<p>There is one method, hence no pair.</p>"
    return f"""<section>
<h2 id="{place("top")}">{escape(problem)}</h2>
<p class="how">{escape(problem_line(document, protocol, problem))}</p>
<h3 id="{place("table")}">Results</h3>
{results_table(document, protocol, problem)}
<p class="note">{order}</p>
<h3 id="{place("verdicts")}">Verdicts, pair by pair</h3>
<div class="pairs">{pairs}</div>
{shown("pairs")}
<h3 id="{place("ledger")}">Fairness ledger: what each method was given</h3>
<div class="ledger">{ledger_table(document, protocol, problem)}</div>
{shown("curves")}{shown("budget")}{shown("axes")}
<details><summary>The settings each study selected</summary>{selected_table(document, protocol, problem)}</details>
{shown("sensitivity")}
<h3 id="{place("checks")}">Checks</h3>
<p class="note">{escape(summary_of_checks(document, problem))}</p>
<div class="checks">{checks_table(document, protocol, problem, anchors)}</div>
</section>"""


def _figure(figure: Figure, protocol: Protocol) -> str:
    hosts = []
    for i, (label, chart) in enumerate(figure.panels.items()):
        spec = {**spec_of(chart), "description": f"{figure.question} {label}"}
        name = f"{figure.anchor}-chart{i}"
        hidden = " hidden" if i and not figure.together else ""
        hosts.append(
            f'<div class="chart" id="{name}" data-spec="{name}-spec"{hidden}></div>'
            f'<script type="application/json" id="{name}-spec">{script_json(spec)}</script>'
        )
    choice = ""
    if len(hosts) > 1 and not figure.together:
        options = "".join(
            f'<option value="{figure.anchor}-chart{i}">{escape(label)}</option>'
            for i, label in enumerate(figure.panels)
        )
        choice = (
            f'<label class="choose">metric <select data-panels="{figure.anchor}-panels" autocomplete="off">{options}'
            "</select></label>"
        )
    frame = "panels" if figure.together else "panel"
    return (
        f'<figure id="{figure.anchor}"><h3>{escape(figure.question)}</h3>{choice}'
        f'<div id="{figure.anchor}-panels" class="{frame}">{"".join(hosts)}</div>'
        f"<figcaption><b>{escape(figure.answer)}</b> {escape(caption(figure, protocol)[len(figure.answer) + 1 :])}"
        "</figcaption></figure>\n"
    )


def _contents(document: Document, drawn: Iterable[Figure]) -> str:
    drawn = list(drawn)
    links = [(anchor(document, problem, "top"), problem) for problem in document["problems"]]
    if len(links) == 1:
        kinds = {
            "table": "results",
            "verdicts": "pairs",
            "ledger": "ledger",
            "curves": "curves",
            "budget": "budget curves",
        }
        kinds |= {"sensitivity": "target", "checks": "checks"}
        problem = next(iter(document["problems"]))
        known = {figure.anchor for figure in drawn}
        places = {anchor(document, problem, kind): (kind, words) for kind, words in kinds.items()}
        links = [
            (place, words)
            for place, (kind, words) in places.items()
            if place in known or kind in ("table", "verdicts", "ledger", "checks")
        ]
    links += [("meaning", "what a verdict means"), ("provenance", "provenance")]
    return "<nav>" + "".join(f'<a href="#{place}">{escape(words)}</a> ' for place, words in links) + "</nav>"


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
