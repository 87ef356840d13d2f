"""A comparison as the command line spells it: methods with their spaces, and every setting that is no default."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from optwise.core.plain import plain
from optwise.core.protocol import Protocol
from optwise.core.space import Distribution, LogUniform, OneMinus, distribution_of
from optwise.methods import DEFAULT_SCHEDULE, METHODS, SCHEDULES, Torch
from optwise.verbs.asking import SEPARATED

_FLAGS = ("trials", "seeds", "budget", "evaluations", "axis", "level", "margin", "resamples", "dtype", "device", "seed")
_BATCH = 64
_LABELS = ("class", "schedule", "name", "file_digest")


def compare_command(
    protocol: Protocol, folder: str, *, methods: Mapping[str, Mapping[str, Any]] | None = None, more: Sequence[str] = ()
) -> str | None:
    """The command that asks the same comparison again; ``None`` where the command line has no words for it.

    Args:
        protocol: What was asked.
        folder: Where it lies.
        methods: Name to description, where some are to change.
        more: Flags at the end; ``--studies`` among them replaces that of the protocol.
    """
    described = methods or {name: method.describe() for name, method in protocol.methods.items()}
    references = [str(about.get("reference") or "") for about in protocol.problems.values()]
    schedules = [description.get("schedule") for description in described.values()]
    common = schedules[0] if all(schedule == schedules[0] for schedule in schedules) else plain(DEFAULT_SCHEDULE)
    spelled = [method_words(name, description, common) for name, description in described.items()]
    goals = {None if target is None else str(target) for target in protocol.targets.values()}
    if not all(references) or None in spelled or protocol.scientific:
        return None
    words = ["optwise", "compare", *references, "--methods", ",".join(word or "" for word in spelled)]
    words += [] if "--studies" in more else ["--studies", str((*protocol.looks, protocol.studies)[0])]
    shipped = {field.name: field.default for field in fields(Protocol)}
    shipped["budget"] = "1000steps"
    for name in _FLAGS:
        value = str(getattr(protocol, name))
        if value != str(shipped[name]):
            words += [f"--{name}", value]
    words += _batch(protocol) + _schedule_flag(common)
    words += ["--target", goals.pop() or "none"] if len(goals) == 1 else []
    selects = {
        protocol.metrics[name]
        for name, goal in protocol.targets.items()
        if goal is None or goal.metric != protocol.metrics[name]
    }
    words += ["--metric", selects.pop()] if len(selects) == 1 else []
    words += [] if protocol.against is None else ["--against", protocol.against]
    words += ["--until", SEPARATED] if protocol.looks else []
    return shlex.join([*words, *more, "--out", folder])


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


def _batch(protocol: Protocol) -> list[str]:
    sizes = {
        about["batch_size"]
        for about in protocol.problems.values()
        if (about.get("sampler") or {}).get("class") in ("Shuffled", "WithReplacement")
    }
    return ["--batch-size", str(sizes.pop())] if len(sizes) == 1 and sizes != {_BATCH} else []


def _schedule_flag(schedule: Mapping[str, Any] | None) -> list[str]:
    if schedule is None or schedule == plain(DEFAULT_SCHEDULE):
        return []
    word = next((word for word, cls in SCHEDULES.items() if cls.__name__ == schedule.get("class")), None)
    parts = ",".join(f"{n}={v!r}" for n, v in schedule.items() if n != "class" and v is not None)
    return [] if word is None else ["--schedule", f"{word}:{parts}" if parts else word]
