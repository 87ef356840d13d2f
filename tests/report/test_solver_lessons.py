"""The figures on direct solves and gradient descent: their rows against closed forms, their sentences, their charts."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from optwise.numerics.factorisations import cholesky_solve_normal
from optwise.problems.terms.functions import QuadraticTerm
from optwise.report.figure_pages import figure_svg
from optwise.report.lessons.convergence import convergence_figure
from optwise.report.lessons.scaling import DESCENT, NORMAL, SMALL, crossing, scaling_figure, slope
from optwise.report.lessons.stability import CHOLESKY, LU, QR, SVD, breakdown, digits_lost, stability_figure
from optwise.report.lessons.zigzag import LEVELS, contours, turns, zigzag_figure
from optwise.verbs.lessons.convergence_factors import designed, factor_data, wide_data
from optwise.verbs.lessons.declared import Digits, Scaling
from optwise.verbs.lessons.descent import descent
from optwise.verbs.lessons.exact_least_squares import exact_least_squares
from optwise.verbs.lessons.qr_against_normal_equations import errors, house_data, houses, sweep_data
from optwise.verbs.lessons.scaling_direct_vs_gd import flops, limit_data, memory_data, scaling_data
from optwise.verbs.lessons.zigzag import zigzag_data

DESIGN = {"rows": 200, "columns": 10, "seeds": 2}


@pytest.fixture(scope="module")
def paths():
    return zigzag_data()


@pytest.fixture(scope="module")
def factors():
    return factor_data()


@pytest.fixture(scope="module")
def wide():
    return wide_data()


@pytest.fixture(scope="module")
def sweep():
    return sweep_data(Digits(seeds=2))


@pytest.fixture(scope="module")
def house_rows():
    return house_data()


@pytest.fixture(scope="module")
def small_scaling():
    return scaling_data(Scaling(repeats=1), direct_sizes=(20, 40), sizes=(20, 40, 300))


# ------------------------------------------------------------------------------------------------ zigzag


@pytest.mark.parametrize(
    ("case", "first", "last", "sides"),
    [
        ((2, 0.1), ("-0.05", "1.85"), ("-0.07179", "0.08210"), 0),
        ((2, 1.8), ("-0.9", "-0.7"), ("1.43e-05", "1.43e-05"), 50),
        ((50, 0.1), ("-0.098", "1.898"), ("-0.89959", "0.90990"), 0),
        ((50, 1.8), ("-1.764", "0.164"), ("-0.15989", "0.15992"), 50),
    ],
)
def test_the_paths_end_at_every_printed_digit_and_change_sides_as_often_as_said(paths, case, first, last, sides):
    kappa, lr = case
    own = paths[(paths["kappa"] == kappa) & (paths["lr"] == lr)].set_index("step")
    assert len(own) == 51
    assert own.loc[0, ["w1", "w2"]].tolist() == [0.0, 2.0]
    assert own.loc[1, ["w1", "w2"]].tolist() == pytest.approx([float(v) for v in first], abs=1e-14)
    form = "{:.2e}" if "e" in last[0] else "{:.5f}"
    assert tuple(form.format(v) for v in own.loc[50, ["w1", "w2"]]) == last
    assert turns(own) == sides


def test_each_coordinate_of_a_path_shrinks_by_its_own_factor(paths):
    left_steep = (1 - paths["lr"]) ** paths["step"]
    left_flat = (1 - paths["lr"] / paths["kappa"]) ** paths["step"]
    # the rotation into the eigenvectors and back leaves a rounding of the larger coordinate
    np.testing.assert_allclose(paths["steep"], math.sqrt(2) * left_steep, atol=5e-15)
    np.testing.assert_allclose(paths["flat"], math.sqrt(2) * left_flat, atol=5e-14)
    gap = (left_steep**2 + left_flat**2 / paths["kappa"]) / (1 + 1 / paths["kappa"])
    np.testing.assert_allclose(paths["gap"], gap, rtol=1e-8, atol=1e-25)


@pytest.mark.parametrize("kappa", [2.0, 50.0])
def test_contours_are_twenty_level_sets_of_the_quadratic(kappa):
    rows = contours(kappa)
    H = np.array([[1 + 1 / kappa, 1 - 1 / kappa], [1 - 1 / kappa, 1 + 1 / kappa]]) / 2
    w = rows[["w1", "w2"]].to_numpy()
    np.testing.assert_allclose(0.5 * np.einsum("ki,ij,kj->k", w, H, w), rows["value"], rtol=1e-12)
    levels = rows.groupby("level")["value"].first()
    np.testing.assert_allclose(levels, 4.0 * np.arange(1, LEVELS + 1) / LEVELS)  # f(2, 2) = 4


def test_a_path_is_repeated_where_steps_no_longer_change_it():
    bowl = QuadraticTerm(torch.eye(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    path = descent(bowl, torch.ones(1, dtype=torch.float64), lr=1.0, steps=4)
    assert path[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


# ------------------------------------------------------------------------------------- convergence factors


def test_measured_gaps_are_the_sum_of_the_directions_each_with_its_factor(factors):
    np.testing.assert_allclose(factors["gap"], factors["exact"], rtol=1e-8)


def test_gaps_are_those_of_the_loss_itself(factors):
    X, y, w = (v.numpy() for v in designed(10.0))
    loss = lambda w: 0.5 * ((X @ w - y) ** 2).sum()  # noqa: E731
    best = loss(np.linalg.lstsq(X, y, rcond=None)[0])
    start, gaps = loss(w), []
    for _ in range(101):
        gaps.append((loss(w) - best) / (start - best))
        w = w - 0.5 / np.linalg.norm(X, 2) ** 2 * X.T @ (X @ w - y)
    own = factors[(factors["panel"] == "condition") & (factors["kappa_x"].round() == 10)]
    np.testing.assert_allclose(own["gap"], gaps, rtol=1e-9, atol=1e-13)  # two losses are subtracted


def test_every_line_names_the_condition_of_x_and_its_square(factors):
    np.testing.assert_allclose(factors["kappa_h"], factors["kappa_x"] ** 2, rtol=1e-9)
    asked = [10, 10, 10, 2, 10, 100]
    found = factors.drop_duplicates(["panel", "kappa_x", "lr"])
    np.testing.assert_allclose(found["kappa_x"], asked, rtol=1e-12)
    slowest = np.maximum(abs(1 - found["lr"]), abs(1 - found["lr"] / found["kappa_h"])) ** 2
    np.testing.assert_allclose(found["factor"], slowest, rtol=1e-12)
    assert found["lr"].tolist() == [0.1, 0.5, 1.8, 0.5, 0.5, 0.5]


def test_the_slowest_line_stays_below_the_gap_and_meets_it_in_the_end(factors, wide):
    rows = pd.concat([factors, wide[wide["lr"] == 1.8]])
    assert (rows["slowest"] <= rows["exact"] * (1 + 1e-9)).all()
    fast = factors[(factors["kappa_x"].round() == 2) & (factors["step"] == 100)]
    assert fast["slowest"].iloc[0] == pytest.approx(fast["gap"].iloc[0], rel=0.02)  # the next factor is 0.723


def test_on_the_wide_problem_the_best_step_is_the_closed_form_and_beats_1_8(wide):
    long, best = (rows.set_index("step") for _, rows in wide.groupby("lr", sort=False))
    kappa = best["kappa_h"].iloc[0]
    assert kappa == pytest.approx(1.72, abs=0.02)  # one draw of the lecture's size; the edges of its law are 1.77
    assert best["factor"].iloc[0] == pytest.approx(((kappa - 1) / (kappa + 1)) ** 2, rel=1e-9)
    assert long["factor"].iloc[0] == pytest.approx(0.64, rel=1e-12)  # the steepest direction is the slowest one
    assert best.loc[20, "gap"] < 1e-24
    assert 1e-8 < long.loc[20, "gap"] < 1e-5
    gains = [long.loc[k, "gap"] / long.loc[k + 20, "gap"] for k in (20, 40, 60)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] == pytest.approx(0.64**-20, rel=0.05)


# ------------------------------------------------------------------- QR against the normal equations


def test_whole_numbers_give_the_least_squares_solution_that_fractions_give():
    X = torch.tensor([[1.0, 1.0], [1.0, 1.001], [0.5, -2.0]], dtype=torch.float64)
    y = torch.tensor([1.0, 1e-3, 1e6], dtype=torch.float64)
    w = exact_least_squares(X, y).numpy()
    np.testing.assert_allclose(w, np.linalg.lstsq(X.numpy(), y.numpy(), rcond=None)[0], rtol=1e-12)


def test_whole_numbers_see_what_float64_cannot():
    """Läuchli's matrix: X^T X = [[1 + e^2, 1], [1, 1 + e^2]] rounds to a singular one, and w is still (1/2, 1/2)."""
    e = 2.0**-30
    X = torch.tensor([[1.0, 1.0], [e, 0.0], [0.0, e]], dtype=torch.float64)
    y = X @ torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert exact_least_squares(X, y).tolist() == [0.5, 0.5]
    assert cholesky_solve_normal(X, y).breakdown == 2
    with pytest.raises(ZeroDivisionError):
        exact_least_squares(torch.ones(3, 2, dtype=torch.float64), y)


