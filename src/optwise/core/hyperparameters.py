"""What a field of a method accepts: a number, a flag or as many numbers as its default, or a distribution of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor

from optwise.core.errors import BadMethod
from optwise.core.schedule import Schedule
from optwise.core.space import Choice, Distribution, When

_FOREIGN = ("scipy", "optuna", "ray", "hyperopt", "numpyro", "torch", "skopt", "ConfigSpace")
"""Libraries whose distributions somebody may have at hand."""

_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}

_KNOWN = "LogUniform, Uniform, IntUniform, Choice or OneMinus"


def admitted(where: str, value: Any, shipped: Any) -> Any:
    """``value`` for the field ``where`` whose default is ``shipped``, numbers as plain ones.

    A distribution is taken for any number, and a tensor without dimensions too, as a batched pass hands it over. A
    field whose default is of another kind takes whatever it is given.

    Raises:
        BadMethod: A value of another kind than the default.

    Example:
        >>> admitted("AdamW.lr", np.float32(0.5), 1e-3), admitted("AdamW.betas", [0.8, 0.99], (0.9, 0.999))
        (0.5, (0.8, 0.99))
        >>> admitted("AdamW.lr", (1e-4, 1e-1), 1e-3)
        Traceback (most recent call last):
        ...
        optwise.core.errors.BadMethod: AdamW.lr is (0.0001, 0.1): a pair is no range; write lr=LogUniform(0.0001, 0.1).
    """
    if isinstance(value, Choice):
        return Choice(*(admitted(where, option, shipped) for option in value.options))
    if isinstance(value, When):
        then, otherwise = (admitted(where, part, shipped) for part in (value.then, value.otherwise))
        return When(value.field, value.equals, then, otherwise)
    if isinstance(shipped, bool):
        return _flag(where, value)
    if isinstance(shipped, tuple | list):
        return _several(where, value, tuple(shipped))
    if isinstance(shipped, int | float):
        return _number(where, value)
    return value


def admitted_schedule(where: str, value: Any) -> Any:
    """A schedule, a choice of schedules, or ``None``.

    Raises:
        BadMethod: Anything else, or a schedule whose factors are no numbers.
    """
    if isinstance(value, Choice):
        return Choice(*(admitted_schedule(where, option) for option in value.options))
    if value is None:
        return value
    if not isinstance(value, Schedule):
        raise BadMethod(f"{where} is {_shown(value)}{_why_no_schedule(value)}; give one of {_schedules()}.")
    horizon = value.horizon
    if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
        raise BadMethod(f"{where}.horizon is {horizon!r}; give a whole number of steps, at least 1.")
    if not type(value).__module__.startswith("optwise."):
        _refuse_no_factors(where, value)
    return value


def within(where: str, value: Any, limit: tuple[float, float]) -> None:
    """Refuse a number outside of ``limit``, and a distribution that leads there.

    Raises:
        BadMethod: The number, or the end of the distribution, and where it must lie.
    """
    low, high = limit
    for number in _ends(value):
        if isinstance(number, Tensor) or (low <= _number(where, number) <= high and number != math.inf):
            continue
        found = f"{value}, which leads to {number:g}" if number is not value else f"{number}"
        raise BadMethod(f"{where} is {found}; it must lie in {_interval(low, high)}.")


def _ends(value: Any) -> Iterator[Any]:
    """A number itself, or the numbers between which a distribution lies, or all of them where they have no order."""
    if isinstance(value, Choice | tuple):
        for option in value.options if isinstance(value, Choice) else value:
            yield from _ends(option)
    elif isinstance(value, When):
        yield from _ends(value.otherwise)
        yield from _ends(value.then)
    elif isinstance(value, Distribution):
        yield from (value.at(0.0), value.at(1.0))
    else:
        yield value


def _interval(low: float, high: float) -> str:
    if math.isinf(high):
        return f"[{low:g}, inf)"
    whole = math.nextafter(high, math.inf)  # an open end is written as the number just below it
    return f"[{low:g}, {whole:g})" if whole == round(whole) and high != round(high) else f"[{low:g}, {high:g}]"


def _number(where: str, value: Any) -> Any:
    if isinstance(value, Distribution) or (isinstance(value, Tensor) and value.ndim == 0):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, bool | np.bool_) and isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    raise BadMethod(f"{where} is {_shown(value)}{_why_no_number(where, value)}.")


def _flag(where: str, value: Any) -> Any:
    if isinstance(value, Distribution):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise BadMethod(f"{where} is {_shown(value)}; it must be True or False.")


def _several(where: str, value: Any, shipped: tuple[Any, ...]) -> tuple[Any, ...]:
    values = value.tolist() if isinstance(value, np.ndarray | Tensor) and value.ndim == 1 else value
    if isinstance(values, tuple | list) and not shipped:  # an empty default says nothing of what may stand there
        return tuple(values)
    if not isinstance(values, tuple | list) or len(values) != len(shipped):
        name = where.rpartition(".")[2]
        count = _COUNTS.get(len(shipped), str(len(shipped)))
        raise BadMethod(f"{where} is {_shown(value)}; give {count} numbers, as in {name}={shipped}.")
    return tuple(admitted(f"{where}[{i}]", item, shipped[i]) for i, item in enumerate(values))


def _why_no_number(where: str, value: Any) -> str:
    """The rest of a sentence that says what to write instead of ``value``."""
    name = where.rpartition(".")[2]
    many = _numbers_in(value)
    if isinstance(value, range):
        return f"; write {name}=IntUniform({value[0]}, {value[-1]})" if len(value) > 1 else _otherwise(name)
    if len(many) == 2 and many[0] < many[1]:
        low, high = many
        kind = "LogUniform" if low > 0 else "Uniform"
        return f": a pair is no range; write {name}={kind}({low:g}, {high:g})"
    if many:
        listed = ", ".join(f"{number:g}" for number in many[:6])
        what = f"Choice({listed}{', ...' if len(many) > 6 else ''})" if len(many) > 1 else listed
        return f", where one number belongs; write {name}={what}"
    if isinstance(value, bool | np.bool_):
        return f", a flag; it must be a number or a distribution, as in {name}={float(value):g}"
    if isinstance(value, str):
        read = _read(value)
        return _otherwise(name) if read is None else f", a string; write the number, {name}={read:g}"
    if value is None:
        return f"; leave it out for its default, or give {name}= a number or a distribution"
    if isinstance(value, type) and issubclass(value, Distribution):
        return f", a class; give its ends, as in {name}={value.__name__}(1e-4, 1e-1)"
    home = type(value).__module__.partition(".")[0]
    if home in _FOREIGN and not isinstance(value, Tensor):
        return f", of {home}, which the search does not know; give a number, or {_KNOWN} of optwise"
    return _otherwise(name)


def _otherwise(name: str) -> str:
    return f"; it must be a number or a distribution, as in {name}=LogUniform(1e-4, 1e-1)"


def _numbers_in(value: Any) -> list[float]:
    """The numbers of a sequence, set or array; empty where it is none."""
    if isinstance(value, AbstractSet):
        value = sorted(value) if all(isinstance(item, Real) for item in value) else ()
    elif isinstance(value, np.ndarray | Tensor):
        value = value.reshape(-1).tolist()
    elif not isinstance(value, list | tuple):
        return []
    return [float(item) for item in value] if all(isinstance(item, Real) for item in value) else []


def _read(text: str) -> float | None:
    try:
        return float(Fraction(text) if "/" in text else text)
    except (ValueError, ZeroDivisionError):
        return None


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _why_no_schedule(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, Schedule):
        return f", a class; write {value.__name__}()"
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__.startswith("torch.optim"):
        return ", which steps an optimizer that it holds, while a schedule here is a closed form of the step"
    if callable(value):
        return ", a function that no record can describe; a schedule of your own is a dataclass (docs/add-a-method.md)"
    return ", which is no schedule"


def _schedules() -> str:
    kinds: list[type[Schedule]] = Schedule.__subclasses__()
    return ", ".join(sorted(kind.__name__ for kind in kinds if kind.__module__.startswith("optwise.")))


def _refuse_no_factors(where: str, schedule: Schedule) -> None:
    """Hold a schedule of the user's to what the engine will ask of it."""
    if any(isinstance(part, Distribution) for part in vars(schedule).values()):
        return
    try:
        factors = np.asarray(schedule.factors(4), dtype=np.float64)
    except Exception as error:
        raise BadMethod(f"{where} fails: {type(error).__name__}: {error}; mend {type(schedule).__name__}.") from error
    if factors.shape != (4,) or not all(0 <= factor < math.inf for factor in factors):
        raise BadMethod(
            f"{where} gives {factors.tolist()} for the steps 0 to 3; factor(k, horizon) takes an array of steps and "
            "must give a finite factor for each, at least 0."
        )
