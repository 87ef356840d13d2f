"""How steps are taken: final classes by family, schedules, and any optimizer of torch's or the user's."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.core.method import Method
from optwise.core.schedule import Schedule
from optwise.core.tabled import Milestones, Table
from optwise.methods.adaptive import Adagrad, Adam, AdamW, NAdamW, RMSProp
from optwise.methods.averaging import EMA, Polyak
from optwise.methods.descent import SGD, Momentum, Nesterov
from optwise.methods.phases import Phases
from optwise.methods.preconditioning import Preconditioned
from optwise.methods.schedule_free import ScheduleFreeSGD
from optwise.methods.schedules import (
    DEFAULT_SCHEDULE,
    Constant,
    Exponential,
    InverseSqrt,
    InverseTime,
    StepDecay,
    WarmupCosine,
    WarmupLinear,
    WarmupStableDecay,
)
from optwise.methods.torch_optimizers import Torch

METHODS: Mapping[str, type[Method]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": Adagrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
    "nadamw": NAdamW,
    "schedule-free-sgd": ScheduleFreeSGD,
    "ema": EMA,
    "polyak": Polyak,
    "preconditioned": Preconditioned,
    "phases": Phases,
}
"""Built-in methods by the name a command line takes."""

SCHEDULES: Mapping[str, type[Schedule]] = {
    "constant": Constant,
    "warmup-cosine": WarmupCosine,
    "warmup-linear": WarmupLinear,
    "warmup-stable-decay": WarmupStableDecay,
    "inverse-sqrt": InverseSqrt,
    "inverse-time": InverseTime,
    "step-decay": StepDecay,
    "exponential": Exponential,
    "milestones": Milestones,
    "table": Table,
}
"""Schedules by the name a command line takes."""

__all__ = [
    "DEFAULT_SCHEDULE",
    "EMA",
    "METHODS",
    "SCHEDULES",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "Milestones",
    "Momentum",
    "NAdamW",
    "Nesterov",
    "Phases",
    "Polyak",
    "Preconditioned",
    "RMSProp",
    "ScheduleFreeSGD",
    "StepDecay",
    "Table",
    "Torch",
    "WarmupCosine",
    "WarmupLinear",
    "WarmupStableDecay",
]
