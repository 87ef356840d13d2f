"""Pairs of methods: the matrix of all of them, and the table of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optwise.core.metric import Direction
from optwise.core.protocol import Protocol
from optwise.report.check_list import check_links
from optwise.report.drawing import colours
from optwise.report.glossary import term
from optwise.report.readings import CLAIMS, Document, direction_of, ordered
from optwise.report.sizes import UNKNOWN, by_order, in_ratios, sign_of, size_of, turned, word_of
from optwise.report.tables import grid, method_name
from optwise.report.words import NOTHING, escape, number, percent, probability, prose

_KINDS = {"equivalent within margin": "even", "not comparable": "behind"}
_SHORT = {"equivalent within margin": "equivalent"}


def pair_matrix(document: Document, protocol: Protocol, problem: str) -> str:
    """Every pair once: the method of the row against that of the column, in the order of the page."""
    order, palette = ordered(document, problem), colours(list(protocol.methods))
    found = {frozenset((v["a"], v["b"])): v for v in document["problems"][problem]["verdicts"]}
    rows, columns = order[:-1], order[1:]
    heads = "".join(f'<th scope="col">{method_name(name, palette)}</th>' for name in columns)
    body = []
    for i, row in enumerate(rows):
        cells = "".join(
            _cell(found.get(frozenset((row, column))), row) if j >= i else '<td class="none"></td>'
            for j, column in enumerate(columns)
        )
        body.append(f'<tr><th scope="row">{method_name(row, palette)}</th>{cells}</tr>')
    size = (
        f"{term('ratio')} of row to column"
        if in_ratios([*found.values()])
        else _difference(protocol, document, problem)
    )
    caption = (
        f"Each row's method against each column's, with the {size} where it is known. A word "
        f"says that they are {term('separated')}, {term('equivalent')} or not comparable; no word says "
        f"{term('not separated')}."
    )
    return (
        f'<div class="scroll matrix" tabindex="0"><table><caption>{caption}</caption><thead><tr><td class="none"></td>'
        f"{heads}</tr></thead><tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def _difference(protocol: Protocol, document: Document, problem: str) -> str:
    """What a difference of the matrix is, and which sign is ahead."""
    metric = document["protocol"]["metric"][problem]
    better = "less" if direction_of(protocol, problem, metric) is Direction.MIN else "more"
    return f"difference in {escape(metric)}, row minus column ({better} is better),"


def _cell(v: Mapping[str, Any] | None, row: str) -> str:
    if v is None or not v.get("asked", True):  # a pair outside --against is not in the document
        return "<td><small>not asked</small></td>"
    word, kind = word_of(v, row), _KINDS.get(v["words"], "")
    if v["words"] in CLAIMS:
        kind = "ahead" if v["a"] == row else "behind"
    said = "" if word == "not comparable" else f"<small>{size_of(v, row).brief}</small>"
    shown = f'<span class="aside">{word}</span>' if word == "not separated" else escape(_SHORT.get(word, word))
    told = prose(v.get("sentence") or "")
    return f'<td class="{kind}" title="{told}">{shown}{said}</td>'


def pairs_table(document: Document, protocol: Protocol, problem: str) -> str:
    """Pairwise verdicts in numbers: words, size with interval, p values, what could still separate them.

    Every pair reads in the order of the page, the method first that stands first there.
    """
    palette, places = colours(list(protocol.methods)), by_order(ordered(document, problem))
    verdicts = document["problems"][problem]["verdicts"]
    ratios, last = in_ratios(verdicts), len(places)
    body = []
    sized = [(turned(v, places), v) for v in verdicts]
    sized.sort(key=lambda pair: (places.get(pair[0].first, last), places.get(pair[0].second, last)))
    for size, v in sized:
        because = f"<br><small>because {prose(v['because'])}</small>" if v.get("because") else ""
        needed = _small(v.get("studies_needed"), "{} studies could tell")
        needed += _small(v.get("evaluations_needed"), "{} evaluations could show whether they are equivalent")
        needed += _small(v.get("separated_at"), "as seen after {} studies")
        share = v.get("share_of_pairs", v.get("p_a_better"))
        share = 1 - share if share is not None and size.first != v["a"] else share
        names = f"{method_name(size.first, palette)} {sign_of(ratio=ratios)} {method_name(size.second, palette)}"
        body.append(
            [
                f'{names}: <b class="word">{escape(word_of(v, size.first))}</b>{because}{needed}',
                NOTHING if size.words == UNKNOWN else size.words,
                probability(v["p_adjusted"]),
                probability(v["p"]),
                NOTHING if share is None else f"{share:.2f}",
                NOTHING if v.get("n") is None else str(v["n"]),
                *([number(v.get("smallest_ratio"))] if ratios else []),
                check_links(document, problem, v.get("warnings") or []) or NOTHING,
            ]
        )
    heads = [
        f"first {sign_of(ratio=ratios)} second, and the verdict on the first",
        f"{term('ratio') if ratios else 'difference'} [{percent(protocol.level)} {term('interval')}]",
        term("p, adjusted"),
        "p alone",
        "pairs of studies that the first wins",
        "studies each",
        *(["ratio these studies can find"] if ratios else []),
        "open checks",
    ]
    return grid("All pairs in numbers.", heads, body, text=(0, len(heads) - 1))


def _small(count: int | None, said: str) -> str:
    return f"<br><small>{said.format(f'{count:,}')}</small>" if count else ""
