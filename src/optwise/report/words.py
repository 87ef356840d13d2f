"""Numbers, intervals, units and escaped text: how every table and caption spells them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS, Budget
from optwise.core.metric import Direction, Target
from optwise.core.protocol import Protocol

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
"""Of numbers and differences, as the axes of the charts have it."""
TIMES = "\N{MULTIPLICATION SIGN}"
_DIGITS = 17
"""Digits that tell any two numbers apart."""
_SIGNS = {"<=": "\N{LESS-THAN OR EQUAL TO}", ">=": "\N{GREATER-THAN OR EQUAL TO}"}
_BIT = re.compile(r"[^\s,]+,*|,+")
_COMPARISON = re.compile(r" ?(<=|>=) ?")
_AXIS_TITLES = {
    STEPS: "steps",
    EXAMPLE_GRADIENTS: "example-gradients",
    SECONDS: f"seconds (steps {TIMES} solo step time)",
}


def escape(text: object) -> str:
    """Text for HTML, quotes included."""
    return html.escape(str(text), quote=True)


def prose(text: object) -> str:
    """A sentence for HTML: comparisons in the one sign that the page has for them; commands are escaped as they are.

    Example:
        >>> prose("sgd & adam reach valid/loss<=0.1")
        'sgd &amp; adam reach valid/loss ≤ 0.1'
    """
    return escape(_COMPARISON.sub(lambda found: f" {_SIGNS[found[1]]} ", str(text)))


def unbroken(command: str) -> str:
    """A command for HTML, whose lines break between words and after commas, but inside neither.

    Example:
        >>> unbroken("optwise compare")
        '<span class="bit">optwise</span> <span class="bit">compare</span>'
    """
    return _BIT.sub(lambda bit: f'<span class="bit">{escape(bit[0])}</span>', command)


def number(value: float | None, *, digits: int = 3) -> str:
    """A number to ``digits`` significant digits; a dash where there is none.

    Example:
        >>> number(12832.0), number(0.11849), number(3.2e-7), number(None), number(-2500000.0)
        ('12,800', '0.118', '3.2e-7', '–', '−2.5e6')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value <= 0:
        return f"{MINUS}{number(-value, digits=digits)}" if value else "0"
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


def on_its_side(value: float, even: float, *, digits: int = 3) -> str:
    """A number with the digits it takes to see on which side of ``even`` it lies.

    Example:
        >>> on_its_side(0.99968, 1.0), on_its_side(0.667, 1.0), on_its_side(1.0, 1.0)
        ('0.9997', '0.667', '1')
    """
    alike = number(even)
    texts = (number(value, digits=more) for more in range(digits, _DIGITS + 1))
    return next((text for text in texts if text != alike or value == even), alike)


def told_apart(first: float, second: float, *, digits: int = 3) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart.

    Example:
        >>> told_apart(0.9512, 0.95), told_apart(0.99990001, 0.9999)
        (('0.951', '0.950'), ('0.99990001', '0.99990000'))
    """
    texts = [(number(first, digits=more), number(second, digits=more)) for more in range(digits, _DIGITS + 1)]
    return next((pair for pair in texts if pair[0] != pair[1] or first == second), texts[-1])


def outwards(end: float, even: float, *, digits: int = 3) -> str:
    """An end of an interval; one that would be rounded to ``even`` is rounded away from it.

    Example:
        >>> outwards(0.9996, 1.0), outwards(1.0004, 1.0), outwards(1.2345, 1.0)
        ('0.999', '1.01', '1.23')
    """
    text = number(end, digits=digits)
    if text != number(even) or end == even or not even:  # significant digits never round to zero
        return text
    last = 10.0 ** (1 - digits) * even
    return number(even + last if end > even else even - last / 10, digits=digits)


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
