"""Random convex problems: ten kinds, noise from 1 to 1e-8 of the signal, two dtypes, columns and objective scaled."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import optwise as ow

from . import exact

KINDS = (
    "least-squares",
    "ridge",
    "nnls",
    "lasso",
    "elastic-net",
    "huber",
    "logistic",
    "svm",
    "box",
    "smooth-logistic",
)


@dataclass(frozen=True)
class Convex:
    """A problem drawn.

    Args:
        name: Says everything about it.
        kind: One of KINDS.
        dtype: Of its data.
        build: Makes it for optwise.
        oracle: What judges.
        value: F in torch, of a tensor in its dtype, where F is smooth.
        bounds: Of its coordinates, or None.
    """

    name: str
    kind: str
    dtype: torch.dtype
    build: Callable
    oracle: exact.Exact
    value: Callable | None = None
    bounds: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class _Drawn:
    """What is drawn for any kind: design, noiseless targets, their noise relative to them, and the objective's size."""

    name: str
    kind: str
    dtype: torch.dtype
    X: np.ndarray
    signal: np.ndarray
    noise: float
    size: float
    rng: np.random.Generator

    def targets(self):
        """Signal plus noise, in the units in which a squared loss has the size asked for."""
        noisy = self.signal + self.noise * self.signal.std() * self.rng.standard_normal(len(self.signal))
        return (np.sqrt(self.size) * noisy).astype(self.X.dtype)

    def problem(self, build, oracle, value=None, bounds=None):
        """The problem of it."""
        return Convex(self.name, self.kind, self.dtype, build, oracle, value, bounds)


def drawn(seed):
    """The problem of a seed; ten neighbours are of ten kinds."""
    rng = np.random.default_rng([11, seed])
    kind = KINDS[seed % len(KINDS)]
    turn = seed // len(KINDS)
    double = turn % 2 == 0
    noise = 10.0 ** -(turn // 2 % 9)
    n, p = int(rng.integers(25, 60)), int(rng.integers(3, 11))
    columns = 10.0 ** rng.uniform(-6, 6, p) if rng.random() < 0.6 else np.ones(p)
    size = 10.0 ** rng.uniform(-6, 6) if rng.random() < 0.6 else 1.0  # of the objective
    dtype = torch.float64 if double else torch.float32
    name = f"{seed} {kind} {n}x{p} noise {noise:.0e} {'f64' if double else 'f32'}"
    name += f"{' columns' if columns.max() > 1 else ''}{' objective' if size != 1 else ''}"
    Z, truth = rng.standard_normal((n, p)), rng.standard_normal(p) * (rng.random(p) < 0.7)
    truth[0] = 1.0
    numbers = np.float64 if double else np.float32
    X = (Z * columns).astype(numbers)
    return _MAKERS[kind](_Drawn(name, kind, dtype, X, Z @ truth, noise, size, rng))


def _squares(it):
    """Least squares, ridge, the lasso, the elastic net: weights are parts of what leaves nothing or matters."""
    X, y, n = it.X, it.targets(), len(it.signal)
    slope = float(np.abs(X.T.astype(float) @ y).max() / n)
    l1 = slope * 10.0 ** it.rng.uniform(-4, -0.5) if it.kind in ("lasso", "elastic-net") else 0.0
    curvature = float((X.astype(float) ** 2).sum(0).max() / n)
    l2 = curvature * 10.0 ** it.rng.uniform(-8, -1) if it.kind in ("ridge", "elastic-net") else 0.0
    build = {
        "least-squares": lambda: ow.problems.least_squares(X, y),
        "ridge": lambda: ow.problems.ridge(X, y, l2),
        "lasso": lambda: ow.problems.lasso(X, y, l1),
        "elastic-net": lambda: ow.problems.elastic_net(X, y, l1, l2),
    }[it.kind]
    fit = _half_mean_square(X, y)

    def value(w):
        return fit(w) + l2 / 2 * w.square().sum()

    oracle = exact.Exact(X, y, exact.squared(), 1 / n, l1, l2)
    return it.problem(build, oracle, None if l1 else value)


def _nonnegative(it):
    X, y, (n, p) = it.X, it.targets(), it.X.shape
    oracle = exact.Exact(X, y, exact.squared(), 1 / n, low=np.zeros(p))
    bounds = np.zeros(p), np.full(p, np.inf)
    return it.problem(lambda: ow.problems.nnls(X, y), oracle, _half_mean_square(X, y), bounds)


def _robust(it):
    X, n, sigma = it.X, len(it.signal), it.noise * it.signal.std()
    y = (it.size * (it.signal + sigma * it.rng.standard_t(2, n))).astype(X.dtype)
    delta = float(it.size * sigma)
    A, b = torch.from_numpy(X), torch.from_numpy(y)

    def value(w):
        return torch.nn.functional.huber_loss(A.to(w) @ w, b.to(w), delta=delta)

    oracle = exact.Exact(X, y, exact.huber(delta), 1 / n)
    return it.problem(lambda: ow.problems.huber(X, y, delta), oracle, value)


def _classes(it):
    """Logistic regression and the squared hinge; the size of the objective multiplies only a function of one's own."""
    X, n = it.X, len(it.signal)
    labels = np.where(it.signal + it.noise * it.signal.std() * it.rng.logistic(size=n) > 0, 1, -1).astype(X.dtype)
    labels[:2] = 1, -1
    l2 = float((X.astype(float) ** 2).sum(0).max() / n * 10.0 ** it.rng.uniform(-6, -1))
    scale, hinge = it.size if it.kind == "smooth-logistic" else 1.0, it.kind == "svm"
    M = X * labels[:, None]
    A = torch.from_numpy(M)

    def value(w):
        m = A.to(w) @ w
        loss = (1 - m).clamp(min=0).square().mean() / 2 if hinge else torch.nn.functional.softplus(-m).mean()
        return scale * loss + scale * l2 / 2 * w.square().sum()

    build = {
        "logistic": lambda: ow.problems.logistic(X, labels, l2=l2),
        "svm": lambda: ow.problems.svm(X, labels, l2=l2),
        "smooth-logistic": lambda: ow.problems.smooth(value, np.zeros(X.shape[1], X.dtype), convex=True),
    }[it.kind]
    loss = exact.squared_hinge() if hinge else exact.logistic()
    return it.problem(build, exact.Exact(M, np.zeros(n), loss, scale / n, l2=scale * l2), value)


def _box(it):
    """A quadratic function of one's own within bounds, some of which hold."""
    X, y, (n, p) = it.X, it.targets(), it.X.shape
    unit = np.sqrt(it.size) / np.abs(X).max(0)
    low, high = (-0.5 * unit).astype(X.dtype), (0.8 * unit).astype(X.dtype)
    value = _half_mean_square(X, y)

    def build():
        return ow.problems.smooth(value, np.zeros(p, X.dtype), (low, high), convex=True)

    oracle = exact.Exact(X, y, exact.squared(), 1 / n, low=low, high=high)
    return it.problem(build, oracle, value, (low, high))


def _half_mean_square(X, y):
    A, b = torch.from_numpy(X), torch.from_numpy(y)
    return lambda w: (A.to(w) @ w - b.to(w)).square().mean() / 2


_MAKERS = {
    **dict.fromkeys(("least-squares", "ridge", "lasso", "elastic-net"), _squares),
    "nnls": _nonnegative,
    "huber": _robust,
    **dict.fromkeys(("logistic", "svm", "smooth-logistic"), _classes),
    "box": _box,
}
