"""What the recogniser writes → as a person would write it.

It knows Chinese print too, and reads a line without its page. Knows no other module, so that training reads its
pictures with the same code.
"""

from __future__ import annotations

import re

_WIDE = range(ord("！"), ord("～") + 1)
_NARROW: dict[int, int | str] = {wide: wide - ord("！") + ord("!") for wide in _WIDE if chr(wide).isalnum()}
_NARROW |= {ord("℃"): "°C", ord("℉"): "°F"}
_FIGURE = re.compile(r"(?<![\w.,:/-])([$€£]?)([\dOoIl]+(?:[.,:/][\dOoIl]+)+)(?![\w.,:/-]*\w)")
"""Digits parted by signs, with letters among them that look like digits."""
_PART = re.compile(r"[\dOoIl]*\d[\dOoIl]*|(?<=[.,])[Oo]+|^[Oo]+(?=[.,]\d)")
"""A part with a digit, or all noughts beside one; numerals of Rome ("15.II.2024") are neither."""
_LITRES = re.compile(r"\d+[.,]\d+[lI]")
"""A figure that a unit follows without a blank; an l in its middle is a digit all the same."""
_LEAST_DIGITS = 2
_DIGITS = str.maketrans("OoIl", "0011")


def narrowed(text: str) -> str:
    """Return a text with full-width digits and Latin letters, and degrees that are one sign, as usual ones.

    Wide or handwritten digits are taken for these now and then, and of "°F" the sign is read, and its ring once more.
    """
    return text.translate(_NARROW).replace("°°", "°")


def as_figures(text: str) -> str:
    """Return a text with the letters in its amounts, dates and times as the digits they look like: "£o.60", "l4:30"."""
    return _FIGURE.sub(_as_digits, text)


def _as_digits(match: re.Match[str]) -> str:
    sign, figure = match.groups()
    if sum(map(str.isdigit, figure)) < _LEAST_DIGITS or (not sign and _LITRES.fullmatch(figure)):
        return match.group()
    return sign + _PART.sub(lambda part: part.group().translate(_DIGITS), figure)
