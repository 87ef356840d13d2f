"""Penalties as everybody types them: ``ow.penalties.L1(0.1)``, ``from optwise.penalties import NuclearNorm``."""

from optwise.problems.terms.penalties import *  # noqa: F403 - the names are the room's own, listed there
from optwise.problems.terms.penalties import __all__  # noqa: F401 - and so is the list
