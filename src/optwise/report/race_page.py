"""The page of a comparison of solvers: verdict first, then what each proved, how it came down, and where it ran."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from optwise.core.race import Race
from optwise.core.run import Run
from optwise.report.drawing import Control, Figure, colours
from optwise.report.figure_elements import figure_element
from optwise.report.figures.profile import profile_chart, profile_rows
from optwise.report.figures.suboptimality import AXES, course_chart, course_rows
from optwise.report.race_words import race_headline
from optwise.report.readings import Document
from optwise.report.self_contained import html_file
from optwise.report.tables import grid, method_name
from optwise.report.words import NOTHING, duration, escape, listed, number, percent, plural, prose

MEANING = (
    "Nothing here is tuned or random, so there is nothing to test: every number but the seconds is the same on every "
    "run. “Optimal” means that the value was proved, in float64 and apart from the solver, to lie within the "
    "certificate of the best one; “stationary” that the first-order conditions hold to that accuracy. Seconds are "
    "medians over repeats on one thread of this machine, and two methods are called different in seconds only where "
    "their ranges do not meet. A gradient equivalent is a gradient, a Hessian-vector product, or two products with the "
    "design; factorisations and proximal maps are not in it, seconds hold everything."
)


def race_page(document: Document, race: Race, runs: Sequence[Run]) -> str:
    """The report as one HTML file that makes no request.

    Args:
        document: The results document.
        race: What was compared.
        runs: Every run of it.
    """
    sections = "\n".join(_problem(document, race, problem, runs) for problem in document["problems"])
    across = _across(document, race)
    problems = ", ".join(document["problems"])
    links = [(f"p{i}-top", name) for i, name in enumerate(document["problems"])]
    links += [("profile", "profile")] if across else []
    links += [("meaning", "meaning"), ("provenance", "provenance")]
    inside = "".join(f'<a href="#{place}">{escape(words)}</a> ' for place, words in links)
    return html_file(
        f"optwise: {problems}",
        '<header><div class="eyebrow"><p>optwise comparison of solvers \N{MIDDLE DOT} '
        f'{escape(problems)}</p><nav aria-label="Parts of this page">{inside}</nav></div>\n'
        f"<h1>{prose(race_headline(document))}</h1>\n"
        f'<p class="line">{prose(document["verdict"])}</p>\n<p class="how">{escape(how_line(race))}</p></header>\n'
        "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n"
        f'{across}\n{sections}\n<section><h2 id="meaning">What a verdict means, and what it does not</h2>\n'
        f'<p>{escape(MEANING)}</p></section>\n<section><h2 id="provenance">Provenance</h2>\n'
        '<details class="folded"><summary>Hashes, versions, machine and the commands that repeat this</summary>'
        f"{_provenance(document, race)}</details></section>\n",
    )


def how_line(race: Race) -> str:
    """One line on how the verdict was reached: plain text."""
    return (
        f"{plural(len(race.methods), 'solver')} to a certificate of {race.tol:g}, at most {race.max_seconds:g} s a "
        f"run, {plural(race.repeats, 'repeat')} for the seconds; one thread."
    )


def race_figures(document: Document, race: Race, runs: Sequence[Run], problem: str) -> list[Figure]:
    """The figures of one problem."""
    told, place = document["problems"][problem], list(document["problems"]).index(problem)
    own = [run for run in runs if run.name is not None and run.name.problem == problem]
    rows = course_rows(own, told["best"])
    methods = list(race.methods)
    charts = {
        measure: chart
        for measure in ("suboptimality", "certificate")
        if (chart := course_chart(rows, measure, methods=methods, tol=race.tol)) is not None
    }
    if not charts:
        return []
    solved = {m: t["seconds"]["median"] for m, t in told["methods"].items() if t["certified"]}
    order = sorted(solved, key=lambda m: solved[m])
    answer = (
        f"{listed([f'{m} in {duration(solved[m])}' for m in order])} reach {race.tol:g}."
        if solved
        else f"No method reaches {race.tol:g}."
    )
    return [
        Figure(
            anchor=f"p{place}-courses",
            question="How does each method come down?",
            answer=answer,
            key=f"Best value: {told['best']['source']}. Dashed: the certificate asked for. Cross: the end of a run "
            "that proved nothing. Values below 1e-16 are drawn there; the start is drawn at half a unit. A certificate "
            "is recomputed where the solver expects it to be met; between, its own estimate is drawn.",
            panels=charts,
            legend={name: colour for name, colour in colours(methods).items() if name in set(rows["method"])},
            controls=[Control("axis", "horizontal axis", AXES, AXES[0])],
        )
    ]


def _problem(document: Document, race: Race, problem: str, runs: Sequence[Run]) -> str:
    told, place = document["problems"][problem], list(document["problems"]).index(problem)
    figures = "".join(figure_element(f, how_line(race)) for f in race_figures(document, race, runs, problem))
    size = f"{told['parameters']:,} parameters"
    size += f", {told['examples']:,} examples" if told["examples"] else ""
    best = told["best"]
    return f"""<section>
