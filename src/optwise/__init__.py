"""A workbench for numerical optimization: Problem + Method -> Run.

Nothing is imported before it is asked for, so that ``optwise --help`` loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optwise import methods, problems
    from optwise.core.budget import Budget, Evaluations, ExampleGradients, Examples, Seconds, Steps
    from optwise.core.certificate import Certificate
    from optwise.core.data import Data, Split
    from optwise.core.errors import CallerError, OptwiseError, RunFailed
    from optwise.core.finding import Finding
    from optwise.core.method import Method, Procedure, Rule
    from optwise.core.metric import AtLeast, AtMost, Direction, Metric, Target
    from optwise.core.problem import Problem
    from optwise.core.run import Run
    from optwise.core.sampler import Full, Poisson, Shuffled, Stream, WithReplacement
    from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Uniform, When
    from optwise.core.status import Status
    from optwise.methods import (
        SGD,
        Adagrad,
        Adam,
        AdamW,
        Constant,
        Exponential,
        InverseSqrt,
        Momentum,
        NAdamW,
        Nesterov,
        RMSProp,
        StepDecay,
        Torch,
        WarmupCosine,
        WarmupLinear,
        WarmupStableDecay,
    )
    from optwise.verbs.checking import check
    from optwise.verbs.comparing import compare
    from optwise.verbs.targeting import set_target

    __version__: str

_HOMES: Mapping[str, tuple[str, ...]] = {
    "core.budget": ("Budget", "Evaluations", "ExampleGradients", "Examples", "Seconds", "Steps"),
    "core.certificate": ("Certificate",),
    "core.data": ("Data", "Split"),
    "core.errors": ("CallerError", "OptwiseError", "RunFailed"),
    "core.finding": ("Finding",),
    "core.method": ("Method", "Procedure", "Rule"),
    "core.metric": ("AtLeast", "AtMost", "Direction", "Metric", "Target"),
    "core.problem": ("Problem",),
    "core.run": ("Run",),
    "core.sampler": ("Full", "Poisson", "Shuffled", "Stream", "WithReplacement"),
    "core.space": ("Choice", "IntUniform", "LogUniform", "OneMinus", "Uniform", "When"),
    "core.status": ("Status",),
    "methods": (
        *("SGD", "Adagrad", "Adam", "AdamW", "Momentum", "NAdamW", "Nesterov", "RMSProp", "Torch"),
        *("Constant", "Exponential", "InverseSqrt", "StepDecay"),
        *("WarmupCosine", "WarmupLinear", "WarmupStableDecay"),
    ),
    "verbs.checking": ("check",),
    "verbs.comparing": ("compare",),
    "verbs.targeting": ("set_target",),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
_ROOMS = ("methods", "problems")

__all__ = [  # noqa: PLE0604 - the names are texts, from the one table above
    *_HOME_OF,
    *_ROOMS,
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        found = getattr(importlib.import_module(_HOME_OF[name]), name)
    elif name in _ROOMS:
        found = importlib.import_module(f"{__name__}.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        found = version(__name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
