"""Numbers, intervals, units and escaped text: how every table and caption spells them."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from itertools import takewhile

from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS, Budget
from optwise.core.metric import Direction, Target
from optwise.core.protocol import Protocol

NOTHING = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
_AXIS_TITLES = {
    STEPS: "steps",
    EXAMPLE_GRADIENTS: "example-gradients",
    SECONDS: f"seconds (steps {TIMES} solo step time)",
}


def escape(text: object) -> str:
    """Text for HTML, quotes included."""
    return html.escape(str(text), quote=True)


def number(value: float | None, *, digits: int = 3) -> str:
    """A number to ``digits`` significant digits; a dash where there is none.

    Example:
        >>> number(12832.0), number(0.11849), number(3.2e-7), number(None), number(2500000.0)
        ('12,800', '0.118', '3.2e-7', '–', '2.5e6')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 < magnitude < 6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(exponent)}"
    places = digits - 1 - magnitude
    rounded = round(value, places)
    text = f"{rounded:,.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and rounded == int(rounded) else text


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A number and its interval; an open end is a dash.

    Example:
        >>> with_interval(0.9, 0.85, None)
        '0.900 [0.850, –]'
    """
    if value is None and low is None and high is None:
        return NOTHING
    return f"{number(value)} [{number(low)}, {number(high)}]"


def size_words(size: float, low: float, high: float) -> str:
    """How large a difference is, NaN standing for what is not known: a bound where one end is open.

    Example:
        >>> size_words(0.43, 0.295, 0.556), size_words(0.43, math.nan, 0.556)
        ('0.430 [0.295, 0.556]', '≤ 0.430 [–, 0.556]')
        >>> size_words(math.nan, math.nan, math.nan), size_words(1.64, math.nan, math.nan)
        ('size not known', '1.64')
    """
    if math.isnan(size):
        return "size not known"
    if math.isnan(low) and math.isnan(high):
        return number(size)
    return f"{open_end(low, high)}{with_interval(size, low, high)}"


def open_end(low: float | None, high: float | None) -> str:
    """The sign before a number whose interval misses leave open at one end."""
    below, above = (end is None or math.isnan(end) for end in (low, high))
    return "" if below == above else "≤ " if below else "≥ "


def probability(p: float | None) -> str:
    """A p value; very small ones only by their bound.

    Example:
        >>> probability(0.0134), probability(1e-5)
        ('0.013', '<0.001')
    """
    if p is None or not math.isfinite(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float | None) -> str:
    """A share in percent, whole where it is.

    Example:
        >>> percent(0.95), percent(0.025)
        ('95 %', '2.5 %')
    """
    return NOTHING if share is None else f"{100 * share:.3g} %"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that suits them.

    Example:
        >>> duration(0.000042), duration(8.13), duration(200)
        ('42 µs', '8.13 s', '3.33 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them.

    Example:
        >>> listed(["adam", "sgd", "adamw"])
        'adam, sgd and adamw'
    """
    *first, last = list(words) or [NOTHING]
    return f"{', '.join(first)} and {last}" if first else last


def brief(names: Sequence[str], *, length: int = 11) -> dict[str, str]:
    """Names short enough for the label of an axis: what all of them share is left out before anything else.

    Example:
        >>> brief(["sgd", "adamw"])
        {'sgd': 'sgd', 'adamw': 'adamw'}
        >>> list(brief(["my optimizer, small", "my optimizer, large"]).values())
        ['…small', '…large']
    """
    if all(len(name) <= length for name in names):
        return {name: name for name in names}
    head = _shared_start(names)
    tail = _shared_start([name[len(head) :][::-1] for name in names])[::-1]
    found = {}
    for name in names:
        middle = name[len(head) : len(name) - len(tail)].strip()
        text = f"{'…' if head else ''}{middle}{'…' if tail else ''}"
        text = text if middle and len(text) < len(name) else name
        found[name] = text if len(text) <= length else f"{text[: length - 1]}…"
    return found


def _shared_start(texts: Sequence[str]) -> str:
    """The letters that all of several texts begin with."""
    if len(texts) < 2:
        return ""
    shared = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in shared)


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    Example:
        >>> plural(1, "seed"), plural(4, "seed"), plural(6, "study")
        ('1 seed', '4 seeds', '6 studies')
    """
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def budget_words(budget: Budget) -> str:
    """A budget with a space before its unit.

    Example:
        >>> budget_words(Budget(1000, "steps"))
        '1,000 steps'
    """
    return (
        f"{budget.amount:,g} {budget.unit}"
        if budget.amount != int(budget.amount)
        else (f"{int(budget.amount):,} {budget.unit}")
    )


def basis(protocol: Protocol) -> str:
    """What every caption ends with: seeds and budget."""
    seeds = f"{plural(protocol.studies, 'study')} {TIMES} {plural(protocol.seeds, 'confirmation seed')} per method"
    return f"{seeds}, {budget_words(protocol.budget)} per run."


def goal_words(target: Target) -> str:
    """A target with its sign of comparison.

    Example:
        >>> goal_words(Target.parse("valid/loss<=0.12"))
        'valid/loss ≤ 0.12'
    """
    sign = "≤" if target.direction is Direction.MIN else "≥"
    return f"{target.metric} {sign} {target.value:.6g}"


def axis_title(axis: str) -> str:
    """An axis with its unit."""
    return _AXIS_TITLES.get(axis, axis)
