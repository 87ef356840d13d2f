"""The statistics of a comparison, arrays in and frozen dataclasses out: one door to the files that hold them."""

from optwise.numerics.arrival_times import median_or_none, quantile_or_none, restricted_mean
from optwise.numerics.bootstrap import Band, bootstrap_band, two_level_bootstrap, winner_stability
from optwise.numerics.budget_curves import BudgetCurve, best_of_k, probability_best_of_k
from optwise.numerics.multiplicity import fewest_for, fewest_studies, holm
from optwise.numerics.permutation import StudyComparison, compare_studies, reaches_level
from optwise.numerics.profiles import Profile, performance_profile, trapezoid_score

__all__ = [
    "Band",
    "BudgetCurve",
    "Profile",
    "StudyComparison",
    "best_of_k",
    "bootstrap_band",
    "compare_studies",
    "fewest_for",
    "fewest_studies",
    "holm",
    "median_or_none",
    "performance_profile",
    "probability_best_of_k",
    "quantile_or_none",
    "reaches_level",
    "restricted_mean",
    "trapezoid_score",
    "two_level_bootstrap",
    "winner_stability",
]