<h2 id="p{place}-top">{escape(problem)}</h2>
<p class="how">{escape(f"{size}, {told['dtype']}. Best value {number(best['value'], digits=8)}: {best['source']}.")}</p>
<h3>Results</h3>
{_results(told, race)}
{figures}<h3>Checks</h3>
<div class="checks">{_checks(told, race)}</div>
<details class="part"><summary>Why each method, or why not</summary>{_reasons(told, race)}</details>
</section>"""


def _results(told: Mapping[str, Any], race: Race) -> str:
    palette = colours(list(race.methods))
    heads = ["method", "ended", "certificate", "suboptimality", "iterations", "gradient eq.", "seconds", "range"]
    body = []
    for name, method in sorted(told["methods"].items(), key=lambda item: _rank(item[1])):
        if method["status"] == "not eligible":
            body.append([method_name(name, palette), "not eligible", *[NOTHING] * 6])
            continue
        proof, seconds = method["certificate"], method["seconds"]
        body.append(
            [
                method_name(name, palette),
                escape(method["status"]),
                NOTHING
                if proof is None
                else f"{number(proof['value'], digits=2)} <small>{escape(proof['name'])}</small>",
                number(method["suboptimality"], digits=2),
                number(method["iterations"]),
                number(method["gradient_equivalents"]),
                duration(seconds["median"]),
                f"{duration(seconds['low'])} to {duration(seconds['high'])}, n = {seconds['n']}",
            ]
        )
    caption = "What each solver proved, and what it took: medians and ranges of the seconds over the repeats."
    return grid(caption, heads, body, text=(0, 1))


def _rank(method: Mapping[str, Any]) -> tuple[bool, bool, float]:
    eligible = method["status"] != "not eligible"
    return (not method["certified"], not eligible, method["seconds"]["median"] or 0.0 if eligible else 0.0)


def _reasons(told: Mapping[str, Any], race: Race) -> str:
    palette = colours(list(race.methods))
    rows = [
        [method_name(name, palette), escape(method.get("refusal") or method.get("failure") or method.get("why") or "")]
        for name, method in told["methods"].items()
    ]
    return grid("Why each method runs as it does, or why it does not fit.", ["method", "reason"], rows, text=(0, 1))


def _checks(told: Mapping[str, Any], race: Race) -> str:
    palette = colours(list(race.methods))
    rows = [
        [
            f'<span class="badge {check["status"]}">{check["status"]}</span>',
            method_name(check["method"], palette),
            escape(check["check"]),
            escape(check["evidence"]),
        ]
        for check in sorted(told["checks"], key=lambda check: check["status"] == "pass")
    ]
    return grid("Checks, what is open first.", ["ended", "method", "check", "evidence"], rows, text=range(4), name=1)


def _across(document: Document, race: Race) -> str:
    figures = "".join(figure_element(figure, how_line(race)) for figure in profile_figures(document, race))
    return f"<section><h2>Across the problems</h2>{figures}</section>" if figures else ""


def race_gallery(document: Document, race: Race, runs: Sequence[Run]) -> list[Figure]:
    """Every figure that the data allow."""
    own = [figure for problem in document["problems"] for figure in race_figures(document, race, runs, problem)]
    return [*own, *profile_figures(document, race)]


def profile_figures(document: Document, race: Race) -> list[Figure]:
    """The figure over several problems, where there are several."""
    if not document["profiles"]:
        return []
    methods = list(race.methods)
    panels = {
        axis: chart
        for axis, profile in document["profiles"].items()
        if (chart := profile_chart(profile_rows(profile, methods), methods=methods)) is not None
    }
    profile = document["profiles"]["seconds"]
    order = sorted(profile["score"], key=lambda m: -profile["score"][m])
    said = [f"{m} proves {percent(profile['solved'][m])} and scores {number(profile['score'][m])}" for m in order]
    return [
        Figure(
            anchor="profile",
            question="On which share of the problems is a method within a factor of the best?",
            answer=f"In seconds, {listed(said)}.",
            key="A line at factor 1: share of problems on which the method is the fastest; at the right: share that it "
            "solves within the largest factor drawn. A problem without a certificate counts as not solved. The score "
            "is the area under the line.",
            panels=panels,
        )
    ]


def _provenance(document: Document, race: Race) -> str:
    rows = {
        "protocol": race.hash,
        "folder": race.folder_hash,
        **{str(k).replace("_", " "): v for k, v in document["environment"].items() if v is not None},
        **{f"data of {name}": about["fingerprint"] for name, about in race.problems.items()},
    }
    facts = "".join(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in rows.items())
    described = {name: method.describe() for name, method in race.methods.items()}
    listing = json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False, default=str)
    return (
        f"<dl>{facts}</dl>\n<pre tabindex='0'>{escape(_commands(race))}</pre>\n"
        f"<details><summary>Solvers and their settings</summary><pre tabindex='0'>{escape(listing)}</pre></details>"
    )


def _commands(race: Race) -> str:
    references = [str(about.get("reference") or name) for name, about in race.problems.items()]
    words = ["optwise", "compare", *references, "--methods", ",".join(race.methods), "--tol", f"{race.tol:g}"]
    words += ["--max-seconds", f"{race.max_seconds:g}", "--repeats", str(race.repeats), "--out", "DIR"]
    first = f"{next(iter(race.problems))}/{next(iter(race.methods))}/0/c0"
    return "\n".join(
        [
            "# resume, or add solvers: what was run is kept",
            " ".join(shlex.quote(word) for word in words),
            "# draw this page again",
            "optwise report DIR",
            "# one run again, by its address",
            f"optwise rerun DIR {shlex.quote(first)}",
            "optwise export DIR --to parquet",
        ]
    )
