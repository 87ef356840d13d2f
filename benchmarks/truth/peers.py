"""The peers: MINPACK's Levenberg-Marquardt, scipy's BFGS and L-BFGS-B, torch's L-BFGS; asked for all they can give."""

import time
import warnings

import numpy as np
import torch
from scipy.optimize import least_squares, minimize

PEERS = ("minpack", "scipy-bfgs", "scipy-lbfgsb", "torch-lbfgs")


def minpack(residual, jacobian, w0):
    """As MINPACK itself: scaled by the Jacobian, tolerances at rounding."""

    def solve():
        found = least_squares(
            residual, w0, jacobian, method="lm", x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=2000
        )
        return found.x, found.status > 0

    return _ended(solve, w0)


def scipy_method(name, value_and_gradient, w0, bounds=None):
    """BFGS or L-BFGS-B with a gradient tolerance that only rounding ends."""
    options = {"maxiter": 3000, "gtol": 1e-10}
    if name == "L-BFGS-B":
        options |= {"ftol": 2.3e-16, "maxfun": 6000, "maxcor": 10}

    def solve():
        found = minimize(value_and_gradient, w0, jac=True, method=name, bounds=bounds, options=options)
        return found.x, bool(found.success)

    return _ended(solve, w0)


def torch_lbfgs(f, w0):
    """torch.optim.LBFGS with strong Wolfe steps; it has no word for how it ended."""

    def solve():
        w = torch.tensor(w0).requires_grad_()
        options = {"tolerance_grad": 1e-10, "tolerance_change": 1e-20, "history_size": 10}
        method = torch.optim.LBFGS([w], max_iter=2000, line_search_fn="strong_wolfe", **options)

        def closure():
            method.zero_grad()
            value = f(w)
            value.backward()
            return value

        method.step(closure)
        return w.detach().numpy(), False

    return _ended(solve, w0)


def value_and_gradient(f):
    """A torch function as scipy wants it."""

    def both(w):
        point = torch.from_numpy(np.array(w)).requires_grad_()
        value = f(point)
        (gradient,) = torch.autograd.grad(value, point)
        return float(value), gradient.numpy()

    return both


def _ended(solve, w0):
    """The point, the word and the seconds; what is raised is a word too."""
    begin = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            w, converged = solve()
            word = "converged" if converged else "ended"
        except Exception as error:  # noqa: BLE001 - a peer may fail in any way
            w, word = np.asarray(w0), f"raised {type(error).__name__}"
    if not np.isfinite(w).all():
        w, word = np.asarray(w0), "not finite"
    return w, word, time.perf_counter() - begin
