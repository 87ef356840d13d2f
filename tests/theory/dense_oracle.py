"""The moments of a whole run with full matrices, in plain numpy: no coordinate is looked at by itself."""

import numpy as np

from optwise.core.quadratic import Noise


class Dense:
    """Mean and covariance of (state, parameters) of a rule given by per-coordinate matrices in closed form.

    Args:
        M: [m, m, d], v: [m, d], u: [m, d], zeta: [m, d]: written by hand for each rule in the tests.
    """

    def __init__(self, M, v, u, zeta):
        m, d = v.shape
        self.m, self.d = m, d
        self.M, self.V = np.zeros((m * d, m * d)), np.zeros((m * d, d))
        self.U, self.Z = np.zeros((d, m * d)), np.zeros((m * d, d))
        for i in range(m):
            for j in range(m):
                self.M[i * d : (i + 1) * d, j * d : (j + 1) * d] = np.diag(M[i, j])
            self.V[i * d : (i + 1) * d] = np.diag(v[i])
            self.U[:, i * d : (i + 1) * d] = np.diag(u[i])
            self.Z[i * d : (i + 1) * d] = np.diag(zeta[i])

    def risks(self, problem, steps, batch):
        """Expected excess at steps 0 to k, and its standard deviation for normal noise."""
        q = problem.quadratic
        H, c, center = np.diag(q.h), q.c, q.center
        if q.fixed_start:
            w0 = problem.start(0)[0]["w"].double().numpy()
            mean, cov = self.Z @ w0, np.zeros((self.m * self.d,) * 2)
        else:
            mean, cov = self.Z @ center, self.Z @ np.diag(q.start) @ self.Z.T
        A = self.M.copy()
        A[:, : self.d] += self.V @ H
        found, spread = [], []
        for _ in range(steps + 1):
            U = self.U
            e, C = U @ mean - center, U @ cov @ U.T
            found.append(0.5 * (e @ H @ e + np.trace(H @ C)))
            spread.append(0.5 * np.trace(H @ C @ H @ C) + e @ H @ C @ H @ e)
            S = c / batch
            if q.noise is Noise.DESIGN:
                off = mean[: self.d] - center
                second = cov[: self.d, : self.d] + np.outer(off, off)
                # Gaussian rows: E x x' W x x' = 2 H W H + tr(H W) H, less the square of the mean gradient
                full = (H @ second @ H + np.trace(H @ second) * H + np.diag(c)) / batch
                noise = self.V @ full @ self.V.T
            else:
                noise = self.V @ np.diag(S) @ self.V.T
            mean = A @ mean - self.V @ H @ center
            cov = A @ cov @ A.T + noise
        return np.array(found), np.sqrt(np.maximum(spread, 0.0))


def sgd(d, lr, decay=0.0):
    return with_states(d, [[1 - lr * decay]], [-lr], [1.0], [1.0])


def momentum(d, lr, beta, decay=0.0):
    return with_states(d, [[1 - lr * decay, -lr * beta], [decay, beta]], [-lr, 1.0], [1.0, 0.0], [1.0, 0.0])


def nesterov(d, lr, beta, decay=0.0):
    """Where b' = beta b + g', w' = w - lr (g' + beta b')."""
    M = [[1 - lr * decay * (1 + beta), -lr * beta**2], [decay, beta]]
    return with_states(d, M, [-lr * (1 + beta), 1.0], [1.0, 0.0], [1.0, 0.0])


def ema_sgd(d, lr, gamma, decay=0.0):
    r = 1 - lr * decay
    return with_states(d, [[r, 0.0], [(1 - gamma) * r, gamma]], [-lr, -lr * (1 - gamma)], [0.0, 1.0], [1.0, 1.0])


def preconditioned(h, lr, power, decay=0.0):
    scale, one = np.where(h > 0, np.maximum(h, 1e-300) ** -power, 0.0), np.ones(h.size)
    return Dense((1 - lr * decay) * one[None, None], -lr * scale[None], one[None], one[None])


def with_states(d, M, v, u, zeta):
    """Any rule whose coordinates are alike: M [m, m], v, u, zeta [m]."""
    one = np.ones(d)
    return Dense(np.asarray(M)[..., None] * one, *(np.asarray(part)[:, None] * one for part in (v, u, zeta)))
