"""Whether a method can work on a problem, as a yes or no and in words."""

import pytest

from optwise.catalog import load_problem
from optwise.core.matching import fits, mismatch, parts_of
from optwise.core.oracles import Oracle
from optwise.methods import METHODS
from optwise.methods.solvers import SOLVERS

SMALL = ("ridge", "lasso", "nnls", "basis-pursuit", "total-variation", "hinge-svm", "rosenbrock", "group-lasso")


@pytest.mark.parametrize("name", SMALL)
def test_what_does_not_fit_has_words_and_what_fits_has_none(name):
    problem = load_problem(name)
    for label, solver in SOLVERS.items():
        said = mismatch(problem, solver())
        assert bool(said) is not fits(solver(), problem.oracles, parts_of(problem)), label
        assert said == "" or (label in said and name in said)


def test_the_parts_of_a_problem_are_what_a_method_must_make_use_of():
    assert parts_of(load_problem("ridge")) == frozenset()
    assert parts_of(load_problem("lasso")) == {Oracle.PROX}
    assert parts_of(load_problem("basis-pursuit")) == {Oracle.PROX, Oracle.PROJECTION}
    assert parts_of(load_problem("total-variation")) == {Oracle.PROX, Oracle.OPERATOR}


def test_rules_ignore_no_part_either():
    lasso = load_problem("lasso")
    refused = {name for name, method in METHODS.items() if "would ignore it" in mismatch(lasso, method())}
    assert {"sgd", "adam", "adamw"} <= refused
