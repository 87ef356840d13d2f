"""Parameters of the figures: declared once, checked before work, told wherever the figure goes, true in its answer."""

import re

import numpy as np
import pandas as pd
import pytest

import optwise as ow
from optwise.core.errors import BadProtocol, UnknownName
from optwise.report.figure_pages import figure_svg
from optwise.report.figure_provenance import Origin
from optwise.report.lessons.momentum import momentum_figure
from optwise.report.lessons.risk import WITHIN, chances, risk_figure
from optwise.verbs.figuring import figure, write_figures
from optwise.verbs.lessons import gallery
from optwise.verbs.lessons.declared import DECLARED, NAMED, MomentumRegimes, NoiseFloor, Zigzag
from optwise.verbs.lessons.derivatives import FUNCTIONS
from optwise.verbs.lessons.momentum_regimes import floor_data
from optwise.verbs.lessons.parameters import Domain
from optwise.verbs.lessons.sgd_noise_floor import noise_floor_data


@pytest.fixture
def nothing_is_drawn(monkeypatch):
    """Every figure fails the test if it is begun."""
    monkeypatch.setattr(
        "optwise.verbs.figuring.LESSONS", dict.fromkeys(gallery.LESSONS, lambda _: pytest.fail("it was begun"))
    )


def test_every_figure_declares_what_it_takes_and_its_defaults_lie_in_their_domains():
    assert list(DECLARED) == list(gallery.LESSONS)
    for declared in DECLARED.values():
        texts = declared().texts()
        assert texts
        assert declared().changed() == {}
        assert declared.asked(texts) == declared()  # text and back
        assert all(domain.text.endswith(".") for domain, _ in declared.domains().values())
    assert tuple(FUNCTIONS) == NAMED


@pytest.mark.parametrize("slug", DECLARED)
def test_what_lies_outside_a_domain_is_refused_in_one_sentence_before_any_work(slug, nothing_is_drawn):
    for name, (domain, default) in DECLARED[slug].domains().items():
        wrong = ["many", "", "nan", "1,,2"]
        if np.isfinite(domain.high):
            wrong += [f"{domain.high * 2 + 1:.17g}", "inf"]
        if domain.whole:
            wrong.append("1.5")
        for value in wrong:
            with pytest.raises(BadProtocol) as error:
                figure(slug, **{name: value})
            said = str(error.value)
            assert said.startswith(f"{slug}: --{name.replace('_', '-')} is {value}; give ")
            assert said.endswith(f"as in {default}.")


