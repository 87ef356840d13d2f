"""Trials as one long table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from optwise.core.budget import EVALUATIONS, EXAMPLE_GRADIENTS, EXAMPLES
from optwise.store.records import Curve, Curves, Trial

if TYPE_CHECKING:
    import pandas as pd

AXES = (EXAMPLES, EXAMPLE_GRADIENTS, EVALUATIONS)
COLUMNS = (
    *("problem", "method", "study", "index", "phase", "seed", "status"),
    *("step", "split", "metric", "value", *AXES),
)
_TYPES = {"study": "int64", "index": "int64", "seed": "int64", "step": "int64", "value": "float64"}


def measurement_frame(trials: Iterable[Trial], revealed: Mapping[str, Curves]) -> pd.DataFrame:
    """One row a measurement, in the order of the trials, their metrics and steps.

    The columns ``examples``, ``example-gradients`` and ``evaluations`` are what the trial had spent at that step by its
    own counters, NaN where nobody counted.

    Args:
        trials: What to list.
        revealed: Curves of the test split by key, where they were revealed.
    """
    import pandas as pd

    blocks = [
        _block(trial, metric, curve)
        for trial in trials
        for metric, curve in {**trial.curves, **revealed.get(trial.key, {})}.items()
    ]
    columns = {}
    for column in COLUMNS:
        kind = _TYPES.get(column, "float64" if column in AXES else "str")
        parts = [block[column] for block in blocks]
        columns[column] = pd.Series(np.concatenate(parts) if parts else [], dtype=kind)
    return pd.DataFrame(columns)


def _block(trial: Trial, metric: str, curve: Curve) -> dict[str, np.ndarray]:
    steps, values = curve
    name = trial.name
    split, _, short = metric.rpartition("/")
    words = {
        "problem": name.problem,
        "method": name.method,
        "phase": name.phase.value,
        "status": trial.status.value,
        "split": split,
        "metric": short,
    }
    numbers = {"study": name.study, "index": name.index, "seed": trial.seed}
    paid = trial.spending
    counted = [unit for unit in AXES if unit in paid.amounts]
    return {
        **{column: np.full(len(steps), word, dtype=object) for column, word in words.items()},
        **{column: np.full(len(steps), number, dtype=np.int64) for column, number in numbers.items()},
        **{unit: np.full(len(steps), np.nan) for unit in AXES},
        **{unit: np.array([paid.at(unit, int(k)) for k in steps]) for unit in counted},
        "step": steps,
        "value": values,
    }
