"""What each figure can be drawn with, in the order of the gallery; the defaults are those of the published figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from optwise.verbs.lessons.parameters import Domain, Numbers, Parameters, Rows

NAMED = ("square", "cube", "exp", "sin", "cos", "tanh", "softplus", "abs")
"""Functions that a tangent can be asked of."""
SEED = Domain("Of what is drawn at random.", 0, 1e6, whole=True)


@dataclass(frozen=True)
class Tangent(Parameters):
    """Of ``best-linear-approximation``."""

    slug: ClassVar[str] = "best-linear-approximation"
    f: Annotated[str, Domain("The function.", names=NAMED)] = "square"
    a: Annotated[float, Domain("The point at which it is approximated.", -5, 5)] = 0.0


@dataclass(frozen=True)
class SquaresGraph(Parameters):
    """Of ``least-squares-graph``."""

    slug: ClassVar[str] = "least-squares-graph"
    X: Annotated[Rows, Domain("Data, a row each example.", -1e6, 1e6, rows=True, most=12)] = (
        (1.0, 2.0),
        (0.0, 1.0),
        (1.0, -1.0),
    )
    y: Annotated[Numbers, Domain("Targets, one for each row of X.", -1e6, 1e6, most=12)] = (1.0, 2.0, 3.0)
    w: Annotated[Numbers, Domain("Parameters, one for each column of X.", -1e6, 1e6, most=12)] = (2.0, 1.0)

    def fits(self) -> None:
        """Refuse shapes that do not fit."""
        n, p = len(self.X), len(self.X[0])
        if (len(self.y), len(self.w)) != (n, p):
            needed = f"give {n} targets and {p} parameters"
            raise self._refused("X", f"{n} by {p}, y has {len(self.y)} and w {len(self.w)} numbers", needed)


@dataclass(frozen=True)
class CrossEntropy(Parameters):
    """Of ``cross-entropy``."""

    slug: ClassVar[str] = "cross-entropy"
    marks: Annotated[
        Numbers, Domain("Predicted probabilities that are marked.", 0, 1, most=6, inside=True, rising=True)
    ] = (0.1, 0.3, 0.8)
    label: Annotated[int, Domain("The label under which they are marked.", 0, 1, whole=True)] = 0


@dataclass(frozen=True)
class Digits(Parameters):
    """Of ``qr-against-normal-equations``."""

    slug: ClassVar[str] = "qr-against-normal-equations"
    rows: Annotated[int, Domain("Rows of each design.", 20, 1000, whole=True)] = 200
    columns: Annotated[int, Domain("Columns of each design.", 2, 16, whole=True)] = 10
    kappa: Annotated[float, Domain("The condition number of X at which digits are quoted.", 10, 1e7)] = 1e3
    seeds: Annotated[int, Domain("Designs for each condition number.", 1, 10, whole=True)] = 3
    seed: Annotated[int, SEED] = 0


@dataclass(frozen=True)
class Scaling(Parameters):
    """Of ``scaling-direct-vs-gd``."""

    slug: ClassVar[str] = "scaling-direct-vs-gd"
    rows: Annotated[int, Domain("Rows of X, n.", 10, 200, whole=True)] = 100
    steps: Annotated[int, Domain("Of gradient descent.", 1, 1000, whole=True)] = 100
    l2: Annotated[float, Domain("Weight of the ridge.", 1e-6, 1e6)] = 1.0
    repeats: Annotated[int, Domain("Of each measurement, at most.", 1, 20, whole=True)] = 3
    seed: Annotated[int, SEED] = 0


@dataclass(frozen=True)
class Convergence(Parameters):
    """Of ``convergence-factors``."""

    slug: ClassVar[str] = "convergence-factors"
    kappa: Annotated[float, Domain("Condition number of X where step sizes are compared.", 1, 1e4)] = 10.0
    lrs: Annotated[
        Numbers, Domain("Step sizes times λmax that are compared.", 0, 2, most=4, inside=True, rising=True)
    ] = (0.1, 0.5, 1.8)
    kappas: Annotated[Numbers, Domain("Condition numbers of X that are compared.", 1, 1e4, most=4, rising=True)] = (
        2.0,
        10.0,
        100.0,
    )
    lr: Annotated[float, Domain("Step size times λmax where they are.", 0, 2, inside=True)] = 0.5
    wide_lr: Annotated[float, Domain("Step size times λmax beside the best one.", 0, 2, inside=True)] = 1.8
    steps: Annotated[int, Domain("Of gradient descent.", 40, 2000, whole=True)] = 100
    seed: Annotated[int, SEED] = 0


@dataclass(frozen=True)
class Zigzag(Parameters):
    """Of ``zigzag``."""

    slug: ClassVar[str] = "zigzag"
    kappa: Annotated[Numbers, Domain("Condition numbers of the Hessian.", 1, 1e6, most=3, rising=True)] = (2.0, 50.0)
    lr: Annotated[
        Numbers, Domain("Step sizes times the largest curvature.", 0, 2, most=3, inside=True, rising=True)
    ] = (0.1, 1.8)
    steps: Annotated[int, Domain("Of gradient descent.", 1, 1000, whole=True)] = 50
    start: Annotated[Numbers, Domain("Where it starts.", -2, 2, least=2, most=2)] = (0.0, 2.0)

    def fits(self) -> None:
        """Refuse a start at the minimum."""
        if max(map(abs, self.start)) < 1e-3:
            raise self._refused("start", self.texts()["start"], "that is the minimum: give another point, as in 0,2")


@dataclass(frozen=True)
class NoiseFloor(Parameters):
    """Of ``sgd-noise-floor``."""

    slug: ClassVar[str] = "sgd-noise-floor"
    lrs: Annotated[Numbers, Domain("Step sizes.", 0, 2, most=6, inside=True, distinct=True)] = (
        0.5,
        0.05,
        0.005,
        5e-4,
        5e-5,
    )
    steps: Annotated[int, Domain("Of each run.", 10, 20_000, whole=True)] = 1000
    distance: Annotated[float, Domain("Of the start from the mean.", 1e-6, 1e6)] = 10.0
    sigma: Annotated[float, Domain("Standard deviation of one example.", 1e-6, 1e6)] = 1.0
    seed: Annotated[int, SEED] = 0


@dataclass(frozen=True)
class Variance(Parameters):
    """Of ``sgd-variance``."""

    slug: ClassVar[str] = "sgd-variance"
    lrs: Annotated[Numbers, Domain("Step sizes.", 1e-5, 1.99, most=4, rising=True)] = (0.01, 0.05, 0.1)
    mu: Annotated[float, Domain("The mean.", -1e6, 1e6)] = 5.0
    start: Annotated[float, Domain("Where runs start.", -1e6, 1e6)] = 0.0
    sigma: Annotated[float, Domain("Standard deviation of one example.", 1e-6, 1e6)] = 2.0
    replicas: Annotated[int, Domain("Runs that are measured.", 50, 20_000, whole=True)] = 2000
    seed: Annotated[int, SEED] = 0


@dataclass(frozen=True)
class EqualSamples(Parameters):
    """Of ``sgd-equal-samples``."""

    slug: ClassVar[str] = "sgd-equal-samples"
    lr: Annotated[float, Domain("Step size of the large batch.", 1e-4, 1.99)] = 0.05
    batch_size: Annotated[int, Domain("Examples of the large batch, B.", 2, 10_000, whole=True)] = 1000
    steps: Annotated[int, Domain("Of the large batch.", 10, 1000, whole=True)] = 300
    distance: Annotated[float, Domain("Of the start from the mean.", 1e-3, 1e6)] = 10.0
    sigma: Annotated[float, Domain("Standard deviation of one example.", 1e-6, 1e6)] = 1.0


@dataclass(frozen=True)
class MomentumRegimes(Parameters):
    """Of ``momentum-regimes``."""

    slug: ClassVar[str] = "momentum-regimes"
    betas: Annotated[Numbers, Domain("Momenta whose rates are drawn.", 0, 0.999, most=5, rising=True)] = (
        0.0,
        0.5,
        0.9,
        0.99,
    )
    lr: Annotated[float, Domain("Step size times curvature at which noise floors are drawn.", 1e-4, 1.99)] = 0.1
    beta: Annotated[float, Domain("The momentum whose noise floor is quoted.", 0.01, 0.99)] = 0.9


@dataclass(frozen=True)
class Risk(Parameters):
    """Of ``nqm-risk``."""

    slug: ClassVar[str] = "nqm-risk"
    dimension: Annotated[int, Domain("Of the quadratic, d.", 1, 100, whole=True)] = 10
    batch_size: Annotated[int, Domain("Examples of a batch, B.", 1, 1e6, whole=True)] = 1
    replicas: Annotated[int, Domain("Runs behind each measured mean.", 50, 5000, whole=True)] = 2000
    seed: Annotated[int, SEED] = 0


@dataclass(frozen=True)
class BatchSizes(Parameters):
    """Of ``nqm-batch-size``."""

    slug: ClassVar[str] = "nqm-batch-size"
    dimension: Annotated[int, Domain("Of the quadratic, d.", 2, 1000, whole=True)] = 100
    target: Annotated[float, Domain("The expected loss that counts as met.", 1e-5, 0.5)] = 0.01
    max_steps: Annotated[int, Domain("Where a setting is given up.", 100, 100_000, whole=True)] = 20_000
    points: Annotated[int, Domain("Step sizes that the search begins with.", 10, 200, whole=True)] = 30
    power: Annotated[float, Domain("By which curvatures precondition.", 0, 1)] = 0.5


DECLARED: dict[str, type[Parameters]] = {
    own.slug: own
    for own in (
        Tangent,
        SquaresGraph,
        CrossEntropy,
        Digits,
        Scaling,
        Convergence,
        Zigzag,
        NoiseFloor,
        Variance,
        EqualSamples,
        MomentumRegimes,
        Risk,
        BatchSizes,
    )
}
"""Slug to what its figure can be drawn with."""
