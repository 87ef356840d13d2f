"""Data as people have them: every way to write the same numbers makes the same problem, in a dtype that is foretold."""

import math
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from scipy.optimize import Bounds

import optwise as ow
from optwise.core.errors import BadProblem, DataNote

RNG = np.random.default_rng(0)
X = RNG.integers(-3, 4, size=(12, 3))
Y = RNG.integers(-5, 6, size=12)
CLASSES = np.arange(12) % 3
TABLE = pd.DataFrame(X, columns=["a", "b", "c"])
MIXED = pd.DataFrame({"a": X[:, 0], "b": X[:, 1].astype(np.float32), "c": X[:, 2].astype(float)})


def objects(values, kind):
    return np.array([kind(int(each)) for each in values.ravel()], dtype=object).reshape(values.shape)


def read_only(values):
    copied = np.array(values, dtype=float)
    copied.flags.writeable = False
    return copied


DESIGNS = {
    "whole numbers": X,
    "bytes": X.astype(np.int8),
    "lists of whole numbers": X.tolist(),
    "tuples": tuple(map(tuple, X.tolist())),
    "by columns": np.asfortranarray(X, dtype=float),
    "read-only": read_only(X),
    "a view with steps": np.repeat(X, 2, axis=0)[::2],
    "backwards twice": X[::-1].astype(float).copy()[::-1],
    "numpy's matrix": np.asmatrix(X),
    "long doubles": X.astype(np.longdouble),
    "big-endian": X.astype(">i4"),
    "a masked array that hides nothing": np.ma.masked_array(X, mask=False),
    "objects": objects(X, int),
    "decimals": objects(X, Decimal),
    "fractions": objects(X, Fraction),
    "a table": TABLE,
    "a table of several types": MIXED,
    "a table of objects": TABLE.astype(object),
    "a table that could miss numbers": TABLE.astype("Int64"),
    "a table of several such types": pd.DataFrame(
        {"a": TABLE.a.astype("Int8"), "b": TABLE.b.astype("Float64"), "c": X[:, 2]}
    ),
    "tensors of whole numbers": torch.from_numpy(X),
    "a tensor of int32": torch.from_numpy(X).int(),
    "a transposed tensor": torch.from_numpy(np.ascontiguousarray(X.T)).T,
    "a list of tensors": list(torch.from_numpy(X)),
    "sparse whole numbers": scipy.sparse.csr_array(X),
    "sparse by columns": scipy.sparse.csc_matrix(X.astype(float)),
    "a sparse tensor of whole numbers": torch.from_numpy(X).to_sparse(),
}
TARGETS = {
    "whole numbers": Y,
    "a list": Y.tolist(),
    "a series": pd.Series(Y),
    "a series that could miss numbers": pd.Series(Y, dtype="Int64"),
    "a column": Y[:, None],
    "a table of one column": pd.DataFrame({"y": Y}),
    "numpy's matrix": np.asmatrix(Y).T,
    "a tensor": torch.from_numpy(Y),
    "a list of numbers of torch": list(torch.from_numpy(Y)),
    "bytes": Y.astype(np.int8),
    "objects": objects(Y, float),
}


