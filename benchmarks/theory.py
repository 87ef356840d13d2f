"""Steps to a target for 1000 settings of heavy ball at 25 batch sizes, d = 10,000: seconds, accuracy, and a peer.

CPU time (`time.process_time`, all threads summed, one thread asked for). The question: for h_i = c_i = 1/i, starts with
E w_i^2 = 1 and a target of a hundredth of the risk at the start, the first step at which the expected risk meets the
target, for 40 learning rates x 25 momenta x 25 batch sizes from 1 to 2^24, given up after 20,000 steps.

- ours: `optwise.theory.steps_to`, probing the rules and compressing the spectrum included; medians of repeats;
- the published notebook's method, written afresh (peers/published_nqm.py): one point at a time, a decomposition for
  every step that is asked about; and the same with one decomposition a point, an improvement that nobody published.
  Both are timed on random points of the same question, in turns with ours, and scaled up to all 25,000.

Accuracy: on random answered points the whole spectrum of 10,000 curvatures is walked through step by step, and the
first hit looked up.

Besides, one long forecast: gradient descent with d = 4096 over 10,000 steps against eight lines of numpy, in turns.

    python benchmarks/theory.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy starts its threads

import importlib.util
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from optwise.methods import SGD, Momentum
from optwise.problems import nqm
from optwise.theory import forecasting, steps_to

D, MOST, REPEATS, TIMED, CHECKED = 10_000, 20_000, 5, 60, 24
TARGET = 0.01 * 0.5 * float((1.0 / np.arange(1, D + 1)).sum())
LRS, MOMENTA = np.geomspace(1e-3, 2.0, 40), 1 - np.geomspace(1e-2, 1.0, 25)
SIZES = [2.0**i for i in range(25)]
SECONDS_BAR, SECONDS_GOAL, RATIO_BAR = 5.0, 2.0, 100.0
LONG_D, LONG_STEPS, LONG_BAR = 4096, 10_000, 3.0


def peer():
    path = Path(__file__).parent / "peers" / "published_nqm.py"
    spec = importlib.util.spec_from_file_location("published_nqm", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds_of(work) -> tuple[float, object]:
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def looked_up(method, batch_size: float) -> float:
    """The first hit on the whole spectrum, by looking at every step."""
    found = forecasting.forecast(PROBLEM, method, MOST, batch_size)
    assert found.nodes == D
    k = found.steps_to(TARGET)
    return np.inf if k is None else float(k)


def eight_lines(d: int, lr: float, steps: int, batch_size: float) -> np.ndarray:
    """The risk of gradient descent on the harmonic model, as anybody would write it."""
    h = 1.0 / np.arange(1, d + 1)
    s, a, added = np.ones(d), (1 - lr * h) ** 2, lr**2 * h / batch_size
    risk = np.empty(steps + 1)
    for k in range(steps + 1):
        risk[k] = 0.5 * (h @ s)
        s = a * s + added
    return risk


def long_forecast() -> tuple[list[float], list[float]]:
    """CPU seconds of the forecast, deviation and floor included, and of the eight lines."""
    problem, ours, theirs = nqm(d=LONG_D), [], []
    for _ in range(2 * REPEATS):
        seconds, found = seconds_of(lambda: forecasting.forecast(problem, SGD(lr=0.5), LONG_STEPS, 4.0))
        ours.append(seconds)
        seconds, risk = seconds_of(lambda: eight_lines(LONG_D, 0.5, LONG_STEPS, 4.0))
        theirs.append(seconds)
        assert np.allclose(found.risk, risk, rtol=1e-10)
    return ours, theirs


PROBLEM = nqm(d=D)


def main() -> None:
    torch.set_num_threads(1)
    methods = [Momentum(lr=float(lr), momentum=float(beta)) for lr in LRS for beta in MOMENTA]
    ours, theirs = long_forecast()
    ratio = statistics.median(ours) / statistics.median(theirs)
    Console(width=100).print(
        f"d = {LONG_D}, {LONG_STEPS} steps of gradient descent: {statistics.median(ours):.3f} CPU seconds, eight lines "
        f"of numpy {statistics.median(theirs):.3f}, ratio {ratio:.2f} (bar {LONG_BAR:.0f})"
    )
    published, rng = peer(), np.random.default_rng(0)
    published.rounded_spectrum(D)
    places = [
        (int(i), int(j))
        for i, j in zip(rng.integers(len(methods), size=TIMED), rng.integers(25, size=TIMED), strict=True)
    ]
    searches = {"published": published.steps_to_target, "hoisted": published.steps_to_target_hoisted}
    ours, theirs = [], {name: [] for name in searches}
    for _ in range(REPEATS):
        seconds, steps = seconds_of(lambda: steps_to(PROBLEM, methods, TARGET, SIZES, max_steps=MOST))
        ours.append(seconds)
        for name, search in searches.items():
            asked = [(methods[i].lr, methods[i].momentum, SIZES[j]) for i, j in places]
            # it bisects between 0 and ten million, as published
            took, _ = seconds_of(
                lambda search=search, asked=asked: [
                    search(*point, d=D, target=TARGET, max_steps=10_000_000) for point in asked
                ]
            )
            theirs[name].append(took / TIMED * steps.size)

    answered = np.argwhere(np.isfinite(steps))
    sample = answered[rng.choice(len(answered), CHECKED, replace=False)]
    forecasting.FULL_CURVATURES = D  # nothing is compressed in what follows
    truth = np.array([looked_up(methods[i], SIZES[j]) for i, j in sample])
    mine = np.array([steps[i, j] for i, j in sample])
    others = np.array(
        [
            published.steps_to_target(methods[i].lr, methods[i].momentum, SIZES[j], d=D, target=TARGET, max_steps=10**7)
            or np.inf
            for i, j in sample
        ]
    )
    report(steps, ours, theirs, {"ours": mine - truth, "published": others - truth}, truth)


def report(steps, ours, theirs, errors, truth) -> None:
    console = Console(width=100)
    middle = statistics.median(ours)
    console.print(
        f"{steps.shape[0]} settings x {steps.shape[1]} batch sizes, d = {D}, target {TARGET:.4f}: "
        f"{np.isfinite(steps).mean():.0%} answered within {MOST} steps."
    )
    table = Table("", "CPU seconds", "least to most", "x ours")
    table.add_row("ours", f"{middle:.2f}", f"{min(ours):.2f} to {max(ours):.2f}", "1")
    for name, seconds in theirs.items():
        ratio = statistics.median(seconds) / middle
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        table.add_row(name, f"{statistics.median(seconds):.1f}", spread, f"{ratio:.0f}")
    console.print(table)
    console.print(f"bar {SECONDS_BAR} s, goal {SECONDS_GOAL} s; bar against the published method {RATIO_BAR:.0f} times")
    for name, error in errors.items():
        share = 100 * error / truth
        console.print(
            f"{name}: {np.sum(error == 0)} of {len(error)} sampled answers are the first hit on the whole spectrum; "
            f"errors {np.min(error):+.0f} to {np.max(error):+.0f} steps, {share.min():+.2f} % to {share.max():+.2f} %"
        )
    console.print(
        f"numpy {np.__version__}, torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}"
    )


if __name__ == "__main__":
    main()
