"""The data of benchmarks/solvers.py: for our solvers beside peers, and for two commits in benchmarks/against.py."""

import numpy as np

LASSOS = [(1000, 5000, 0.1), (1000, 5000, 0.02), (500, 20000, 0.05), (5000, 500, 0.01), (500, 600, 0.1)]
"""Rows, columns, and the part of the least weight that gives 0."""
LOGISTICS = [(1000, 10), (200, 500), (20000, 200), (5000, 1000)]


def lasso_data(n, p, ratio, seed=0, nonzeros=50):
    """X, y and the weight of a lasso with columns that are correlated, noise a third of the signal."""
    rho = 0.6 if p == 600 else 0.5
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((p, n))
    for j in range(1, p):
        X[j] = rho * X[j - 1] + np.sqrt(1 - rho**2) * X[j]
    X = np.asfortranarray(X.T)  # column-major for everybody
    w = np.zeros(p)
    w[rng.choice(p, nonzeros, replace=False)] = rng.standard_normal(nonzeros)
    y = X @ w
    y = y + rng.standard_normal(n) * np.linalg.norm(y) / np.sqrt(n) / 3
    return X, y, ratio * np.abs(X.T @ y).max() / n


def logistic_data(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) / np.sqrt(p)
    return X, np.sign(X @ rng.standard_normal(p) * 3 + rng.standard_normal(n))


def pursuit_data(n=256, p=1024, k=20):
    """A, b and the sparse truth."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, p)) / np.sqrt(n)
    truth = np.zeros(p)
    truth[rng.choice(p, k, replace=False)] = rng.standard_normal(k)
    return A, A @ truth, truth


def variation_data(n=2000):
    rng = np.random.default_rng(0)
    return np.repeat(rng.standard_normal(n // 50), 50) + 0.2 * rng.standard_normal(n)
