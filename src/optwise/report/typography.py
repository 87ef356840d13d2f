"""Formulas as they are typed, set as they are printed: signs, powers, raised and lowered letters of any font."""

from __future__ import annotations

import re

from optwise.report.words import MINUS, TIMES, escape

_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹ᵀᴮᵏⁿ⁻⁺", f"0123456789TBkn{MINUS}+", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖ", f"0123456789+{MINUS}ijk", strict=True))
_UP = {plain: raised for raised, plain in _RAISED.items()} | {"-": "⁻"}
_POWER = re.compile(r"\^(?:\(([0-9TBkn+\u2212-]+)\)|([0-9TBkn]|-\d+))")
_TEN = re.compile(r"(?<![\w.,])(\d(?:\.\d+)?)e([+-]?\d+)\b")
_SIGNS = {" - ": f" {MINUS} ", " * ": f" {TIMES} "}
_SHIFTED = re.compile(f"[{''.join(_RAISED)}]+|[{''.join(_LOWERED)}]+")
_WORDS = re.compile(r">([^<>]+)</(text|tspan)>")
SMALLER = 0.72
"""Size of raised and lowered letters, of that of the others."""


def signs(text: str) -> str:
    """A sentence with formulas as they are typed, set in mathematical signs.

    Example:
        >>> print(signs("sigma^2 * (1 - η)^(2k) leaves 3.2e-7 of X^T X"))
        σ² × (1 − η)²ᵏ leaves 3.2 × 10⁻⁷ of Xᵀ X
    """
    text = re.sub(r"\bsigma\b", "\N{GREEK SMALL LETTER SIGMA}", text)
    for typed, sign in _SIGNS.items():
        text = text.replace(typed, sign)
    text = re.sub(r"\b([wf])0\b", r"\1₀", text)
    text = _POWER.sub(lambda found: "".join(_UP[letter] for letter in found[1] or found[2]), text)
    return _TEN.sub(lambda found: _times(found[1]) + power_of_ten(int(found[2])), text)


def power_of_ten(exponent: int) -> str:
    """Ten to a power.

    Example:
        >>> power_of_ten(-12)
        '10⁻¹²'
    """
    return "10" + "".join(_UP[letter] for letter in str(exponent))


def typeset(text: str) -> str:
    """Escaped text for SVG in which raised and lowered signs are set from plain letters, which every font has.

    Example:
        >>> typeset("x²")
        'x<tspan dy="-0.5em" font-size="0.72em">2</tspan><tspan dy="0.36em">\u200b</tspan>'
    """
    parts, end = [], 0
    for found in _SHIFTED.finditer(text):
        raised = found[0][0] in _RAISED
        plain = "".join((_RAISED if raised else _LOWERED)[letter] for letter in found[0])
        shift = -0.5 if raised else 0.28  # of the smaller letters
        parts.append(escape(text[end : found.start()]))
        parts.append(f'<tspan dy="{shift:g}em" font-size="{SMALLER:g}em">{plain}</tspan>')
        # what is empty would not move the line back
        parts.append(f'<tspan dy="{-SMALLER * shift:.4g}em">\N{ZERO WIDTH SPACE}</tspan>')
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def typeset_svg(svg: str) -> str:
    """An SVG whose texts are set by :func:`typeset`; they are escaped already."""

    def put(found: re.Match[str]) -> str:
        words = found[1]
        if not _SHIFTED.search(words):
            return found[0]
        parts = [typeset(part) if _SHIFTED.search(part) else part for part in re.split(r"(&\w+;|&#\d+;)", words)]
        return f">{''.join(parts)}</{found[2]}>"

    return _WORDS.sub(put, svg)


def _times(mantissa: str) -> str:
    return "" if mantissa == "1" else f"{mantissa} {TIMES} "
