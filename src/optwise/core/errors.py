"""Every mistake optwise can name, as one tree.

OptwiseError
├── CallerError            the caller can mend it: exit code 2, nothing was started
│   ├── UnknownName        no such problem, method, parameter, metric
│   ├── NotLoadable        a file or attribute that is missing, does not import or is of the wrong kind
│   ├── BadProblem         a problem that cannot be run as it stands
│   ├── BadMethod          a method that cannot be built or stepped
│   │   └── NotLinear      a method that theory cannot predict
│   ├── BadSpace           a search space without room
│   ├── BadProtocol        budget, target, counts or axis that make no experiment
│   ├── UnmetNeed          a method asks for what a problem does not offer
│   └── BadFolder          an output folder that cannot be used
└── RunFailed              the work ran and failed: exit code 3
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class OptwiseError(Exception):
    """Base of all errors that optwise raises on purpose; its text is one sentence for the user."""

    exit_code = 3


class CallerError(OptwiseError):
    """The caller can mend it; raised before any work starts."""

    exit_code = 2


class UnknownName(CallerError):
    """A name that nothing answers to; the text offers the nearest names.

    Example:
        >>> print(UnknownName("method", "adamv", ["adam", "adamw", "sgd"]))
        Unknown method 'adamv'. Did you mean 'adam' or 'adamw'? Known: adam, adamw, sgd.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        super().__init__(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


class NotLoadable(CallerError):
    """A reference such as ``path.py:name`` that does not lead to a usable object."""


class BadProblem(CallerError):
    """A problem that cannot be run as it stands: its data, its module, its loss."""


class BadMethod(CallerError):
    """A method that cannot be built, is still open where it must be closed, or fails its first steps."""


class NotLinear(BadMethod):
    """A method whose moments obey no recursion.

    Args:
        label: Of the method.
        reason: What shows it, as the rest of a sentence.
    """

    def __init__(self, label: str, reason: str) -> None:
        self.reason = f"{label} {reason}."
        super().__init__(
            f"{label} {reason}; predict linear rules (sgd, momentum, nesterov, averages of them), and run this one "
            "with compare."
        )


class BadSpace(CallerError):
    """A distribution without room, or outside its domain."""


class BadProtocol(CallerError):
    """A budget, target, count, axis or level that makes no experiment."""


class UnmetNeed(CallerError):
    """A method needs an oracle that the problem does not offer, or would ignore a part of it."""


class BadFolder(CallerError):
    """An output folder that is not writable, is in use, or holds another protocol."""


class RunFailed(OptwiseError):
    """The work ran and ended badly; the text is the run's status sentence."""


class DataNote(UserWarning):
    """What is said of a user's data before anything runs: they are used otherwise than a loop over them would."""
