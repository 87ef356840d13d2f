"""One self-contained HTML page: the first screen decides, the rest of it says why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from optwise.core.protocol import Protocol
from optwise.core.run import Run
from optwise.report.check_list import checks_element, summary_of_checks
from optwise.report.drawing import Figure
from optwise.report.figure_elements import figure_element
from optwise.report.first_screen import first_screen
from optwise.report.gallery import anchor, figures
from optwise.report.glossary import glossary, term
from optwise.report.headlines import problem_headline
from optwise.report.hints import Hints
from optwise.report.pair_tables import pair_matrix, pairs_table
from optwise.report.provenance import how_line, meaning, problem_line, provenance
from optwise.report.readings import Document
from optwise.report.self_contained import html_file
from optwise.report.tables import ledger_table, results_table, selected_table
from optwise.report.words import basis, escape, number, percent, prose
from optwise.report.worth import at_checkpoints, beside, worth_sentence

_ACROSS = ("ranks", "profile")
_FIRST = ("ranks", "p0-pairs", "p0-curves")
"""The picture of the first screen: over several problems the ranks, else the pairs; without any, the curves."""


def page(document: Document, protocol: Protocol, runs: Sequence[Run], hints: Hints | None = None) -> str:
    """The report as one HTML file that makes no request.

    All text of the user is escaped, charts are data that a fixed script draws, and a content security policy admits
    no other script than the two whose hashes it names.

    Args:
        document: The results document.
        protocol: Its protocol.
        runs: Every run of the comparison, searches and confirmations.
        hints: Settings to paste and commands to run next.
    """
    drawn = figures(document, protocol, runs)
    hints = hints or Hints()
    first = min((f for f in drawn if f.anchor in _FIRST), key=lambda f: _FIRST.index(f.anchor), default=None)
    shown = {f.anchor: "" if f is first else figure_element(f, basis(protocol)) for f in drawn}
    sections = "\n".join(
        _problem(document, protocol, problem, _results(document, protocol, runs, problem), shown)
        for problem in document["problems"]
    )
    across = "".join(text for place, text in shown.items() if place in _ACROSS)
    if across:
        across = f'<section><h2 id="across">Across the problems</h2>{across}</section>'
    return html_file(
        f"optwise: {', '.join(document['problems'])}",
        first_screen(document, protocol, picture=first, hints=hints, nav=_contents(document, drawn))
        + "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n"
        f'{across}\n{sections}\n<section><h2 id="meaning">What a verdict means, and what it does not</h2>\n'
        f"<p>{escape(meaning(protocol))}</p>\n"
        f'<details class="folded"><summary>Glossary: the words of this page</summary>{glossary()}</details></section>\n'
        f'<section><h2 id="provenance">Provenance</h2><details class="folded"><summary>Hashes, versions, machine and '
        f"the commands that repeat this</summary>{provenance(document, protocol, hints)}</details></section>\n",
    )


def _problem(document: Document, protocol: Protocol, problem: str, results: str, own: Mapping[str, str]) -> str:
    """One problem; of several, its verdict and one picture, the rest folded.

    ``own`` are the figures as HTML by anchor, nothing for the one that stands on the first screen.
    """

    def place(kind: str) -> str:
        return anchor(document, problem, kind)

    def shown(kind: str) -> str:
        return "".join(text for name, text in own.items() if name.startswith(place(kind)))

    anchors = [*own, place("table"), place("ledger")]
    ledger = f'<div class="ledger" id="{place("ledger")}">{ledger_table(document, protocol, problem)}</div>'
    parts = {
        "Budget curves": shown("budget"),
        "Search spaces, axis by axis": shown("axes"),
        "Settings that each study selected": selected_table(document, protocol, problem),
        "Fairness ledger": ledger,
    }
    behind = "".join(_part(title, body) for title, body in parts.items() if body)
    several = len(document["problems"]) > 1
    picture = next((kind for kind in ("pairs", "curves") if shown(kind)), "") if several else ""
    pairs, curves = ("" if kind == picture else shown(kind) for kind in ("pairs", "curves"))
    top = f'<h2 id="{place("top")}">{escape(problem)}</h2>'
    rest = f"""<p class="how">{prose(problem_line(document, protocol, problem))} {prose(how_line(protocol))}</p>
