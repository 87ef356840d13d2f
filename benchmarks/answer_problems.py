"""Problems with a best value that somebody else knows: by construction, by another solver, or by publication.

None of them was used to choose or fit anything in optwise.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import linprog, lsq_linear, minimize, nnls
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from sklearn.svm import LinearSVC

import optwise as ow
from optwise.problems.classics import CLASSICS
from optwise.problems.terms.sets import Simplex


@dataclass(frozen=True)
class Known:
    """A problem and its best value.

    Args:
        name: Of the row.
        build: Makes the problem and its best value; several where local minima count.
        source: Who knows the value.
        local: Whether a stationary point elsewhere is a right answer too, called *stationary*.
    """

    name: str
    build: Callable[[], tuple[ow.Problem, tuple[float, ...]]]
    source: str
    local: bool = False


def problems() -> list[Known]:
    """All of them."""
    return [*_constructed(), *_solved_elsewhere(), *_real_data(), *_functions(), *_classics()]


# -- by construction: the optimality conditions are solved first, the data made to fit them


def _sparse_regression(n, p, k, *, seed, rho=0.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    w = np.zeros(p)
    w[rng.choice(p, k, replace=False)] = rng.uniform(0.5, 2.0, k) * rng.choice([-1, 1], k)
    return rng, X, w


def _lasso_with_answer(n, p, k, *, weight, l2=0.0, seed=0, rho=0.0):
    """Columns are scaled until X^T r / n - l2 w lies in weight times the subdifferential of the l1 norm at w."""
    rng, X, w = _sparse_regression(n, p, k, seed=seed, rho=rho)
    r = rng.standard_normal(n)
    slope = X.T @ r / n
    on = w != 0
    X[:, on] *= np.abs(weight + l2 * np.abs(w[on])) / np.abs(slope[on]) * np.sign(slope[on]) * np.sign(w[on])
    X[:, ~on] *= np.minimum(1.0, rng.uniform(0.2, 0.95, (~on).sum()) * weight / np.abs(slope[~on]))
    y = X @ w + r
    value = r @ r / (2 * n) + weight * np.abs(w).sum() + l2 / 2 * w @ w
    return X, y, value


def _nnls_with_answer(n, p, k, *, seed=0):
    rng, X, w = _sparse_regression(n, p, k, seed=seed)
    w, r = np.abs(w), rng.standard_normal(n)
    on = w > 0
    X[:, on] -= np.outer(r, r @ X[:, on]) / (r @ r)  # residuals orthogonal to the columns in use
    X[:, ~on] *= -np.sign(r @ X[:, ~on])  # and no other one helps
    return X, X @ w + r, r @ r / (2 * n)


def _least_squares_with_answer(n, p, kappa, *, seed=0):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, p + 1)))[0]
    V = np.linalg.qr(rng.standard_normal((p, p)))[0]
    X = Q[:, :p] * np.geomspace(1, 1 / kappa, p) @ V.T
    r = 0.3 * Q[:, p]
    return X, X @ rng.standard_normal(p) + r, r @ r / (2 * n)


def _constructed():
    def least_squares(n, p, kappa):
        X, y, value = _least_squares_with_answer(n, p, kappa)
        return ow.problems.least_squares(X, y), (value,)

    def lasso(n, p, k, weight, *, l2=0.0, rho=0.0):
        X, y, value = _lasso_with_answer(n, p, k, weight=weight, l2=l2, rho=rho)
        return (ow.problems.elastic_net(X, y, weight, l2) if l2 else ow.problems.lasso(X, y, weight)), (value,)

    def bpdn(n, p, k, weight):
        X, y, value = _lasso_with_answer(n, p, k, weight=weight / n)
        return ow.problems.basis_pursuit_denoising(X, y, weight, reduction="sum"), (n * value,)

    def nonnegative(n, p, k):
        X, y, value = _nnls_with_answer(n, p, k)
        return ow.problems.nnls(X, y), (value,)

    def quadratic(d, kappa):
        h = np.geomspace(1, 1 / kappa, d)
        H, b = torch.tensor(h), torch.arange(1.0, d + 1, dtype=torch.float64) * torch.tensor(h)
        value = -0.5 * float((b * b / H).sum())
        return ow.problems.smooth(lambda w: 0.5 * (H * w * w).sum() - b @ w, np.zeros(d), convex=True), (value,)

    def from_zero(n, p):
        X, y, _ = _least_squares_with_answer(n, p, 10.0)
        weight = 1.01 * np.abs(X.T @ y).max() / n
        return ow.problems.lasso(X, y, weight), (float(y @ y) / (2 * n),)

    by = "by construction"
    return [
        *(
            Known(f"least squares 200x30, kappa(X) {k:g}", lambda k=k: least_squares(200, 30, k), by)
            for k in (10.0, 1e3, 1e6)
        ),
        Known("least squares 40x100", lambda: _interpolated(40, 100), by),
        Known("lasso 100x300", lambda: lasso(100, 300, 10, 0.1), by),
        Known("lasso 200x50, correlated", lambda: lasso(200, 50, 10, 0.05, rho=0.9), by),
        Known("lasso at 1.01 lambda_max", lambda: from_zero(50, 20), by),
        Known("elastic net 100x300", lambda: lasso(100, 300, 20, 0.1, l2=0.05), by),
        Known("basis pursuit denoising 80x200", lambda: bpdn(80, 200, 8, 0.5), by),
        Known("nonnegative least squares 100x40", lambda: nonnegative(100, 40, 12), by),
        Known("quadratic function, d = 50, kappa(H) 1e4", lambda: quadratic(50, 1e4), by),
    ]


def _interpolated(n, p):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, p))
    return ow.problems.least_squares(X, X @ rng.standard_normal(p)), (0.0,)


# -- by another solver, run here


def _labels(n, p, *, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) / np.sqrt(p)
    y = np.sign(X @ rng.standard_normal(p) * 3 + noise * rng.standard_normal(n))
    return X, y


def _quietly(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # asked for more digits than they promise
        return model.fit(X, y)


def _value(problem, w):
    w = torch.as_tensor(np.asarray(w), dtype=torch.float64).reshape(-1)
    penalty = (
        0.0
        if problem.penalty is None
        else problem.penalty.value(w if problem.operator is None else problem.operator.forward(w))
    )
    return float(problem.function().value(w) + penalty)


def _minimised(value_and_gradient, p, bounds=None):
    """The best of a long run of scipy's L-BFGS-B, from zero."""
    w = np.zeros(p)
    for _ in range(5):
        options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-13, "maxcor": 50}
        w = minimize(value_and_gradient, w, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return w


def _autograd(problem):
    f = problem.function()

    def value_and_gradient(w):
        value, gradient = f.value_and_gradient(torch.from_numpy(np.ascontiguousarray(w)))
        return float(value), gradient.numpy()

    return value_and_gradient


def _solved_elsewhere():
    def logistic(n, p, l1=0.0, l2=0.0, seed=0):
        X, y = _labels(n, p, seed=seed)
        problem = ow.problems.logistic(X, y, l1=l1, l2=l2)
        kind = {"penalty": "l1", "solver": "liblinear"} if l1 else {"solver": "newton-cholesky"}
        model = LogisticRegression(C=1 / (n * (l1 or l2)), fit_intercept=False, tol=1e-14, max_iter=100_000, **kind)
        return problem, (_value(problem, _quietly(model, X, y).coef_[0]),)

    def svm(n, p, l2, loss):
        X, y = _labels(n, p, seed=3)
        problem = ow.problems.svm(X, y, l2=l2, loss=loss)
        C, squared = _svm_weight(problem, n, p, l2), loss == "squared_hinge"
        theirs = LinearSVC(
            loss=loss, C=C, fit_intercept=False, dual=not squared, tol=1e-12 if squared else 1e-9, max_iter=300_000
        )
        return problem, (_value(problem, _quietly(theirs, X, y).coef_[0]),)

    def huber(n, p, delta):
        rng, X, w = _sparse_regression(n, p, p, seed=4)
        y = X @ w + rng.standard_t(2, n)
        problem = ow.problems.huber(X, y, delta)
        return problem, (_value(problem, _minimised(_autograd(problem), p)),)

    def pursuit(n, p, k):
        _, A, w = _sparse_regression(n, p, k, seed=5)
        b = A @ w
        found = linprog(np.ones(2 * p), A_eq=np.hstack([A, -A]), b_eq=b, method="highs")
        return ow.problems.basis_pursuit(A, b), (found.fun,)

    def variation(n, weight):
        rng = np.random.default_rng(6)
        y = np.repeat(rng.standard_normal(n // 20), 20) + 0.3 * rng.standard_normal(n)
        D = np.diff(np.eye(n), axis=0)
        dual = lsq_linear(D.T, y, bounds=(-weight * n, weight * n), method="bvls", tol=1e-15).x
        w = y - D.T @ dual
        problem = ow.problems.total_variation(y, weight)
        return problem, (_value(problem, w),)

    def box(n, p):
        rng, X, w = _sparse_regression(n, p, p, seed=7)
        y = X @ w + rng.standard_normal(n)
        low, high = np.full(p, -0.7), np.full(p, 0.9)
        found = lsq_linear(X, y, bounds=(low, high), method="bvls", tol=1e-15)
        Xt, yt = torch.from_numpy(X), torch.from_numpy(y)
        problem = ow.problems.smooth(
            lambda w: 0.5 / n * (Xt @ w - yt).square().sum(), np.zeros(p), (low, high), convex=True
        )
        return problem, (found.cost / n,)

    def portfolio(p):
        rng = np.random.default_rng(8)
        R = rng.standard_normal((60, p)) + rng.uniform(0, 1, p)
        L, half = np.linalg.cholesky(np.cov(R.T) + 1e-3 * np.eye(p)), 0.5 * R.mean(0)
        # least squares with a heavy row of ones, which holds the sum (Haskell and Hanson 1981)
        w = nnls(np.vstack([L.T, np.full(p, 1e7)]), np.append(np.linalg.solve(L, half), 1e7), maxiter=10_000)[0]
        H, m = torch.from_numpy(L @ L.T), torch.from_numpy(half)
        problem = ow.problems.smooth(lambda w: 0.5 * w @ (H @ w) - m @ w, np.full(p, 1 / p), convex=True)
        return replace(problem, constraint=Simplex(), name="portfolio"), (_value(problem, w / w.sum()),)

    def softmax(n, p, classes, l2):
        rng = np.random.default_rng(9)
        X, y = rng.standard_normal((n, p)), rng.integers(0, classes, n)
        problem = ow.problems.softmax(X, y, l2=l2)
        model = LogisticRegression(C=1 / (n * l2), fit_intercept=False, tol=1e-12, max_iter=100_000, solver="newton-cg")
        return problem, (_value(problem, _quietly(model, X, y).coef_.T),)

    def group(n, p, size, weight):
        rng, X, w = _sparse_regression(n, p, 3, seed=10)
        groups = np.repeat(np.arange(p // size), size)
        y = X @ w + 0.5 * rng.standard_normal(n)
        problem = ow.problems.group_lasso(X, y, weight, groups)
        return problem, (_group_descent(X, y, groups, problem),)

    return [
        Known("logistic L2 300x20", lambda: logistic(300, 20, l2=1e-2), "scikit-learn, newton-cholesky"),
        Known("logistic L2 100x200", lambda: logistic(100, 200, l2=1e-3, seed=1), "scikit-learn, newton-cholesky"),
        Known("logistic L1 200x100", lambda: logistic(200, 100, l1=5e-3, seed=2), "scikit-learn, liblinear"),
        Known("softmax 200x10, 4 classes", lambda: softmax(200, 10, 4, 1e-2), "scikit-learn, newton-cg"),
        Known("SVM, squared hinge, 300x20", lambda: svm(300, 20, 1e-2, "squared_hinge"), "liblinear"),
        Known("SVM, hinge, 300x20", lambda: svm(300, 20, 1e-2, "hinge"), "liblinear"),
        Known("Huber 200x10, heavy tails", lambda: huber(200, 10, 1.0), "scipy, L-BFGS-B"),
        Known("group lasso 100x60", lambda: group(100, 60, 5, 0.1), "block descent, numpy"),
        Known("basis pursuit 40x120", lambda: pursuit(40, 120, 5), "HiGHS"),
        Known("basis pursuit 60x100, dense truth", lambda: pursuit(60, 100, 50), "HiGHS"),
        Known("total variation, n = 200", lambda: variation(200, 1e-2), "scipy, BVLS on the dual"),
        Known("least squares in a box 100x20", lambda: box(100, 20), "scipy, BVLS"),
        Known("portfolio on the simplex, p = 30", lambda: portfolio(30), "scipy, NNLS"),
    ]


def _svm_weight(problem, n, p, l2):
    """What scikit-learn calls C: our mean loss over its sum, relative to the ridge."""
    at_zero = _value(problem, np.zeros(p))  # the loss of a margin of 0, 1 or 1/2
    return at_zero / (n * l2)


def _group_descent(X, y, groups, problem):
    """Block coordinate descent, each block by a long proximal gradient loop; written without optwise's methods."""
    n, p = X.shape
    w, r = np.zeros(p), y.copy()
    blocks = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    scale = [problem.penalty.value(torch.from_numpy(np.isin(np.arange(p), b) / np.sqrt(len(b)))) for b in blocks]
    for _ in range(3000):
        before = w.copy()
        for b, level in zip(blocks, scale, strict=True):
            L = np.linalg.norm(X[:, b], 2) ** 2 / n
            for _ in range(5):
                v = w[b] + X[:, b].T @ r / (n * L)
                new = v * max(0.0, 1 - float(level) / (L * max(np.linalg.norm(v), 1e-300)))
                r -= X[:, b] @ (new - w[b])
                w[b] = new
        if np.abs(w - before).max() < 1e-15:
            break
    return _value(problem, w)


# -- real data that scikit-learn carries


def _real_data():
    def standardised(X):
        return (X - X.mean(0)) / X.std(0)

    def diabetes():
        X, y = load_diabetes(return_X_y=True)
        return standardised(X), (y - y.mean()) / y.std()

    def cancer():
        X, y = load_breast_cancer(return_X_y=True)
        return standardised(X), 2.0 * y - 1

    def sparse(l1, l2):
        X, y = diabetes()
        model = (
            ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-15, max_iter=1_000_000)
            if l2
            else Lasso(alpha=l1, fit_intercept=False, tol=1e-15, max_iter=1_000_000)
        )
        problem = ow.problems.elastic_net(X, y, l1, l2) if l2 else ow.problems.lasso(X, y, l1)
        return problem, (_value(problem, _quietly(model, X, y).coef_),)

    def ridge():
        X, y = diabetes()
        n, p = X.shape
        problem = ow.problems.ridge(X, y, 0.1)
        return problem, (_value(problem, np.linalg.solve(X.T @ X / n + 0.1 * np.eye(p), X.T @ y / n)),)

    def nonnegative():
        X, y = diabetes()
        problem = ow.problems.nnls(X, y)
        return problem, (_value(problem, nnls(X, y)[0]),)

    def huber():
        X, y = diabetes()
        problem = ow.problems.huber(X, y, 0.3)
        return problem, (_value(problem, _minimised(_autograd(problem), X.shape[1])),)

    def logistic(l1, l2):
        X, y = cancer()
        problem = ow.problems.logistic(X, y, l1=l1, l2=l2)
        kind = {"penalty": "l1", "solver": "liblinear"} if l1 else {"solver": "newton-cholesky"}
        model = LogisticRegression(
            C=1 / (len(y) * (l1 or l2)), fit_intercept=False, tol=1e-14, max_iter=100_000, **kind
        )
        return problem, (_value(problem, _quietly(model, X, y).coef_[0]),)

    def digits():
        X, y = load_digits(return_X_y=True)
        X = X[:600] / 16.0
        problem = ow.problems.softmax(X, y[:600], l2=1e-2)
        model = LogisticRegression(
            C=1 / (600 * 1e-2), fit_intercept=False, tol=1e-12, max_iter=100_000, solver="newton-cg"
        )
        return problem, (_value(problem, _quietly(model, X, y[:600]).coef_.T),)

    return [
        Known("diabetes, lasso", lambda: sparse(0.05, 0.0), "scikit-learn"),
        Known("diabetes, elastic net", lambda: sparse(0.05, 0.05), "scikit-learn"),
        Known("diabetes, ridge", ridge, "numpy"),
        Known("diabetes, nonnegative", nonnegative, "scipy, NNLS"),
        Known("diabetes, Huber", huber, "scipy, L-BFGS-B"),
        Known("breast cancer, logistic L2", lambda: logistic(0.0, 1e-3), "scikit-learn, newton-cholesky"),
        Known("breast cancer, logistic L1", lambda: logistic(5e-3, 0.0), "scikit-learn, liblinear"),
        Known("digits, softmax L2", digits, "scikit-learn, newton-cg"),
    ]


# -- functions in closed form, and the classics


def _functions():
    def exponentials(d):
        rng = np.random.default_rng(11)
        A, b = torch.from_numpy(rng.standard_normal((100, d))), torch.from_numpy(rng.standard_normal(100))
        problem = ow.problems.smooth(lambda w: torch.logsumexp(A @ w + b, 0), np.zeros(d), convex=True)
        return problem, (_value(problem, _minimised(_autograd(problem), d)),)

    def quartic(d):
        return ow.problems.smooth(lambda w: (w - 1).pow(4).sum(), np.zeros(d), convex=True), (0.0,)

    def bounded():
        problem = ow.problems.smooth(
            lambda w: 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2, [-1.2, 1.0], (None, np.array([0.5, np.inf]))
        )
        return problem, (0.25,)  # at (1/2, 1/4)

    return [
        Known("log of a sum of exponentials, d = 10", lambda: exponentials(10), "scipy, L-BFGS-B"),
        Known("quartic with a singular Hessian, d = 5", lambda: quartic(5), "closed form"),
        Known("Rosenbrock, d = 2", lambda: (ow.problems.rosenbrock(2), (0.0,)), "closed form"),
        Known("Rosenbrock, d = 100", lambda: (ow.problems.rosenbrock(100), (0.0, 3.986624)), "closed form", local=True),
        Known("Rosenbrock below 1/2", bounded, "closed form"),
    ]


def _classics():
    def classic(name):
        return ow.problems.more_garbow_hillstrom(name), tuple(m / 2 for m in CLASSICS[name].minima)

    return [
        Known(f"MGH {CLASSICS[name].number}: {name}", lambda name=name: classic(name), "published", local=True)
        for name in CLASSICS
    ]
