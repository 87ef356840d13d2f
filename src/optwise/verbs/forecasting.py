"""What theory says of the runs of a comparison, once, while methods can still be probed; scores read it from notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from optwise.analyses.predictions import Predicted, Predictions
from optwise.core.errors import NotLinear, OptwiseError
from optwise.core.method import Method
from optwise.core.plain import digest
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.run import Phase
from optwise.theory import forecast
from optwise.verbs.executing import Work

AMPLIFIED = 1.5
"""Times the risk under additive noise of the same size, beyond which noise that multiplies makes the mean one of rare
runs: on streamed least squares in one dimension 32 runs are called wrong in 0.1 % of all cases at 1.7, and 5 % at 3."""


def forecasts(done: Work) -> dict[str, dict[str, Any]]:
    """Forecasts of every configuration that was confirmed, and of the library defaults, as plain JSON.

    Args:
        done: A comparison whose confirmations are known.

    Returns:
        By problem that declares its quadratic, then by method: what the notes of the protocol keep.
    """
    return {name: _problem(done, problem) for name, problem in done.question.problems.items() if problem.quadratic}


def _problem(done: Work, problem: Problem) -> dict[str, Any]:
    protocol = done.question.protocol
    confirmed: dict[str, dict[int, Method]] = {name: {} for name in protocol.methods}
    for trial in done.trials.values():
        if trial.name.problem == problem.name and trial.name.phase is not Phase.EXPLORE:
            confirmed[trial.name.method][trial.name.study] = trial.method
    return {
        name: predicted(
            problem, own, protocol.evaluation_steps(done.plans[problem.name, name].steps), dtype=protocol.dtype
        ).note()
        for name, own in confirmed.items()
    }


def predicted(problem: Problem, methods: Mapping[int, Method], steps: Sequence[int], *, dtype: str) -> Predictions:
    """The forecasts of closed settings of one method, or the reason why there are none.

    Args:
        problem: One that declares its quadratic.
        methods: By study, -1 at library defaults; equal ones are forecast once.
        steps: At which runs are measured, the end last.
        dtype: Of the runs.
    """
    quadratic = problem.quadratic
    assert quadratic is not None
    nothing = Predictions(
        metric=quadratic.metric,
        optimum=quadratic.optimum,
        size=0.5 * float(quadratic.h @ (quadratic.start + quadratic.center**2)),
        dtype=dtype,
    )
    made: dict[str, Predicted] = {}
    found: dict[int, Predicted] = {}
    for study, method in sorted(methods.items()):
        description = digest(method.describe())
        try:
            made[description] = made.get(description) or _predicted(problem, quadratic, method, steps)
        except NotLinear as error:
            return replace(nothing, reason=error.reason)
        except OptwiseError as error:
            return replace(nothing, reason=str(error))
        except Exception as error:  # noqa: BLE001 - hours of runs are not lost because a forecast of them failed
            text = (str(error).strip().splitlines() or [""])[0][:160]
            reason = f"{method.label} could not be predicted: {type(error).__name__}: {text}."
            return replace(nothing, reason=reason)
        found[study] = replace(made[description], study=study)
    studies = tuple(each for study, each in found.items() if study >= 0)
    return replace(nothing, studies=studies, default=found.get(-1))


def _predicted(problem: Problem, quadratic: Quadratic, method: Method, steps: Sequence[int]) -> Predicted:
    at = np.array(steps, dtype=np.intp)
    own = forecast(problem, method, steps[-1])
    heavy = np.zeros(at.size, dtype=bool)
    if quadratic.noise.multiplies:
        lighter = replace(problem, quadratic=replace(quadratic, noise=Noise.ADDITIVE))
        with np.errstate(invalid="ignore"):
            heavy = ~(own.risk[at] <= AMPLIFIED * forecast(lighter, method, steps[-1]).risk[at])
    deviation = None if own.deviation is None else own.deviation[at]
    return Predicted(-1, at, own.risk[at], deviation, own.diverges, heavy)
