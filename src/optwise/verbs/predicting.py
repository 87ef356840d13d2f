"""What a method will do before it is run: exact moments on a quadratic, as a Run that was not measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from optwise.core.budget import Budget
from optwise.core.counts import whole_number
from optwise.core.errors import BadProtocol
from optwise.core.finding import Finding, Grade, Interval
from optwise.core.forecast import Floats, Forecast
from optwise.core.method import Method
from optwise.core.metric import Target
from optwise.core.problem import Problem
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.status import Status
from optwise.theory import distribution, forecast
from optwise.theory.batches_in_time import Batches, steps_within
from optwise.theory.models import closed

EVALUATIONS = 201
"""Points of a predicted run's curve, start and end included; its forecast holds every step."""

SOURCE = "optwise.theory, exact second moments"


def predict(
    problem: Problem,
    method: Method,
    budget: Budget | str | int = "1000steps",
    batch_size: Batches = None,
    *,
    evaluations: int = EVALUATIONS,
) -> Run:
    r"""Predict a run: the expected risk of a linear rule on a quadratic whose gradients are noisy.

    .. math:: \mathbb E f(w_k) - f^\star = \text{bias}_k + \text{noise}_k / B

    Nothing is simulated. The rule's own step is probed for the linear map that it is, so that a rule of the user's
    works as ours do.

    Args:
        problem: One that declares its quadratic: ``ow.problems.nqm``, ``mean_estimation``, ``least_squares_sgd``.
        method: A closed linear rule, with a schedule or without.
        budget: Steps, or whatever amounts to steps; a bare number means steps.
        batch_size: B, not necessarily whole; ``{0: 64, 500: 256}`` where it changes, by the step from which each holds;
            ``None`` takes the problem's own.
        evaluations: Points of the run's curve, start and end included.

    Returns:
        A Run with ``measured=False``, ``.risk``, ``.bias``, ``.noise`` over steps 0 to k, and ``.steps_to(target)``.
        Divergence is a status, not an error.

    Raises:
        CallerError: A problem that is no quadratic, a method that is not linear or still open, a batch size below 1.

    Example:
        >>> import optwise as ow
        >>> run = predict(ow.problems.nqm(h=[1.0], w0=[2.0]), ow.SGD(lr=0.5), "2steps", batch_size=4)
        >>> run.risk, run.measured
        (array([2.       , 0.53125  , 0.1640625]), False)
    """
    allowed = budget if isinstance(budget, Budget) else Budget.parse(str(budget))
    evaluations = whole_number(evaluations, "evaluations")
    if evaluations < 2:
        raise BadProtocol(f"evaluations is {evaluations}; give at least 2, the start and the end.")
    steps = steps_within(allowed, problem, batch_size, closed(method).gradients_per_step)
    found = forecast(problem, method, steps, batch_size)
    return predicted_run(problem, method, found, np.unique(np.rint(np.linspace(0, steps, evaluations)).astype(int)))


def predicted_run(problem: Problem, method: Method, found: Forecast, at: Floats) -> Run:
    """A forecast as a Run with measurements at the steps ``at``."""
    steps, split, metric = len(found.bias) - 1, *_split(found.metric)
    values = found.optimum + found.risk
    gradients = method.gradients_per_step
    examples = steps * found.batch_size
    return Run(
        problem=problem.name,
        method=method,
        seed=0,
        status=Status.DIVERGES if found.diverges else Status.BUDGET_SPENT,
        counts={
            "steps": float(steps),
            "examples": examples,
            "example-gradients": examples * gradients,
            "evaluations": steps * gradients,
        },
        measurements=tuple(Measurement(int(k), split, metric, float(values[k])) for k in at),
        findings=tuple(_findings(problem, method, found)),
        measured=False,
        name=TrialName(problem.name, method.label, 0, 0, confirm=True),  # figures place runs by their address
        forecast=found,
    )


