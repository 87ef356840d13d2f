"""The tables of the page, as HTML: results, pairs, fairness ledger, selected settings, checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optwise.core.budget import EXAMPLE_GRADIENTS, STEPS
from optwise.core.protocol import Protocol
from optwise.report.drawing import colours
from optwise.report.gallery import anchor
from optwise.report.readings import Document, direction_of
from optwise.report.words import (
    NOTHING,
    TIMES,
    duration,
    escape,
    goal_words,
    listed,
    number,
    percent,
    plural,
    probability,
    with_interval,
)

# which figure shows what a check is about; the check's own link may name one of these too
_SHOWN = {
    **dict.fromkeys(("boundary", "density", "infeasible-share", "infeasible"), "axes"),
    **dict.fromkeys(("learning-rate-too-large", "learning-rate-too-small", "noise-floor", "overfitting"), "curves"),
    **dict.fromkeys(("still-improving", "course", "misses", "target-hair", "feasible"), "curves"),
    **dict.fromkeys(("equal-budget", "equal-budget-margin"), "budget"),
    **dict.fromkeys(("borrowed-space", "equal-spending"), "ledger"),
    **dict.fromkeys(("inclusion",), "table"),
    **dict.fromkeys(("prediction",), "predictions"),
}
_CRASHES = ("crashed", "out of memory", "interrupted")
_PLACES = ("axes", "curves", "predictions", "budget", "ledger", "pairs", "sensitivity", "table")


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[int] = (0,)) -> str:
    """A table in a container of its own that scrolls; cells are HTML, columns not in ``text`` are numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kinds = ("" if i in text else ' class="num"' for i in range(len(row)))
        return "".join(f"<{tag}{kind}{scope}>{cell}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{cells("th", heads)}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def method_name(method: str, palette: Mapping[str, str]) -> str:
    """A method's name beside its colour."""
    colour = palette.get(method, "#000000")
    return f'<span class="method"><i class="swatch" style="background:{colour}"></i>{escape(method)}</span>'


def results_rows(document: Document, protocol: Protocol, problem: str) -> list[dict[str, Any]]:
    """What the results table says, best first: one mapping a method, ready to format.

    ``relative`` is the median divided by the best one: of times where there is a target, else of values (only where
    all of them are positive).
    """
    methods, metric = document["problems"][problem]["methods"], document["protocol"]["metric"][problem]
    direction = direction_of(protocol, problem, metric)
    rows = []
    for name, method in methods.items():
        time, value = method["confirm"].get("time_to_target"), method["confirm"]["value"]
        default = method.get("default") or {}
        rows.append(
            {
                "method": name,
                "time": time,
                "value": value,
                "default_time": default.get("time_to_target"),
                "default_value": default.get("value"),
                "test": method.get("test"),
                "size": time["median"] if time is not None else value["median"],
                "rank": (
                    _last(time["median"]) if time is not None else 0.0,
                    time["restricted_mean"] if time is not None else 0.0,
                    _last(value["median"], direction.sign),
                ),
            }
        )
    rows.sort(key=lambda row: row["rank"])
    sizes = [row["size"] for row in rows if row["size"] is not None]
    comparable = bool(sizes) and min(sizes) > 0
    for row in rows:
        row["relative"] = row["size"] / rows[0]["size"] if comparable and row["size"] is not None else None
    return rows


def results_table(document: Document, protocol: Protocol, problem: str) -> str:
    """Median and interval per method: time to target, misses, best value, library defaults, test where revealed."""
    rows, palette = results_rows(document, protocol, problem), colours(list(protocol.methods))
    target, metric = protocol.targets.get(problem), document["protocol"]["metric"][problem]
    axis = next((row["time"]["axis"] for row in rows if row["time"] is not None), protocol.axis)
    tests = list(dict.fromkeys(name for row in rows for name in row["test"] or {}))
    timed = (
        [f"{escape(axis)} to {escape(goal_words(target))}", "misses", "restricted mean"] if target is not None else []
    )
    heads = ["method", *timed, "relative to best", f"best {escape(metric)}", "at library defaults"]
    body = []
    for row in rows:
        cells = [method_name(row["method"], palette)]
        if timed:
            cells += _time_cells(row["time"])
        cells.append(NOTHING if row["relative"] is None else f"{row['relative']:.2f}{TIMES}")
        cells.append(_interval(row["value"]))
        default = row["default_time"] if timed else row["default_value"]
        cells.append("not reached" if timed and default and default["median"] is None else _interval(default))
        cells += [_interval((row["test"] or {}).get(name)) for name in tests]
        body.append(cells)
    return grid([*heads, *(escape(name) for name in tests)], body)


def _time_cells(time: Mapping[str, Any] | None) -> list[str]:
    if time is None:
        return [NOTHING] * 3
    median = _interval(time)
    if time["median"] is None:
        median = "not reached" if time["low"] is None else f"not reached [{number(time['low'])}, {NOTHING}]"
    return [median, f"{time['misses']} of {time['n']}", number(time["restricted_mean"])]


def pairs_table(document: Document, protocol: Protocol, problem: str) -> str:
    """Pairwise verdicts: words, ratio with interval, p values, warnings."""
    palette = colours(list(protocol.methods))
    body = []
    for v in document["problems"][problem]["verdicts"]:
        joint = {"faster": "faster than", "better": "better than"}.get(v["words"], "and")
        tail = "" if v["words"] in ("faster", "better") else f' <b class="word">{escape(v["words"])}</b>'
        word = f'<b class="word">{joint}</b>' if not tail else joint
        because = f"<br><small>because {escape(v['because'])}</small>" if v.get("because") else ""
        needed = f"<br><small>{v['studies_needed']} studies could tell</small>" if v.get("studies_needed") else ""
        body.append(
            [
                f"{method_name(v['a'], palette)} {word} {method_name(v['b'], palette)}{tail}{because}{needed}",
                with_interval(v["ratio"], v["ratio_low"], v["ratio_high"]),
                probability(v["p_adjusted"]),
                probability(v["p"]),
                NOTHING if v.get("p_a_better") is None else f"{v['p_a_better']:.2f}",
                NOTHING if v.get("n") is None else str(v["n"]),
                escape(", ".join(v.get("warnings") or [])) or NOTHING,
            ]
        )
    heads = [
        "verdict",
        f"ratio [{percent(protocol.level)}]",
        "p, Holm",
        "p alone",
        "P(first better)",
        "studies each",
        "open warnings",
    ]
    return grid(heads, body)


def ledger_table(document: Document, protocol: Protocol, problem: str) -> str:
    """What each method was given, and what it spent."""
    palette = colours(list(protocol.methods))
    body = []
    for name, method in document["problems"][problem]["methods"].items():
        search, execution = method["search"], method.get("execution") or {}
        ended, spent = search["statuses"], search.get("budget") or {}
        timed, reason = escape(execution.get("step_timed") or ""), escape(execution.get("reason") or "")
        rung = f"{execution['rung']}, {plural(execution['rows'], 'row')}" if execution.get("rung") else NOTHING
        source = escape(search.get("source") or NOTHING)
        body.append(
            [
                method_name(name, palette),
                str(search["dimensions"]),
                number(search["log_volume"]),
                f"{search['studies']} {TIMES} {search['trials'] // max(search['studies'], 1)}"
                if search["trials"]
                else "closed",
                str(ended.get("not finite", 0)),
                str(sum(ended.get(word, 0) for word in _CRASHES)),
                str(search["infeasible"]),
                *(number(spent.get(unit)) for unit in (STEPS, EXAMPLE_GRADIENTS)),
                duration(search.get("seconds")),
                f'<span title="{timed}">{duration(execution.get("step_seconds"))}</span>',
                f'<span title="{reason}">{escape(rung)}</span>',
                f"<b>borrowed</b>; {source}" if search.get("borrowed_space") else source,
            ]
        )
    heads = [
        *("method", "open fields", "log volume", f"studies {TIMES} trials", "diverged", "crashed", "infeasible"),
        *("steps", "example-gradients", "search took", "one step, solo", "ran as", "search space"),
    ]
    return grid(heads, body, text=(0, 12))


def selected_table(document: Document, protocol: Protocol, problem: str) -> str:
    """The settings each study selected."""
    palette = colours(list(protocol.methods))
    body = []
    for name, method in document["problems"][problem]["methods"].items():
        for study, pick in enumerate(method.get("selected") or []):
            if pick is None:
                body.append([method_name(name, palette), str(study), "no feasible trial", NOTHING, NOTHING])
                continue
            point = ", ".join(f"{path} = {_setting(value)}" for path, value in pick["point"].items())
            body.append(
                [
                    method_name(name, palette),
                    f"{pick['study']} / {pick['index']}",
                    escape(point),
                    number(pick["value"]),
                    number(pick["time"]),
                ]
            )
    return grid(["method", "study / trial", "settings", "search value", "search time"], body, text=(0, 1, 2))


def checks_table(document: Document, protocol: Protocol, problem: str, anchors: Iterable[str]) -> str:
    """Checks, those that need attention first; passes folded away."""
    palette, known = colours(list(protocol.methods)), set(anchors)
    checks = document["problems"][problem]["checks"]
    grades = {"fail": 0, "warn": 1, "pass": 2}
    rows = [(grades.get(c["status"], 0), _check(c, document, problem, palette, known)) for c in checks]
    open_rows = [row for grade, row in sorted(rows, key=lambda pair: pair[0]) if grade < 2]
    passed = [row for grade, row in rows if grade == 2]
    heads = ["", "method", "check", "evidence", "advice", ""]
    parts = []
    if open_rows:
        parts.append(grid(heads, open_rows, text=range(6)))
    else:
        parts.append("<p>No check is open.</p>")
    if passed:
        summary = f"<summary>{plural(len(passed), 'check')} passed</summary>"
        parts.append(f"<details>{summary}{grid(heads, passed, text=range(6))}</details>")
    return "\n".join(parts)


def check_anchor(check: Mapping[str, Any], document: Document, problem: str, known: set[str]) -> str | None:
    """Where the page shows the evidence of a check: its own link if that names a place, else what its name implies."""
    link = str(check.get("link") or "").lstrip("#")
    if link in known:
        return link
    place = next((p for p in _PLACES if p in link), None) or _SHOWN.get(check["check"])
    if place is None:
        return None
    method = check.get("method") or next(iter(check.get("methods") or []), None)
    per_method = place == "axes" and method in document["problems"][problem]["methods"]
    where = anchor(document, problem, place, method if per_method else None)
    return where if where in known else None


def _check(
    check: Mapping[str, Any], document: Document, problem: str, palette: Mapping[str, str], known: set[str]
) -> list[str]:
    where = check_anchor(check, document, problem, known)
    status = check["status"] if check["status"] in ("pass", "warn", "fail") else "warn"
    methods = check.get("methods") or ([check["method"]] if check.get("method") else [])
    source = check.get("source") or ""
    return [
        f'<span class="badge {status}">{status}</span>',
        ", ".join(method_name(m, palette) if m in palette else escape(m) for m in methods) or NOTHING,
        f'<span title="{escape(source)}">{escape(str(check["check"]).replace("-", " "))}</span>',
        escape(check["evidence"]),
        escape(check.get("advice") or ""),
        f'<a href="#{where}">see</a>' if where else "",
    ]


def summary_of_checks(document: Document, problem: str) -> str:
    """How the checks ended, as a sentence."""
    statuses = [c["status"] for c in document["problems"][problem]["checks"]]
    words = {"fail": "failed", "warn": "with a warning", "pass": "passed"}
    return f"{listed(f'{statuses.count(status)} {said}' for status, said in words.items())}."


def _interval(value: Mapping[str, Any] | None) -> str:
    return NOTHING if value is None else with_interval(value["median"], value["low"], value["high"])


def _setting(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _last(value: float | None, sign: float = 1.0) -> float:
    return float("inf") if value is None else sign * value