<h3 id="{place("table")}">Results</h3>
{results}
{_pairs(document, protocol, problem, pairs, shown("more-pairs"))}{curves}{shown("predictions")}
{shown("sensitivity")}
<h3 id="{place("checks")}">Checks</h3>
<p class="note">{escape(summary_of_checks(document, problem))}</p>
{checks_element(document, protocol, problem, anchors)}
<h3 id="{place("more")}">What stands behind it</h3>
{behind}"""
    if not several:
        return f"<section>\n{top}\n{rest}\n</section>"
    return f"""<section>
{top}
<p class="line">{prose(problem_headline(document, problem))}</p>
{shown(picture) if picture else ""}
<details class="folded"><summary>Results, pairs, curves, checks and search of {escape(problem)}</summary>
{rest}
</details>
</section>"""


def _results(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> str:
    """The table, and below it what its differences are worth in another metric."""
    metric, known = document["protocol"]["metric"][problem], _known_to(document, protocol, problem)
    other = beside(protocol, problem, metric)
    values = {} if other is None else at_checkpoints(runs, protocol, problem, metric=metric, other=other)
    if other is None or all(value is None for value in values.values()):
        return results_table(document, protocol, problem) + known
    table = results_table(document, protocol, problem, other=other, checkpoints=values)
    return f'{table}<p class="note">{prose(worth_sentence(document, problem, other, values))}</p>{known}'


def _known_to(document: Document, protocol: Protocol, problem: str) -> str:
    """How well times are known, and up to where every method was observed."""
    gap, limit = document["problems"][problem].get("resolution"), document["problems"][problem].get("limit")
    if protocol.targets.get(problem) is None or not gap or gap.get("amount") is None:
        return ""
    share = f" ({percent(gap['share'])} of all)" if gap.get("share") is not None else ""
    late = f"; a hit after {number(limit['amount'])} is a miss" if limit and limit.get("amount") is not None else ""
    said = f"{term('resolution', shown='Times are known')} to within {number(gap['amount'])} {escape(gap['axis'])}"
    return f'<p class="note">{said}{share}{late}.</p>'


def _pairs(document: Document, protocol: Protocol, problem: str, first: str, more: str) -> str:
    """The matrix, then the figure of the pairs where the first screen has not shown it, then all numbers."""
    place, result = anchor(document, problem, "verdicts"), document["problems"][problem]
    if not result["verdicts"]:
        return f'<h3 id="{place}">Pairs</h3><p>There is one method, hence no pair.</p>'
    curve = (result.get("target_curve") or {}).get("sentence") or ""
    return (
        f'<h3 id="{place}">Pairs</h3>{pair_matrix(document, protocol, problem)}{first}'
        f"{f'<p>{prose(curve)}</p>' if curve else ''}"
        f'<details class="folded"><summary>All pairs in numbers</summary><div class="pairs">'
        f"{pairs_table(document, protocol, problem)}</div>{more}</details>"
    )


def _part(title: str, body: str) -> str:
    return f'<details class="part"><summary>{escape(title)}</summary>{body}</details>'


def _contents(document: Document, drawn: Iterable[Figure]) -> str:
    known = {figure.anchor for figure in drawn}
    links = [(anchor(document, problem, "top"), problem) for problem in document["problems"]]
    if len(links) == 1:
        problem = next(iter(document["problems"]))
        kinds = {"table": "results", "verdicts": "pairs", "curves": "curves"}
        kinds |= {"predictions": "predictions", "sensitivity": "other targets", "checks": "checks", "more": "search"}
        places = {anchor(document, problem, kind): (kind, words) for kind, words in kinds.items()}
        links = [
            (place, words)
            for place, (kind, words) in places.items()
            if place in known or kind in ("table", "verdicts", "checks", "more")
        ]
    links += [("meaning", "meaning"), ("provenance", "provenance")]
    inside = "".join(f'<a href="#{place}">{escape(words)}</a> ' for place, words in links)
    return f'<nav aria-label="Parts of this page">{inside}</nav>'
