"""Check rule: was every method given the same budget, by what its runs really spent?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from optwise.core.budget import SECONDS, Budget
from optwise.core.check import Check
from optwise.core.finding import Finding, Grade, Interval, Risk
from optwise.core.run import Run
from optwise.core.status import Status

SPENDING = Check("equal-spending", "Did the runs of all methods spend the same budget?", Risk.CLAIM)

ROUNDING_SHARE = 0.01
"""Share of the budget by which spending may differ beyond one step. Source: optwise, own choice."""


def equal_spending(
    problem: str, runs: Mapping[str, Sequence[Run]], *, budget: Budget, axis: str | None = None
) -> list[Finding]:
    """Did the runs of all methods spend as much as each other?

    Runs that ended with their budget are compared by their own counters: in the budget's unit, where more than one
    step (of the dearest run) and 1 % between the least and the most fails, and on the axis where time is counted, where
    more than that warns, since the budget was asked for in another unit. Seconds are frozen into other units
    before any trial and are not looked at.

    Args:
        problem: Name.
        runs: Method to its runs, of any phase.
        budget: Of each of them.
        axis: What time is counted in; ``None`` looks at the budget's unit alone.
    """
    ended = {name: [run for run in own if run.status is Status.BUDGET_SPENT] for name, own in runs.items()}
    units = dict.fromkeys([budget.unit, axis or budget.unit])
    found = [_spent(problem, ended, unit, budget) for unit in units if unit != SECONDS]
    return [finding for finding in found if finding is not None]


def _spent(problem: str, ended: Mapping[str, Sequence[Run]], unit: str, budget: Budget) -> Finding | None:
    counted = {name: [run for run in own if unit in run.counts] for name, own in ended.items()}
    spent = {name: [run.counts[unit] for run in own] for name, own in counted.items() if own}
    if len(spent) < 2:
        return None
    low, high = min(map(min, spent.values())), max(map(max, spent.values()))
    step = max(run.spending.dearest_step(unit) for own in counted.values() for run in own)
    whole = budget.amount if unit == budget.unit else statistics.median(map(statistics.median, spent.values()))
    same = high - low <= step + ROUNDING_SHARE * whole
    asked = unit == budget.unit
    told = ", ".join(f"{name} {_range(amounts)}" for name, amounts in spent.items())
    evidence = f"Under a budget of {budget.amount:,g} {budget.unit}, {unit} spent: {told}."
    advice = (
        "Run the same `optwise compare` again: it ends runs by what they spent."
        if asked
        else f"Give the budget in {unit} if methods are to be compared by them."
    )
    return Finding(
        check=SPENDING.name,
        grade=Grade.PASS if same else Grade.FAIL if asked else Grade.WARN,
        evidence=evidence,
        subject=problem,
        value=high - low,
        interval=Interval(low, high),
        source=SPENDING.source,
        risk=SPENDING.risk,
        advice="" if same else advice,
        link="ledger",
    )


def _range(amounts: Sequence[float]) -> str:
    low, middle, high = min(amounts), statistics.median(amounts), max(amounts)
    return f"{middle:,.0f}" if low == high else f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"