def prediction_document(run: Run) -> dict[str, Any]:
    """A predicted run as plain JSON; what is not finite is null."""
    found = run.forecast
    assert found is not None
    return {
        "status": run.status.value,
        "problem": run.problem,
        "method": run.method.label,
        "steps": len(found.bias) - 1,
        "batch_size": found.batch_size,
        "metric": found.metric,
        "optimum": found.optimum,
        "risk": _plain(found.risk),
        "bias": _plain(found.bias),
        "noise": _plain(found.noise),
        "floor": None if found.floor is None else _plain(np.array([found.floor]))[0],
        "rate": found.rate,
        "curvatures": found.nodes,
        "bound": found.bound if np.isfinite(found.bound) else None,
        "findings": [finding.evidence for finding in run.findings],
    }


def quantile_words(problem: Problem, run: Run, probability: float) -> tuple[float, str]:
    """The excess that the end of a run exceeds with one minus ``probability`` only, and that as a line.

    Raises:
        CallerError: Noise that is not normal, a probability outside of (0, 1).
    """
    found = run.forecast
    assert found is not None
    steps = len(found.bias) - 1
    sizes = found.batch_size if found.batch_sizes is None else found.batch_sizes
    value = float(distribution(problem, run.method, steps, sizes).quantile(probability)[0])
    return value, f"with probability {probability:g} a run ends at a risk of at most {value:.4g}"


def _split(metric: str) -> tuple[str, str]:
    split, _, name = metric.rpartition("/")
    return split, name


def _plain(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _findings(problem: Problem, method: Method, found: Forecast) -> list[Finding]:
    subject = f"{problem.name}/{method.label}"
    findings = []
    if found.diverges or found.edge:
        grade = Grade.FAIL if found.diverges else Grade.WARN
        sentence = f"{method.label} {_stability(found)}."
        findings.append(Finding("stability", grade, sentence, subject, value=found.rate, source=SOURCE))
    if found.bound > 0:
        findings.append(
            Finding(
                "compression",
                Grade.PASS if found.share <= 1e-6 else Grade.WARN,
                f"The spectrum of {problem.name} was compressed to {found.nodes} curvatures; no risk is off by more "
                f"than {found.bound:.1e}, nor by more than {found.share:.1e} of itself.",
                subject,
                value=found.bound,
                interval=Interval(0.0, found.bound),
                source=SOURCE,
            )
        )
    return findings


def _stability(found: Forecast) -> str:
    """What a method does at or beyond the edge of stability, as the rest of a sentence."""
    rate = found.rate
    at_edge = "stands on the edge of stability, where the slightest larger step diverges"
    if not found.diverges:
        return f"{at_edge}: the risk neither settles nor grows without end"
    if rate is None:
        return "diverges"
    if found.edge and rate <= 1 + 1e-9:
        noisy = np.any(found.noise)
        how = "noise adds to the risk in every step" if noisy else "the error grows as a power of the step"
        return f"{at_edge}: it diverges, slowly; {how}"
    if found.risk_rate is not None:
        mean = found.rates is not None and float(found.rates.max(initial=0.0)) <= 1
        rows = "; the noise of single rows keeps the second moments growing although the mean settles"
        settles = rows if mean else ""
        return f"diverges; the risk grows {rate:.6g}-fold a step{settles}"
    return f"diverges; the error grows {rate:.6g}-fold a step in the worst direction"


def prediction_text(run: Run, target: Target | None = None) -> str:
    """A predicted run in lines for a terminal.

    Args:
        run: What :func:`predict` returned.
        target: Say when it is reached, too.
    """
    found = run.forecast
    assert found is not None
    steps = len(found.bias) - 1
    shown = sorted({0, *(round(steps ** (i / 6)) for i in range(7))})
    lines = [f"{run.method.label} on {run.problem}, batches of {found.batch_words}, {steps} steps: {run.status.value}"]
    lines += [f"{'step':>10}  {'risk':>10} = {'bias':>10} + {'noise / B':>10}"]
    lines += [
        f"{k:>10}  {found.risk[k]:>10.4g} = {found.bias[k]:>10.4g} + {found.noise[k] / found.batch_size:>10.4g}"
        for k in shown
    ]
    lines += [line for line in (found.floor_words, found.rate_words) if line]
    if target is not None:
        reached = run.steps_to(target)
        lines.append(f"{target} {f'after {reached} steps' if reached is not None else f'not within {steps} steps'}")
    return "\n".join([*lines, *(finding.evidence for finding in run.findings)])
