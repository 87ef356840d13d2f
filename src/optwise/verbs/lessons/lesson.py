"""What a lesson hands out: a figure, the numbers it shows, and what it was drawn with."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pandas as pd

from optwise.core.showing import Terse
from optwise.report.drawing import Figure
from optwise.report.figure_pages import figure_svg
from optwise.report.words import escape
from optwise.verbs.lessons.parameters import Parameters


@dataclass(frozen=True, eq=False)
class Lesson(Terse):
    """One figure of the gallery and the rows it was drawn from.

    Args:
        slug: Name of its files and of its page.
        figure: Question, answer, key and charts.
        data: Every number that is drawn, one row an observation; columns carry their units in the docs page.
        parameters: What it was drawn with; ``None`` for a function or tensors of the caller's own.
    """

    slug: str
    figure: Figure
    data: pd.DataFrame
    parameters: Parameters | None = None

    def _repr_html_(self) -> str:
        """The figure as a notebook shows it: an image of its own, so that nothing of it reaches the notebook's page."""
        image = base64.b64encode(figure_svg(self.figure).encode()).decode()
        return f'<img alt="{escape(self.figure.question)}" src="data:image/svg+xml;base64,{image}">'