def test_the_houses_have_the_condition_number_of_the_lecture_and_qr_its_weights(house_rows):
    assert house_rows["kappa"].to_numpy() == pytest.approx(6261.66, abs=0.01)
    single, double = (rows.set_index("method") for _, rows in house_rows.groupby("dtype"))
    assert single.loc[QR, "area"] == pytest.approx(199.969, abs=5e-3)
    # the labels are float32, and a processor may round a sum of theirs by a unit more or less, 6e-8 of the weight
    assert double.loc[[LU, QR], "area"].tolist() == pytest.approx([199.969078] * 2, abs=2e-5)
    assert double.loc[[LU, CHOLESKY, QR, SVD], "error"].max() < 1e-9
    # how far off the normal equations are in float32 depends on the build, that they are far off does not
    assert single.loc[[LU, CHOLESKY], "error"].fillna(1.0).min() > 30 * single.loc[[QR, SVD], "error"].max()
    X, y = houses()
    assert (X.dtype, X.shape, y.shape) == (torch.float32, (10_000, 4), (10_000,))


def test_errors_stay_below_their_bounds(sweep):
    """QR and singular values below eps kappa, the normal equations below eps kappa^2 up to 10 where that is below 1."""
    sweep = sweep.assign(unit=sweep["eps"] * sweep["kappa"])
    straight = sweep[sweep["method"].isin([QR, SVD])]
    assert not straight["broke"].any()
    assert (straight["error"] <= 10 * straight["unit"]).all()
    squared = sweep[sweep["method"].isin([LU, CHOLESKY]) & (sweep["eps"] * sweep["kappa"] ** 2 < 0.1)]
    assert not squared["broke"].any()
    assert (squared["error"] <= 10 * squared["eps"] * squared["kappa"] ** 2).all()
    # and the square is needed: far above eps kappa
    steep = squared[squared["kappa"] > 300]
    assert (steep["error"] > 2 * steep["unit"]).all()


