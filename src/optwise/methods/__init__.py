"""How steps are taken: final classes by family, schedules, and any optimizer of torch's or the user's."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.core.method import Method
from optwise.core.schedule import Schedule
from optwise.methods.adaptive import Adagrad, Adam, AdamW, NAdamW, RMSProp
from optwise.methods.descent import SGD, Momentum, Nesterov
from optwise.methods.schedules import (
    DEFAULT_SCHEDULE,
    Constant,
    Exponential,
    InverseSqrt,
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
}
"""Built-in methods by the name a command line takes."""

SCHEDULES: Mapping[str, type[Schedule]] = {
    "constant": Constant,
    "warmup-cosine": WarmupCosine,
    "warmup-linear": WarmupLinear,
    "warmup-stable-decay": WarmupStableDecay,
    "inverse-sqrt": InverseSqrt,
    "step-decay": StepDecay,
    "exponential": Exponential,
}
"""Schedules by the name a command line takes."""

__all__ = [
    "DEFAULT_SCHEDULE",
    "METHODS",
    "SCHEDULES",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "Exponential",
    "InverseSqrt",
    "Momentum",
    "NAdamW",
    "Nesterov",
    "RMSProp",
    "StepDecay",
    "Torch",
    "WarmupCosine",
    "WarmupLinear",
    "WarmupStableDecay",
]
