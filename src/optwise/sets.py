"""Sets that answers must lie in, as everybody types them: ``ow.sets.Simplex()``, ``from optwise.sets import Box``."""

from optwise.problems.terms.sets import *  # noqa: F403 - the names are the room's own, listed there
from optwise.problems.terms.sets import __all__  # noqa: F401 - and so is the list
