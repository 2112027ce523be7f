"""What a text can mean as a number, a date or a time; two texts are equal where they can mean the same.

"1.234" is 1234 in Berlin and 1.234 in London: a text has every reading that somebody would give it.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal

from dateutil import parser

_MONTHS = (
    ("jan", "january", "januar", "jänner", "enero", "ene", "janvier", "janv"),
    ("feb", "february", "februar", "febrero", "février", "févr", "fevrier"),
    ("mar", "march", "märz", "mär", "mrz", "marzo", "mars"),
    ("apr", "april", "abril", "abr", "avril", "avr"),
    ("may", "mai", "mayo"),
    ("jun", "june", "juni", "junio", "juin"),
    ("jul", "july", "juli", "julio", "juillet", "juil"),
    ("aug", "august", "agosto", "ago", "août", "aout"),
    ("sep", "sept", "september", "septiembre", "septembre"),
    ("oct", "october", "oktober", "okt", "octubre", "octobre"),
    ("nov", "november", "noviembre", "novembre"),
    ("dec", "december", "dezember", "dez", "diciembre", "dic", "décembre", "déc", "decembre"),
)
_MONTH = "|".join(sorted((name for names in _MONTHS for name in names), key=len, reverse=True))
_DAY = r"\d{1,2}(?:st|nd|rd|th|er|º|\.)?"
_YEAR = r"(?:19|20)\d\d"

NUMBER = re.compile(
    r"(?<![\w.,])[-−+(]?(?:[$€£¥]\s?)?[-−]?(?:\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+|\d+)(?:[.,]\d+)?(?![\d]|[.,]\d)"
    r"(?:\s?(?:[$€£¥%]|(?:EUR|USD|GBP|CHF|kr)\b))?\)?"
)
"""A number as people print it, with its currency or percent sign."""
DATE = re.compile(
    rf"(?<![\w./-])(?:\d{{1,4}}([./-])\d{{1,2}}\1(?:\d{{4}}|\d{{1,2}})|{_DAY}\s*(?:de |of )?(?:{_MONTH})\b\.?"
    rf"(?:,?\s*(?:de |del )?{_YEAR})?|(?:{_MONTH})\b\.?\s+{_DAY}(?:,?\s*{_YEAR})?)(?![\w/-])",
    re.IGNORECASE,
)
"""A day with its month; a year may be missing."""
TIME = re.compile(r"(?<![\w:.,])(\d{1,2})[:h](\d{2})(?::\d{2})?\s?([ap]\.?m\b\.?)?(?![\w:])", re.IGNORECASE)
_SEPARATORS = re.compile(r"[' \u00a0\u202f]")
_NO_YEAR = 4  # a leap year, which is nobody's
_DEFAULT = datetime(_NO_YEAR, 1, 1)


class _Words(parser.parserinfo):
    """Months in English, German, Spanish and French."""

    MONTHS = [*_MONTHS]  # type: ignore[list-item]  # noqa: RUF012  # dateutil's own, typed for two names a month
    JUMP = [*parser.parserinfo.JUMP, "de", "del", "er", "º"]  # noqa: RUF012


_DAY_FIRST, _MONTH_FIRST = _Words(dayfirst=True), _Words(dayfirst=False)


def numbers(text: str) -> frozenset[Decimal]:
    """Return what a text can mean as one number; empty where it is none."""
    found = NUMBER.fullmatch(text.strip())
    if found is None:
        return frozenset()
    is_negative = any(sign in text for sign in "-−") or (text.strip().startswith("(") and text.strip().endswith(")"))
    digits = _SEPARATORS.sub("", re.sub(r"[^\d.,' \u00a0\u202f]", "", text).strip())
    readings = {_decimal(digits, point) for point in ".,"} - {None}
    return frozenset(-one if is_negative else one for one in readings if one is not None)


def _decimal(digits: str, point: str) -> Decimal | None:
    """Read digits whose decimal point is `point`, and whose thousands the other sign parts, three by three."""
    other = "," if point == "." else "."
    whole, _, fraction = digits.partition(point)
    groups = whole.split(other)
    if point in fraction or other in fraction or not all(len(group) == 3 for group in groups[1:]):
        return None
    return Decimal("".join(groups) + (f".{fraction}" if fraction else ""))


def dates(text: str) -> frozenset[date]:
    """Return what a text can mean as one day; one without a year is of the year 4."""
    text = text.strip()
    if DATE.fullmatch(text) is None:
        return frozenset()
    found = set()
    for words in (_MONTH_FIRST,) if text[:4].isdigit() else (_DAY_FIRST, _MONTH_FIRST):
        try:
            found.add(parser.parse(text, parserinfo=words, default=_DEFAULT).date())
        except (ValueError, OverflowError):
            continue
    return frozenset(found)


def same_day(ours: frozenset[date], theirs: frozenset[date]) -> bool:
    """Whether two readings have a day in common; a year that one of them leaves out is any."""
    return any(
        one == other or (_NO_YEAR in (one.year, other.year) and (one.month, one.day) == (other.month, other.day))
        for one in ours
        for other in theirs
    )


def times(text: str) -> frozenset[time]:
    """Return what a text can mean as a time of day."""
    found = TIME.fullmatch(text.strip())
    if found is None or int(found[1]) > 24 or int(found[2]) > 59:
        return frozenset()
    hour = int(found[1]) % 24
    if found[3]:
        hour = hour % 12 + (12 if found[3].lower().startswith("p") else 0)
    return frozenset({time(hour, int(found[2]))})
