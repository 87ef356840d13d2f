"""One self-contained HTML page: verdict first, then tables and figures, provenance last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optwise.core.protocol import Protocol
from optwise.core.run import Run
from optwise.report.drawing import Figure
from optwise.report.gallery import anchor, figures
from optwise.report.provenance import how_line, meaning, problem_line, provenance
from optwise.report.readings import Document
from optwise.report.self_contained import figure_element, html_file
from optwise.report.tables import (
    checks_table,
    ledger_table,
    pairs_table,
    results_table,
    selected_table,
    summary_of_checks,
)
from optwise.report.words import basis, escape


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
    sections = "\n".join(_problem(document, protocol, problem, drawn) for problem in document["problems"])
    across = "".join(figure_element(figure, basis(protocol)) for figure in drawn if figure.anchor == "profile")
    if across:
        across = f"<section><h2>Across the problems</h2>{across}</section>"
    problems = ", ".join(document["problems"])
    return html_file(
        f"optwise: {problems}",
        '<header><p class="eyebrow">optwise comparison · '
        f"{escape(problems)}</p>\n<h1>{escape(document['verdict'])}</h1>\n"
        f'<p class="how">{escape(how_line(protocol))}</p>\n{_contents(document, drawn)}</header>\n'
        "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n"
        f'{sections}\n{across}\n<section><h2 id="meaning">What a verdict means, and what it does not</h2>\n'
        f'<p>{escape(meaning(protocol))}</p></section>\n<section><h2 id="provenance">Provenance</h2>\n'
        f"{provenance(document, protocol)}</section>\n",
    )


def _problem(document: Document, protocol: Protocol, problem: str, drawn: Sequence[Figure]) -> str:
    def place(kind: str) -> str:
        return anchor(document, problem, kind)

    own = [figure for figure in drawn if figure.anchor.startswith(place(""))]
    anchors = [*(figure.anchor for figure in own), place("table"), place("ledger")]

    def shown(kind: str) -> str:
        return "".join(
            figure_element(figure, basis(protocol)) for figure in own if figure.anchor.startswith(place(kind))
        )

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
{shown("curves")}{shown("predictions")}{shown("budget")}{shown("axes")}
<details><summary>The settings each study selected</summary>{selected_table(document, protocol, problem)}</details>
{shown("sensitivity")}
<h3 id="{place("checks")}">Checks</h3>
<p class="note">{escape(summary_of_checks(document, problem))}</p>
<div class="checks">{checks_table(document, protocol, problem, anchors)}</div>
</section>"""


def _contents(document: Document, drawn: Iterable[Figure]) -> str:
    drawn = list(drawn)
    links = [(anchor(document, problem, "top"), problem) for problem in document["problems"]]
    if len(links) == 1:
        kinds = {
            "table": "results",
            "verdicts": "pairs",
            "ledger": "ledger",
            "curves": "curves",
            "predictions": "predictions",
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