def test_names_of_no_parameter_and_numbers_of_no_figure_are_refused(nothing_is_drawn, tmp_path):
    with pytest.raises(UnknownName, match=r"Unknown parameter of zigzag 'kapa'\. Did you mean 'kappa'"):
        figure("zigzag", kapa=20)
    with pytest.raises(UnknownName, match=r"number of a figure '2\.7'\. Known: 2\.1 \(best-linear-approximation\)"):
        figure("2.7")
    with pytest.raises(UnknownName, match="Unknown parameter of cross-entropy 'kappa'"):
        write_figures(["zigzag", "cross-entropy"], tmp_path / "out", {"kappa": 20})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("slug", "given", "reason"),
    [
        ("least-squares-graph", {"X": [[1, 2], [3, 4]]}, "give 2 targets and 2 parameters"),
        ("zigzag", {"start": (0, 0)}, "that is the minimum"),
        ("sgd-noise-floor", {"lrs": (0.1, 0.1)}, "1 to 6 different numbers"),
        ("zigzag", {"kappa": (50, 2)}, "1 to 3 rising numbers"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(slug, given, reason, nothing_is_drawn):
    with pytest.raises(BadProtocol, match=reason):
        figure(slug, **given)


def test_numbers_of_the_course_are_names():
    assert gallery.known(["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]) == list(gallery.NUMBERS.values())
    for number, slug in gallery.NUMBERS.items():
        assert f"recap figure {number}" in gallery.summary(slug)
    assert figure("2.3").slug == "cross-entropy"


def test_python_text_and_arrays_name_the_same_parameters():
    assert Zigzag.asked({"kappa": "2,50"}) == Zigzag.asked({"kappa": np.array([2, 50])}) == Zigzag()
    assert Zigzag(kappa=20) == Zigzag.asked({"kappa": "20"})
    assert ow.figure("zigzag", kappa=20, steps=3).parameters == Zigzag(kappa=(20.0,), steps=3)


@pytest.mark.parametrize("value", [True, "true", None, object(), [[1]], "1;2"])
def test_what_is_no_number_is_none(value):
    with pytest.raises(ValueError):  # noqa: PT011  # its text goes nowhere
        Domain("A number.", 0, 10).read(value)


# ------------------------------------------------------------------------------------------- where they are told


def test_a_figure_with_other_parameters_has_other_files_and_says_so_in_each(tmp_path):
    first = write_figures(["cross-entropy"], tmp_path)["cross-entropy"]
    other = write_figures(["2.3"], tmp_path, {"marks": (0.2, 0.6), "label": 1})["cross-entropy"]
    assert first["svg"].name == "cross-entropy.svg"
    assert {path.name for path in other.values()} == {f"cross-entropy--marks-0.2_0.6--label-1.{s}" for s in first}
    command = "optwise figures cross-entropy --marks 0.2,0.6 --label 1"
    assert command in other["svg"].read_text(encoding="utf-8")
    page = re.sub(r"<[^>]+>", "", other["html"].read_text(encoding="utf-8"))
    assert command in page
    assert "--marks" not in re.sub(r"<[^>]+>", "", first["html"].read_text(encoding="utf-8"))
    both = pd.concat([pd.read_csv(paths["csv"]) for paths in (first, other)])
    marked = both[both["kind"] == "mark"].groupby("parameters")["q"].apply(list).to_dict()
    assert marked == {"marks=0.1,0.3,0.8 label=0": [0.1, 0.3, 0.8], "marks=0.2,0.6 label=1": [0.2, 0.6]}


def test_the_page_says_versions_date_seed_parameters_and_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    page = write_figures(["sgd-equal-samples"], tmp_path, {"lr": 0.1})["sgd-equal-samples"]["html"]
    text = page.read_text(encoding="utf-8").rpartition("<h2>Provenance</h2>")[2]
    assert f"optwise {ow.__version__}, torch " in text
    assert "2023-11-14; nothing is drawn at random" in text
    assert "<dt>lr</dt><dd><code>0.1</code> (changed)</dd>" in text
    assert "<dt>batch-size</dt><dd><code>1000</code></dd>" in text
    seeded = Origin("s", parameters={"seed": "7"}, version="1", torch="2", date="today")
    assert seeded.lines == ("optwise 1, torch 2, seed 7, today.", "optwise figures s")


def test_file_names_hold_no_sign_that_a_file_system_minds_and_never_collide():
    stems = [
        Origin("s", changed={"a": text}).stem for text in ("1;2", "../../x", "a b", "-1", "0.5", "1," * 60, "2," * 60)
    ]
    assert all(re.fullmatch(r"[\w.-]+", stem) and len(stem) <= 80 for stem in stems)
    assert len(set(stems)) == len(stems)


# ------------------------------------------------------------------------------- answers that stay true, at the ends

EXTREMES = {
    "best-linear-approximation": [{"f": f, "a": a} for f in NAMED for a in (-5, 1, 5)],
    "least-squares-graph": [{"X": [[2.0]], "y": 1, "w": 3}, {"X": "1,2,3;4,5,6", "y": "1,1", "w": "0,0,1e6"}],
    "cross-entropy": [{"marks": 0.5}, {"marks": (1e-9, 0.5, 0.999999), "label": 1}, {"marks": (0.1, 0.11, 0.12)}],
    "convergence-factors": [
        {"kappas": 1, "kappa": 1, "lrs": 1, "lr": 1},
        {"steps": 40, "wide_lr": 1.999},
        {"steps": 500, "kappas": 1e4, "wide_lr": 1e-6},
    ],
    "zigzag": [
        {"kappa": (1, 1e6), "lr": (1e-9, 1, 1.999999)},
        {"start": (1, 1)},
        {"start": (-1, 1), "lr": 1.5},
        {"steps": 1},
    ],
    "sgd-noise-floor": [
        {"lrs": 1, "steps": 10},
        {"lrs": (1.5, 1.9, 1e-9)},
        {"distance": 1e-6, "sigma": 1e6},
        {"distance": 1e6, "sigma": 1e-6},
    ],
    "sgd-variance": [{"start": 5, "replicas": 50}, {"lrs": 1e-5, "replicas": 50}, {"lrs": (1.5, 1.99), "replicas": 50}],
    "sgd-equal-samples": [{"lr": 1e-4}, {"lr": 1.9}, {"batch_size": 2, "steps": 10}, {"distance": 1e-3}, {"lr": 1}],
    "momentum-regimes": [{"betas": 0}, {"lr": 1.9}, {"lr": 1e-4, "beta": 0.99}, {"betas": (0.3, 0.999), "beta": 0.01}],
    "nqm-risk": [{"dimension": 1, "replicas": 50}, {"batch_size": 10**6, "replicas": 50}],
    "nqm-batch-size": [
        {"dimension": 2, "target": 0.5, "points": 10},
        {"dimension": 5, "target": 1e-5, "max_steps": 100, "points": 10},
    ],
}
LONG = {"nqm-batch-size", "nqm-risk", "momentum-regimes"}
CASES = [
    pytest.param(slug, given, id=f"{slug} {given}", marks=[pytest.mark.slow] if slug in LONG else [])
    for slug, cases in EXTREMES.items()
    for given in cases
]


@pytest.mark.parametrize(("slug", "given"), CASES)
def test_with_any_parameters_a_figure_is_drawn_and_its_answer_has_no_holes(slug, given):
    drawn = figure(slug, **given).figure
    assert figure_svg(drawn).startswith("<svg")
    for text in (drawn.answer, drawn.key):
        assert text.endswith(".")
        assert not re.search(r"\bnan\b|\binf\b|\u2013|\^|\s[,.;]|  |\d[eE]-?\d", text), text


@pytest.mark.parametrize("kappa", [1, 1.05, 3, 1e6])
@pytest.mark.parametrize("lr", [0.3, 1, 1.2, 1.99])
def test_the_direction_that_takes_long_is_the_one_of_the_larger_factor(kappa, lr):
    answer = figure("zigzag", kappa=kappa, lr=lr, steps=20).figure.answer
    steep, flat = abs(1 - lr), 1 - lr / kappa
    said = re.search(r"what takes long: (.+?) here", answer)[1]
    expected = "both alike" if kappa == 1 or steep == flat else "the steep one" if steep > abs(flat) else "the flat one"
    assert said.startswith(expected)
    assert ("zigzag" in said) == (steep > abs(flat) and lr > 1 and kappa != 1)


@pytest.mark.parametrize("given", EXTREMES["sgd-noise-floor"] + [{}])
def test_the_sentence_on_floors_puts_every_step_size_where_its_closed_form_does(given):
    asked = NoiseFloor(**given)
    answer, steps = figure("sgd-noise-floor", **given).figure.answer, asked.steps
    for lr in asked.lrs:
        floor = asked.sigma * np.sqrt(lr / (2 - lr))
        if asked.distance <= floor:
            where = "start"
        else:
            after = 0 if lr == 1 else np.log(asked.distance / floor) / -np.log(abs(1 - lr))
            where = "reach" if after <= steps else "straight line"
        name = f"η = {lr:.15f}".rstrip("0").rstrip(".") if lr >= 1e-6 else "η = 10⁻⁹"
        before = re.split(r"(?:From|The floor)", answer)[0]
        told = [part for part in re.split(r"; |\. ", before) if re.search(rf"{re.escape(name)}(?!\d|\.\d)", part)]
        assert len(told) == 1
        assert where in told[0], (lr, told)


@pytest.mark.parametrize("given", EXTREMES["sgd-equal-samples"] + [{}])
def test_what_is_said_of_equal_samples_follows_from_the_two_factors(given):
    lesson = figure("sgd-equal-samples", **given)
    asked, answer = lesson.parameters, lesson.figure.answer
    B, lr = asked.batch_size, asked.lr
    first = lesson.data.iloc[1]
    if asked.distance**2 > first["large_floor"]:
        assert ("lag" in answer) == ((1 - lr / B) ** B > abs(1 - lr))
        small, sign, large = re.search(r"ᴮ = (\S+) ([<>]) .1 . η. = (\S+)\. ", answer).groups()
        assert (float(small) > float(large)) == (sign == ">")  # as printed
    assert first["small_floor"] < first["large_floor"]
    assert "end lower" in answer


@pytest.mark.parametrize("lr", [1e-4, 0.1, 1.0, 1.9, 1.95])
@pytest.mark.parametrize("beta", [0.01, 0.6, 0.99])
def test_what_momentum_does_to_the_floor_is_what_its_closed_form_does(lr, beta):
    speed = pd.DataFrame({"beta": [0.0], "lr_h": [0.1], "rate": [0.9]})
    limit = pd.DataFrame({"beta": [0.0], "max_lr_h": [2.0]})
    noise = floor_data(MomentumRegimes(lr=lr, beta=beta))
    answer = momentum_figure(speed, noise, limit, lr=lr, beta=beta).answer
    factor = (1 + beta) * (2 - lr) / ((2 * beta + 2 - lr) * (1 - beta))
    assert f"{factor:.3f} times for β = {beta:g}" in answer
    verb = "leaves the noise floor as it is" if abs(factor - 1) < 5e-4 else "raises" if factor > 1 else "lowers"
    assert f"At the same lr it {verb}" in answer
    before, after = re.search(r"from (\S+) to (\S+)\.$", re.sub(r" \S 10", "e10", answer)).groups()
    assert before != after


# ------------------------------------------------------------------------------ how many means should lie inside


def looks(inside, correlation):
    """Seven methods at ten looks, of which some lie within two standard errors."""
    z = np.where(np.arange(70) < inside, 0.5, 3.0)
    rows = pd.DataFrame({"method": np.repeat(list("abcdefg"), 10), "predicted": 1.0, "se": 0.1})
    rows["measured"] = 1 + 0.1 * z
    rows["correlation"] = np.where(np.arange(70) % 10 == 0, np.nan, correlation)
    return rows


def test_independent_means_follow_the_binomial_law_and_correlated_ones_spread_wider():
    """63 of 70 with 66.82 expected: by scipy's law, and by draws that agree with it where nothing is correlated."""
    from scipy.stats import binom

    counts = np.arange(71)
    far = np.abs(counts - 70 * WITHIN) >= 70 * WITHIN - 63 - 1e-9
    exact = binom.pmf(counts, 70, WITHIN)[far].sum()
    alone, drawn = chances(looks(63, 0.0))
    assert alone == pytest.approx(exact, rel=1e-12)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert pytest.approx(66.8, abs=0.05) == 70 * WITHIN
    assert chances(looks(63, 0.95))[1] > 2 * exact
    assert chances(looks(40, 0.5))[1] < 0.001


def test_a_count_that_chance_does_not_explain_is_said_to_be_one():
    def agreement(rows):
        about = {"replicas": 50, "dimension": 3, "batch_size": 4, "settings": {}}
        return risk_figure(rows.assign(step=1, noise=0.5, published=0.6), **about).answer

    fits, not_so = (agreement(looks(count, 0.6)) for count in (66, 40))
    assert fits.startswith(
        "66 of 70 measured means lie within two standard errors of the prediction, 66.8 are expected"
    )
    assert "which chance explains" in fits
    assert "which chance does not explain" in not_so


def test_another_seed_moves_what_is_measured_and_nothing_that_is_computed():
    first, other = (noise_floor_data(NoiseFloor(seed=seed, steps=50)) for seed in (0, 100))
    for column in ("predicted", "bias", "floor", "settled"):
        np.testing.assert_array_equal(first[column], other[column])
    assert (first["measured"] != other["measured"]).mean() > 0.9


@pytest.mark.parametrize(("f", "a"), [("exp", 3), ("cube", 5), ("tanh", 4), ("square", 0), ("sin", 1)])
def test_competing_lines_are_seen_beside_the_tangent_and_both_limits_end_at_one_height(f, a):
    rows = figure("best-linear-approximation", f=f, a=a).data
    drawn = rows[rows["panel"] == "lines"]
    curve = drawn[drawn["role"] == "f"]["y"]
    slope = drawn.loc[drawn["role"] == "tangent", "slope"].iloc[0]
    others = drawn.loc[drawn["role"] == "other lines through the point", "slope"]
    apart = 2 * (others - slope).abs().min() / (curve.max() - curve.min())
    assert 0.2 < apart < 2
    limits = rows[rows["panel"] == "limits"].groupby("function")["limit"].max()
    assert limits.tolist() == pytest.approx([3, 3])


def test_marks_that_are_apart_along_the_axis_have_their_numbers_within_the_chart():
    chart = figure("cross-entropy", marks=(0.001, 0.002, 0.999), label=1).figure.panels["loss of one example"].to_dict()
    said = {
        row["text"]: layer["mark"]["align"]
        for layer in chart["layer"]
        if layer["mark"]["type"] == "text"
        for row in layer["data"].get("values") or chart["datasets"][layer["data"]["name"]]
    }
    assert {"6.90776", "6.21461", "0.00100"} <= said.keys()
    assert said["0.00100"] == "right"


def test_what_ten_rows_hold_lies_above_the_axis():
    from optwise.report.lessons.scaling import bytes_chart
    from optwise.verbs.lessons.scaling_direct_vs_gd import limit_data, memory_data

    memory = memory_data([250, 3000], n=10)
    chart = bytes_chart(memory, limit_data({"this machine": 1e10}, n=10)).to_dict()
    assert chart["layer"][0]["encoding"]["y"]["scale"]["domain"][0] < memory["bytes"].min() == 800
