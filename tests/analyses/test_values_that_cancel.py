"""Objectives whose terms cancel: what is printed and claimed of them, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

import optwise as ow

YEARS = np.arange(1990, 2020.0)
Y = np.sin(YEARS) + 0.1 * np.random.default_rng(0).standard_normal(30)


def rational(numbers):
    return [Fraction(float(each)) for each in numbers]


def dot(u, v):
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


def solution(H, b):
    """Of H w = b by elimination, exactly."""
    rows = [[*rational(row), right] for row, right in zip(H, rational(b), strict=True)]
    for i, pivot in enumerate(rows):
        pivot[:] = [each / pivot[i] for each in pivot]
        for j, row in enumerate(rows):
            if j != i:
                row[:] = [a - row[i] * b for a, b in zip(row, pivot, strict=True)]
    return [row[-1] for row in rows]


def least(A, y):
    """The value of least squares at its solution, exactly."""
    columns, right = [rational(column) for column in A.T], rational(y)
    gram = [[dot(u, v) for v in columns] for u in columns]
    w = solution(gram, [dot(u, right) for u in columns])
    rows = zip(*columns, strict=True)
    return sum(((dot(row, w) - b) ** 2 for row, b in zip(rows, right, strict=True)), Fraction(0)) / (2 * len(right))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_a_polynomial_of_the_year_is_printed_with_its_own_value(degree):
    A = np.vander(YEARS, degree + 1)
    run = ow.solve(ow.problems.least_squares(A, Y))
    w = rational(run.w.tolist())
    residuals = [dot(rational(row), w) - b for row, b in zip(A, rational(Y), strict=True)]
    assert run.value == pytest.approx(float(dot(residuals, residuals) / 60), rel=1e-12)
    if run.status.ok:
        assert run.value <= float(least(A, Y)) * (1 + 1.1e-6)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("tol", [1e-6, 1e-2])
def test_a_quadratic_whose_terms_cancel_is_optimal_only_where_it_is(degree, tol):
    A = np.vander(YEARS, degree + 1)
    H, b = (A.T @ A + (A.T @ A).T) / 2, -A.T @ Y
    w_star = solution(H, -b)
    best = dot(rational(b), w_star) / 2
    run = ow.solve(ow.problems.quadratic(H, b), tol=tol)
    w = rational(run.w.tolist())
    value = dot(w, [dot(rational(row), w) for row in H]) / 2 + dot(rational(b), w)
    assert run.value == pytest.approx(float(value), rel=0.02 * tol)
    if run.status.ok:
        assert value - best <= 1.1 * tol * abs(value)
    else:
        assert "center and scale the columns" in run.why


def test_a_ridge_on_years_is_printed_with_its_own_value():
    A = np.vander(YEARS, 3)
    run = ow.solve(ow.problems.ridge(A, Y, l2=1e-3))
    w = rational(run.w.tolist())
    residuals = [dot(rational(row), w) - b for row, b in zip(A, rational(Y), strict=True)]
    value = dot(residuals, residuals) / 60 + Fraction(1e-3) / 2 * dot(w, w)
    assert run.value == pytest.approx(float(value), rel=1e-12)
