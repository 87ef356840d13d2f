"""The figures of a comparison, each with its question, its answer and its charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from optwise.core.metric import Target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.report.drawing import Chart, Figure, colours
from optwise.report.figures.axes import axis_panels
from optwise.report.figures.budget_curves import budget_chart, budget_rows
from optwise.report.figures.curves import curve_chart
from optwise.report.figures.forest import forest_chart, forest_rows
from optwise.report.figures.predictions import prediction_figures
from optwise.report.figures.profile import profile_chart, profile_rows
from optwise.report.figures.sensitivity import fastest, sensitivity_chart, sensitivity_rows
from optwise.report.readings import Document, chosen, direction_of, metric_names, per_step
from optwise.report.words import goal_words, listed, number, percent, plural, with_interval


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
    return [*found, *_profile(document, protocol)]


def problem_figures(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    """The figures of one problem."""
    yield from _forest(document, protocol, problem)
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


def times(document: Document, problem: str) -> dict[str, dict[str, Any]]:
    """Time to target by method, fastest median first, of the methods that have one."""
    methods = document["problems"][problem]["methods"]
    known = {name: m["confirm"].get("time_to_target") for name, m in methods.items()}
    reached = {name: time for name, time in known.items() if time is not None and time.get("median") is not None}
    return dict(sorted(reached.items(), key=lambda pair: pair[1]["median"]))


def _forest(document: Document, protocol: Protocol, problem: str) -> Iterator[Figure]:
    verdicts = document["problems"][problem]["verdicts"]
    axis = next((v["axis"] for v in verdicts if v.get("axis")), None)
    rows = forest_rows(verdicts)
    metric = document["protocol"]["metric"][problem]
    chart = forest_chart(rows, margin=protocol.margin, what=axis or metric)
    if chart is None:
        return
    claims = sum(v["words"] in ("faster", "better") for v in verdicts)
    yield Figure(
        anchor=anchor(document, problem, "pairs"),
        question="How large are the differences between methods?",
        answer=f"{claims} of {plural(len(verdicts), 'pair')} are separated at level {percent(protocol.level)}.",
        key=f"Dot: ratio of the first method to the second. Line: its {percent(protocol.level)} interval, with an "
        f"arrow where misses leave an end open. Green band: equivalence within {percent(protocol.margin)}.",
        panels={"ratios": chart},
    )


def _curves(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    methods = list(protocol.methods)
    confirm = chosen(runs, problem, Phase.CONFIRM, methods)
    defaults = chosen(runs, problem, Phase.DEFAULT, methods)
    costs = {method: per_step(runs, document, problem, method) for method in methods}
    target = protocol.targets.get(problem)
    panels: dict[str, Chart] = {}
    for metric in metric_names([*confirm, *defaults], document["protocol"]["metric"][problem]):
        chart = curve_chart(
            confirm,
            defaults,
            metric=metric,
            direction=direction_of(protocol, problem, metric),
            methods=methods,
            costs=costs,
            axis=protocol.axis,
            target=target.value if target is not None and target.metric == metric else None,
        )
        if chart is not None:
            panels[metric] = chart
    if panels:
        yield Figure(
            anchor=anchor(document, problem, "curves"),
            question="Which method reaches the target first?"
            if target
            else "Which method ends lowest?"
            if direction_of(protocol, problem, document["protocol"]["metric"][problem]).value == "min"
            else "Which method ends highest?",
            answer=_first(document, protocol, problem, target),
            key="Solid line and band: median and quartiles over the confirmation runs, where a run that ended early "
            "counts as the worst. Dashed: library defaults. Cross: a run that diverged, where it ended. Values worse "
            "than every start are cut off. Click a name in the legend to set a method apart.",
            panels=panels,
        )


def _first(document: Document, protocol: Protocol, problem: str, target: Target | None) -> str:
    methods = document["problems"][problem]["methods"]
    if target is None:
        known = {
            name: m["confirm"]["value"] for name, m in methods.items() if m["confirm"]["value"]["median"] is not None
        }
        if not known:
            return "No method has a finite value."
        sign = direction_of(protocol, problem, document["protocol"]["metric"][problem]).sign
        best = min(known, key=lambda name: sign * known[name]["median"])
        value = known[best]
        interval = with_interval(value["median"], value["low"], value["high"])
        return f"{best} has the best median: {value['metric']} {interval}."
    ordered = times(document, problem)
    if not ordered:
        return f"No method reaches {goal_words(target)} in half of its runs."
    time = next(iter(ordered.values()))
    tied = [name for name in ordered if ordered[name]["median"] == time["median"]]
    first, rest = listed(tied), list(ordered)[len(tied) :]
    second = f"; next is {rest[0]} at {number(ordered[rest[0]]['median'])}" if rest else ""
    return (
        f"{first} at the median: {goal_words(target)} after {with_interval(time['median'], time['low'], time['high'])} "
        f"{time['axis']}{second}. The pairs say which differences are separated."
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
    rows = budget_rows(chosen(runs, problem, Phase.EXPLORE, methods), metric, direction)
    chart = budget_chart(rows, metric=metric, methods=methods, trials=protocol.trials)
    if chart is None:
        return
    answers = []
    for k in sorted({min(4, protocol.trials), protocol.trials}):
        at = rows[(rows["k"] == k) & rows["median"].notna()]
        if len(at):
            best = at.iloc[int((at["median"] * direction.sign).to_numpy().argmin())]
            answers.append(f"with {plural(k, 'trial')} {best['method']} ({number(float(best['median']))})")
    yield Figure(
        anchor=anchor(document, problem, "budget"),
        question="Which method is best for a small tuning budget?",
        answer=f"By median best {metric}: {listed(answers)}.",
        key="Best of k random trials out of all trials of the search, in closed form: median and quartiles. "
        "Infeasible trials count as the worst.",
        panels={"best of k": chart},
    )


def _axes(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str) -> Iterator[Figure]:
    metric, palette = document["protocol"]["metric"][problem], colours(list(protocol.methods))
    direction = direction_of(protocol, problem, metric)
    for method, result in document["problems"][problem]["methods"].items():
        space = protocol.methods[method].space
        own = chosen(runs, problem, Phase.EXPLORE, [method])
        picks = {pick["study"]: pick["index"] for pick in result.get("selected") or [] if pick is not None}
        panels, key = axis_panels(
            own,
            space,
            metric=metric,
            direction=direction,
            target=protocol.targets.get(problem),
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
    axis = next((time["axis"] for time in times(document, problem).values()), protocol.axis)
    chart = sensitivity_chart(rows, target=target, methods=methods, axis=axis)
    if chart is None:
        return
    winners = [(value, name) for value, name in fastest(rows, target.direction) if name is not None]
    changes = [pair for i, pair in enumerate(winners) if i == 0 or pair[1] != winners[i - 1][1]]
    if not changes:
        answer = "No target has a single fastest method."
    elif len(changes) == 1:
        answer = f"No: {changes[0][1]} has the earliest median at every target that has a single fastest method."
    else:
        answer = (
            f"Yes: the earliest median belongs to {listed(f'{name} from {number(value)}' for value, name in changes)}."
        )
    yield Figure(
        anchor=anchor(document, problem, "sensitivity"),
        question="Does the answer hang on the target?",
        answer=answer,
        key="Median time to the target as the target moves; a line ends where over half of the runs miss.",
        panels={"median time": chart},
    )


def _profile(document: Document, protocol: Protocol) -> Iterator[Figure]:
    profile = document.get("profile")
    if not profile:
        return
    methods = list(protocol.methods)
    chart = profile_chart(profile_rows(profile, methods), methods=methods)
    if chart is not None:
        scores = sorted(profile["score"].items(), key=lambda pair: -pair[1])
        yield Figure(
            anchor="profile",
            question="Which method does well across the problems?",
            answer=f"Area under the profile: {listed(f'{name} {number(score)}' for name, score in scores)}; it depends "
            "on the set of methods.",
            key="Share of the problems on which a method's median time is within a factor of the fastest.",
            panels={"profile": chart},
        )
