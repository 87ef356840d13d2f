"""Mistakes in the data and weights of a formulation: one sentence each, before any work."""

import math

import numpy as np
import pytest
import scipy.sparse
import torch

from optwise.core.errors import BadProblem
from optwise.problems import formulations as ow
from optwise.problems.formulations import FORMULATIONS
from optwise.problems.terms.functions import QuadraticTerm, SquaredDistance
from optwise.problems.terms.operators import FunctionOperator, MatrixOperator
from optwise.problems.terms.penalties import L1, SortedL1
from optwise.problems.terms.sets import Box

X = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]])
Y = np.array([1.0, -1.0, 2.0])
SIGNS = np.array([1, -1, 1])
CLASSES = np.array([0, 1, 2])
HOLE = np.array([[1.0, math.nan], [0.5, math.inf], [3.0, 0.0]])


def quadratic(w):
    return w.square().sum()


DESIGNS = [
    (X[:2], Y, "X has 2 rows and y has 3 numbers; give one for each row."),
    (X[0], Y, "X has shape (2,); give a matrix, one row for each example, as with X.reshape(-1, 1) for one column."),
    (X[None], Y, "X has shape (1, 3, 2); give a matrix"),
    (3.0, Y, "X has shape (); give a matrix"),
    (X, X, "y has shape (3, 2); give one number for each row."),
    (X, 3.0, "y has shape (); give one number for each row."),
    (HOLE, Y, "X holds 2 numbers that are not finite, the first nan at [0, 1]; clean or impute them first."),
    (X, [1.0, math.nan, 2.0], "y holds 1 number that is not finite, the first nan at 1;"),
    (X, [1.0, None, 2.0], "y holds 1 number that is not finite, the first nan at 1;"),
    (np.ma.masked_greater(X, 1.5), Y, "X is a masked array that hides 2 entries; fill them or drop them first."),
    (X, scipy.sparse.csr_array(Y[:, None]), "y is sparse, csr_array; give y.toarray()."),
    (X, torch.from_numpy(Y).to_sparse(), "y is a sparse tensor; give y.to_dense()."),
    (X.astype(np.float32), [1e300, 0.0, 1.0], "y holds 1e+300, which is beyond float32"),
    ([[1.0, "a"], [0.5, 1.0], [3.0, 2.0]], Y, "X is of type list and holds <U32 such as '1.0'; give numbers."),
    (np.array([[1.0, "a"], [0.5, 1.0], [3.0, 2.0]], dtype=object), Y, "X holds 'a' at [0, 1], which is no number"),
    (X.astype("datetime64[s]"), Y, "X is of type ndarray and holds datetime64[s]; give numbers."),
    (X.astype(complex), Y, "X is of type complex128"),
    (X, torch.ones(3, dtype=torch.complex64), "y is of type complex64"),
    ([[1.0, 2j], [0.5, 1.0], [3.0, 0.0]], Y, "X is of type complex128"),
    ([["a", "b"]] * 3, Y, "X is of type list and holds <U1 such as 'a'; give numbers."),
    ([[1.0], [1.0, 2.0], [3.0]], Y, "X cannot be read as an array"),
    (object(), Y, "X is of type object; give an array, a tensor, a table or lists."),
    (np.zeros((0, 2)), np.zeros(0), "y has shape (0,) and holds no number"),
    (np.zeros((3, 0)), Y, "X has shape (3, 0) and holds no number"),
    (scipy.sparse.csr_array(X.astype(complex)), Y, "X is sparse and of type complex128"),
    (scipy.sparse.csr_array(HOLE), Y, "X holds 2 numbers that are not finite, the first nan at [0, 1];"),
    (scipy.sparse.csr_array((3, 0)), Y, "X has shape (3, 0); give at least one row and one column."),
    (torch.from_numpy(HOLE).to_sparse(), Y, "X holds 2 numbers that are not finite"),
    (FunctionOperator((3, 0), abs, abs), Y, "X has shape (3, 0)"),
    (FunctionOperator((3, 2), lambda w: w, lambda v: v), Y, "X of shape (3, 2) gives (2,) and its adjoint (3,)"),
    (FunctionOperator((3, 2), lambda w: w @ "x", abs), Y, "X fails on a vector of 2 numbers: TypeError"),
    (
        FunctionOperator((3, 2), lambda w: torch.from_numpy(X) @ w, lambda v: torch.from_numpy(2 * X.T) @ v),
        Y,
        "The adjoint of X is not its transpose",
    ),
]

