"""What can be refused before any work: three steps of each method, the loss at the start, what it will cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import torch

from optwise.analyses.observing import finite_or_none
from optwise.analyses.prospects import in_words, smallest_to_find
from optwise.core.budget import SECONDS, STEPS, Budget
from optwise.core.errors import BadMethod, BadProblem, BadProtocol
from optwise.core.method import Method, Procedure, Rule
from optwise.core.problem import Problem
from optwise.core.run import Run, TrialName
from optwise.core.showing import Card, Shown
from optwise.engine.admission import misdeclared
from optwise.engine.calibration import calibrate, closed_at
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import OneThread, run_chunk
from optwise.engine.program import program_of
from optwise.verbs.asking import Asked, Question, Settings, ask
from optwise.verbs.comparing_solvers import field_of, race_cost, race_cost_text, solvers_of
from optwise.verbs.foreseeing import foreseen
from optwise.verbs.planning import MOST_ROWS, allowance, probes

PROBE_STEPS = 3
LINES_SHOWN = 9


@dataclass(frozen=True)
class CheckReport(Shown):
    """What a comparison would do and cost.

    Args:
        document: As plain JSON.
        text: The same in lines.
    """

    document: dict[str, Any]
    text: str

    def card(self) -> Card:
        first, *lines = self.text.splitlines()
        more = [f"{len(lines) - LINES_SHOWN} more lines in .text"] if len(lines) > LINES_SHOWN else []
        notes = (*lines[:LINES_SHOWN], *more)
        return Card((first, *notes), "Check: nothing was run", first, notes=notes, then=(".text", ".document"))


def check(problems: Problem | Sequence[Problem], methods: Asked = None, **settings: Unpack[Settings]) -> CheckReport:
    """Say what a comparison would do and what it would cost, or refuse it; nothing is written.

    Args:
        problems: As in ``compare``.
        methods: As in ``compare``.
        settings: See :class:`~optwise.verbs.asking.Settings`.
    """
    solvers = solvers_of(methods)
    if solvers:
        cost = race_cost(field_of(problems, solvers, dict(settings)))
        return CheckReport(cost, race_cost_text(cost))
    question = ask(problems, methods, **settings)
    starts = inspect(question)
    protocol = question.protocol
    ahead = foreseen(question)
    document: dict[str, Any] = {
        "budget": str(protocol.budget),
        "studies": protocol.studies,
        "trials_per_study": protocol.trials,
        "seeds": protocol.seeds,
        "workers": question.workers,
        "executor": question.executor,
        "problems": {},
    }
    total, seconds = 0, 0.0
    for name, problem in question.problems.items():
        described: dict[str, Any] = {}
        measured = calibrate(
            problem,
            {m: probes(protocol, name, m) for m in protocol.methods},
            choose=tuple(protocol.methods),
            most_rows=MOST_ROWS,
            dtype=protocol.dtype,
            workers=question.workers,
        )
        for m, method in protocol.methods.items():
            search, confirm = protocol.names(name, m)
            rung, own = measured.choices[m], measured.steps[m]
            steps, _ = allowance(protocol.budget, problem, method, own)
            step = min([own.seconds * 1e6, *rung.microseconds.values()])
            trials = len(search) + len(confirm)
            total += trials
            seconds += trials * steps * step * 1e-6 * EVALUATION_SHARE / question.workers
            described[m] = {
                "dimensions": method.space.dimensions,
                "trials": trials,
                "steps": steps,
                "step_microseconds": own.seconds * 1e6,
                "rung": rung.rung,
                "reason": rung.reason,
            }
        target = protocol.targets[name]
        document["problems"][name] = {
            **protocol.problems[name],
            "metric": protocol.metrics[name],
            "start": starts[name],
            "target": None if target is None else str(target),
            "methods": described,
            "busy": measured.timings.busy,
            "smallest_ratio": finite_or_none(smallest_to_find(protocol, name)),
            "finds": in_words(protocol, name),
            "prospects": [{"check": f.check, "evidence": f.evidence, "advice": f.advice} for f in ahead[name]],
        }
    document |= {"trials": total, "predicted_seconds": seconds}
    return CheckReport(document, _text(document))


EVALUATION_SHARE = 1.3
"""Measuring adds about a third to stepping at 21 evaluations; measured on digits-mlp."""


def inspect(question: Question) -> dict[str, float]:
    """Three steps of each method on each problem; the value of the selection metric at the start.

    Raises:
        BadProblem: The loss is not finite at the start.
        BadProtocol: The target is met before the first step, or a method spends nothing of what the budget counts.
        BadMethod: A method raises in its first steps.
    """
    found: dict[str, float] = {}
    protocol = question.protocol
    for name, problem in question.problems.items():
        for label, method in protocol.methods.items():
            run = _first_steps(problem, label, _middle(method), protocol.dtype, protocol.device)
            if run.traceback:
                last = run.traceback.strip().splitlines()[-1]
                raise BadMethod(
                    f"{label} fails in its first {PROBE_STEPS} steps on {name}: {last.rstrip('.')}; mend it, or leave "
                    "it out."
                )
            _spends(run, label, method, protocol.budget)
            found[name] = run.curve(protocol.metrics[name])[0][1]
        _start(problem, found[name], protocol.metrics[name])
        for label, method in protocol.methods.items():
            wrong = _misdeclared(problem, _middle(method))
            if wrong:
                raise BadMethod(f"{label} cannot be stepped as declared: {wrong}.")
        target = protocol.targets[name]
        at_start = None if target is None else run.curve(target.metric)[0][1]
        if target is not None and at_start is not None and target.reached_by(at_start):
            raise BadProtocol(
                f"{name} meets its target {target} before the first step ({at_start:.4g}); give a harder one."
            )
    return found


def _spends(run: Run, label: str, method: Method, budget: Budget) -> None:
    """Refuse a procedure that asks for nothing the budget counts: its runs would never end."""
    if isinstance(method, Procedure) and budget.unit != SECONDS and run.counts[STEPS] and not run.counts[budget.unit]:
        raise BadProtocol(
            f"{label} spends no {budget.unit} in its first {PROBE_STEPS} steps on {run.problem}, so that a budget of "
            f"{budget.amount:,g} {budget.unit} never ends; give it in steps or seconds."
        )


def _start(problem: Problem, value: float, metric: str) -> None:
    if not math.isfinite(value):
        raise BadProblem(f"{problem.name} starts with {metric} = {value}; look at its start, its loss and its data.")


def _first_steps(problem: Problem, label: str, method: Method, dtype: str, device: str) -> Run:
    trial = Trial(TrialName(problem.name, label, 0, 0), "", method, 0)
    chunk = Chunk("check", "solo", 1, PROBE_STEPS, (0, PROBE_STEPS), dtype, device, (trial,))
    with OneThread(), torch.random.fork_rng(devices=[]):
        return run_chunk(problem, chunk).runs[0]


def _misdeclared(problem: Problem, method: Method) -> str:
    if not isinstance(method, Rule):
        return ""
    return misdeclared(program_of(problem.to(dtype=torch.float64), method))


def _middle(method: Method) -> Method:
    """The method in the middle of its space, without its schedule."""
    space = method.space
    return closed_at(method, [space.point((0.5,) * space.dimensions)])[0]


def _text(d: Mapping[str, Any]) -> str:
    cost = f"about {d['predicted_seconds']:.0f} s on {d['workers']} workers ({d['executor']})"
    lines = [f"{d['trials']} trials of {d['budget']}, {cost}"]
    for name, problem in d["problems"].items():
        lines.append(
            f"{name}: {problem['parameters']} parameters, {problem['examples']} training examples, "
            f"batch {problem['batch_size']}, start {problem['metric']} = {problem['start']:.4g}, "
            f"target {problem['target'] or 'none'}"
        )
        lines += [f"  note: {p['evidence']} {p['advice']}".rstrip() for p in problem["prospects"]]
        lines += [f"  {problem['finds']}"] if problem["finds"] else []
        lines += [
            f"  {method}: {m['dimensions']} open, {m['step_microseconds']:.0f} us a solo step, {m['reason']}"
            for method, m in problem["methods"].items()
        ]
        lines += [f"  {problem['busy']}; what this says of seconds is rough"] if problem["busy"] else []
    return "\n".join(lines)
