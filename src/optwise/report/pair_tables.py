"""Pairs of methods: the matrix of all of them, and the table of their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optwise.core.metric import Direction
from optwise.core.protocol import Protocol
from optwise.report.drawing import colours
from optwise.report.figures.ratios import turned
from optwise.report.glossary import term
from optwise.report.readings import CLAIMS, Document, direction_of, ordered
from optwise.report.tables import grid, method_name
from optwise.report.words import NOTHING, escape, number, open_end, percent, probability, with_interval

_KINDS = {"equivalent within margin": "even", "not comparable": "behind"}
_SHORT = {"equivalent within margin": "equivalent"}
_UNKNOWN = "size not known"
_OPPOSITE = {"faster": "slower", "better": "worse"}


def pair_matrix(document: Document, protocol: Protocol, problem: str) -> str:
    """Every pair once: the method of the row against that of the column, in the order of the page."""
    order, palette = ordered(document, problem), colours(list(protocol.methods))
    found = {frozenset((v["a"], v["b"])): v for v in document["problems"][problem]["verdicts"]}
    direction = direction_of(protocol, problem, document["protocol"]["metric"][problem])
    rows, columns = order[:-1], order[1:]
    heads = "".join(f'<th scope="col">{method_name(name, palette)}</th>' for name in columns)
    body = []
    for i, row in enumerate(rows):
        cells = "".join(
            _cell(found.get(frozenset((row, column))), row, direction) if j >= i else '<td class="none"></td>'
            for j, column in enumerate(columns)
        )
        body.append(f'<tr><th scope="row">{method_name(row, palette)}</th>{cells}</tr>')
    ratios = all(v.get("difference") is None for v in found.values())
    size = f"{term('ratio')} of row to column" if ratios else "difference, row minus column so that less is ahead,"
    caption = (
        f"Each row's method against each column's, with the {size} where it is known. A word "
        f"says that they are {term('separated')}, {term('equivalent')} or not comparable; no word says "
        f"{term('not separated')}."
    )
    return (
        f'<div class="scroll matrix" tabindex="0"><table><caption>{caption}</caption><thead><tr><td class="none"></td>'
        f"{heads}</tr></thead><tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def _cell(v: Mapping[str, Any] | None, row: str, direction: Direction) -> str:
    if v is None or not v.get("asked", True):  # a pair outside --against is not in the document
        return "<td><small>not asked</small></td>"
    word, kind = str(v["words"]), _KINDS.get(v["words"], "")
    if word in CLAIMS:
        ahead = v["a"] == row
        word, kind = (word, "ahead") if ahead else (_OPPOSITE[word], "behind")
    size, low, high = turned(v, row, direction)
    times = "\N{MULTIPLICATION SIGN}" if v.get("ratio") is not None else ""
    said = _UNKNOWN if math.isnan(size) else f"{open_end(low, high)}{number(size, digits=2)}{times}"
    said = "" if word == "not comparable" else f"<small>{said}</small>"
    shown = f'<span class="aside">{word}</span>' if word == "not separated" else escape(_SHORT.get(word, word))
    told = escape(v.get("sentence") or "")
    return f'<td class="{kind}" title="{told}">{shown}{said}</td>'


def pairs_table(document: Document, protocol: Protocol, problem: str) -> str:
    """Pairwise verdicts in numbers: words, ratio with interval, p values, what could still separate them."""
    palette = colours(list(protocol.methods))
    body = []
    for v in document["problems"][problem]["verdicts"]:
        joint = {"faster": "faster than", "better": "better than"}.get(v["words"], "and")
        tail = "" if v["words"] in CLAIMS else f' <b class="word">{escape(v["words"])}</b>'
        word = f'<b class="word">{joint}</b>' if not tail else joint
        because = f"<br><small>because {escape(v['because'])}</small>" if v.get("because") else ""
        needed = _small(v.get("studies_needed"), "{} studies could tell")
        needed += _small(v.get("evaluations_needed"), "{} evaluations could show whether they are equivalent")
        needed += _small(v.get("separated_at"), "as seen after {} studies")
        share = v.get("share_of_pairs", v.get("p_a_better"))
        body.append(
            [
                f"{method_name(v['a'], palette)} {word} {method_name(v['b'], palette)}{tail}{because}{needed}",
                _interval(v),
                probability(v["p_adjusted"]),
                probability(v["p"]),
                NOTHING if share is None else f"{share:.2f}",
                NOTHING if v.get("n") is None else str(v["n"]),
                number(v.get("smallest_ratio")),
                escape(", ".join(v.get("warnings") or [])) or NOTHING,
            ]
        )
    heads = [
        "verdict",
        f"{term('ratio')} [{percent(protocol.level)} {term('interval')}]",
        term("p, adjusted"),
        "p alone",
        "pairs of studies that the first wins",
        "studies each",
        "ratio these studies can find",
        "open checks",
    ]
    return grid("All pairs in numbers.", heads, body, text=(0, 7))


def _small(count: int | None, said: str) -> str:
    return f"<br><small>{said.format(f'{count:,}')}</small>" if count else ""


def _interval(v: Mapping[str, Any]) -> str:
    size, ends = v["ratio"] if v.get("ratio") is not None else v.get("difference"), (v["ratio_low"], v["ratio_high"])
    if ends == (None, None):  # both ends open: nothing is known of a ratio; an old record has no ends of differences
        return NOTHING if v.get("ratio") is not None else number(size)
    return f"{open_end(*ends)}{with_interval(size, *ends)}"