def entries(problem):
    operator = problem.smooth.model.X
    return operator.matrix if operator.matrix is not None else operator.rows.to_dense()


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_is_the_same_numbers_however_they_are_written(name):
    problem = ow.problems.lasso(DESIGNS[name], Y, 0.1)
    assert entries(problem).dtype == torch.float64
    assert torch.equal(entries(problem), torch.from_numpy(X).double())
    reference = ow.solve(ow.problems.lasso(X.astype(float), Y.astype(float), 0.1), "fista", tol=1e-10)
    torch.testing.assert_close(ow.solve(problem, "fista", tol=1e-10).w, reference.w, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_the_same_numbers_however_they_are_written(name):
    problem = ow.problems.huber(X, TARGETS[name], 1.0)
    assert torch.equal(problem.smooth.model.y, torch.from_numpy(Y).double())


@pytest.mark.parametrize(
    ("design", "dtype"),
    [
        (X.astype(np.float32), torch.float32),
        (X.astype(np.float64), torch.float64),
        (X.astype(np.float16), torch.float32),
        (torch.from_numpy(X).bfloat16(), torch.float32),
        (torch.from_numpy(X).float(), torch.float32),
        (TABLE.astype(np.float32), torch.float32),
        (scipy.sparse.csr_array(X.astype(np.float32)), torch.float32),
        (torch.from_numpy(X).half().to_sparse(), torch.float32),
        (X > 0, torch.float64),
        (torch.from_numpy(X > 0), torch.float64),
        (TABLE > 0, torch.float64),
        (scipy.sparse.csr_array(X > 0), torch.float64),
        (MIXED, torch.float64),
    ],
)
def test_float32_and_float64_stay_whole_numbers_become_float64_and_halves_float32(design, dtype):
    problem = ow.problems.least_squares(design, Y)
    assert entries(problem).dtype == problem.smooth.model.y.dtype == problem.start(0)[0]["w"].dtype == dtype
    assert ow.solve(problem, tol=1e-5).w.dtype == dtype


def test_starts_bounds_and_residuals_may_be_whole_numbers():
    problem = ow.problems.smooth(lambda w: (w - 3).square().sum(), np.array([0, 0]), (-1, 2), convex=True)
    assert ow.solve(problem).w.tolist() == [2.0, 2.0]
    for start in ([0, 5], (0, 5), torch.tensor([0, 5]), pd.Series([0, 5])):
        assert torch.equal(
            ow.problems.smooth(lambda w: w.square().sum(), start).start(0)[0]["w"], torch.tensor([0, 5]).double()
        )
    fitted = ow.solve(ow.problems.nonlinear_least_squares(lambda w: w - 1, np.array([5, 5])), w0=np.array([3, 3]))
    torch.testing.assert_close(fitted.w, torch.ones(2).double())
    assert ow.solve(ow.problems.total_variation([0, 0, 6, 6], 2, reduction="sum")).w.tolist() == pytest.approx(
        [1, 1, 5, 5]
    )


LABELS = {  # the greater of the two is 1
    "0 and 1": (0, 1),
    "-1 and 1": (-1, 1),
    "1 and 2": (1, 2),
    "7 and 1000": (7, 1000),
    "booleans": (False, True),
    "words": ("ham", "spam"),
    "bytes": (np.int8(3), np.int8(4)),
    "whole floats": (1.0, 2.0),
}
WRITTEN = {
    "array": np.array,
    "list": list,
    "tensor": torch.tensor,
    "series": pd.Series,
    "categories": lambda labels: pd.Series(labels, dtype="category"),
    "objects": lambda labels: np.array(labels, dtype=object),
    "column": lambda labels: np.array(labels)[:, None],
    "words of pandas": lambda labels: pd.Series(labels).convert_dtypes(),
}


def two_classes(names):
    return [names[int(k > 0)] for k in X[:, 0] + 0.5 * X[:, 1] - 0.3 * (np.arange(12) % 5)]


@pytest.mark.parametrize("constructor", ["logistic", "svm"])
def test_labels_by_any_name_give_bitwise_the_same_weights(constructor):
    def fitted(y):
        problem = getattr(ow.problems, constructor)(X, y, l2=0.1)
        return problem, ow.solve(problem, "lbfgs", tol=1e-9).w

    _, expected = fitted(np.array(two_classes((-1.0, 1.0))))
    assert expected.abs().min() > 0
    for names in LABELS.values():
        for written, write in WRITTEN.items():
            if written == "tensor" and isinstance(names[0], str):
                continue
            problem, w = fitted(write(two_classes(names)))
            assert torch.equal(w, expected), (names, written)
            assert problem.classes == names


def test_labels_the_other_way_round_turn_the_weights_round():
    y = two_classes(("a", "b"))
    forth = ow.solve(ow.problems.logistic(X, y, l2=0.1), "lbfgs", tol=1e-9)
    back = ow.solve(ow.problems.logistic(X, [{"a": "z", "b": "y"}[each] for each in y], l2=0.1), "lbfgs", tol=1e-9)
    assert torch.equal(back.w, -forth.w)
    assert (forth.classes, back.classes) == (("a", "b"), ("y", "z"))


def test_classes_by_any_name_keep_their_columns_and_an_order_that_somebody_gave_them():
    expected = ow.solve(ow.problems.softmax(X, CLASSES, l2=0.1), "lbfgs", tol=1e-9).w
    for names in (("a", "b", "c"), (-7, 0, 40), ("10", "9", "91"), (0.0, 1.0, 2.0)):
        for write in (list, np.array, pd.Series):
            problem = ow.problems.softmax(X, write([names[k] for k in CLASSES]), l2=0.1)
            assert problem.classes == names
            assert torch.equal(ow.solve(problem, "lbfgs", tol=1e-9).w, expected)
    sizes = pd.Series([("small", "medium", "large")[k] for k in CLASSES])
    kind = pd.CategoricalDtype(["tiny", "small", "medium", "large"], ordered=True)
    ordered = ow.problems.softmax(X, sizes.astype(kind), l2=0.1)
    assert ordered.classes == ("small", "medium", "large"), "a category without an example is no class"
    assert torch.equal(ow.solve(ordered, "lbfgs", tol=1e-9).w, expected)
    assert ow.problems.softmax(X, sizes.astype(kind).to_frame(), l2=0.1).classes == ordered.classes
    assert ow.problems.softmax(X, sizes, l2=0.1).classes == ("large", "medium", "small")


def test_the_answer_keeps_which_label_is_which():
    run = ow.solve(ow.problems.logistic(X, two_classes(("ham", "spam")), l2=0.1))
    assert run.classes == ("ham", "spam")
    predicted = [run.classes[int(z > 0)] for z in X @ run.w.numpy()]
    assert np.mean(np.array(predicted) == two_classes(("ham", "spam"))) > 0.6
    assert ow.solve(ow.problems.least_squares(X, Y)).classes == ()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: ow.problems.lasso(TABLE.assign(city="Paris"), Y, 0.1),
            "X holds 'Paris' in column 'city', which is no number",
        ),
        (
            lambda: ow.problems.lasso(TABLE.assign(a=pd.Series([1, None] * 6, dtype="Int64")), Y, 0.1),
            "X holds 6 numbers that",
        ),
        (
            lambda: ow.problems.lasso(X, pd.Series([1, pd.NA] * 6, dtype="Int64"), 0.1),
            "the first nan at 1; clean or impute",
        ),
        (
            lambda: ow.problems.logistic(X, pd.Series(["a", None] * 6)),
            "y lacks 6 labels, the first at 1; drop those rows first.",
        ),
        (lambda: ow.problems.logistic(X, pd.Series([True, pd.NA] * 6, dtype="boolean")), "y lacks 6 labels"),
        (lambda: ow.problems.logistic(X, ["a", math.nan] * 6), "y lacks 6 labels, the first at 1; drop those rows"),
        (
            lambda: ow.problems.logistic(X, ["a", 1] * 6),
            "The labels y are of type int and str; give words, booleans or",
        ),
        (lambda: ow.problems.lasso(X, Y, 10**400), "of type int; give one number."),
        (lambda: ow.problems.lasso(np.zeros((0, 3)), [], 0.1), "y has shape (0,) and holds no number"),
        (
            lambda: ow.problems.softmax(X, ["a"] * 12),
            "All 12 labels y are 'a'; a classifier needs examples of two classes.",
        ),
        (
            lambda: ow.problems.lasso(TABLE, pd.Series(Y, index=TABLE.index[::-1]), 0.1),
            "X and y have the same index in another order, and rows are taken by position; give y.loc[X.index]",
        ),
        (
            lambda: ow.problems.logistic(TABLE, pd.Series(two_classes("ab"), index=TABLE.index[::-1])),
            "X and y have the same index in another order",
        ),
        (lambda: ow.problems.group_lasso(X, Y, 0.1, ["a", None, "b"]), "groups lacks a label at 1"),
        (lambda: ow.solve(ow.problems.lasso(X, Y, 0.1), w0=[0, np.nan, 0]), "w0 holds 1 number that is not finite"),
        (lambda: ow.solve(ow.problems.lasso(X, Y, 0.1), w0="here"), "w0 is of type str and holds <U4 such as 'here'"),
        (lambda: ow.problems.lasso(X[:5], Y, 0.1), "X has 5 rows and y has 12 numbers; give one for each row."),
    ],
)
def test_tables_that_make_no_problem_get_a_sentence_with_their_own_names(make, says):
    with pytest.raises(BadProblem) as refusal:
        make()
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [
        (Bounds(0, 1), [0, 0], [1, 1]),
        (Bounds([0, -np.inf], [np.inf, 2]), [0, -np.inf], [np.inf, 2]),
        (Bounds([0], [1]), [0, 0], [1, 1]),
        ([(0, None), (None, 2)], [0, -np.inf], [np.inf, 2]),
        (([0, -1], [1, 3]), [0, -1], [1, 3]),
        ((np.array([0, -1]), None), [0, -1], [np.inf, np.inf]),
        (([0, None], [1, 3]), [0, -np.inf], [1, 3]),
        ((torch.zeros(2), 1), [0, 0], [1, 1]),
    ],
)
def test_bounds_are_those_of_scipy_and_stand_wherever_a_set_does(given, low, high):
    f = ow.problems.smooth(lambda w: w.square().sum(), [0.5, 0.5], given)
    g = ow.problems.least_squares([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], constraint=given)
    for problem in (f, g):
        assert [bound.tolist() for bound in problem.constraint.bounds()] == [low, high]


