"""An optimizer of one's own in 15 lines; nothing here knows of optwise.

Compare it as it stands: ``optwise compare digits-mlp --methods adamw,examples/own_optimizer.py:SignMomentum``. Since
nobody gave a range, ``lr`` is searched over its default times 1e-2 to 1e2.
"""

import torch


class SignMomentum(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                p.add_(average.sign(), alpha=-group["lr"])
