"""One solve by optwise, as a row holds it: the word, the certificate and the point."""

import time

import numpy as np

import optwise as ow
from optwise.core.status import Status


def answer(build, method, *, tol, max_seconds):
    """Build a problem and solve it. Gives the point (None where the problem was refused) and the words on it."""
    begin = time.perf_counter()
    try:
        run = ow.solve(build(), method, tol=tol, max_seconds=max_seconds)
    except ow.CallerError as refusal:
        return None, _words(f"refused: {refusal}", begin)
    except Exception as error:  # noqa: BLE001 - a solve that raises is a row that says so
        return None, _words(f"raised {type(error).__name__}: {error}", begin)
    proof = run.certificate
    w = run.w.detach().reshape(-1).cpu().numpy()
    words = _words(run.status.value, begin) | {
        "by": run.method.label,
        "certificate": None if proof is None else proof.name,
        "certificate_value": None if proof is None else float(proof.value),
        "saddle": bool(getattr(proof, "saddle", False)),
        "optimal": run.status is Status.OPTIMAL,
        "stationary": run.status is Status.STATIONARY,
    }
    return (w if np.isfinite(w).all() else None), words


def _words(word, begin):
    return {
        "word": word,
        "seconds": time.perf_counter() - begin,
        "by": None,
        "certificate": None,
        "certificate_value": None,
        "saddle": False,
        "optimal": False,
        "stationary": False,
    }
