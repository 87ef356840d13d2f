"""Forecasts, floors and first hits against the moments of a whole run with full matrices, over hostile quadratics."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from dense_oracle import ema_sgd, momentum, nesterov, preconditioned, sgd, with_states

from optwise.core.method import UNSET, Hyper, Rule
from optwise.methods import EMA, SGD, Momentum, Nesterov, Preconditioned
from optwise.problems import least_squares_sgd, nqm
from optwise.theory import floor, forecast, rate, steps_to

D = 4
SPECTRA = {
    "plain": [1.0, 0.5, 0.2, 0.1],
    "twelve decades": [1.0, 1e-4, 1e-8, 1e-12],
    "repeated": [0.5, 0.5, 0.5, 1.0],
    "flat": [1.0, 0.0, 0.3, 0.0],
    "nothing but flat": [0.0, 0.0, 0.0, 0.0],
}
NOISES = {
    "some": [1.0, 0.5, 2.0, 0.1],
    "huge": [1e8, 1e8, 1e-8, 1e8],
    "none": [0.0] * 4,
    "in part": [0.0, 3.0, 0.0, 1.0],
}
FAR = [3.0, -1.0, 0.0, 50.0]
PLACES = {
    "at 0": {"w0": [1.0, -2.0, 0.5, 3.0]},
    "far": {"w0": [1.0, -2.0, 0.5, 3.0], "w_star": FAR},
    "far from 0": {"w0": [0.0] * 4, "w_star": FAR},
    "at the optimum": {"w0": FAR, "w_star": FAR},
    "drawn around it": {"w_star": FAR, "second_moment": 2.0},
}


@dataclass(frozen=True)
class Given(Rule):
    """Any linear rule: its matrices as text."""

    lr: Hyper = UNSET
    matrices: str = ""
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1}

    def init(self, w):
        return {f"s{i}": zeta * w for i, zeta in enumerate(json.loads(self.matrices)[3][1:])}

    def step(self, w, g, state):
        M, v, _, _ = json.loads(self.matrices)
        z = [w, *(state[f"s{i}"] for i in range(len(v) - 1))]
        after = [sum(a * b for a, b in zip(row, z, strict=True)) + own * g for row, own in zip(M, v, strict=True)]
        return after[0], {f"s{i}": part for i, part in enumerate(after[1:])}

    def evaluation_weights(self, w, state):
        u = json.loads(self.matrices)[2]
        return sum(a * b for a, b in zip(u, [w, *(state[f"s{i}"] for i in range(len(u) - 1))], strict=True))


def made(seed, m):
    """A random rule with m numbers a coordinate, as ours and as full matrices; u is no unit vector."""
    rng = np.random.default_rng(seed)
    M = 0.4 * rng.normal(size=(m, m)) + 0.4 * np.eye(m)
    v, u, zeta = 0.3 * rng.normal(size=m), rng.normal(size=m), np.concatenate([[1.0], rng.normal(size=m - 1)])
    u = np.ones(1) if m == 1 else u
    text = json.dumps([part.tolist() for part in (M, v, u, zeta)])
    return Given(lr=0.1, matrices=text), lambda h: with_states(h.size, M, v, u, zeta)


RULES = {
    "sgd": (SGD(lr=0.5, weight_decay=0.1), lambda h: sgd(h.size, 0.5, 0.1)),
    "sgd that forgets": (SGD(lr=2.0, weight_decay=0.5), lambda h: sgd(h.size, 2.0, 0.5)),
    "momentum": (Momentum(lr=0.1, momentum=0.9, weight_decay=0.3), lambda h: momentum(h.size, 0.1, 0.9, 0.3)),
    "nesterov": (Nesterov(lr=0.1, momentum=0.9, weight_decay=0.3), lambda h: nesterov(h.size, 0.1, 0.9, 0.3)),
    "ema": (EMA(SGD(lr=0.3, weight_decay=0.1), decay=0.8), lambda h: ema_sgd(h.size, 0.3, 0.8, 0.1)),
    "preconditioned": (
        Preconditioned(SGD(lr=0.3, weight_decay=0.1), power=0.5),
        lambda h: preconditioned(h, 0.3, 0.5, 0.1),
    ),
    **{f"given {seed}": made(seed, 1 + seed % 3) for seed in range(6)},
}


COMBINATIONS = [
    (rule, place, spectrum)
    for i, rule in enumerate(RULES)
    for j, place in enumerate(PLACES)
    for k, spectrum in enumerate(SPECTRA)
    if (i + j + k) % 5 == 0
]


@pytest.mark.parametrize(("rule", "place", "spectrum"), COMBINATIONS)
def test_the_forecast_is_the_recursion_of_full_matrices(rule, place, spectrum):
    """Risk, deviation, floor and first hit, under every noise and under noise that multiplies."""
    method, dense = RULES[rule]
    h = np.array(SPECTRA[spectrum])
    at = 5 * list(RULES).index(rule) + list(PLACES).index(place) + list(SPECTRA).index(spectrum)
    noises = list(NOISES.values())
    problems = [nqm(h=h, c=noises[at % 4], **PLACES[place])]
    problems.append(least_squares_sgd(h=h, noise=(0.0, 0.7)[at % 2], **PLACES[place]))
    for problem in problems:
        for batch in ((1.0, 64.0)[at % 2],):
            found, (risk, deviation) = forecast(problem, method, 60, batch), dense(h).risks(problem, 60, batch)
            scale = np.maximum.accumulate(risk)  # rounding of what the risk comes down from
            assert np.all(np.abs(found.risk - risk) <= 1e-11 * risk + 1e-13 * scale)
            if found.deviation is not None:
                assert np.all(np.abs(found.deviation - deviation) <= 1e-6 * np.maximum(scale, deviation.max()))
            target = float(np.median(risk)) * (1 + 1e-9)
            if target > 0:
                hits = np.flatnonzero(risk <= target)
                assert steps_to(problem, [method], target, [batch], max_steps=60)[0, 0] == hits[0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("place", PLACES)
def test_the_floor_is_the_limit_of_that_recursion(rule, place):
    method, dense = RULES[rule]
    h = np.array([1.0, 0.5, 0.5, 0.3])
    for problem in (nqm(h=h, c=NOISES["some"], **PLACES[place]), least_squares_sgd(h=h, noise=0.5, **PLACES[place])):
        found = floor(problem, method, 16.0)
        with np.errstate(over="ignore", invalid="ignore"):
            risk, _ = dense(h).risks(problem, 1500, 16.0)
        assert np.isfinite(found) == (risk[-1] < 10 * risk[500])
        if np.isfinite(found):
            slow = rate(problem, method, 16.0) ** 1500  # what may be left of the start
            assert found == pytest.approx(risk[-1], rel=1e-8 + 100 * slow)
