"""A closed method as Python to paste: torch.optim where it has the method, with the schedule written out."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from optwise.core.schedule import Schedule
from optwise.core.space import INNER
from optwise.methods import METHODS, SCHEDULES, Torch

WIDTH = 66
"""Characters of a line, where it can be broken."""
CLOSE = 5e-4
"""How far a printed number may lie from the one that was run, relative to it and to one minus it."""
_CLASSES = {cls.__name__: cls for cls in METHODS.values()}
_LABELS = ("class", "schedule", "name")


def setting_code(description: Mapping[str, Any], *, steps: int, model: str = "model") -> str:
    """Python that trains as the described method did, for a loop of one's own.

    Args:
        description: A method without an open field, as :meth:`~optwise.core.method.Method.describe` has it.
        steps: Of a run: how long a schedule lasts that follows the budget.
        model: What the code calls the network.

    Example:
        >>> print(setting_code({"class": "AdamW", "lr": 0.0123456, "betas": [0.9, 0.999], "eps": 1e-8}, steps=10))
        import torch
        <BLANKLINE>
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01235)
    """
    kind, fields = description["class"], {n: v for n, v in description.items() if n not in _LABELS}
    cls = _CLASSES.get(kind)
    if kind == Torch.__name__:
        home, _, name = str(fields["optimizer"]).rpartition(":")
        shipped = home.startswith("torch.")
        call, imports = (f"torch.optim.{name}" if shipped else name), ([] if shipped else [_import(home, name)])
        arguments = {n: _written(v) for n, v in fields["hyperparameters"].items()}
    elif cls is not None and cls.torch_class:
        call, imports = f"torch.optim.{cls.torch_class}", []
        arguments = _unlike_torch(cls.torch_class, {**fields, **cls.torch_arguments})
    else:
        return f"import optwise as ow\n\nmethod = {_optwise(description)}"
    schedule = _schedule_lines(description.get("schedule"), steps)
    heads = ["import math", ""] if any("math." in line for line in schedule) else []
    body = _call(f"optimizer = {call}", [f"{model}.parameters()", *(f"{n}={v}" for n, v in arguments.items())])
    return "\n".join([*heads[:1], "import torch", *imports, "", *body, *schedule])


def _unlike_torch(name: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """What must be said: the rest is torch's default."""
    shipped = {n: p.default for n, p in inspect.signature(getattr(torch.optim, name)).parameters.items()}
    said = {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}
    return {n: _written(v) for n, v in said.items() if n == "lr" or shipped.get(n, inspect.Parameter.empty) != v}


def _schedule_lines(described: Mapping[str, Any] | None, steps: int) -> list[str]:
    schedule = _schedule(described)
    if schedule is None:
        return [] if described is None else [f"# lr follows {described['class']}, which optwise does not write out"]
    horizon = schedule.horizon or steps
    if (schedule.factors(steps) == 1.0).all():
        return []
    expression = schedule.expression(horizon)
    if expression is None:
        return [f"# lr follows {type(schedule).__name__}, which optwise does not write out"]
    head, times, tail = expression.partition(" * (")
    single = f"    return {expression}"
    returned = [single] if len(single) <= WIDTH or not times else [f"    rise = {head}", f"    return rise * ({tail}"]
    return [
        "",
        f"def factor(k):  # of lr after k of {horizon:,} steps",
        f"    k = min(k, {horizon - 1})",
        *returned,
        "",
        *_call("schedule = torch.optim.lr_scheduler.LambdaLR", ["optimizer", "factor"]),
        "# each batch: optimizer.step(); schedule.step()",
    ]


def _schedule(described: Mapping[str, Any] | None) -> Schedule | None:
    kinds = {cls.__name__: cls for cls in SCHEDULES.values()}
    if described is None or described.get("class") not in kinds:
        return None
    parts = {n: v for n, v in described.items() if n != "class"}
    return kinds[described["class"]](**parts) if all(_plain(v) for v in parts.values()) else None


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float) or (isinstance(value, list) and all(map(_plain, value)))


def _call(head: str, arguments: Iterable[str]) -> list[str]:
    """A call on one line, or with its arguments on lines of their own as far as they fit."""
    listed = list(arguments)
    single = f"{head}({', '.join(listed)})"
    if len(single) <= WIDTH:
        return [single]
    lines: list[str] = []
    for argument in listed:
        if lines and len(lines[-1]) + len(argument) + 3 <= WIDTH:
            lines[-1] += f" {argument},"
        else:
            lines.append(f"    {argument},")
    return [f"{head}(", *lines, ")"]


def _import(home: str, name: str) -> str:
    head = name.partition(".")[0]
    return f"from {home} import {head}" if home.replace(".", "").isidentifier() else f"# {head} is in {home}"


def _optwise(description: Mapping[str, Any]) -> str:
    """The method as optwise spells it, a wrapped rule within."""
    given = {name: value for name, value in description.items() if name not in ("class", "name") and value is not None}
    parts = [_optwise(given.pop(INNER))] if INNER in given else []
    parts += [f"{name}={_optwise(value) if _noun(value) else _written(value)}" for name, value in given.items()]
    return f"ow.{description['class']}({', '.join(parts)})"


def _noun(value: Any) -> bool:
    return isinstance(value, Mapping) and "class" in value


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(_written(item) for item in value)}{',' if len(value) == 1 else ''})"
    return short(value) if isinstance(value, float) else repr(value)


def short(value: float) -> str:
    """A number with as few digits as leave it, and one minus it, almost what it was.

    Example:
        >>> short(0.032310810716), short(0.99583421), short(1e-8), short(0.9), short(250.0)
        ('0.0323', '0.995834', '1e-08', '0.9', '250.0')
    """
    if not math.isfinite(value):
        return f'float("{value}")'
    room = CLOSE * min(abs(value), abs(1 - value) or abs(value))
    return next(text for d in range(1, 18) if abs(float(text := repr(float(f"{value:.{d}g}"))) - value) <= room)
