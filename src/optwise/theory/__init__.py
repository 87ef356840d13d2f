"""What stochastic methods do on quadratics, computed and not simulated: forecasts, floors, rates, step-size limits."""

from optwise.theory.best_schedules import BestSchedule, best_schedule
from optwise.theory.bounds import (
    Bound,
    adagrad_bound,
    adam_bound,
    adam_bound_by_horizon,
    best_adagrad_bound,
    best_adam_bound,
)
from optwise.theory.critical_sizes import critical_batch_size
from optwise.theory.distributions import Distribution, distribution
from optwise.theory.floors import floor, floors
from optwise.theory.forecasting import forecast
from optwise.theory.largest_steps import max_lr
from optwise.theory.rates import rate, rates, rates_of_each
from optwise.theory.surveys import Survey, steps_to, survey

__all__ = [
    "BestSchedule",
    "Bound",
    "Distribution",
    "Survey",
    "adagrad_bound",
    "adam_bound",
    "adam_bound_by_horizon",
    "best_adagrad_bound",
    "best_adam_bound",
    "best_schedule",
    "critical_batch_size",
    "distribution",
    "floor",
    "floors",
    "forecast",
    "max_lr",
    "rate",
    "rates",
    "rates_of_each",
    "steps_to",
    "survey",
]
