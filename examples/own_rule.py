"""A linear rule of your own: predict what it does on a noisy quadratic, then run it and compare.

From the command line: ``optwise predict nqm:d=100 examples/own_rule.py:Anchored:lr=0.5 --batch-size 64``.
"""

from dataclasses import dataclass

import torch

import optwise as ow


@dataclass(frozen=True)
class Anchored(ow.Rule):
    """Gradient descent that is pulled back to where it was lately."""

    lr: float = 0.1
    pull: float = 0.05

    def init(self, w):
        return {"anchor": w.clone()}

    def step(self, w, g, state):
        anchor = torch.lerp(state["anchor"], w, 0.1)
        return w - self.lr * g - self.pull * (w - anchor), {"anchor": anchor}


if __name__ == "__main__":
    problem, rule = ow.problems.nqm(d=100, batch_size=64), Anchored(lr=0.5)
    run = ow.predict(problem, rule, "500steps")
    done = ow.compare(problem, [rule], studies=2, seeds=50, budget="500steps", dtype="float64", schedule=ow.Constant())
    ends = done.frame().query("step == 500").value
    error = run.forecast.deviation[-1] / len(ends) ** 0.5
    print(f"predicted {run.risk[-1]:.5f}, measured {ends.mean():.5f} +- {error:.5f}; floor {run.forecast.floor:.5f}")
