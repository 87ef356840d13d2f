"""Where the engine's own rows stand along the way: what predictions are held against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from optwise.core.method import Rule
from optwise.core.problem import Problem
from optwise.engine.loop import OneThread, Pace, advance
from optwise.engine.program import program_of
from optwise.engine.rungs import stepper_of

SEGMENT_NUMBERS = 2**22
"""Random numbers drawn ahead at most, whatever the length of a run."""


def points(problem: Problem, rules: Sequence[Rule], seeds: Sequence[int], at: Sequence[int]) -> Tensor:
    """Run closed rules of one kind side by side and keep the points at which they are measured.

    A noisy quadratic whose coordinates are copies of each other is as many independent runs in one.

    Args:
        problem: One with the single leaf ``w`` [P].
        rules: T settings without a schedule.
        seeds: Of start and data, one for each setting.
        at: K increasing steps, 0 being the start.

    Returns:
        The evaluation weights [K, T, P], in float64.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> points(nqm(h=[1.0, 0.5], c=[0.0, 0.0], w0=[1.0, 2.0]), [SGD(lr=0.5)], [0], [0, 1, 2])[:, 0]
        tensor([[1.0000, 2.0000],
                [0.5000, 1.5000],
                [0.2500, 1.1250]], dtype=torch.float64)
    """
    problem = problem.to(dtype=torch.float64, device="cpu")
    stepper = stepper_of("traced", program_of(problem, rules[0]), rules)
    rows = stepper.start(seeds)
    pace = Pace(
        samplers=[problem.sampler.init(seed) for seed in seeds],
        steps=torch.zeros(len(rules), dtype=torch.int64),
        examples=torch.zeros(len(rules), dtype=torch.int64),
    )
    length = max(1, SEGMENT_NUMBERS // rows.w.numel())
    taken, kept = 0, []
    with OneThread():
        for k in at:
            while taken < k:
                ahead = min(length, k - taken)
                rows = advance(problem, stepper, rows, pace, torch.ones(ahead, len(rules), dtype=torch.float64))
                taken += ahead
            kept.append(stepper.measured(rows)["w"])
    return torch.stack(kept)
