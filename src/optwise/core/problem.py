"""What is minimised: composed of parts, never subclassed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from optwise.core.cards import problem_card
from optwise.core.casting import Part
from optwise.core.constraint import ConstraintSet
from optwise.core.data import Data
from optwise.core.errors import BadProblem
from optwise.core.layout import Layout, Leaves
from optwise.core.metric import OBJECTIVE, Direction, Metric, Target
from optwise.core.objective import Objective
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.plain import digest
from optwise.core.quadratic import Quadratic
from optwise.core.sampler import Full, Poisson, Sampler, batch_size
from optwise.core.showing import Card, Shown
from optwise.core.smooth import Smooth, WholeObjective

FINGERPRINT_EXAMPLES = 64

AnyPart = TypeVar("AnyPart", bound=Part)


@dataclass(frozen=True)
class Optimum:
    """A known best value, and a point that attains it where one is known."""

    value: float
    source: str
    w: Leaves | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Problem(Shown):
    """Everything that says what is minimised.

    Args:
        name: Short name, printed everywhere.
        objective: The smooth part.
        start: ``start(seed)`` gives leaves and buffers of a fresh initial point.
        data: Named splits; ``None`` where nothing is sampled from a data set.
        sampler: Default sampler.
        metrics: What is measured, each with its direction.
        penalty: A term g that has a proximal map, where there is one.
        operator: A, where the penalty is g(A w) and not g(w).
        constraint: A set that w must lie in, where there is one.
        smooth: The smooth part once more, as one function of the packed parameters, with its structure and constants;
            ``None`` where nothing but the losses is known.
        optimum: The known best value.
        target: Default target, and in ``target_command`` the command that set it.
        predictor: Value of the main metric for the best constant prediction, the trivial predictor; ``None`` where
            there is none.
        reference: How to build this problem again (``digits-mlp``, ``mine.py:problem``); empty where only this
            process knows.
        quadratic: What theory needs to know of it; ``None`` where it is no quadratic, or nobody said so.
        notes: What a reader of its results should know of its data: sentences, put on record with it.
        classes: The caller's labels of a classifier, in the order of its own: of -1 and 1, or of the columns of W.

    Raises:
        BadProblem: Batches that the objective cannot take, such as a last one of a single example under batch
            normalisation, or no batch at all.
    """

    name: str
    objective: Objective
    start: Callable[[int], tuple[Leaves, Leaves]]
    data: Data | None = None
    sampler: Sampler = field(default_factory=Full)
    metrics: tuple[Metric, ...] = (Metric(OBJECTIVE),)
    penalty: Penalty | None = None
    constraint: ConstraintSet | None = None
    operator: LinearOperator | None = None
    optimum: Optimum | None = None
    target: Target | None = None
    target_command: str = ""
    predictor: float | None = None
    reference: str = ""
    quadratic: Quadratic | None = None
    smooth: Smooth | None = None
    notes: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.data is not None:
            self._refuse_batches(self.sampler.least(self.examples), self.objective.smallest_batch)
            if isinstance(self.sampler, Poisson) and self.objective.masses(self.data.train.y):
                raise BadProblem(
                    f"{self.name}: Poisson divides by the expected number of examples, and here the loss is a mean "
                    "over the labels that count; use Shuffled or WithReplacement."
                )

    def _refuse_batches(self, least: int, smallest: int) -> None:
        if least >= smallest:
            return
        batch, advice = self.batch_size, "give another batch_size, or drop_last=True"
        if least == 0:
            found = f"drop_last=True drops the only batch, since its {self.examples} examples are fewer than batch_size"
            raise BadProblem(f"{self.name}: {found}; give a batch_size of at most {self.examples}.")
        if batch < smallest or self.examples < smallest:
            found, advice = f"batches hold {least} example", f"give a batch_size of at least {smallest}"
        else:
            found = f"{self.examples} examples in batches of {batch} leave a last batch of {least}"
        raise BadProblem(
            f"{self.name}: {found}, on which its network fails in training mode, as batch normalisation does; {advice}."
        )

    @property
    def oracles(self) -> frozenset[Oracle]:
        """What the problem can answer: its parts say."""
        whole = isinstance(self.sampler, Full)
        found = set(self.objective.oracles)
        found |= set() if self.smooth is None else self.smooth.oracles
        found |= {Oracle.CONVEX_PENALTY} if self.penalty is None else self.penalty.oracles
        found |= {Oracle.CONVEX_SET} if self.constraint is None else self.constraint.oracles
        found |= {Oracle.BANDS} if self.operator is not None and self.operator.gram_bands is not None else set()
        parts = (
            (whole, Oracle.WHOLE),
            (whole, Oracle.HVP),
            (self.operator is not None, Oracle.OPERATOR),
            (self.quadratic is not None, Oracle.CURVATURE),
        )
        return frozenset(found | {oracle for offered, oracle in parts if offered})

    def function(self) -> Smooth:
        """The smooth part as one function of the packed parameters: ``smooth``, or the mean loss over all examples."""
        if self.smooth is not None:
            return self.smooth
        w, buffers = self.start(0)
        return WholeObjective(self.objective.fresh(0), Layout.of(w), buffers, self.data)

    @property
    def curvature(self) -> Tensor | None:
        """Diagonal of the Hessian in the order of the flat parameters [P]; ``None`` where it is not known."""
        return None if self.quadratic is None else torch.from_numpy(self.quadratic.h)

    @property
    def examples(self) -> int:
        """N: training examples; 1 where there is no data set."""
        return self.data.train.examples if self.data is not None else 1

    @property
    def batch_size(self) -> int:
        """Examples one step pays for under the default sampler."""
        return batch_size(self.sampler, self.examples)

    @property
    def main_metric(self) -> str:
        """Full name of the metric that selects by default: the first, on the validation split where there is one."""
        name = self.metrics[0].name
        return name if self.data is None else f"{'valid' if self.data.valid is not None else 'train'}/{name}"

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Full names of all metrics, split by split."""
        if self.data is None:
            return tuple(m.name for m in self.metrics)
        return tuple(f"{split}/{m.name}" for split in self.data.splits for m in self.metrics)

    def direction(self, metric: str) -> Direction:
        """Which way ``metric`` (a full name) is better."""
        return next(m.direction for m in self.metrics if m.name == metric.rpartition("/")[2])

    def with_sampler(self, sampler: Sampler) -> Problem:
        """The same problem, sampled another way."""
        return replace(self, sampler=sampler)

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Problem:
        """The same problem with data in ``dtype`` on ``device``; starts follow."""
        start = self.start

        def cast_start(seed: int) -> tuple[Leaves, Leaves]:
            w, buffers = start(seed)
            return _cast_leaves(w, dtype, device), _cast_leaves(buffers, dtype, device)

        data = None if self.data is None else self.data.to(dtype=dtype, device=device)

        def moved(part: AnyPart | None) -> AnyPart | None:
            return None if part is None else part.to(dtype=dtype, device=device)

        return replace(
            self,
            data=data,
            start=cast_start,
            penalty=moved(self.penalty),
            operator=moved(self.operator),
            constraint=moved(self.constraint),
            smooth=moved(self.smooth),
        )

    def fingerprint(self) -> str:
        """Digest of the data bytes, the leaves, the first noise drawn, and the first losses at the start of seed 0.

        An edited loss, network, noise or file gives another fingerprint, so that a folder of runs never resumes on it
        silently. Which examples a step looks at is the sampler's, and no part of it.
        """
        w, buffers = self.start(0)
        x, y = None, None
        if self.data is not None:
            x = self.data.train.x[:FINGERPRINT_EXAMPLES]
            y = None if self.data.train.y is None else self.data.train.y[:FINGERPRINT_EXAMPLES]
        else:
            row = torch.cat([leaf.reshape(-1) for leaf in w.values()])
            draws, _ = self.sampler.take(self.sampler.init(0), self.examples, 1, row)
            x = None if draws.fresh is None else draws.fresh[0].to(row)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            objective = self.objective.fresh(0)
            losses, _ = objective.losses(w, buffers, x, y)
            measured = objective.measure(w, buffers, *((x, y) if self.data is not None else (None, None)))
        return digest(
            {
                "data": None if self.data is None else self.data.fingerprint,
                "leaves": {name: list(leaf.shape) for name, leaf in w.items()},
                "metrics": [[m.name, m.direction.value] for m in self.metrics],
                # five digits: the same on every machine, and no edit of a loss hides below them
                "losses": f"{float(losses.double().mean()):.5g}",
                "measured": {name: f"{float(value.double().mean()):.5g}" for name, value in measured.items()},
                **self._terms(Layout.of(w).pack(w)),
            }
        )

    def card(self) -> Card:
        return problem_card(self)

    def _terms(self, row: Tensor) -> dict[str, str]:
        """What the terms beside the losses say at a fixed point near the start; nothing where there are none."""
        hidden = self.smooth if self.data is None else None  # data tell nothing of a function that holds its own
        if self.penalty is None and self.constraint is None and self.operator is None and hidden is None:
            return {}
        waves = torch.sin(torch.arange(1, row.numel() + 1, dtype=torch.float64)).to(row)
        point = row + waves
        image = point if self.operator is None else self.operator.forward(point)
        found = {"image": image.norm()}
        found |= {} if hidden is None else {"smooth": hidden.value(point)}
        found |= {} if self.penalty is None else {"penalty": self.penalty.value(image)}
        found |= {} if self.constraint is None else {"projection": self.constraint.project(point) @ waves}
        return {name: f"{float(value.double()):.5g}" for name, value in found.items()}


def _cast_leaves(leaves: Leaves, dtype: torch.dtype, device: str) -> Leaves:
    return {n: t.to(device=device, dtype=dtype if t.is_floating_point() else t.dtype) for n, t in leaves.items()}
