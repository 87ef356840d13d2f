"""From what a user types, writes or has on record to a Method or a Schedule."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

import torch

from optwise.catalog.references import Reference, attribute
from optwise.catalog.values import hyperparameter, written
from optwise.core.errors import BadMethod, NotLoadable, UnknownName
from optwise.core.method import Method
from optwise.core.schedule import Schedule
from optwise.core.space import INNER, distribution_of
from optwise.core.wrapper import Wrapper
from optwise.methods import DEFAULT_SCHEDULE, METHODS, SCHEDULES, Torch
from optwise.methods.solvers import SOLVERS

NAMED: Mapping[str, type[Method]] = {**METHODS, **SOLVERS}
"""Rules and solvers by the name a user types."""


def load_method(text: str) -> Method:
    """The method a user typed.

    Args:
        text: A built-in name, or ``mine.py:MyOptimizer`` or ``package.module:name`` for a ``torch.optim.Optimizer``
            class, a Method class or a Method; then hyperparameters, ``adamw:lr=1e-4..1e-1,betas=0.9/0.999`` (see
            :func:`~optwise.catalog.values.hyperparameter`), a label, ``name=mine``, and a schedule,
            ``schedule=warmup-cosine,schedule.warmup=0.1``. One that wraps a rule takes it as ``of``, and that rule's
            hyperparameters beside its own: ``ema:of=momentum,lr=0.1,decay=0.9``; ``of=preconditioned/momentum`` wraps
            twice.

    Raises:
        CallerError: Nothing answers to it, or it takes no such hyperparameter.

    Example:
        >>> load_method("adamw:lr=1e-4..1e-1,name=mine").space.fields
        {'lr': LogUniform(low=0.0001, high=0.1)}
        >>> load_method("lbfgs:history_size=5").history_size
        5
        >>> load_method("torch.optim:RAdam:lr=0.01").hyperparameters
        {'lr': 0.01}
        >>> load_method("polyak:of=momentum,lr=0.1").values()
        {'lr': 0.1, 'momentum': 0.9, 'dampening': 0.0, 'weight_decay': 0.0, 'after': 0}
    """
    reference = Reference.parse(text, kind="method", known=NAMED, error=BadMethod)
    typed = dict(reference.values)
    label = typed.pop("name", None)
    shape = {n.removeprefix("schedule."): hyperparameter(typed.pop(n)) for n in [*typed] if n.startswith("schedule.")}
    scheduled = bool(shape) or "schedule" in typed
    schedule = _schedule(typed.pop("schedule", _DEFAULT_SCHEDULE), shape) if scheduled else None
    return _build(reference, label, schedule, {name: hyperparameter(value) for name, value in typed.items()})


def load_methods(texts: Iterable[str]) -> list[Method]:
    """Methods of lists parted by commas: ``adamw:lr=1e-3,eps=1e-6,sgd`` are two, ``eps`` being a value of the first."""
    return [load_method(text) for listed in texts for text in _part(listed)]


def _part(listed: str) -> list[str]:
    parts: list[str] = []
    for piece in filter(None, (p.strip() for p in listed.split(","))):
        if parts and re.match(r"[A-Za-z_][\w.]*\s*=", piece):
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    return parts


def load_schedule(text: str) -> Schedule:
    """The schedule a user typed: ``constant``, ``warmup-cosine:warmup=0.1``."""
    reference = Reference.parse(text, kind="schedule", known=SCHEDULES, error=BadMethod)
    if reference.home:
        raise UnknownName("schedule", text, SCHEDULES)
    return _schedule(reference.name, {name: hyperparameter(value) for name, value in reference.values.items()})


def written_method(table: Mapping[str, Any]) -> Method:
    """A method as TOML has it: ``name`` is what would be typed, ``label`` its label; other keys are its fields."""
    rest = dict(table)
    name, label, schedule = rest.pop("name", None), rest.pop("label", None), rest.pop("schedule", None)
    if not isinstance(name, str):
        raise BadMethod('An entry of [[methods]] has no name; write name = "adamw".')
    reference = Reference.parse(name, kind="method", known=NAMED, error=BadMethod)
    if reference.values:
        raise BadMethod(f"[[methods]] name = {name!r} holds values; write them as keys of their own, as in lr = 0.1.")
    if isinstance(schedule, dict):
        shape = {n: written(f"{name}.schedule.{n}", v) for n, v in schedule.items() if n != "name"}
        chosen: Schedule | None = _schedule(schedule.get("name", _DEFAULT_SCHEDULE), shape)
    else:
        chosen = load_schedule(schedule) if schedule is not None else None
    return _build(reference, label, chosen, {n: written(f"{name}.{n}", v) for n, v in rest.items()})


def method_of(description: Mapping[str, Any]) -> Method:
    """The method that :meth:`~optwise.core.method.Method.describe` described, ready to run.

    Raises:
        NotLoadable: A class that is neither built in nor to be found, or whose file was edited since.

    Example:
        >>> method_of(METHODS["adam"](lr=0.1).describe())
        Adam(lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)
    """
    rest = dict(description)
    kind, digest, inner = rest.pop("class"), rest.pop("file_digest", None), rest.pop(INNER, None)
    values = {name: _recorded(value) for name, value in rest.items()}
    if inner is not None:
        values[INNER] = method_of(inner)
    if kind != Torch.__name__:
        known = {cls.__name__: cls for cls in NAMED.values()}
        if kind not in known:
            raise NotLoadable(f"Method {kind} is not one of optwise's own; it can be scored and drawn, not run again.")
        return known[kind](**values)
    reference = str(rest["optimizer"])
    method = Torch(attribute(*reference.rsplit(":", 1)), **{n: v for n, v in values.items() if n != "optimizer"})
    if method.describe().get("file_digest") != digest:
        raise NotLoadable(f"The file of {reference} was edited since it was run; restore it to run it again.")
    return method


def _recorded(value: Any) -> Any:
    distribution = distribution_of(value)
    if distribution is not None:
        return distribution
    if isinstance(value, list):
        return tuple(_recorded(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    parts = {name: _recorded(item) for name, item in value.items() if name != "class"}
    schedules = {cls.__name__: cls for cls in SCHEDULES.values()}
    kind = value.get("class")
    return float(parts["value"]) if kind == "float" else schedules[kind](**parts) if kind in schedules else parts


_DEFAULT_SCHEDULE = next(name for name, cls in SCHEDULES.items() if type(DEFAULT_SCHEDULE) is cls)


def _schedule(name: str, values: Mapping[str, Any]) -> Schedule:
    if name not in SCHEDULES:
        raise UnknownName("schedule", name, SCHEDULES)
    known = {f.name: f for f in fields(SCHEDULES[name])}
    for value in values:
        if value not in known:
            raise UnknownName(f"parameter of {name}", value, known)
    for needed, f in known.items():
        if f.default is MISSING and needed not in values:
            raise BadMethod(f"Schedule {name} needs {needed}; write {name}:{needed}=VALUE.")
    return SCHEDULES[name](**values)


_LABELS = ("name", "schedule")
_OF = "of"
"""How the rule that a wrapper takes is named."""


def _build(
    reference: Reference,
    label: str | None,
    schedule: Schedule | None,
    values: Mapping[str, Any],
    beside: Collection[str] = _LABELS,
) -> Method:
    """The method that a reference names, with its values; ``beside`` them other names may stand, for sentences."""
    found = attribute(reference.home, reference.name) if reference.home else NAMED[reference.name]
    if isinstance(found, Method):
        if values:
            raise BadMethod(f"{reference.text} is a method already and takes no {', '.join(values)}.")
        return replace(found, name=label or found.name, schedule=schedule or found.schedule)
    if isinstance(found, type) and issubclass(found, torch.optim.Optimizer):
        return Torch(found, name=label, schedule=schedule, hyperparameters=values)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise NotLoadable(
            f"{reference.text} is no method but of type {type(found).__name__}; name a subclass of "
            "torch.optim.Optimizer, or a Method."
        )
    own = {name: value for name, value in values.items() if name in found.hyperparameter_names()}
    rest = {name: value for name, value in values.items() if name not in own}
    beside = (*found.hyperparameter_names(), *beside)
    if issubclass(found, Wrapper):
        own[INNER] = _inner(reference, found, rest, beside)
    else:
        _refuse(reference, rest, beside)
    return found(name=label, **own, **({} if schedule is None else {"schedule": schedule}))


def _inner(reference: Reference, wrapper: type[Wrapper], values: Mapping[str, Any], beside: Collection[str]) -> Method:
    """The rule that a wrapper wraps: the one called ``of``, else the wrapper's default."""
    rest = dict(values)
    if _OF not in rest:
        default = next(f.default for f in fields(wrapper) if f.name == INNER)
        if not isinstance(default, Method):
            raise BadMethod(f"{reference.text} wraps a rule; name it, as in {reference.text}:{_OF}=sgd.")
        names = [name for kind in default.kinds for name in kind.hyperparameter_names()]
        _refuse(reference, [name for name in rest if name not in names], (*names, *beside, _OF))
        return type(default)(**rest) if rest else default
    text = str(rest.pop(_OF))
    name, _, deeper = text.partition("/")
    if name in METHODS and deeper:  # elsewhere a slash belongs to a path
        text, rest[_OF] = name, deeper
    named = Reference.parse(text, kind="method", known=NAMED, error=BadMethod)
    return _build(replace(named, text=f"{reference.text} of {text}"), None, None, rest, (*beside, _OF))


def _refuse(reference: Reference, unknown: Iterable[str], known: Collection[str]) -> None:
    for name in unknown:
        raise UnknownName(f"parameter of {reference.text}", name, set(known) - {name})
