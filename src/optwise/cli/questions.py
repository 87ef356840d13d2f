"""From words and flags to what a verb is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optwise.core.errors import BadProtocol

if TYPE_CHECKING:
    from optwise.core.method import Method
    from optwise.core.metric import Target
    from optwise.core.problem import Problem


@dataclass(frozen=True)
class Question:
    """What ``compare`` and ``check`` are asked.

    Args:
        problems: Built.
        methods: Built; ``None`` takes the defaults.
        settings: Everything else that was said, by the names of ``compare``.
    """

    problems: list[Problem]
    methods: list[Method] | None
    settings: dict[str, Any]


def read_question(words: Sequence[str], methods: Sequence[str] | None, flags: Mapping[str, Any]) -> Question:
    """Put a study file and flags together; flags win.

    Args:
        words: PROBLEM..., or one study file.
        methods: As typed; ``None`` where they were not.
        flags: By the names of ``compare``; ``None`` where a flag was not given.

    Raises:
        CallerError: Anything the caller can mend.
    """
    from optwise.catalog import load_methods, load_problem, load_schedule, load_study

    said: dict[str, Any] = {}
    if any(word.endswith(".toml") for word in words):
        if len(words) > 1:
            raise BadProtocol(
                f"A study file stands alone, but {len(words)} names were given; add problems to the file."
            )
        said = load_study(words[0])
        words = said.pop("problems", [])
        if not words:
            raise BadProtocol('The study file names no problem; add problems = ["digits-mlp"].')
    said |= {name: value for name, value in flags.items() if value is not None}
    built: list[Method] | None = said.pop("methods", None)
    if methods:
        built = load_methods(methods)
    if "target" in said:
        said["target"] = read_target(said["target"])
    if "schedule" in said:
        said["schedule"] = load_schedule(said["schedule"])
    return Question([load_problem(word) for word in words], built, said)


def read_target(text: str) -> Target | str | None:
    """``default``, ``none``, or ``valid/loss<=0.25``."""
    from optwise.core.metric import Target

    return {"default": "default", "none": None}[text] if text in ("default", "none") else Target.parse(text)
