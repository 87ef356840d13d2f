"""A problem of your own, a small network on three kinds of wine: `optwise compare examples/own_problem.py:problem`."""

import torch.nn.functional as F
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from torch import nn

from optwise.problems import from_module

HIDDEN = 32

x, y = load_wine(return_X_y=True)
x, xv, y, yv = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
x, xv = (x - x.mean(0)) / x.std(0), (xv - x.mean(0)) / x.std(0)


def make_net():
    return nn.Sequential(nn.Linear(13, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 3))


problem = from_module(make_net, F.cross_entropy, (x, y), valid=(xv, yv), batch_size=32, name="wine")

if __name__ == "__main__":
    print(problem.name, problem.metric_names)
