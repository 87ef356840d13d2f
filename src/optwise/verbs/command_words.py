"""A comparison as the command line spells it: methods with their spaces, and every setting that is no default."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from optwise.core.plain import plain
from optwise.core.protocol import Protocol
from optwise.core.space import Distribution, LogUniform, OneMinus, distribution_of
from optwise.methods import DEFAULT_SCHEDULE, METHODS, SCHEDULES, Torch
from optwise.verbs.asking import SEPARATED

_PLAIN = ("trials", "seeds", "budget", "evaluations", "axis", "level", "margin", "resamples", "dtype", "device", "seed")
_BATCH = 64
Described = Mapping[str, Mapping[str, Any]]
"""Methods by name, each as it describes itself."""
_LABELS = ("class", "schedule", "name", "file_digest")


def compare_command(
    protocol: Protocol, folder: str, *, methods: Described | None = None, more: Mapping[str, Any] | None = None
) -> str | None:
    """The command that asks the same comparison again; ``None`` where the command line has no words for it.

    Args:
        protocol: What was asked.
        folder: Where it lies.
        methods: Name to description, where some are to change.
        more: Settings that are to change, by their names in Python; ``True`` stands for a flag without a value.
    """
    references = [str(about.get("reference") or "") for about in protocol.problems.values()]
    spelled, common = _spelled(protocol, methods)
    if not all(references) or None in spelled or protocol.scientific:
        return None
    words = ["optwise", "compare", *references, "--methods", ",".join(word or "" for word in spelled)]
    asked = _settings(protocol) | {"schedule": _schedule_words(common)} | (dict(more) if more else {})
    for name, value in asked.items():
        if name == "schedule" and value is None:
            continue
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, "none" if value is None else str(value)]
    return shlex.join([*words, "--out", folder])


def compare_call(
    protocol: Protocol, folder: str, *, methods: Described | None = None, more: Mapping[str, Any] | None = None
) -> str:
    """The same in Python, where a problem or a method has no words on the command line: it keeps its variable there.

    Args:
        protocol: What was asked.
        folder: Where it lies.
        methods: As for :func:`compare_command`.
        more: As for :func:`compare_command`.
    """
    references = [about.get("reference") for about in protocol.problems.values()]
    spelled, common = _spelled(protocol, methods)
    several = len(references) > 1
    problems = ("problems" if several else "problem") if None in references or "" in references else None
    if problems is None:
        problems = repr(references if several else references[0])
    in_words = None not in spelled and common == plain(DEFAULT_SCHEDULE) and not protocol.scientific
    names = repr(spelled) if in_words else "methods"
    settings = _settings(protocol) | (dict(more) if more else {})
    given = "".join(f", {name}={value!r}" for name, value in settings.items())
    return f"ow.compare({problems}, {names}{given}, out={folder!r})"


def _spelled(protocol: Protocol, methods: Described | None) -> tuple[list[str | None], Mapping[str, Any] | None]:
    """Each method in words, and the schedule that they share."""
    described = methods or {name: method.describe() for name, method in protocol.methods.items()}
    schedules = [description.get("schedule") for description in described.values()]
    common = schedules[0] if all(schedule == schedules[0] for schedule in schedules) else plain(DEFAULT_SCHEDULE)
    return [method_words(name, description, common) for name, description in described.items()], common


def _settings(protocol: Protocol) -> dict[str, Any]:
    """Every setting that is no default, by its name in Python."""
    shipped = {field.name: field.default for field in fields(Protocol)}
    shipped["budget"] = "1000steps"
    asked: dict[str, Any] = {"studies": (*protocol.looks, protocol.studies)[0]}
    for name in _PLAIN:
        value = getattr(protocol, name)
        value = value if isinstance(value, int | float) else str(value)
        asked |= {name: value} if str(value) != str(shipped[name]) else {}
    asked |= _batch(protocol)
    goals = {None if target is None else str(target) for target in protocol.targets.values()}
    asked |= {"target": goals.pop()} if len(goals) == 1 else {}
    selects = set(protocol.metrics.values())
    goals_say = all(goal is not None and goal.metric in selects for goal in protocol.targets.values())
    asked |= {"metric": selects.pop()} if len(selects) == 1 and not goals_say else {}
    asked |= {} if protocol.against is None else {"against": protocol.against}
    return asked | ({"until": SEPARATED} if protocol.looks else {})


def method_words(name: str, description: Mapping[str, Any], schedule: Mapping[str, Any] | None) -> str | None:
    """A method as ``--methods`` takes it; ``None`` where that has no words for one of its fields.

    Args:
        name: Its label.
        description: Of the method.
        schedule: What the comparison gives to methods that name none.

    Example:
        >>> method_words("adam", METHODS["adam"]().describe(), None)
        'adam'
        >>> method_words("slow", METHODS["sgd"](lr=LogUniform(1e-4, 1e-2)).describe(), None)
        'sgd:lr=0.0001..0.01,name=slow'
    """
    if description.get("schedule") != schedule:
        return None
    kind = description["class"]
    own = {n: v for n, v in description.items() if n not in _LABELS}
    if kind == Torch.__name__:
        typed, label = str(own["optimizer"]), str(own["optimizer"]).rpartition(":")[2].lower()
        given: Mapping[str, Any] | None = own["hyperparameters"]
    else:
        known = {cls.__name__: word for word, cls in METHODS.items()}
        if kind not in known:
            return None
        typed = label = known[kind]
        shipped = plain(METHODS[typed].defaults)
        asked = METHODS[typed]() if METHODS[typed].torch_class else None
        whole = asked is not None and {n: v for n, v in asked.describe().items() if n not in _LABELS} == own
        given = {} if whole else {n: v for n, v in own.items() if n == "lr" or shipped.get(n) != v}
    parts = {n: _value_words(v) for n, v in (given or {}).items()}
    if None in parts.values():
        return None
    parts |= {"name": name} if name != label else {}
    inside = ",".join(f"{n}={v}" for n, v in parts.items())
    return f"{typed}:{inside}" if inside else typed


def _value_words(value: Any) -> str | None:
    distribution = distribution_of(value)
    if distribution is not None:
        return _range_words(distribution)
    if isinstance(value, list):
        parts = [_value_words(item) for item in value]
        return None if None in parts else "/".join(part or "" for part in parts)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else None


def _range_words(distribution: Distribution) -> str | None:
    match distribution:
        case LogUniform(low=low, high=high):
            return f"{low!r}..{high!r}"
        case OneMinus(of=LogUniform(low=low, high=high)):
            return f"1-{low!r}..{high!r}"
    return None


def _batch(protocol: Protocol) -> dict[str, int]:
    sizes = {
        about["batch_size"]
        for about in protocol.problems.values()
        if (about.get("sampler") or {}).get("class") in ("Shuffled", "WithReplacement")
    }
    return {"batch_size": sizes.pop()} if len(sizes) == 1 and sizes != {_BATCH} else {}


def _schedule_words(schedule: Mapping[str, Any] | None) -> str | None:
    if schedule is None or schedule == plain(DEFAULT_SCHEDULE):
        return None
    word = next((word for word, cls in SCHEDULES.items() if cls.__name__ == schedule.get("class")), None)
    parts = ",".join(f"{n}={v!r}" for n, v in schedule.items() if n != "class" and v is not None)
    return None if word is None else f"{word}:{parts}" if parts else word
