"""The arguments and flags that commands share; a flag that is not given leaves the verb its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# The defaults that --help prints. They live in core and verbs, which load torch; a test holds these equal to them.
METHODS = "sgd,momentum,adagrad,adam,adamw"
STUDIES, TRIALS, SEEDS, EVALUATIONS, RESAMPLES = 8, 16, 4, 41, 10_000
BUDGET, AXIS, DTYPE, DEVICE, SCHEDULE = "1000steps", "example-gradients", "float32", "cpu", "warmup-cosine:warmup=0.05"
LEVEL, MARGIN, SEED = 0.95, 0.02, 0
TOL, MAX_SECONDS, REPEATS = 1e-6, 60.0, 5


def flag(name: str, text: str, default: object = None, *, metavar: str | None = None) -> typer.models.OptionInfo:
    """A flag that prints the default it leaves to the verb."""
    told = text if default is None else f"{text} [default: {default}]"
    info: typer.models.OptionInfo = typer.Option(name, help=told, metavar=metavar, show_default=False)
    return info


Problems = Annotated[
    list[str],
    typer.Argument(
        metavar="PROBLEM... | STUDY.toml",
        help="Names as in digits-mlp or nqm:d=100, mine.py:NAME, or one study file, which the flags override.",
        show_default=False,
    ),
]
Methods = Annotated[
    list[str] | None,
    flag(
        "--methods",
        "Parted by commas: adamw, adamw:lr=1e-3, adamw:lr=1e-4..1e-1,name=mine, mine.py:MyOptimizer.",
        METHODS,
        metavar="A,B",
    ),
]
Studies = Annotated[
    int | None,
    flag("--studies", "Independent searches of each method; more where so many methods need them.", STUDIES),
]
Trials = Annotated[int | None, flag("--trials", "Points of each search.", TRIALS)]
Seeds = Annotated[int | None, flag("--seeds", "Fresh seeds that confirm what a search selects.", SEEDS)]
Budget = Annotated[
    str | None,
    flag(
        "--budget",
        "Of each trial: 1000steps, 2e5examples, 1e6example-gradients, 500evaluations, 30seconds.",
        BUDGET,
        metavar="AMOUNT",
    ),
]
Evaluations = Annotated[
    int | None, flag("--evaluations", "Evenly spaced measurements, start and end included.", EVALUATIONS)
]
Target = Annotated[
    str | None,
    flag(
        "--target",
        "What counts as reached: 'valid/loss<=0.25'; default takes each problem's own, none compares best values.",
        "default",
        metavar="METRIC<=VALUE",
    ),
]
Metric = Annotated[
    str | None, flag("--metric", "What selects and is compared, valid/loss where there is one.", metavar="METRIC")
]
Axis = Annotated[
    str | None, flag("--axis", "What time is counted in: example-gradients, steps or seconds.", AXIS, metavar="AXIS")
]
Level = Annotated[float | None, flag("--level", "Of tests and intervals.", LEVEL)]
Margin = Annotated[float | None, flag("--margin", "Relative margin of equivalence.", MARGIN)]
Resamples = Annotated[int | None, flag("--resamples", "Of bootstrap bands.", RESAMPLES)]
BatchSize = Annotated[int | None, flag("--batch-size", "Examples a step looks at; by default the problem's own.")]
Dtype = Annotated[str | None, flag("--dtype", "float32 or float64.", DTYPE, metavar="DTYPE")]
Device = Annotated[str | None, flag("--device", "Where parameters live: cpu, cuda.", DEVICE, metavar="DEVICE")]
Workers = Annotated[int | None, flag("--workers", "Processes at once; by default one for each core.")]
Executor = Annotated[str | None, flag("--executor", "Where trials run: local or processes.", metavar="NAME")]
Seed = Annotated[int | None, flag("--seed", "Base of every other seed.", SEED)]
Schedule = Annotated[
    str | None,
    flag("--schedule", "Of the learning rate, for methods that name none.", SCHEDULE, metavar="SCHEDULE"),
]
Against = Annotated[
    str | None,
    flag(
        "--against",
        "Compare the others with this one alone, named before any trial; by default every pair is asked about.",
        metavar="METHOD",
    ),
]
Until = Annotated[
    str | None,
    flag("--until", "separated adds studies, in planned looks, until every pair is told apart.", metavar="separated"),
]
Tol = Annotated[float | None, flag("--tol", "Of solvers: what each certificate must reach.", TOL)]
MaxSeconds = Annotated[float | None, flag("--max-seconds", "Of solvers: after how long a run is ended.", MAX_SECONDS)]
Repeats = Annotated[int | None, flag("--repeats", "Of solvers: runs of each, for its seconds.", REPEATS)]
Out = Annotated[Path | None, flag("--out", "The folder; by default runs/PROBLEM-HASH8.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a comparison.", show_default=False)]
