r"""Sparse recovery: the lasso and its kin, whose penalties set entries of the answer to exactly 0.

None has an intercept: centre X and y first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.problems.formulations.assembling import l1_penalty, of_linear_model, of_term
from optwise.problems.formulations.parts import Within, with_parts
from optwise.problems.formulations.reading import (
    Matrix,
    Numbers,
    nonnegative,
    read_examples,
    read_vector,
)
from optwise.problems.gradients import without_gradients
from optwise.problems.numbers import as_names, missing, real_tensor
from optwise.problems.terms.functions import Zero
from optwise.problems.terms.penalties import L1, GroupL2
from optwise.problems.terms.predictions import SquaredError
from optwise.problems.terms.sets import Affine


@without_gradients
def lasso(
    X: Matrix,
    y: Numbers,
    weight: float,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Least squares with an l1 norm.

    .. math:: \min_w \frac{1}{2n} \|X w - y\|^2 + \lambda \|w\|_1

    The answer is 0 from :math:`\lambda = \max_j |X_j^\top y| / n` on. scikit-learn's ``Lasso(alpha)`` is the same
    function: its alpha is ``weight``; under ``reduction="sum"``, ``weight`` is n alpha.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        weight: :math:`\lambda`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, a negative weight, an
            unknown reduction.

    Example:
        >>> problem = lasso([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], weight=0.5)  # soft thresholding at n * weight = 1
        >>> problem.name, problem.penalty, problem.metric_names
        ('lasso', L1(weight=0.5), ('train/loss',))

    References:
        Tibshirani (1996), Regression shrinkage and selection via the lasso.
    """
    design, labels = read_examples(X, y)
    norm = l1_penalty(nonnegative(weight, "weight"))
    problem = of_linear_model("lasso", design, labels, SquaredError(), reduction=reduction, penalty=norm)
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def elastic_net(
    X: Matrix,
    y: Numbers,
    l1: float,
    l2: float,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Least squares with an l1 norm and a squared l2 norm.

    .. math:: \min_w \frac{1}{2n} \|X w - y\|^2 + \lambda_1 \|w\|_1 + \tfrac{\lambda_2}{2} \|w\|^2

    scikit-learn's ``ElasticNet(alpha, l1_ratio)`` is the same function with ``l1 = alpha * l1_ratio`` and
    ``l2 = alpha * (1 - l1_ratio)``. The squared norm belongs to the smooth part here, the l1 norm is the penalty.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        l1: :math:`\lambda_1`, at least 0; never averaged.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, a negative weight, an
            unknown reduction.

    Example:
        >>> problem = elastic_net([[1.0], [2.0]], [1.0, 2.0], l1=0.1, l2=0.2)
        >>> problem.penalty, problem.smooth.strong_convexity
        (L1(weight=0.1), 0.2)

    References:
        Zou and Hastie (2005), Regularization and variable selection via the elastic net.
    """
    design, labels = read_examples(X, y)
    norm = l1_penalty(nonnegative(l1, "l1"))
    problem = of_linear_model(
        "elastic-net",
        design,
        labels,
        SquaredError(),
        reduction=reduction,
        l2=nonnegative(l2, "l2"),
        penalty=norm,
    )
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def group_lasso(
    X: Matrix,
    y: Numbers,
    weight: float,
    groups: Numbers,
    *,
    factors: Numbers | None = None,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Least squares with the l2 norms of groups of entries, which become 0 together.

    .. math:: \min_w \frac{1}{2n} \|X w - y\|^2 + \lambda \sum_j \omega_j \|w_{(j)}\|_2

    Yuan and Lin take the roots of the groups' sizes for :math:`\omega`; here they are 1 unless given.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        weight: :math:`\lambda`, at least 0; never averaged.
        groups: Label of the group of each column [p]: numbers or words. Groups count in the order of sorted labels.
        factors: :math:`\omega`, one number of at least 0 for each group, in that order; ``None`` is 1 for all.
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, negative weights, an
            unknown reduction.

    Example:
        >>> problem = group_lasso(np.eye(3), np.ones(3), weight=1.0, groups=["b", "a", "b"])
        >>> problem.penalty.groups, float(problem.penalty.value(torch.tensor([3.0, 1.0, 4.0])))
        (tensor([1, 0, 1]), 6.0)

    References:
        Yuan and Lin (2006), Model selection and estimation in regression with grouped variables.
    """
    design, labels = read_examples(X, y)
    given = real_tensor(groups, "groups").cpu().numpy() if isinstance(groups, Tensor) else as_names(groups, "groups")
    if given.dtype.kind == "O" and bool(missing(given).any()):
        raise BadProblem(f"groups lacks a label at {int(missing(given).argmax())}; give one label for each column.")
    if given.dtype.kind == "O":
        given = given.astype(str)
    if given.shape != (design.shape[1],):
        raise BadProblem(
            f"groups has shape {given.shape} and X has {design.shape[1]} columns; give one label for each column."
        )
    _, numbered = np.unique(given, return_inverse=True)
    norms = GroupL2(
        nonnegative(weight, "weight"),
        torch.from_numpy(numbered.astype(np.int64)).to(labels.device),
        None if factors is None else read_vector(factors, "factors", like=labels),
    )
    problem = of_linear_model("group-lasso", design, labels, SquaredError(), reduction=reduction, penalty=norms)
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def basis_pursuit_denoising(
    A: Matrix,
    b: Numbers,
    weight: float,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""A sparse vector from few noisy measurements: the lasso under its name in signal processing.

    .. math:: \min_x \frac{1}{2m} \|A x - b\|^2 + \lambda \|x\|_1, \qquad
        \text{with reduction="sum": } \tfrac12 \|A x - b\|^2 + \lambda \|x\|_1

    Signal processing writes the sum. Others call by this name the problem with a bound on :math:`\|A x - b\|` instead
    of a weight; each weight answers one such bound.

    Args:
        A: Measurements [m, p], in the dtype the problem will have; held as they are, so do not write to them.
        b: What was measured [m].
        weight: :math:`\lambda`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, a negative weight, an
            unknown reduction.

    Example:
        >>> basis_pursuit_denoising([[1.0, 0.0]], [3.0], weight=1.0, reduction="sum").smooth.model.scale
        1.0

    References:
        Chen, Donoho and Saunders (1998), Atomic decomposition by basis pursuit.
    """
    design, measured = read_examples(A, b, names=("A", "b"))
    norm, name = l1_penalty(nonnegative(weight, "weight")), "basis-pursuit-denoising"
    problem = of_linear_model(name, design, measured, SquaredError(), reduction=reduction, penalty=norm)
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def basis_pursuit(
    A: Matrix,
    b: Numbers,
    *,
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""The vector of least l1 norm that explains all measurements exactly.

    .. math:: \min_x \|x\|_1 \quad \text{subject to} \quad A x = b

    There is no smooth part: f is 0, the norm is the penalty and the equations are the set.

    Args:
        A: Measurements [m, p]; they are factorised here, densely whatever they are given as.
        b: What was measured [m].
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, equations without a
            solution.

    Example:
        >>> problem = basis_pursuit([[1.0, 2.0]], [2.0])  # (0, 1) is the answer: half the norm of (2, 0)
        >>> problem.constraint.project(problem.start(0)[0]["w"])
        tensor([0.4000, 0.8000], dtype=torch.float64)

    References:
        Chen, Donoho and Saunders (1998), Atomic decomposition by basis pursuit.
    """
    design, measured = read_examples(A, b, names=("A", "b"))
    p, entries = design.shape[1], design.entries
    if entries is None:
        entries = design.operator.forward(torch.eye(p, dtype=measured.dtype, device=measured.device)).mT
    problem = of_term("basis-pursuit", Zero(p), measured.new_zeros(p), penalty=L1(1.0))
    return with_parts(replace(problem, constraint=Affine(entries, measured)), penalty=penalty, constraint=constraint)
