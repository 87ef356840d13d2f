"""Linear convergence: relative gaps on a log axis, each beside the line of its slowest direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from optwise.report.drawing import PALETTE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number

EVERY = 20
"""Iterations between the gains that are quoted."""
ROUNDING = 1e-25
"""A relative gap below which the squares of rounding errors count."""
FLAT = 0.5
"""What is left of the slowest part where its line looks flat."""
WIDE, LRS, KAPPAS = "best step", "step size", "condition"


def convergence_figure(rows: pd.DataFrame) -> Figure:
    """The figure ``convergence-factors``.

    Args:
        rows: Columns panel, kappa_x, kappa_h, lr, step, gap, exact, slowest, factor; of the two runs of the panel
            ``best step`` the second is that of 2/(L + m).
    """
    wide, by_kappa = rows[rows["panel"] == WIDE], rows[rows["panel"] == KAPPAS]
    shades = run_colours(rows[rows["panel"] != WIDE])
    lr = float(wide["lr"].iloc[0])
    return Figure(
        anchor="convergence-factors",
        question="How many digits does an iteration of gradient descent gain, and what sets their number?",
        answer=signs(f"In the end the same number every time. {_plateau(by_kappa)} {_digits(wide)}"),
        key=signs(
            "Thick: the relative gap (f - f*)/(f0 - f*), measured. Dashed: the part of it in the slowest direction, "
            "computed; it falls by (1 - η λ)² a step. Gradient descent on ||X w - y||²/2, exact gradients, one problem "
            f"each. 2/(L + m) against {lr:.10g}/L: X normal, 100 rows and 5,000 columns, from w = 0, κ(H) of the "
            f"curvatures that are not zero; dots every {EVERY} iterations. The other panels: 100 rows and 10 columns, "
            "singular values logarithmically spaced, "
            "noise 0.1, from w = 1."
        ),
        panels={
            "best step": gap_chart(wide, title=f"2/(L + m) against {lr:.10g}/L", every=EVERY),
            "step size": gap_chart(rows[rows["panel"] == LRS], title="By step size", colours=shades),
            "condition": gap_chart(by_kappa, title="By condition number", colours=shades),
        },
        together=True,
    )


def _plateau(by_kappa: pd.DataFrame) -> str:
    """What the worst condition number leaves, and whether its line is flat."""
    worst = by_kappa[by_kappa["kappa_x"] == by_kappa["kappa_x"].max()]
    steps = int(worst["step"].max())
    half, last = (worst[worst["step"] == k].iloc[0] for k in (steps // 2, steps))
    left = float(last["factor"] ** steps)
    falls = f"from iteration {steps // 2} to {steps} the gap falls from {number(half['gap'])} to {number(last['gap'])}"
    return (
        f"What sets it is κ(H) = κ(X)²: κ(X) = {number(last['kappa_x'])} means κ(H) = {number(last['kappa_h'])}, and "
        f"{steps:,} steps of {last['lr']:.10g}/λmax leave {number(left)} of the slowest part"
        f"{', hence the plateau' if left > FLAT and half['gap'] < 2 * last['gap'] else ''}: {falls}."
    )


def _digits(wide: pd.DataFrame) -> str:
    """What every so many iterations gain on the wide problem, and what the best step does there."""
    long, best = (wide[wide["lr"] == lr].set_index("step") for lr in dict.fromkeys(wide["lr"]))
    # before, many directions still shrink; below, the gap is rounding
    marks = [k for k in long.index if k > EVERY and k % EVERY == 0 and long.loc[k, "gap"] > ROUNDING]
    gains = [number(long.loc[k - EVERY, "gap"] / long.loc[k, "gap"]) for k in marks]
    lr, slowest = float(long["lr"].iloc[0]), float(long["factor"].iloc[0])
    told = f"gain {'a factor' if len(gains) == 1 else 'factors'} of {listed(gains)}, on" if gains else "are on"
    ahead = float(best.loc[EVERY, "gap"]), float(long.loc[EVERY, "gap"])
    return (
        f"On the wide problem each {EVERY} more iterations of {lr:.10g}/L {told} the way to {number(slowest**-EVERY)}; "
        f"that is linear convergence, and twice the iterations square what is left. There 2/(L + m) leaves "
        f"{number(ahead[0])} after {EVERY} iterations, {lr:.10g}/L {number(ahead[1])}."
    )


def run_colours(rows: pd.DataFrame) -> dict[str, str]:
    """One colour for each run, the same in every panel that shows it."""
    names = dict.fromkeys(_named(row) for _, row in rows.drop_duplicates(["kappa_x", "lr"]).iterrows())
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


def gap_chart(
    rows: pd.DataFrame, *, title: str, every: int | None = None, colours: Mapping[str, str] | None = None
) -> Chart:
    """Draw the gaps of some runs.

    Args:
        rows: Of one panel.
        title: Of the panel.
        every: Steps between dots; ``None`` draws none.
        colours: Of the runs by name, where other panels show some of them too.
    """
    names = {(row["kappa_x"], row["lr"]): _named(row) for _, row in rows.drop_duplicates(["kappa_x", "lr"]).iterrows()}
    named = rows.assign(run=[names[key] for key in zip(rows["kappa_x"], rows["lr"], strict=True)])
    low, steps = max(1e-30, float(named["gap"].min()) / 2), int(named["step"].max())
    thin = max(1, steps // 250)
    named = named[named["step"] % thin == 0]
    drawn = named[named["gap"] >= low]
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, steps], nice=False), axis=alt.Axis(title="iterations", tickCount=5))
    axis = log_axis("relative gap (f - f*)/(f0 - f*)", low, 1.0)
    y = alt.Y("value:Q", scale=log_scale(low, 1.0), axis=axis)
    shades = shade("run", list(dict.fromkeys(names.values())), colours=colours)
    shades["legend"]["columns"] = 1
    shades["legend"]["labelLimit"] = 300
    tips = [
        alt.Tooltip("run:N"),
        alt.Tooltip("step:Q", title="iterations"),
        alt.Tooltip("value:Q", title="gap", format=".4~g"),
        alt.Tooltip("factor:Q", title="slowest factor a step", format=".4~g"),
    ]

    def chart(frame: pd.DataFrame, column: str) -> alt.Chart:
        own = frame[["run", "step", column, "factor"]].rename(columns={column: "value"})
        return alt.Chart(inline(own)).encode(x=x, y=y, color=shades)

    dotted = drawn[drawn["step"] % every == 0] if every else drawn.iloc[:0]
    layers = [
        chart(drawn, "gap").mark_line(clip=True, strokeWidth=2.4),
        chart(named, "slowest").mark_line(clip=True, strokeWidth=1.3, strokeDash=[5, 4]),
        chart(dotted, "gap").mark_point(filled=True, size=46, opacity=1),
        chart(drawn, "gap").mark_point(filled=True, size=40, opacity=0, clip=True).encode(tooltip=tips),
    ]
    return alt.layer(*layers).properties(width="container", height=250, title=heading(title))


def _kappas(row: pd.Series[Any]) -> str:
    return f"κ(X) = {number(row['kappa_x'])}, κ(H) = {number(row['kappa_h'])}"


def _named(row: pd.Series[Any]) -> str:
    return signs(f"η = {row['lr']:.4g}/λmax, {_kappas(row)}")
