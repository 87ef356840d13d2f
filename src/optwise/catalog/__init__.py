"""The names a user may type, and what each builds: problems, methods, schedules, studies, ``path.py:name``."""

from optwise.catalog.methods import load_method, load_methods, load_schedule, method_of
from optwise.catalog.problems import load_problem
from optwise.catalog.resolving import resolve, resolve_one
from optwise.catalog.studies import load_study

__all__ = [
    "load_method",
    "load_methods",
    "load_problem",
    "load_schedule",
    "load_study",
    "method_of",
    "resolve",
    "resolve_one",
]
