"""A penalty of your own, value and prox, solved and proved: `optwise solve examples/own_penalty.py:problem`."""

from sklearn.datasets import load_diabetes

import optwise as ow


class DeadZone(ow.Penalty):  # coefficients are free up to 10, and cost their distance to that beyond
    def value(self, w):
        return (w.abs() - 10).clamp(min=0).sum(-1)

    def prox(self, v, step):
        return v.sign() * v.abs().clamp(max=10).maximum(v.abs() - step)


X, y = load_diabetes(return_X_y=True)
problem = ow.problems.least_squares(X / X.std(0), y - y.mean(), penalty=DeadZone())