def test_bounds_that_could_be_two_things_are_refused():
    with pytest.raises(BadProblem, match="can be read as pairs and as"):
        ow.problems.smooth(lambda w: w.square().sum(), [0.5, 0.5], [[0, 1], [2, 3]])


GRADIENTS = {
    "least_squares": lambda X, y, c: ow.problems.least_squares(X, y),
    "lasso": ow.problems.lasso,
    "huber": lambda X, y, c: ow.problems.huber(X, y, c, l2=c),
    "svm": lambda X, y, c: ow.problems.svm(X, y.sign(), l2=c),
    "group_lasso": lambda X, y, c: ow.problems.group_lasso(X, y, c, [0, 0, 1]),
    "quadratic": lambda X, y, c: ow.problems.quadratic(X.T @ X, X.T @ y),
    "total_variation": lambda X, y, c: ow.problems.total_variation(y, c),
    "smooth": lambda X, y, c: ow.problems.smooth(lambda w: (X @ w - y).square().sum() + c, [0.0] * 3, convex=True),
    "a start": lambda X, y, c: ow.problems.smooth(lambda w: w.square().sum(), y),
    "nonlinear_least_squares": lambda X, y, c: ow.problems.nonlinear_least_squares(lambda w: X @ w - y, [1.0] * 3),
    "a list of tensors": lambda X, y, c: ow.problems.least_squares(list(X), list(y)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_requires_a_gradient_is_taken_with_one_warning_and_no_graph_is_left(name):
    tensors = (torch.from_numpy(X).double(), torch.from_numpy(Y).double() + 0.5, torch.tensor(0.1).double())
    plain = ow.solve(GRADIENTS[name](*tensors), tol=1e-5)
    with pytest.warns(DataNote, match="an answer carries none yet") as noted:
        problem = GRADIENTS[name](*(each.requires_grad_() for each in tensors))
    assert [note.filename for note in noted] == [__file__], "one warning, at the caller's line"
    with warnings.catch_warnings(action="error"):
        run = ow.solve(problem, plain.method, tol=1e-5)
    assert torch.equal(run.w, plain.w)
    assert not run.w.requires_grad
    assert run.answer.dual is None or not run.answer.dual.requires_grad


def test_parts_take_the_values_of_tensors_that_require_a_gradient():
    half = torch.tensor(0.5, requires_grad=True)
    with pytest.warns(DataNote, match="level and gamma require a gradient") as noted:
        penalty = ow.penalties.MCP(half, 4 * half)
    assert len(noted) == 1
    assert penalty == ow.penalties.MCP(0.5, 2.0)
    with pytest.warns(DataNote, match="low and high require"):
        box = ow.sets.Box(-half.expand(2), half.expand(2))
    assert not box.low.requires_grad
    with pytest.warns(DataNote, match="w0 requires a gradient"):
        run = ow.solve(ow.problems.least_squares(X, Y), w0=torch.zeros(3, requires_grad=True))
    assert not run.w.requires_grad


def test_a_penalty_of_the_callers_own_with_a_gradient_inside_builds_no_graph():
    class Mine(ow.Penalty):
        def __init__(self, weight):
            self.weight = weight

        def value(self, w):
            return self.weight * w.abs().sum(-1)

        def prox(self, v, step):
            return v.sign() * (v.abs() - step * self.weight).clamp(min=0)

    mine = Mine(torch.tensor(0.1, dtype=torch.float64, requires_grad=True))
    with pytest.warns(DataNote, match=r"penalty \(Mine.weight\) requires a gradient"):
        problem = ow.problems.least_squares(X, Y, penalty=mine)
    run = ow.solve(problem, "fista")
    assert not run.w.requires_grad
    assert not problem.penalty.prox(run.w, 1.0).requires_grad
    assert mine.weight.requires_grad, "the caller's own is left as it was"
