"""Axis plots: the mark, the caption, the boundary check and the study all mean the same best trial."""

import math
import random
import re

import pytest

from optwise.analyses.boundary_check import boundary
from optwise.analyses.selecting import select
from optwise.analyses.subject import Subject
from optwise.core.method import Recorded
from optwise.core.metric import AtLeast, AtMost, Direction
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.space import LogUniform, Space
from optwise.core.status import Status
from optwise.report.drawing import spec_of
from optwise.report.figures.axes import axis_chart, axis_panels, axis_rows
from optwise.report.figures.heights import heights

SPACE = Space({"lr": LogUniform(1e-4, 1.0)})


def searched(seed, *, target, trials=12, metric="loss"):
    """A search whose curves jump about; some trials diverge."""
    rng = random.Random(seed)
    sign = 1 if target is None or target.direction is Direction.MIN else -1
    runs = []
    for i in range(trials):
        dead = rng.random() < 0.15
        values = [1.0, *(round(rng.uniform(0.2, 1.5), 3) for _ in range(20))]
        runs.append(
            Run(
                problem="p",
                method=Recorded(name="m", description={}),
                seed=0,
                status=Status.NOT_FINITE if dead else Status.BUDGET_SPENT,
                counts={},
                measurements=tuple(Measurement(50 * k, "valid", metric, sign * v) for k, v in enumerate(values)),
                infeasible=dead,
                name=TrialName("p", "m", 0, i),
                point={"lr": 10 ** rng.uniform(-4, 0)},
            )
        )
    return runs


def without(asked):
    """What heights are asked: their unit is told apart."""
    return {name: value for name, value in asked.items() if name != "axis"}


TARGETS = {
    "none": None,
    "reached": AtMost("valid/loss", 0.6),
    "never": AtMost("valid/loss", 0.01),
    "from above": AtLeast("valid/loss", -0.6),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("seed", range(8))
def test_the_diamond_is_the_best_trial_of_the_caption_of_the_study_and_the_lowest_of_the_plot(seed, target):
    runs = searched(seed, target=target)
    direction = Direction.MIN if target is None else target.direction
    asked = {"metric": "valid/loss", "direction": direction, "target": target, "axis": "steps"}
    rows = axis_rows(runs, SPACE, path="lr", selected={}, **asked)
    best = rows[rows["best"]].iloc[0]
    assert best["trial"] == f"p/m/0/{select(runs, **asked)}"

    axis = heights([rows], last=1000.0, unit=asked["axis"], **without(asked))
    drawn = [h for h, value in zip(axis.of(rows), rows["value"], strict=True) if not math.isnan(value)]
    higher_is_better = axis.missed is None and direction is Direction.MAX
    assert axis.of(rows[rows["best"]])[0] == (max if higher_is_better else min)(drawn)
    assert all(axis.low <= h <= axis.high for h in axis.of(rows))

    subject = Subject("p", "m", **asked)
    (edge,) = boundary(subject, SPACE, runs)
    told = re.search(r"best trial at (\S+) of", edge.evidence)[1]
    assert told == f"{best['setting']:.3g}"


def test_misses_stand_above_the_line_in_the_order_of_their_values_and_hits_at_their_steps():
    target = AtMost("valid/loss", 0.4)
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "target": target, "axis": "steps"}
    rows = axis_rows(searched(3, target=target, trials=30), SPACE, path="lr", selected={}, **asked)
    axis = heights([rows], last=1000.0, unit=asked["axis"], **without(asked))
    assert axis.missed > 1000.0
    rows = rows.assign(height=axis.of(rows))
    hits, misses = rows[rows["spent"].notna()], rows[rows["spent"].isna() & rows["value"].notna()]
    assert len(hits) > 3
    assert len(misses) > 3
    assert hits["height"].tolist() == hits["spent"].tolist()
    assert misses.sort_values("value")["height"].is_monotonic_increasing
    assert misses["height"].min() > axis.missed
    assert (rows[rows["value"].isna()]["height"] == axis.high).all()


def test_the_axis_says_what_ranks_and_the_key_that_search_values_are_lucky():
    for name, title in (
        ("none", "best valid/loss of"),
        ("reached", "steps to valid/loss ≤ 0.6"),
        ("never", "none reaches"),
    ):
        target = TARGETS[name]
        asked = {"metric": "valid/loss", "direction": Direction.MIN, "target": target, "axis": "steps"}
        runs = searched(1, target=target)
        panels, key = axis_panels(runs, SPACE, selected={0: 2}, colour="#123456", **asked)
        text = str(spec_of(panels["lr"]))
        assert title in text
        assert "search value" in text
        assert "12 search trials, one seed each, so that the best of them are lucky" in key
        assert ("misses" in key) == (name == "reached")


def test_a_method_without_a_trial_or_without_a_feasible_one_is_drawn_as_it_is():
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "target": None, "axis": "steps"}
    assert axis_panels([], SPACE, selected={}, colour="#123456", **asked)[0] == {}
    dead = [run for seed in range(9) for run in searched(seed, target=None) if run.infeasible]
    rows = axis_rows(dead, SPACE, path="lr", selected={}, **asked)
    axis = heights([rows], last=1000.0, unit=asked["axis"], **without(asked))
    assert not rows["best"].any()
    chart = axis_chart(rows, SPACE.fields["lr"], path="lr", metric="valid/loss", heights=axis, colour="#123456")
    assert "M-1,-1L1,1M-1,1L1,-1" in str(spec_of(chart)), "crosses"