CONSTRUCTORS = {
    "least_squares": ow.least_squares,
    "ridge": lambda X, y: ow.ridge(X, y, 0.1),
    "nnls": ow.nnls,
    "huber": lambda X, y: ow.huber(X, y, 1.0),
    "lasso": lambda X, y: ow.lasso(X, y, 0.1),
    "elastic_net": lambda X, y: ow.elastic_net(X, y, 0.1, 0.1),
    "group_lasso": lambda X, y: ow.group_lasso(X, y, 0.1, [0, 0]),
}


@pytest.mark.parametrize(("X", "y", "says"), DESIGNS)
@pytest.mark.parametrize("name", ["lasso", "nnls"])
def test_data_that_make_no_regression_are_refused(name, X, y, says):
    refuse(lambda: CONSTRUCTORS[name](X, y), says)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_every_regression_looks_at_its_data(name):
    for X, y, says in DESIGNS[:6]:
        refuse(lambda X=X, y=y: CONSTRUCTORS[name](X, y), says)


def refuse(make, says):
    with pytest.raises(BadProblem) as refusal:
        make()
    sentence = str(refusal.value)
    assert says in sentence
    assert "\n" not in sentence
    assert sentence.endswith((".", ")")) or "Error:" in sentence


CALLS = [
    (lambda: ow.lasso(X, Y, -0.1), "weight is -0.1; give a finite number of at least 0."),
    (lambda: ow.lasso(X, Y, math.nan), "weight is nan"),
    (lambda: ow.lasso(X, Y, math.inf), "weight is inf"),
    (lambda: ow.lasso(X, Y, "much"), "weight is 'much', of type str; give one number."),
    (lambda: ow.lasso(X, Y, "0.1"), "weight is '0.1', of type str; give one number."),
    (lambda: ow.lasso(X, Y, torch.ones(2)), "weight is of type Tensor"),
    (lambda: ow.lasso(X, Y, 0.1, reduction="none"), "reduction is 'none'; give 'mean' or 'sum'."),
    (lambda: ow.softmax(X, CLASSES, reduction="average"), "reduction is 'average'"),
    (lambda: ow.svm(X, SIGNS, l2=1.0, loss="hinge", reduction=""), "reduction is ''"),
    (lambda: ow.total_variation(Y, 1.0, reduction="max"), "reduction is 'max'"),
    (lambda: ow.nonlinear_least_squares(lambda w: w, [1.0], reduction="max"), "reduction is 'max'"),
    (lambda: ow.ridge(X, Y, -1), "l2 is -1"),
    (lambda: ow.elastic_net(X, Y, -1, 0), "l1 is -1"),
    (lambda: ow.elastic_net(X, Y, 0, -1), "l2 is -1"),
    (lambda: ow.huber(X, Y, 0.0), "delta is 0; give a finite number above 0."),
    (lambda: ow.huber(X, Y, -1.0), "delta is -1"),
    (lambda: ow.huber(X, Y, math.nan), "delta is nan"),
    (lambda: ow.huber(X, Y, 1.0, l2=-1.0), "l2 is -1"),
    (lambda: ow.group_lasso(X, Y, 0.1, [0, 0, 1]), "groups has shape (3,) and X has 2 columns; give one label"),
    (lambda: ow.group_lasso(X, Y, 0.1, 0), "groups has shape ()"),
    (lambda: ow.group_lasso(X, Y, -0.1, [0, 1]), "weight is -0.1"),
    (lambda: ow.group_lasso(X, Y, 0.1, [0, 1], factors=[1.0]), "2 groups have 1 factors"),
    (lambda: ow.group_lasso(X, Y, 0.1, [0, 1], factors=[1.0, -1.0]), "holds -1 at entry 1"),
    (lambda: ow.logistic(X, SIGNS, l1=-1), "l1 is -1"),
    (lambda: ow.logistic(X, SIGNS, l2=-1), "l2 is -1"),
    (lambda: ow.logistic(X, [0, 1, 2]), "The labels y are of 3 classes, 0, 1, 2; give two, or use softmax for more."),
    (lambda: ow.logistic(X, [-1, 0, 1]), "The labels y are of 3 classes, -1, 0, 1; give two"),
    (
        lambda: ow.logistic(X, [0.2, 0.7, 0.2]),
        "The labels y hold 0.2, which names no class; give words, booleans or whole numbers.",
    ),
    (lambda: ow.logistic(np.ones((9, 1)), range(9)), "The labels y are of 9 classes, 0, 1, 2, 3, ...; give"),
    (lambda: ow.logistic(X, [1, 1, 1]), "All 3 labels y are 1; a classifier needs examples of two classes."),
    (lambda: ow.logistic(X, [0.0, 0.0, 0.0]), "All 3 labels y are 0"),
    (lambda: ow.logistic(X, [1, -1]), "X has 3 rows and y has 2 numbers"),
    (lambda: ow.logistic(X, [[1, 0], [-1, 0], [1, 0]]), "The labels y have shape (3, 2)"),
    (lambda: ow.logistic(X, ["yes", "yes", "yes"]), "All 3 labels y are 'yes'; a classifier needs examples of two"),
    (lambda: ow.logistic(X, ["yes", "no", "maybe"]), "The labels y are of 3 classes, 'maybe', 'no', 'yes'; give two"),
    (lambda: ow.logistic(X, ["yes", None, "no"]), "y lacks 1 label, the first at 1; drop those rows first."),
    (lambda: ow.logistic(X, np.array([1, "no", "no"], dtype=object)), "The labels y are of type int and str; give"),
    (lambda: ow.logistic(X, np.array([{}, [], {}], dtype=object)), "The labels y are of type dict and list; give"),
    (lambda: ow.logistic(X, np.ones(3, dtype="datetime64[s]")), "The labels y hold datetime64[s]; give words"),
    (lambda: ow.logistic(X, True), "The labels y have shape (); give one for each row of X."),
    (lambda: ow.softmax(X, Y * 1.5), "The labels y hold 1.5, which names no class"),
    (lambda: ow.logistic(X, torch.ones(3, dtype=torch.complex64)), "The labels y are of type complex64; give"),
    (lambda: ow.logistic(X, [1.0, math.nan, -1.0]), "y holds 1 number that is not finite, the first nan at 1"),
    (lambda: ow.logistic(X, [[1], [1, 0]]), "y cannot be read as an array (ValueError"),
    (lambda: ow.logistic(X, []), "The labels y have shape (0,)"),
    (lambda: ow.svm(X, [1, 1, 1], l2=1.0), "All 3 labels y are 1"),
    (lambda: ow.svm(X, SIGNS, l2=-1.0), "l2 is -1"),
    (lambda: ow.svm(X, SIGNS, l2=1.0, loss="log"), "loss is 'log'; give 'squared_hinge' or 'hinge'."),
    (lambda: ow.softmax(X, [0, 0, 0]), "All 3 labels y are 0"),
    (lambda: ow.softmax(X, [0.0, 0.5, 1.0]), "The labels y hold 0.5, which names no class"),
    (lambda: ow.softmax(X, [0, 1]), "X has 3 rows and y has 2 numbers"),
    (lambda: ow.softmax(X, CLASSES, l1=-1), "l1 is -1"),
    (lambda: ow.softmax(HOLE, CLASSES), "X holds 2 numbers that are not finite"),
    (lambda: ow.basis_pursuit(X, Y), "The set is empty: the 3 equations have rank 2"),
    (lambda: ow.basis_pursuit(X[:2], Y), "A has 2 rows and b has 3 numbers"),
    (lambda: ow.basis_pursuit_denoising(X, Y, -1.0), "weight is -1"),
    (lambda: ow.basis_pursuit_denoising(HOLE, Y, 1.0), "A holds 2 numbers"),
    (lambda: ow.total_variation([1.0], 1.0), "A signal of length 1 has no differences"),
    (lambda: ow.total_variation(X, 1.0), "y has shape (3, 2)"),
    (lambda: ow.total_variation(Y, -1.0), "weight is -1"),
    (lambda: ow.smooth(quadratic, [1.0, math.nan]), "w0 holds 1 number that is not finite, the first nan at 1"),
    (lambda: ow.smooth(quadratic, []), "w0 has shape (0,) and holds no number"),
    (lambda: ow.smooth(quadratic, 1.0), "w0 has shape (); give one vector"),
    (lambda: ow.smooth(quadratic, X), "w0 has shape (3, 2); give one vector, as with w0.reshape(-1)."),
    (lambda: ow.smooth(lambda w: w, [1.0, 2.0]), "f(w0) has shape (2,); return a single number"),
    (lambda: ow.smooth(lambda w: float(w.detach().sum()), [1.0]), "f gives float at w0; return a tensor"),
    (lambda: ow.smooth(lambda w: torch.tensor(2.0), [1.0]), "f(w0) does not depend on w in a way that autograd sees"),
    (lambda: ow.smooth(lambda w: w.log().sum(), [-1.0]), "f(w0) is nan; start where it is finite."),
    (lambda: ow.smooth(lambda w: 1 / w.sum(), [0.0]), "f(w0) is inf"),
    (lambda: ow.smooth(lambda w: w.sqrt().sum(), [0.0]), "The gradient of f at w0 is inf"),
    (lambda: ow.smooth(lambda w: w[5], [0.0]), "f fails at w0: IndexError"),
    (lambda: ow.smooth(lambda w: exec("raise ValueError('one\\ntwo')"), [0.0]), "f fails at w0: ValueError: one"),
    (lambda: ow.smooth(quadratic, [0.0], gradient=lambda w: w[0]), "The gradient of f has shape ()"),
    (lambda: ow.smooth(quadratic, [0.0], gradient=lambda w: w @ "x"), "The gradient of f fails at w0: TypeError"),
    (lambda: ow.smooth(quadratic, [0.0], lipschitz=-1.0), "lipschitz is -1"),
    (lambda: ow.smooth(quadratic, Y, (1.0, 0.0)), "The bounds cross at coordinate 0: low is 1 and high is 0"),
    (lambda: ow.smooth(quadratic, Y, [(0, 1), (1, 0), (0, 1)]), "The bounds cross at coordinate 1"),
    (lambda: ow.smooth(quadratic, Y, (math.nan, 1.0)), "low is nan"),
    (lambda: ow.smooth(quadratic, Y, [(0, 1)]), "bounds cannot be read for 3 coordinates"),
    (lambda: ow.smooth(quadratic, Y, (0, 1, 2)), "bounds cannot be read for 3 coordinates"),
    (lambda: ow.smooth(quadratic, Y, 5.0), "bounds cannot be read for 3 coordinates"),
    (lambda: ow.smooth(quadratic, Y, (np.zeros(2), 1.0)), "The bounds low have shape (2,) and w0 has 3 numbers"),
    (lambda: ow.smooth(quadratic, Y, ("a", 1.0)), "The bounds low are of type str; give numbers."),
    (lambda: ow.nonlinear_least_squares(quadratic, [1.0]), "residual(w0) has shape (); return one vector"),
    (lambda: ow.nonlinear_least_squares(lambda w: w[:0], [1.0]), "residual(w0) has shape (0,)"),
    (lambda: ow.nonlinear_least_squares(lambda w: w.log(), [-1.0]), "residual(w0) is nan"),
    (lambda: ow.nonlinear_least_squares(lambda w: w.detach(), [1.0]), "residual(w0) does not depend on w"),
    (lambda: ow.nonlinear_least_squares(lambda w: w[5], [1.0]), "residual fails at w0: IndexError"),
    (lambda: ow.nonlinear_least_squares(lambda w: [w], [1.0]), "residual gives list at w0"),
    (
        lambda: ow.nonlinear_least_squares(lambda w: w, [1.0, 2.0], jacobian=lambda w: w),
        "jacobian(w0) has shape (2,) for 2 residuals and 2 parameters",
    ),
    (
        lambda: ow.composite(quadratic, quadratic, w0=[1.0]),
        "g is of type function; give a Penalty, such as ow.penalties.L1(0.1).",
    ),
    (lambda: ow.composite(SquaredDistance(torch.zeros(2)), L1(1.0), w0=[1.0]), "f takes 2 parameters and w0 has 1"),
    (lambda: ow.composite(quadratic, L1(1.0), X, w0=[1.0]), "A has 2 columns and w0 has 1 numbers; make them equal."),
    (lambda: ow.composite(quadratic, L1(1.0), HOLE, w0=[1.0, 2.0]), "A holds 2 numbers that are not finite"),
    (lambda: ow.composite(quadratic, SortedL1(torch.ones(2)), w0=Y), "SortedL1 takes 2 numbers and composite has 3"),
    (
        lambda: ow.composite(quadratic, L1(1.0), w0=Y, constraint=Box(torch.zeros(2), torch.ones(2))),
        "Box takes 2 numbers and composite has 3 parameters; make them equal.",
    ),
    (
        lambda: ow.composite(QuadraticTerm(torch.eye(2), torch.zeros(2)), L1(1.0), w0=[1.0, 2.0]),
        "f fails at w0: RuntimeError",
    ),
    (lambda: ow.composite(quadratic, L1(1.0), MatrixOperator(torch.eye(2)), w0=[1.0, 2.0]), "A fails on a vector"),
    (lambda: FORMULATIONS["lasso"](n=0), "lasso with n=0 cannot be generated; give a whole number of at least 1."),
    (lambda: FORMULATIONS["lasso"](n=20, p=5, nonzeros=6), "lasso with nonzeros=6 cannot be generated; give a number"),
    (
        lambda: FORMULATIONS["lasso"](ratio=-0.1),
        "lasso with ratio=-0.1 cannot be generated; give a number from 0 to 1.",
    ),
    (lambda: FORMULATIONS["elastic-net"](l2=-1.0), "l2 is -1"),
    (lambda: FORMULATIONS["group-lasso"](nonzeros=101), "group-lasso with nonzeros=101"),
    (lambda: FORMULATIONS["group-lasso"](size=0), "group-lasso with size=0"),
    (lambda: FORMULATIONS["ridge"](rho=1.5), "ridge with rho=1.5"),
    (lambda: FORMULATIONS["nnls"](p=0), "nnls with p=0"),
    (lambda: FORMULATIONS["huber"](outliers=2.0), "huber with outliers=2"),
    (lambda: FORMULATIONS["bpdn"](m=0), "bpdn with m=0"),
    (lambda: FORMULATIONS["basis-pursuit"](nonzeros=0), "basis-pursuit with nonzeros=0"),
    (lambda: FORMULATIONS["logistic"](n=0), "logistic with n=0"),
    (lambda: FORMULATIONS["svm"](rho=-1.0), "svm with rho=-1"),
    (lambda: FORMULATIONS["hinge-svm"](l2=-1.0), "l2 is -1"),
    (lambda: FORMULATIONS["total-variation"](p=10, jumps=10), "total-variation with jumps=10"),
    (lambda: FORMULATIONS["total-variation"](noise=-1.0), "total-variation with noise=-1"),
    (lambda: FORMULATIONS["diabetes-lasso"](ratio=2.0), "diabetes-lasso with ratio=2"),
    (lambda: FORMULATIONS["breast-cancer-l1"](ratio=-1.0), "breast-cancer-l1 with ratio=-1"),
    (lambda: FORMULATIONS["softmax-digits"](l2=-1.0), "l2 is -1"),
]


@pytest.mark.parametrize(("make", "says"), CALLS)
def test_a_mistake_gets_its_sentence(make, says):
    refuse(make, says)