def test_cholesky_breaks_down_where_the_square_reaches_the_precision_and_lu_answers_noise(sweep):
    for _, rows in sweep.groupby("dtype"):
        edge = 1 / math.sqrt(rows["eps"].iloc[0])  # 2,900 in float32, 6.7e7 in float64
        assert edge / 2 < breakdown(rows, CHOLESKY) < 100 * edge
        beyond = rows[rows["kappa"] > 300 * edge]
        assert beyond.loc[beyond["method"] == CHOLESKY, "broke"].mean() > 0.9
        noise = beyond[(beyond["method"] == LU) & ~beyond["broke"]]
        assert noise["error"].min() > 0.05
        assert beyond.loc[beyond["broke"], "error"].isna().all()


def test_digits_lost_are_once_and_twice_those_of_the_condition_number(sweep):
    for _, rows in sweep.groupby("dtype"):
        lost = digits_lost(rows)
        assert lost[QR] < 3.3  # log10(kappa) = 3
        assert 3.3 < lost[LU] < 6.5
        assert 3.3 < lost[CHOLESKY] < 6.5


def test_a_matrix_without_a_factor_has_no_error_but_a_mark():
    X = torch.tensor([[1.0, 1.0], [1e-4, 0.0], [0.0, 1e-4]])
    rows = errors(X, X.sum(1)).set_index("method")
    assert rows["broke"].to_dict() == {LU: True, CHOLESKY: True, QR: False, SVD: False}
    assert rows.loc[[LU, CHOLESKY], "error"].isna().all()
    assert rows.loc[[QR, SVD], "error"].max() < 1e-2


# ----------------------------------------------------------------------------------------------- scaling


def test_memory_is_that_of_the_tensors():
    table = memory_data([250, 50_000]).pivot_table(index="p", columns="what", values="bytes")
    on_meta = lambda *shape: torch.empty(*shape, dtype=torch.float64, device="meta").nbytes  # noqa: E731
    for p in (250, 50_000):
        assert table.loc[p, "gram"] == on_meta(p, p)
        assert table.loc[p, "design"] == on_meta(100, p)
        assert table.loc[p, "small gram"] == on_meta(100, 100)
        assert table.loc[p, "vectors"] == 3 * on_meta(p)
        # the design, its Gram matrix and the factor
        assert table.loc[p, "peak"] == pytest.approx(on_meta(p, p) * 2 + on_meta(100, p), rel=0.01)
    assert table.loc[50_000, ["gram", "design"]].tolist() == [20.0e9, 40e6]


