"""Every seed of a comparison, derived from its base seed and from what the seed is for."""

from __future__ import annotations

from optwise.core.run import TrialName
from optwise.numerics.rng import derive_seed


def trial_seed(base: int, problem: str, trial: TrialName) -> int:
    """Seed of the start and the data order of one trial.

    It depends on the base seed, the problem, the method's name, the study, the index and the phase, and on nothing
    else: adding a method, a study or a trial changes no other seed. The phase (``explore``, ``confirm``, ``default``)
    is a part of what is hashed, so a search and its confirmation never share a seed by their numbering.

    Args:
        base: Seed of the whole comparison.
        problem: Name under which the problem is compared; as a rule ``trial.problem``.
        trial: Address of the trial.

    Example:
        >>> trial_seed(0, "digits-mlp", TrialName.parse("digits-mlp/adamw/2/7"))
        71751823559368432
    """
    return derive_seed(base, problem, trial.method, trial.study, trial.phase.value, trial.index)


def scramble_seed(base: int, problem: str, method: str, study: int) -> int:
    """Seed that scrambles the Sobol sequence of one study: another study is another, independent design.

    Example:
        >>> scramble_seed(0, "digits-mlp", "adamw", 2)
        3661328529613558843
    """
    return derive_seed(base, problem, method, study, "scramble")
