"""Steps to a target on the noisy quadratic model as the published notebook finds them: a peer to be faster than.

Written afresh from a description of its method, for the model of Zhang et al. (2019): curvatures h_i = 1/i, gradient
noise of variance h_i / B, a start with E w_i^2 = 1, risk 1/2 sum_i h_i E w_i^2, heavy ball as torch has it
(m <- beta m + g, w <- w - lr m).

1. Once per spectrum, the d curvatures are rounded: the range of ln h is cut into 100 bins of equal width, all
   curvatures of a bin take the value at its lower end, and the weight of that value is their number.
2. For one (lr, beta, batch size), each value has a 3x3 recursion of second moments x = (E w^2, E wm, E m^2),
   x <- T x + f. It is diagonalised, T = V diag(z) V^-1, so that the risk after k steps is a closed form in z^k.
3. The number of steps is found by bisection over k, and the second step is done anew for every k that is asked about.

What is weak about it, and kept, because it is what others are compared with:

- the rounding moves the answer, by -0.8 % to +3.3 % on the points of tests/theory/test_published_method.py and by far
  more close to the floor (values in the middle of their bins would move it less, but not as was published);
- it returns the last step that still misses the target, one less than the first that reaches it;
- bisection assumes that the risk falls all the way; with strong momentum it rises again, and a later crossing is found;
- where roots of the recursion coincide, lr h = (1 - sqrt(beta))^2, T has no basis of eigenvectors: V is singular up to
  rounding, and half of the digits are lost;
- batch sizes do not share anything, though bias and noise / B could be kept apart;
- the eigenvectors do not depend on k, so that one decomposition a point would do: ``steps_to_target_hoisted`` is that
  improvement, which nobody published.

Everything is vectorised over the bins.

    python benchmarks/peers/published_nqm.py
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable

import numpy as np

BINS = 100


@functools.lru_cache(maxsize=8)
def rounded_spectrum(d: int) -> tuple[np.ndarray, np.ndarray]:
    """The values that h_i = 1/i, i = 1 to d, are rounded to, and how many curvatures each stands for."""
    counts, edges = np.histogram(-np.log(np.arange(1, d + 1)), bins=BINS)
    taken = counts > 0
    return np.exp(edges[:-1][taken]), counts[taken].astype(float)


def closed_form(lr: float, beta: float, batch_size: float, h: np.ndarray, weights: np.ndarray):
    """Roots z [bins, 3], factors a [bins, 3] and a floor, so that the risk after k steps is sum a z^k + floor."""
    shrink, pull = 1 - lr * h, -lr * beta  # w' = shrink w + pull m,  m' = h w + beta m, without noise
    T = np.empty((len(h), 3, 3))
    T[:, 0, 0], T[:, 0, 1], T[:, 0, 2] = shrink**2, 2 * shrink * pull, pull**2
    T[:, 1, 0], T[:, 1, 1], T[:, 1, 2] = shrink * h, shrink * beta + pull * h, pull * beta
    T[:, 2, 0], T[:, 2, 1], T[:, 2, 2] = h**2, 2 * h * beta, beta**2
    f = (h / batch_size)[:, None] * np.array([lr**2, -lr, 1.0])
    resting = np.linalg.solve(np.eye(3) - T, f[:, :, None])[:, :, 0]
    z, V = np.linalg.eig(T)
    away = np.array([1.0, 0.0, 0.0]) - resting  # a start with E w^2 = 1 and no momentum
    share = (np.linalg.inv(V) @ away[:, :, None])[:, :, 0]
    each = 0.5 * weights * h
    return z, each[:, None] * V[:, 0, :] * share, float(each @ resting[:, 0])


def risk(k: int, z: np.ndarray, a: np.ndarray, floor: float) -> float:
    with np.errstate(over="ignore", invalid="ignore"):  # where it diverges
        return float((a * z**k).sum().real) + floor


def steps_to_target(lr: float, beta: float, batch_size: float, *, d: int, target: float, max_steps: int) -> int | None:
    """The last step at which the risk is above ``target``; None where it still is after ``max_steps``."""
    values, counts = rounded_spectrum(d)
    return bisected(lambda k: risk(k, *closed_form(lr, beta, batch_size, values, counts)), target, max_steps)


def steps_to_target_hoisted(
    lr: float, beta: float, batch_size: float, *, d: int, target: float, max_steps: int
) -> int | None:
    """The same from one decomposition."""
    form = closed_form(lr, beta, batch_size, *rounded_spectrum(d))
    return bisected(lambda k: risk(k, *form), target, max_steps)


def bisected(risk_after: Callable[[int], float], target: float, max_steps: int) -> int | None:
    misses, reaches = 0, max_steps
    while reaches - misses > 1:
        middle = (misses + reaches) // 2
        if risk_after(middle) <= target:
            reaches = middle
        else:  # a NaN misses too
            misses = middle
    return misses if reaches < max_steps else None


def main(d: int = 10_000, target: float = 0.01, max_steps: int = 10_000_000) -> None:
    rates = np.logspace(-2.5, 0.25, 6).tolist()
    points = list(itertools.product(rates, (0.0, 0.5, 0.9, 0.95, 0.99), 4 ** np.arange(11)))
    rounded_spectrum(d)
    for search in (steps_to_target, steps_to_target_hoisted):
        begin = time.process_time()
        answers = [search(*map(float, p), d=d, target=target, max_steps=max_steps) for p in points]
        seconds = (time.process_time() - begin) / len(points)
        reached = sum(answer is not None for answer in answers)
        print(f"{search.__name__}: {1e3 * seconds:.2f} ms per point; {reached} of {len(points)} reach {target:g}")


if __name__ == "__main__":
    main()