@pytest.mark.parametrize("limit", [1e6, 25.3e9, 64e9, float(2**63 - 1)])
def test_the_first_size_that_is_refused_is_the_first_that_does_not_fit(limit):
    row = limit_data({"a": limit}).iloc[0]
    before = 8 * (100 * (row["p"] - 1) + 100 + 2 * (row["p"] - 1) ** 2 + 2 * (row["p"] - 1))
    assert before <= limit < row["bytes"]
    assert row["p"] == pytest.approx(math.sqrt(limit / 16), rel=0.2)


def test_the_lectures_64_gb_hold_the_gram_matrix_that_its_figure_says_they_do_not():
    assert limit_data({"lecture": 64e9})["p"].iloc[0] == pytest.approx(63_221, abs=1)
    assert 50_000**2 * 8 < 64e9


def test_all_three_routes_solve_the_same_problem(small_scaling):
    measured = small_scaling[small_scaling["measured"]]
    assert measured.groupby("route")["p"].apply(list).to_dict() == {
        NORMAL: [20, 40],
        DESCENT: [20, 40, 300],
        SMALL: [20, 40, 300],
    }
    assert (measured["seconds"] > 0).all()
    assert measured.loc[measured["route"] != DESCENT, "gap"].max() < 1e-20
    steps = measured[measured["route"] == DESCENT].set_index("p")["gap"]
    for p, gap in steps.items():
        X = torch.randn(100, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        curvatures = torch.linalg.svdvals(X).square() + 1.0
        contraction = (1 - 1.8 * curvatures / curvatures[0]).abs().max().item()
        assert gap <= contraction**200 * (1 + 1e-6) + 1e-25


def test_predictions_are_in_proportion_to_the_operations(small_scaling):
    ahead = small_scaling[~small_scaling["measured"]]
    assert ahead["p"].tolist() == [300, 100_000]
    last = small_scaling[(small_scaling["route"] == NORMAL) & (small_scaling["p"] == 40)]["seconds"].iloc[0]
    operations = lambda p: 2 * 100 * p**2 + p**3 / 3  # noqa: E731
    expected = [last * operations(p) / operations(40) for p in (300, 100_000)]
    assert ahead["seconds"].to_numpy() == pytest.approx(expected, rel=1e-12)
    # the form X^T X takes is that of the factorisation at p = 6 n
    assert flops(NORMAL, 600) == pytest.approx(2 * 600**3 / 3)


def timed_rows():
    """Exactly cubic and exactly linear seconds that meet at p = 2000."""
    p = np.array([1000.0, 1500.0, 3000.0])
    direct = pd.DataFrame({"route": NORMAL, "p": p, "seconds": (p / 1000) ** 3, "measured": True, "gap": 0.0})
    linear = pd.DataFrame({"route": DESCENT, "p": p, "seconds": 4 * p / 1000, "measured": True, "gap": 1e-9})
    small = pd.DataFrame({"route": SMALL, "p": p, "seconds": 0.1, "measured": True, "gap": 0.0})
    ahead = pd.DataFrame({"route": [NORMAL], "p": [1e5], "seconds": [1e6], "measured": [False], "gap": [np.nan]})
    return pd.concat([direct, linear, small, ahead], ignore_index=True)


def test_slopes_and_crossings_are_read_off_the_logarithms():
    rows = timed_rows()
    direct, other = (rows[(rows["route"] == route) & rows["measured"]] for route in (NORMAL, DESCENT))
    assert slope(direct) == pytest.approx(3)
    assert slope(other) == pytest.approx(1)
    assert crossing(direct, other) == pytest.approx(2000)
    assert crossing(direct, other.assign(seconds=1e-3)) is None


def scaled(limit=20e9):
    machines = limit_data({"this machine": limit, "a machine of 64 GB": 64e9}).assign(seconds=[7200.0, 9e4])
    return scaling_figure(timed_rows(), memory_data([1000, 50_000]), machines, n=100, steps=100, l2=1.0)


def test_the_sentence_on_scaling_has_slopes_crossing_refusal_and_both_units_of_memory():
    answer = scaled().answer
    assert "with exponent 3.0 in p from p = 1,000 to 3,000" in answer
    assert "those of 100 gradient steps with 1.0" in answer
    assert "cross near p = 2,000" in answer
    assert re.search(r"with 20 GB, refuses from p = 35,3\d\d on, before it starts; there it would take 2 h", answer)
    assert "20.0 GB (18.6 GiB) and X 40 MB, at 8 bytes an entry; torch's default float32 takes half" in answer
    assert "does not tell its memory" in scaled(limit=float(2**63 - 1)).answer


# -------------------------------------------------------------------------------------- all four figures

FIGURES = {
    "zigzag": lambda get: zigzag_figure(get("paths")),
    "convergence-factors": lambda get: convergence_figure(pd.concat([get("wide"), get("factors")])),
    "qr-against-normal-equations": lambda get: stability_figure(
        pd.concat([get("sweep"), get("house_rows")]), design=DESIGN
    ),
    "scaling-direct-vs-gd": lambda _: scaled(),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_asks_answers_and_draws(name, request):
    figure = FIGURES[name](request.getfixturevalue)
    assert figure.anchor == name
    assert figure.question.endswith("?")
    assert figure.answer.endswith(".")
    assert figure.key.endswith(".")
    assert "nan" not in f"{figure.answer} {figure.key}".lower().split()
    svg = figure_svg(figure)
    assert svg.count("mark-line") + svg.count("mark-symbol") > len(figure.panels)
    for label, chart in figure.panels.items():
        text = json.dumps(chart.to_dict(), allow_nan=False)
        assert len(re.findall(r'"title": "([^"]+)"', text)) >= 2, label


def test_the_answers_quote_the_rows(factors, wide, sweep, house_rows, paths):
    answer = convergence_figure(pd.concat([wide, factors])).answer
    end = factors[(factors["kappa_x"].round() == 100) & (factors["step"] == 100)].iloc[0]
    assert "κ(X) = 100 means κ(H) = 10,000, and 100 steps of 0.5/λmax leave 0.990 of the slowest part" in answer
    assert f"to {end['gap']:.3g}." in answer
    assert "on the way to 7,520;" in answer  # 0.64^-20
    told = stability_figure(pd.concat([sweep, house_rows]), design=DESIGN).answer
    assert "κ(X) = 6,261.66, a square foot costs 199.97; float32 says 199.97 by QR" in told
    assert "Of the 6.9 digits of float32, at κ(X) = 1,000" in told
    assert "0, 50, 0 and 50 times in 50 steps" in zigzag_figure(paths).answer


def test_a_factorisation_that_broke_down_is_drawn_as_a_cross(sweep, house_rows):
    chart = stability_figure(pd.concat([sweep, house_rows]), design=DESIGN).panels["in float32"].to_dict()
    crosses = [layer for layer in chart["layer"] if layer["mark"].get("shape", "").startswith("M")]
    (values,) = (chart["datasets"][layer["data"]["name"]] for layer in crosses)
    own = sweep[(sweep["dtype"] == "float32") & sweep["broke"]]
    assert len(values) == len(own) > 0
    assert CHOLESKY in {row["method"] for row in values}


def colours_of(chart):
    """Entry of the legend to colour."""
    scale = next(
        layer["encoding"]["color"]["scale"] for layer in chart.to_dict()["layer"] if "color" in layer["encoding"]
    )
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_a_route_and_what_it_holds_have_one_colour_in_both_panels():
    seconds, memory = (colours_of(scaled().panels[name]) for name in ("seconds", "memory"))
    assert seconds["direct, XXᵀ"] == memory["XXᵀ"]
    assert seconds["direct, XᵀX"] == memory["all of the direct solve"]
    assert seconds["gradient descent"] == memory["vectors of a step"]
    assert len(set(memory.values())) == 5
    assert set(seconds.values()) & {memory["X"], memory["XᵀX"]} == set()


def test_a_run_has_one_colour_in_every_panel_that_shows_it(wide, factors):
    panels = convergence_figure(pd.concat([wide, factors])).panels
    by_step, by_kappa = (colours_of(panels[name]) for name in ("step size", "condition"))
    shared = set(by_step) & set(by_kappa)
    assert shared == {"η = 0.5/λmax, κ(X) = 10, κ(H) = 100"}
    assert all(by_step[name] == by_kappa[name] for name in shared)
    assert len({*by_step.values(), *by_kappa.values()}) == 5


def test_refusals_are_rings_that_no_measurement_reaches():
    chart = scaled().panels["seconds"].to_dict()
    rings = [layer for layer in chart["layer"] if layer["mark"].get("filled") is False]
    (values,) = (chart["datasets"][layer["data"]["name"]] for layer in rings)
    assert [row["p"] for row in values] == limit_data({"a": 20e9, "b": 64e9})["p"].tolist()
