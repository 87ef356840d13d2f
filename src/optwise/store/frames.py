"""Trials as one long table: a row a measurement, with the hyperparameters of its trial."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optwise.core.budget import EVALUATIONS, EXAMPLE_GRADIENTS, EXAMPLES
from optwise.core.space import values_of
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
    own counters, NaN where nobody counted. Then come the hyperparameters, a column for each path (``lr``, ``betas[0]``,
    ``schedule.warmup``), empty where the method has none of the name.

    Args:
        trials: What to list.
        revealed: Curves of the test split by key, where they were revealed.
    """
    import pandas as pd

    measured = [
        (trial, metric, curve)
        for trial in trials
        for metric, curve in {**trial.curves, **revealed.get(trial.key, {})}.items()
    ]
    blocks = [_block(*each) for each in measured]
    columns = {}
    for column in COLUMNS:
        kind = _TYPES.get(column, "float64" if column in AXES else "str")
        parts = [block[column] for block in blocks]
        columns[column] = pd.Series(np.concatenate(parts) if parts else [], dtype=kind)
    values = hyperparameter_frame([values_of(trial.method) for trial, _, _ in measured], taken=COLUMNS)
    rows = np.repeat(np.arange(len(measured)), [len(steps) for _, _, (steps, _) in measured])
    return pd.concat([pd.DataFrame(columns), values.iloc[rows].reset_index(drop=True)], axis=1)


def hyperparameter_frame(settings: Sequence[Mapping[str, Any]], *, taken: Collection[str]) -> pd.DataFrame:
    """One row a setting and one column a path: numbers as floats, flags as booleans, all else as text.

    Args:
        settings: Hyperparameters by path.
        taken: Names of other columns; a path of such a name is called ``method.NAME``.
    """
    import pandas as pd

    paths = dict.fromkeys(path for values in settings for path in values)
    return pd.DataFrame(
        {
            f"method.{path}" if path in taken else path: _column([values.get(path) for values in settings])
            for path in paths
        },
        index=range(len(settings)),
    )


def _column(values: Sequence[Any]) -> pd.Series[Any]:
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pd.Series([math.nan if value is None else value for value in values], dtype="float64")
    if kinds == {bool}:
        return pd.Series(list(values), dtype="boolean")
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


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
