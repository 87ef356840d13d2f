"""Whether `auto` gives the same answer every time: alone, beside other work, in other orders, bit by bit.

    python benchmarks/repeatable.py            # 20 processes alone, 20 beside two busy ones, 30 problems in each
    python benchmarks/repeatable.py 3 beale    # 3 of each, only problems whose name holds a word

Every process solves all problems in an order of its own, so that what one solve leaves behind meets another. Compared
are the bits of the weights, the status, the reason with the work of each turn, and every count; nothing may differ.
"""

import hashlib
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time

import numpy as np
import torch

import optwise as ow

BUSY = 2


def data(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X[:, :3].sum(1) + 0.1 * rng.standard_normal(n)


def growth(w):
    x = torch.linspace(0, 10, 40, dtype=torch.float64)
    return w[0] * torch.exp(w[1] * x) - 2 * torch.exp(0.3 * x) - 0.1 * torch.sin(17 * x)


def gulf(w):
    t = torch.arange(1, 100, dtype=torch.float64) / 100
    y = 25 + (-50 * torch.log(t)) ** (2 / 3)
    return torch.exp(-((y - w[1]).abs() ** w[2]) / w[0]) - t


def decay(w):
    x = torch.linspace(0, 4, 60, dtype=torch.float64)
    return w[0] * torch.exp(-w[1] * x) + w[2] - torch.exp(-1.3 * x) - 0.05 * torch.cos(9 * x)


def ill(w):
    return (torch.logspace(0, 6, 12, dtype=torch.float64) * (w - 1).square()).sum() + w.sin().sum()


PROBLEMS = {
    "least squares": lambda: ow.problems.least_squares(*data(80, 20)),
    "ridge": lambda: ow.problems.ridge(*data(80, 20), 0.1),
    "wide ridge": lambda: ow.problems.ridge(*data(40, 90), 0.1),
    "nnls": lambda: ow.problems.nnls(*data(80, 20)),
    "lasso": lambda: ow.problems.lasso(*data(60, 30), 0.1),
    "wide lasso": lambda: ow.problems.lasso(*data(50, 200), 0.05),
    "elastic net": lambda: ow.problems.elastic_net(*data(60, 30), 0.1, 0.1),
    "group lasso": lambda: ow.problems.group_lasso(*data(60, 30), 0.1, np.arange(30) // 5),
    "logistic": lambda: ow.problems.logistic(data(80, 10)[0], data(80, 10)[1] > 0, l2=0.01),
    "sparse logistic": lambda: ow.problems.logistic(data(80, 30)[0], data(80, 30)[1] > 0, l1=0.02),
    "softmax": lambda: ow.problems.softmax(data(80, 10)[0], np.arange(80) % 3, l2=0.01),
    "sparse softmax": lambda: ow.problems.softmax(data(80, 10)[0], np.arange(80) % 3, l1=0.02),
    "huber": lambda: ow.problems.huber(*data(80, 10), 0.1),
    "svm": lambda: ow.problems.svm(data(80, 10)[0], data(80, 10)[1] > 0, l2=0.1),
    "basis pursuit": lambda: ow.problems.basis_pursuit(data(20, 60)[0], data(20, 60)[1]),
    "denoising": lambda: ow.problems.basis_pursuit_denoising(data(20, 60)[0], data(20, 60)[1], 0.05),
    "total variation": lambda: ow.problems.total_variation(data(200, 3)[1], 0.02),
    "single precision": lambda: ow.problems.lasso(*(part.astype(np.float32) for part in data(60, 30)), 0.1),
    "growth": lambda: ow.problems.nonlinear_least_squares(growth, [1.0, 3.0], reduction="sum"),
    "gulf": lambda: ow.problems.nonlinear_least_squares(gulf, [5.0, 2.5, 0.15], reduction="sum"),
    "decay": lambda: ow.problems.nonlinear_least_squares(decay, [1.0, 0.1, 0.0]),
    "ill": lambda: ow.problems.smooth(ill, np.zeros(12)),
    "bounded": lambda: ow.problems.smooth(ill, np.full(12, 0.5), bounds=(0.0, 0.9)),
    "rosenbrock 30": lambda: ow.problems.rosenbrock(30),
    "corner": lambda: ow.problems.smooth(lambda w: (w - torch.arange(3.0).to(w)).abs().max(), [5.0, -3.3, 2.0]),
    **{
        name: lambda name=name: ow.problems.more_garbow_hillstrom(name)
        for name in (
            "beale",
            "meyer",
            "osborne-1",
            "watson",
            "kowalik-osborne",
            "brown-dennis",
            "box-three",
            "powell-singular",
        )
    },
}


def answers(seed, words):
    """What `auto` says to each problem, as text, asked in an order of its own."""
    names = [name for name in PROBLEMS if not words or any(word in name for word in words)]
    random.Random(seed).shuffle(names)
    found = {}
    for name in names:
        run = ow.solve(PROBLEMS[name]())
        bits = hashlib.sha256(run.w.contiguous().numpy().tobytes()).hexdigest()[:16]
        found[name] = [bits, run.status.value, run.why, dict(run.counts)]
    return found


def asked(seed, words):
    """The same in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--answer", str(seed), *words], env=env, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def burn():
    while True:
        sum(k * k for k in range(10_000))


def main(times, words):
    first, different, started = asked(0, words), {}, time.perf_counter()
    for load in (0, BUSY):
        busy = [multiprocessing.Process(target=burn, daemon=True) for _ in range(load)]
        for process in busy:
            process.start()
        for k in range(times):
            for name, answer in asked(1 + k, words).items():
                if answer != first[name]:
                    different.setdefault(name, []).append(answer)
        for process in busy:
            process.terminate()
        print(f"{times} processes beside {load} busy ones: {len(different)} of {len(first)} problems differ")
    for name, others in different.items():
        print(f"{name}: {len(others)} answers differ\n  {first[name]}\n  {others[0]}")
    print(f"{time.perf_counter() - started:.0f} s")
    return bool(different)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        torch.set_num_threads(1)
        print(json.dumps(answers(int(sys.argv[2]), sys.argv[3:])))
    else:
        given = sys.argv[1:]
        raise SystemExit(main(int(given[0]) if given else 20, given[1:]))
