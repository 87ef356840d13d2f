"""What problems, data, runs, answers and forecasts say of themselves, as cards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from optwise.core.casting import Part
from optwise.core.showing import Card, brief, numbers_in_brief, one_line

if TYPE_CHECKING:
    from optwise.core.answer import Answer
    from optwise.core.data import Data, Split
    from optwise.core.forecast import Forecast
    from optwise.core.method import Method
    from optwise.core.problem import Problem
    from optwise.core.run import Run

STEPS_SHOWN = 6
"""Rows that a forecast is told in."""
LARGEST_SHOWN = 6
"""Entries of a sparse answer that are told."""
LINES_SHOWN = 9
"""Kinds of runs that are told at a prompt."""


def digits(value: float) -> str:
    """A number to six significant digits."""
    return f"{value:.6g}"


def split_words(split: Split) -> str:
    """Inputs and labels by their shape and type."""
    labels = "" if split.y is None else f", labels {_array(split.y)}"
    return f"{split.examples:,} examples, inputs {_array(split.x)}{labels}"


def _array(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def split_card(split: Split) -> Card:
    """How many examples of which shape and type."""
    return Card((f"<Split: {split_words(split)}>",), "Split", split_words(split))


def data_card(data: Data) -> Card:
    """Each split with its number of examples, its shapes and types."""
    sizes = ", ".join(f"{name} {split.examples:,}" for name, split in data.splits.items())
    rows = [
        (name, f"{split.examples:,}", _array(split.x), "" if split.y is None else _array(split.y))
        for name, split in data.splits.items()
    ]
    return Card((f"<Data: {sizes}>",), "Data", "", ("split", "examples", "inputs", "labels"), tuple(rows))


def problem_card(problem: Problem) -> Card:
    """What is minimised and on what; nothing is computed for it."""
    sizes = {} if problem.data is None else {name: split.examples for name, split in problem.data.splits.items()}
    examples = ", ".join(f"{name} {count:,}" for name, count in sizes.items())
    rows = {
        "examples": examples,
        "batch": "whole" if problem.batch_size == problem.examples else f"{problem.batch_size:,}",
        "metrics": ", ".join(f"{m.name} ({m.direction.value})" for m in problem.metrics),
        "smooth part": ""
        if problem.smooth is None
        else f"{kind(problem.smooth)}, {problem.smooth.dimension:,} numbers",
        "quadratic": "" if problem.quadratic is None else f"{problem.quadratic.dimension:,} curvatures known",
        "penalty": kind(problem.penalty),
        "operator": kind(problem.operator),
        "constraint": kind(problem.constraint),
        "optimum": "" if problem.optimum is None else f"{digits(problem.optimum.value)} ({problem.optimum.source})",
        "classes": classes_words(problem.classes),
        "target": "" if problem.target is None else str(problem.target),
        "reference": problem.reference,
    }
    parts = [kind(part) for part in (problem.smooth, problem.penalty, problem.constraint) if part is not None]
    said = [*([examples] if examples else []), *parts, problem.main_metric]
    return Card(
        (f"<Problem {one_line(problem.name)}: {', '.join(map(one_line, said))}>",),
        "Problem",
        problem.name,
        ("", ""),
        tuple((name, text) for name, text in rows.items() if text),
        then=_asked_of(problem),
    )


def _asked_of(problem: Problem) -> tuple[str, ...]:
    """Verbs that make sense of a problem."""
    solvable = problem.smooth is not None or problem.batch_size == problem.examples
    return (
        *(("ow.predict(problem, ow.SGD(lr=0.1))",) if problem.quadratic is not None else ()),
        *(("ow.solve(problem)", "ow.explain(problem)") if solvable else ("ow.compare(problem)",)),
    )


def kind(part: object) -> str:
    """What a part is called; nothing for a part that is not there."""
    return part.called if isinstance(part, Part) else "" if part is None else type(part).__name__


def method_card(method: Method, call: str) -> Card:
    """Every hyperparameter: its value, or what is searched."""
    fields = {**method.space.fields, **method.values()}
    rows = tuple((path, brief(value)) for path, value in fields.items())
    opened = len(method.space.fields)
    state = f"{opened} open: a question" if opened else "closed: an answer"
    notes = () if method.schedule is None else (f"schedule {brief(method.schedule)}",)
    return Card((call,), f"Method {method.label}", state, ("hyperparameter", "value or range"), rows, notes)


def run_card(run: Run) -> Card:
    """How a run ended and what it reached: of ``solve``, of ``predict``, or measured."""
    if run.answer is not None:
        return _solved(run, run.answer)
    if run.forecast is not None:
        return _predicted(run, run.forecast)
    return _measured(run)


def _where(run: Run) -> str:
    label = str(run.name) if run.name is not None else f"{run.problem} by {run.method.label}"
    return one_line(label, 2 * len("problem/method/0/c0") + 40)


def _solved(run: Run, answer: Answer) -> Card:
    where, proof = f"{one_line(run.problem)} by {one_line(run.method.label)}", run.certificate
    proved = "" if proof is None else f"{proof.name} {proof.value:.2g}"
    said = [f"value {digits(answer.value)}", *([proved] if proved else [])]
    rows = {
        "value": f"{answer.value:.12g}",
        "certificate": "" if proof is None else f"{proved} ({proof.kind.value})",
        "w": "" if run.weights is None else numbers_in_brief(run.w),
        "not 0": "" if run.weights is None else nonzeros_words(run.w),
        "classes": classes_words(answer.classes),
        "method": run.method.label,
        "iterations": str(max(len(answer.rows) - 1, 0)),
        "work": counted(run.counts),
        "seconds": "" if run.seconds is None else f"{run.seconds:.3g}",
    }
    return Card(
        (f"<Run of solve, {where}: {run.status.value}; {'; '.join(said)}>",),
        f"Solution of {run.problem}",
        run.status.value,
        ("", ""),
        tuple((name, text) for name, text in rows.items() if text),
        (answer.why,),
        (".w", ".value", ".certificate", ".trace", ".why"),
    )


def nonzeros_words(w: Tensor) -> str:
    """How many entries are not 0 and the largest of them; nothing where no entry is 0.

    Example:
        >>> import torch
        >>> nonzeros_words(torch.tensor([0.0, 2.0])), nonzeros_words(torch.ones(2))
        ('1 of 2: w[1] = 2', '')
    """
    places = (w.detach() != 0).nonzero()
    if len(places) == w.numel():
        return ""
    values = w.detach()[tuple(places.T)]
    first = values.abs().argsort(descending=True, stable=True)[:LARGEST_SHOWN]
    shown = [f"w[{', '.join(map(str, places[k].tolist()))}] = {digits(float(values[k]))}" for k in first.tolist()]
    said = f"{len(places):,} of {w.numel():,}"
    return f"{said}: {', '.join(shown)}{', ...' if len(places) > len(shown) else ''}" if shown else said


def classes_words(classes: Sequence[object]) -> str:
    """Which label is which; nothing where there are none.

    Example:
        >>> classes_words(("ham", "spam")), classes_words((1, 2, 5))
        ("'ham' is -1, 'spam' is 1", 'columns 0 to 2 of w are 1, 2, 5')
    """
    names = [brief(each) for each in classes[:LINES_SHOWN]]
    if len(classes) <= 2:
        return ", ".join(f"{name} is {sign}" for name, sign in zip(names, (-1, 1), strict=False))
    more = ", ..." if len(classes) > len(names) else ""
    return f"columns 0 to {len(classes) - 1} of w are {', '.join(names)}{more}"


def counted(counts: Mapping[str, float]) -> str:
    """Counts that are not 0, in words.

    Example:
        >>> counted({"iterations": 1, "gradients": 2, "restarts": 0})
        '1 iteration, 2 gradients'
    """
    return ", ".join(f"{count:,.6g} {_one(name) if count == 1 else name}" for name, count in counts.items() if count)


def _one(counts: str) -> str:
    """The noun of a count of one."""
    return counts.removesuffix("s")


def _predicted(run: Run, found: Forecast) -> Card:
    own, who = forecast_card(found), f"{one_line(run.problem)} by {one_line(run.method.label)}"
    return Card(
        (f"<Run predicted, {who}: {run.status.value}; {_forecast_line(found)}>",),
        f"Prediction: {one_line(run.method.label)} on {one_line(run.problem)}, batches of {found.batch_size:g}",
        run.status.value if found.diverges else own.answer,
        own.heads,
        own.rows,
        (*own.notes, *(finding.evidence for finding in run.findings)),
        (".risk", ".bias", ".noise", ".steps_to(0.01)", ".forecast"),
    )


def _forecast_line(found: Forecast) -> str:
    return f"risk {found.risk[-1]:.4g} after {counted({'steps': len(found.bias) - 1})}, from {found.risk[0]:.4g}"


def forecast_card(found: Forecast) -> Card:
    """The risk at a few steps, its floor and its rate."""
    steps = len(found.bias) - 1
    shown = sorted({0, *(round(steps ** (i / (STEPS_SHOWN - 1))) for i in range(STEPS_SHOWN))} if steps else {0})
    rows = tuple(
        (
            f"{k:,}",
            *(f"{v:.4g}" for v in (found.risk[k], found.bias[k], found.noise[k] / found.batch_size)),
        )
        for k in shown
    )
    notes = [found.floor_words, *([found.rate_words] if found.rate_words else [])]
    return Card(
        (f"<Forecast of {one_line(found.metric)}: {_forecast_line(found)}>",),
        f"Forecast of {found.metric}, batches of {found.batch_size:g}",
        "diverges" if found.diverges else _forecast_line(found),
        ("step", "risk", "bias", "noise / B"),
        rows,
        tuple(notes),
        (".risk", ".bias", ".noise", ".steps_to(0.01)"),
    )


def answer_card(answer: Answer) -> Card:
    """The value, how many iterations it took, and why this way."""
    taken = max(len(answer.rows) - 1, 0)
    took = f"{taken:,} iteration{'s' if taken != 1 else ''}"
    return Card(
        (f"<Answer {digits(answer.value)} after {took}: {one_line(answer.why, 160)}>",),
        "Answer",
        f"{answer.value:.12g}",
        notes=(f"{took}. {answer.why}",),
        then=(".frame()", ".why", ".dual"),
    )


def _measured(run: Run) -> Card:
    curves = curves_of(run)
    # what selects by default first
    ranked = sorted(curves.items(), key=lambda item: not item[0].startswith("valid/"))
    last = next((f"{one_line(name)} {digits(values[-1])}" for name, values in ranked), "nothing measured")
    rows = tuple((name, *(digits(v) for v in (values[0], values[-1], *_ends(values)))) for name, values in ranked)
    steps = run.counts.get("steps")
    after = "" if steps is None else f" after {counted({'steps': steps}) or 'no step'}"
    failed = run.traceback.strip().splitlines()[-1:] if run.traceback else []
    labels = ["infeasible: worse than its start or than the trivial predictor"] if run.infeasible else []
    held = "" if run.weights is None or run.weights.step is None else f", weights of step {run.weights.step:,}"
    values = ", ".join(f"{path}={brief(value)}" for path, value in run.method.values().items())
    return Card(
        (f"<Run {_where(run)}: {run.status.value}, {last}{after}{held}>",),
        f"Run {_where(run)}, seed {run.seed}",
        f"{run.status.value}{after}: {last}{held}",
        ("metric", "start", "end", "lowest", "highest"),
        rows,
        (*([values] if values else []), counted(run.counts), *labels, *failed),
        (*(f'.curve("{one_line(name)}")' for name, _ in ranked[:1]), ".frame()", ".state_dict()"),
    )


def runs_card(runs: Sequence[Run]) -> Card:
    """How many runs of each method there are, and how they ended."""
    families: dict[tuple[str, str, str], Counter[str]] = {}
    for run in runs:
        phase = "run" if run.name is None else run.name.phase.value
        families.setdefault((run.problem, run.method.label, phase), Counter())[run.status.value] += 1
    rows = tuple(
        (*map(one_line, place), f"{ended.total():,}", ", ".join(f"{n:,} {status}" for status, n in ended.items()))
        for place, ended in families.items()
    )
    said = f"{len(runs):,} runs"
    lines = [f"  {'/'.join(row[:3])}: {row[4]}" for row in rows[:LINES_SHOWN]]
    more = [f"  and {len(rows) - LINES_SHOWN} more kinds"] if len(rows) > LINES_SHOWN else []
    return Card((said, *lines, *more), "", said, ("problem", "method", "phase", "runs", "ended"), rows)


def curves_of(run: Run) -> dict[str, list[float]]:
    """Values of each metric in the order of its steps."""
    curves: dict[str, list[float]] = {}
    for m in run.measurements:
        curves.setdefault(m.name, []).append(m.value)
    return curves


def _ends(values: Iterable[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (math.nan, math.nan)
