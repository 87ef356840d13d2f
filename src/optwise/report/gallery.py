"""The figures of a comparison, each with its question, its answer and its charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from optwise.core.budget import STEPS
from optwise.core.metric import Direction
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.report.answers import (
    curves_question,
    first_to_arrive,
    hangs_on_target,
    ranks_answer,
    separated_pairs,
    small_budgets,
)
from optwise.report.drawing import Control, Figure, colours
from optwise.report.figures.axes import axis_panels
from optwise.report.figures.budget_curves import Goal, budget_chart, budget_rows
from optwise.report.figures.critical_difference import group_rows, rank_chart, rank_rows, ranked
from optwise.report.figures.curves import curve_chart
from optwise.report.figures.predictions import prediction_figures
from optwise.report.figures.profile import profile_chart, profile_rows
from optwise.report.figures.ratios import ratio_chart, ratio_rows
from optwise.report.figures.sensitivity import sensitivity_chart, sensitivity_rows, ties
from optwise.report.readings import Document, Meter, address, chosen, direction_of, leading, metric_names, ordered
from optwise.report.sizes import in_ratios
from optwise.report.words import listed, number, percent, plural

FIRST = 12
"""Pairs that the first figure shows at most; the rest follows in one of its own."""


def figures(document: Document, protocol: Protocol, runs: Sequence[Run]) -> list[Figure]:
    """Every figure that the data allow, in the order of the page.

    Args:
        document: The results document.
        protocol: Its protocol.
        runs: Every run of the comparison.
    """
    found = [
        figure for problem in document["problems"] for figure in problem_figures(document, protocol, runs, problem)
    ]
    return [*found, *_ranks(document, protocol), *_profile(document, protocol)]


def problem_figures(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    """The figures of one problem."""
    yield from _ratios(document, protocol, problem)
    yield from _curves(document, protocol, runs, problem)
    yield from _predictions(document, protocol, runs, problem)
    yield from _budget(document, protocol, runs, problem)
    yield from _axes(document, protocol, runs, problem)
    yield from _sensitivity(document, protocol, problem)


def anchor(document: Document, problem: str, kind: str, method: str | None = None) -> str:
    """The id of a place on the page: made of numbers, so that no name can break it.

    Example:
        >>> anchor({"problems": {"p": {"methods": {"sgd": {}}}}}, "p", "axes", "sgd")
        'p0-axes-m0'
    """
    place = f"p{list(document['problems']).index(problem)}-{kind}"
    if method is None:
        return place
    return f"{place}-m{list(document['problems'][problem]['methods']).index(method)}"


def _legend(protocol: Protocol, order: Sequence[str], present: Iterable[str]) -> dict[str, str]:
    """The colours of the methods that are drawn, in the one order."""
    present, palette = set(present), colours(list(protocol.methods))
    return {name: palette[name] for name in order if name in present}


def _ratios(document: Document, protocol: Protocol, problem: str) -> Iterator[Figure]:
    verdicts = document["problems"][problem]["verdicts"]
    if not verdicts:
        return
    metric = document["protocol"]["metric"][problem]
    axis = next((v["axis"] for v in verdicts if v.get("axis")), None)
    rows = ratio_rows(
        verdicts,
        order=ordered(document, problem),
        leader=leading(document, problem),
        direction=direction_of(protocol, problem, metric),
    )
    ratios = in_ratios(verdicts)
    left = ratios or direction_of(protocol, problem, metric) is Direction.MIN
    why = "" if ratios else f", since {'less' if left else 'more'} is better"
    level = percent(protocol.level)
    open_ends = bool((rows["low"].isna() ^ rows["high"].isna()).any())
    for kind, shown in (("pairs", rows[:FIRST]), ("more-pairs", rows[FIRST:])):
        chart = ratio_chart(
            shown,
            margin=protocol.margin,
            what=axis or metric,
            ahead="faster" if axis else "better",
            ratios=ratios,
            left=left,
        )
        if chart is not None:
            yield Figure(
                anchor=anchor(document, problem, kind),
                question="How far apart are the methods?" if kind == "pairs" else "And the other pairs?",
                answer=separated_pairs(verdicts, level),
                key=f"Dot and line: the first method's {axis or metric} {'over' if ratios else 'minus'} the second's, "
                f"with its {level} interval{', open where misses leave it so (arrow)' if open_ends else ''}. "
                f"{'Left' if left else 'Right'}: the first method is ahead{why}. "
                + (f"Green: equivalent within {percent(protocol.margin)}." if ratios else ""),
                panels={"ratios": chart},
            )


def _curves(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    methods, metric = list(protocol.methods), document["protocol"]["metric"][problem]
    confirm = chosen(runs, problem, Phase.CONFIRM, methods)
    defaults = chosen(runs, problem, Phase.DEFAULT, methods)
    present = {address(run).method for run in (*confirm, *defaults)}
    meter = Meter(document, problem, [*confirm, *defaults])
    shown = protocol.axis if protocol.axis in meter.axes else STEPS
    axes = sorted(meter.axes, key=lambda axis: axis != shown)
    target = protocol.targets.get(problem)
    charts = {
        name: curve_chart(
            confirm,
            defaults,
            metric=name,
            direction=direction_of(protocol, problem, name),
            methods=methods,
            spent=meter.at,
            axes=axes,
            target=target.value if target is not None and target.metric == name else None,
        )
        for name in metric_names([*confirm, *defaults], metric)
    }
    panels = {name: chart for name, chart in charts.items() if chart is not None}
    if panels:
        yield Figure(
            anchor=anchor(document, problem, "curves"),
            question=curves_question(protocol, problem, metric),
            answer=first_to_arrive(document, protocol, problem),
            key="Solid line and band: median and quartiles over the confirmation runs, where a run that ended early "
            "counts as the worst. Dashed: library defaults. Cross: a run that diverged, where it ended. The scale is "
            "that of the tuned methods after their first steps; what lies beyond is cut off. A name in the legend sets "
            "its method apart.",
            panels=panels,
            legend=_legend(protocol, ordered(document, problem), present),
            controls=[Control("axis", "horizontal axis", tuple(axes), axes[0])],
        )


def _predictions(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    known = {name: m.get("forecast") for name, m in document["problems"][problem]["methods"].items()}
    yield from prediction_figures(
        anchor(document, problem, "predictions"),
        {name: forecast for name, forecast in known.items() if forecast is not None},
        chosen(runs, problem, Phase.CONFIRM, list(protocol.methods)),
        checks=[c for c in document["problems"][problem]["checks"] if c["check"] == "prediction"],
        methods=list(protocol.methods),
    )


def _budget(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    methods, metric = list(protocol.methods), document["protocol"]["metric"][problem]
    direction = direction_of(protocol, problem, metric)
    search, target = chosen(runs, problem, Phase.EXPLORE, methods), protocol.targets.get(problem)
    goal = Goal.of(search, metric=metric, direction=direction, target=target, axis=protocol.axis)
    rows = budget_rows(search, goal)
    chart = budget_chart(rows, goal, methods=methods, trials=protocol.trials)
    if chart is not None:
        yield Figure(
            anchor=anchor(document, problem, "budget"),
            question="Which method is best for a small tuning budget?",
            answer=small_budgets(rows, goal, trials=protocol.trials),
            key="Best of k random trials out of all trials of the search, in closed form: median and quartiles. "
            "Infeasible trials and misses count as the worst. These are search values, on the seeds that selected.",
            panels={"best of k": chart},
            legend=_legend(protocol, ordered(document, problem), rows.loc[rows["median"].notna(), "method"]),
        )


def _axes(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    metric, palette = document["protocol"]["metric"][problem], colours(list(protocol.methods))
    direction = direction_of(protocol, problem, metric)
    for method in ordered(document, problem):
        result = document["problems"][problem]["methods"][method]
        space = protocol.methods[method].space
        own = chosen(runs, problem, Phase.EXPLORE, [method])
        picks = {pick["study"]: pick["index"] for pick in result.get("selected") or [] if pick is not None}
        panels, key = axis_panels(
            own,
            space,
            metric=metric,
            direction=direction,
            target=protocol.targets.get(problem),
            axis=protocol.axis,
            selected=picks,
            colour=palette[method],
        )
        checks = document["problems"][problem]["checks"]
        parts = [part for c in checks if c["check"] == "boundary" for part in c.get("parts") or [c]]
        verdict = [part["evidence"] for part in parts if part["method"] == method]
        if panels:
            yield Figure(
                anchor=anchor(document, problem, "axes", method),
                question=f"{method}: do the best settings lie inside the range that was searched?",
                answer=" ".join(verdict) or "No boundary check was made.",
                key=key,
                panels=panels,
                together=True,
            )


def _sensitivity(document: Document, protocol: Protocol, problem: str) -> Iterator[Figure]:
    target = protocol.targets.get(problem)
    if target is None:
        return
    methods = list(protocol.methods)
    rows = sensitivity_rows(document["problems"][problem].get("sensitivity") or [], methods)
    times = [m["confirm"].get("time_to_target") for m in document["problems"][problem]["methods"].values()]
    axis = next((time["axis"] for time in times if time is not None), protocol.axis)
    chart = sensitivity_chart(rows, target=target, methods=methods, axis=axis)
    tied = any(ties(rows).values())
    if chart is not None:
        yield Figure(
            anchor=anchor(document, problem, "sensitivity"),
            question="Does the answer hang on the target?",
            answer=hangs_on_target(document, problem, rows, target.direction),
            key="Median time to the target as the target moves; a line ends where over half of the runs miss. "
            + ("Dashed, with smaller points: a line that lies on another one and would hide it." if tied else ""),
            panels={"median time": chart},
            legend=_legend(protocol, ordered(document, problem), rows.loc[rows["time"].notna(), "method"]),
        )


def _ranks(document: Document, protocol: Protocol) -> Iterator[Figure]:
    problems, methods = document["problems"], list(protocol.methods)
    if len(problems) < 2 or len(methods) < 2:
        return
    directions = {name: direction_of(protocol, name, document["protocol"]["metric"][name]) for name in problems}
    found = ranked(problems, methods, directions, level=protocol.level)
    bars = group_rows(found, methods)
    chart = rank_chart(rank_rows(found, methods), bars, methods=methods)
    if chart is not None:
        yield Figure(
            anchor="ranks",
            question="Which method comes first across the problems?",
            answer=ranks_answer(found, methods),
            key=f"Average rank over {plural(len(problems), 'problem')}, ties shared; a bar joins methods that differ "
            f"by less than the critical difference, {number(found.difference)} (Nemenyi, level "
            f"{percent(protocol.level)}). The problem is the unit here; verdicts on one problem stand below.",
            panels={"average rank": chart},
        )


def _profile(document: Document, protocol: Protocol) -> Iterator[Figure]:
    profile = document.get("profile")
    if not profile:
        return
    methods = list(protocol.methods)
    rows = profile_rows(profile, methods)
    chart = profile_chart(rows, methods=methods)
    if chart is not None:
        scores = sorted(profile["score"].items(), key=lambda pair: -pair[1])
        yield Figure(
            anchor="profile",
            question="Which method does well across the problems?",
            answer=f"Area under the profile: {listed(f'{name} {number(score)}' for name, score in scores)}; it depends "
            "on the set of methods.",
            key="Share of the problems on which a method's median time is within a factor of the fastest.",
            panels={"profile": chart},
            legend=_legend(protocol, [name for name, _ in scores], rows["method"]),
        )
