"""Methods and schedules that several theory tests look at."""

from optwise.methods import (
    EMA,
    SGD,
    Constant,
    Exponential,
    InverseSqrt,
    Momentum,
    Nesterov,
    Polyak,
    Preconditioned,
    ScheduleFreeSGD,
    StepDecay,
    WarmupCosine,
    WarmupLinear,
    WarmupStableDecay,
)

LINEAR = {
    "sgd": SGD(lr=0.3),
    "sgd-decay": SGD(lr=0.3, weight_decay=0.05),
    "momentum": Momentum(lr=0.1, momentum=0.9),
    "dampened": Momentum(lr=0.3, momentum=0.8, dampening=0.6, weight_decay=0.01),
    "nesterov": Nesterov(lr=0.1, momentum=0.9),
    "ema-sgd": EMA(SGD(lr=0.3), decay=0.9),
    "ema-momentum": EMA(Momentum(lr=0.1, momentum=0.8), decay=0.95),
    "polyak": Polyak(SGD(lr=0.3)),
    "preconditioned": Preconditioned(SGD(lr=0.2), power=0.5),
    "preconditioned-momentum": Preconditioned(Momentum(lr=0.1, momentum=0.8), power=0.75),
    "schedule-free": ScheduleFreeSGD(lr=0.5, momentum=0.9),
}
SCHEDULES = {
    "constant": Constant(),
    "warmup-cosine": WarmupCosine(warmup=0.1),
    "warmup-linear": WarmupLinear(warmup=0.1, final=0.1),
    "warmup-stable-decay": WarmupStableDecay(),
    "inverse-sqrt": InverseSqrt(warmup=0.1),
    "step-decay": StepDecay(30, 0.3),
    "exponential": Exponential(0.98),
}
