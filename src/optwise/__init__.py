"""A workbench for numerical optimization: Problem + Method -> Run.

Nothing is imported before it is asked for, so that ``optwise --help`` loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optwise import methods, penalties, problems, sets, theory
    from optwise.analyses.convexity_check import check_convexity
    from optwise.analyses.gradient_check import check_gradient
    from optwise.analyses.prox_check import check_prox
    from optwise.analyses.set_check import check_set
    from optwise.core.budget import Budget, Evaluations, ExampleGradients, Examples, Seconds, Steps
    from optwise.core.certificate import Certificate
    from optwise.core.composite import Composite
    from optwise.core.constraint import ConstraintSet
    from optwise.core.data import Data, Split
    from optwise.core.errors import CallerError, OptwiseError, RunFailed
    from optwise.core.finding import Finding
    from optwise.core.forecast import Forecast
    from optwise.core.loss import LinearModel, Loss
    from optwise.core.method import Method, Procedure, Rule
    from optwise.core.metric import AtLeast, AtMost, Direction, Metric, Target
    from optwise.core.operator import LinearOperator
    from optwise.core.penalty import Penalty
    from optwise.core.problem import Problem
    from optwise.core.quadratic import Quadratic
    from optwise.core.run import Run
    from optwise.core.sampler import Full, Poisson, Shuffled, Stream, WithReplacement
    from optwise.core.smooth import Residuals, Smooth
    from optwise.core.solver import Iterate, Solver
    from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Uniform, When
    from optwise.core.status import Status
    from optwise.methods import (
        EMA,
        SGD,
        Adagrad,
        Adam,
        AdamW,
        Constant,
        Exponential,
        InverseSqrt,
        InverseTime,
        Milestones,
        Momentum,
        NAdamW,
        Nesterov,
        Phases,
        Polyak,
        Preconditioned,
        RMSProp,
        ScheduleFreeSGD,
        StepDecay,
        Table,
        Torch,
        WarmupCosine,
        WarmupLinear,
        WarmupStableDecay,
    )
    from optwise.public.answers import explain, solve
    from optwise.public.comparisons import check, compare, load, set_target
    from optwise.public.forecasts import predict
    from optwise.verbs.figuring import figure
    from optwise.verbs.graphing import draw_graph

    __version__: str

__all__ = [
    "EMA",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AtLeast",
    "AtMost",
    "Budget",
    "CallerError",
    "Certificate",
    "Choice",
    "Composite",
    "Constant",
    "ConstraintSet",
    "Data",
    "Direction",
    "Evaluations",
    "ExampleGradients",
    "Examples",
    "Exponential",
    "Finding",
    "Forecast",
    "Full",
    "IntUniform",
    "InverseSqrt",
    "InverseTime",
    "Iterate",
    "LinearModel",
    "LinearOperator",
    "LogUniform",
    "Loss",
    "Method",
    "Metric",
    "Milestones",
    "Momentum",
    "NAdamW",
    "Nesterov",
    "OneMinus",
    "OptwiseError",
    "Penalty",
    "Phases",
    "Poisson",
    "Polyak",
    "Preconditioned",
    "Problem",
    "Procedure",
    "Quadratic",
    "RMSProp",
    "Residuals",
    "Rule",
    "Run",
    "RunFailed",
    "ScheduleFreeSGD",
    "Seconds",
    "Shuffled",
    "Smooth",
    "Solver",
    "Split",
    "Status",
    "StepDecay",
    "Steps",
    "Stream",
    "Table",
    "Target",
    "Torch",
    "Uniform",
    "WarmupCosine",
    "WarmupLinear",
    "WarmupStableDecay",
    "When",
    "WithReplacement",
    "__version__",
    "check",
    "check_convexity",
    "check_gradient",
    "check_prox",
    "check_set",
    "compare",
    "draw_graph",
    "explain",
    "figure",
    "load",
    "methods",
    "penalties",
    "predict",
    "problems",
    "set_target",
    "sets",
    "solve",
    "theory",
]

_HOMES = (
    *("core.budget", "core.certificate", "core.composite", "core.constraint", "core.data", "core.errors"),
    *("core.finding", "core.forecast", "core.loss", "core.method", "core.metric", "core.operator", "core.penalty"),
    *("core.problem", "core.quadratic", "core.run", "core.sampler", "core.smooth", "core.solver", "core.space"),
    *("core.status", "methods"),
)
"""Where nouns are looked for, in this order."""
_VERBS = {
    "check": "public.comparisons",
    "check_convexity": "analyses.convexity_check",
    "check_gradient": "analyses.gradient_check",
    "check_prox": "analyses.prox_check",
    "check_set": "analyses.set_check",
    "compare": "public.comparisons",
    "draw_graph": "verbs.graphing",
    "explain": "public.answers",
    "figure": "verbs.figuring",
    "load": "public.comparisons",
    "predict": "public.forecasts",
    "set_target": "public.comparisons",
    "solve": "public.answers",
}
"""Where each verb lives: none loads what another needs."""
_ROOMS = ("methods", "penalties", "problems", "sets", "theory")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name in __all__:
        for home in (_VERBS[name],) if name in _VERBS else _HOMES:
            module = importlib.import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                globals()[name] = found = getattr(module, name)
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
