"""Why a solver suits a problem: the structure it exploits, as the rest of a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.analyses.solver_costs import Features

_EXPLOITS: Mapping[str, str] = {
    "cholesky": "the objective is quadratic, so one factorisation of the Hessian answers it",
    "qr": "least squares by one orthogonal factorisation, which does not square the condition number",
    "svd": "least squares by singular values, right also where columns depend on each other",
    "conjugate-gradient": "the objective is quadratic, and products with the Hessian are all it takes",
    "lsqr": "least squares by products with the design and its transpose alone",
    "lsmr": "least squares by products alone, with a gradient that falls at every iteration",
    "gradient-descent": "gradients are all it takes",
    "armijo-descent": "gradients and a backtracking search are all it takes",
    "wolfe-descent": "gradients and a Wolfe search are all it takes",
    "barzilai-borwein": "gradients are all it takes, with steps from the last two of them",
    "accelerated-gradient": "gradients are all it takes, and momentum makes their number grow with sqrt(kappa)",
    "nonlinear-cg": "gradients and a few vectors of memory are all it takes",
    "bfgs": "the function is smooth and its dense inverse Hessian fits into memory",
    "lbfgs": "the function is smooth, and a few pairs of gradients stand in for its Hessian",
    "lbfgsb": "the function is smooth within bounds",
    "newton": "the Hessian is small enough to be factorised, so a few Newton steps do",
    "newton-cg": "the function is smooth, and Newton steps by Hessian-vector products need no matrix",
    "trust-region": "the function is smooth: its second-order model is followed as far as it holds, bent down or up",
    "gauss-newton": "a sum of squares, whose Jacobian gives the curvature",
    "levenberg-marquardt": "a sum of squares, whose Jacobian gives the curvature, damped where it is singular",
    "projected-gradient": "projection onto the set is cheap, with spectral steps",
    "proximal-gradient": "the penalty has a proximal map",
    "fista": "the objective is convex and the penalty or set has a proximal map",
    "proximal-newton": "a linear model and a separable penalty: few columns matter, and Newton steps on them are cheap",
    "semismooth-newton": "the Hessian is small enough to be factorised, and zeros or bounds are found with the answer",
    "douglas-rachford": "both parts have proximal maps",
    "admm": "the penalty has a proximal map, and one factorisation serves all iterations",
    "semismooth-augmented-lagrangian": "the penalty has a proximal map, and Newton steps on the dual are sparse",
    "pdhg": "products and proximal maps are all it takes",
    "frank-wolfe": "linear minimisation over the set is cheap",
    "dual-interior-point": "the penalty is a sum of kinks and the dual a box, which takes 10 to 20 interior steps",
    "taut-string": "total variation of a chain, which one pass along a taut string answers exactly",
    "nelder-mead": "values are all it takes",
}


def reason_for(method: str, of: Features) -> str:
    """Why ``method`` suits a problem with these features.

    Example:
        >>> reason_for("cholesky", Features(200, 10, 100.0, 1e-4))
        'the objective is quadratic, so one factorisation of the Hessian answers it (n = 200, p = 10)'
    """
    size = f"n = {of.examples}, p = {of.parameters}" if of.examples else f"p = {of.parameters}"
    return f"{_EXPLOITS.get(method, 'it fits')} ({size})"
