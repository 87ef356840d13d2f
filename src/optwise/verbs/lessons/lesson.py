"""What a lesson hands out: a figure and the numbers it shows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from optwise.report.drawing import Figure


@dataclass(frozen=True, eq=False)
class Lesson:
    """One figure of the gallery and the rows it was drawn from.

    Args:
        slug: Name of its files and of its page.
        figure: Question, answer, key and charts.
        data: Every number that is drawn, one row an observation; columns carry their units in the docs page.
    """

    slug: str
    figure: Figure
    data: pd.DataFrame
