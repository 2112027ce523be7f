"""The text of a page made ready to be searched: by letters and digits alone, and by its numbers, dates and times."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from pagetext import Line
from sightline.evidence.readings import DATE, NUMBER, TIME, dates, numbers, same_day, times

_FIRST_IDEOGRAPH = "\u2e80"
"""From here on words have no blanks between them."""
_LEAST_CLOSE = 5
"""Letters that a text must have before one of them may differ."""


_FIGURE = re.compile(r"\d+(?:[.,:/]\d+)*")
_LOOSE = re.compile(r"[\s()-]")


class Span(NamedTuple):
    """Characters `begin` to `end` of line number `line` of a page."""

    line: int
    begin: int
    end: int


class PageIndex:
    """One page: its lines in reading order."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines = lines
        self._letters: list[str] = []
        self._at: list[tuple[int, int]] = []
        for number, line in enumerate(lines):
            for at, character in enumerate(line.text):
                for letter in fold(character):
                    self._letters.append(letter)
                    self._at.append((number, at))
        self._text = "".join(self._letters)

    def text_of(self, spans: tuple[Span, ...]) -> str:
        """Return what is written in `spans`."""
        return " ".join(self.lines[span.line].text[span.begin : span.end] for span in spans)

    def spelled(self, spans: tuple[Span, ...], text: str) -> tuple[Span, ...] | None:
        """Return the part of `spans` that is `text` to the letter; None where no part is."""
        if len(spans) > 1:
            return spans if self.text_of(spans) == text else None
        (span,) = spans
        written = self.lines[span.line].text
        begin = written.find(text, span.begin, span.end)
        end = begin + len(text)
        if begin < 0 or written[begin - 1 : begin].isalnum() or written[end : end + 1].isalnum():
            return None
        return (Span(span.line, begin, end),)

    def same_letters(self, text: str) -> Iterator[tuple[Span, ...]]:
        """Yield where whole words have the letters and digits of `text`, whatever stands between them."""
        wanted = fold(text)
        at = self._text.find(wanted) if wanted else -1
        while at >= 0:
            if self._is_start(at) and self._is_end(at + len(wanted)):
                spans = self._spans(at, at + len(wanted))
                if _figures(self.text_of(spans)) == _figures(text):
                    yield spans
            at = self._text.find(wanted, at + 1)

    def nearly(self, text: str) -> tuple[Span, ...] | None:
        """Return where whole words differ from `text` in a few letters and no digit; None if they do nowhere."""
        wanted = fold(text)
        if len(wanted) < _LEAST_CLOSE or len(self._text) < _LEAST_CLOSE:
            return None
        found = fuzz.partial_ratio_alignment(wanted, self._text, score_cutoff=70)
        if found is None:
            return None
        begin, end = found.dest_start, found.dest_end
        while begin > 0 and not self._is_start(begin):
            begin -= 1
        while end < len(self._text) and not self._is_end(end):
            end += 1
        most = len(wanted) // 8 if len(wanted) >= 16 else 1
        read = self._text[begin:end]
        if _digits(read) != _digits(wanted) or Levenshtein.distance(wanted, read, score_cutoff=most) > most:
            return None
        return self._spans(begin, end)

    def same_number(self, text: str) -> Iterator[tuple[Span, ...]]:
        """Yield where a number stands that `text` can mean too."""
        wanted = numbers(text)
        return ((span,) for span, readings in self._numbers if wanted & readings)

    def same_day(self, text: str) -> Iterator[tuple[Span, ...]]:
        """Yield where a date stands that `text` can mean too."""
        wanted = dates(text)
        return ((span,) for span, readings in self._dates if same_day(wanted, readings))

    def same_time(self, text: str) -> Iterator[tuple[Span, ...]]:
        """Yield where a time of day stands that `text` can mean too."""
        wanted = times(text)
        return ((span,) for span, readings in self._times if wanted & readings)

    @cached_property
    def _numbers(self) -> list[tuple[Span, frozenset[Decimal]]]:
        taken = {(span.line, at) for span, _ in (*self._dates, *self._times) for at in range(span.begin, span.end)}
        return [
            (Span(number, *found.span()), numbers(found[0]))
            for number, line in enumerate(self.lines)
            for found in NUMBER.finditer(line.text)
            if (number, found.start()) not in taken
        ]

    @cached_property
    def _dates(self) -> list[tuple[Span, frozenset[date]]]:
        found = [
            (Span(n, *one.span()), dates(one[0]))
            for n, line in enumerate(self.lines)
            for one in DATE.finditer(line.text)
        ]
        return [(span, readings) for span, readings in found if readings]

    @cached_property
    def _times(self) -> list[tuple[Span, frozenset[time]]]:
        return [
            (Span(n, *one.span()), times(one[0]))
            for n, line in enumerate(self.lines)
            for one in TIME.finditer(line.text)
        ]

    def _is_start(self, at: int) -> bool:
        """Whether a word begins with letter `at`."""
        line, character = self._at[at]
        before = self.lines[line].text[:character][-1:]
        return not before.isalnum() or self._letters[at] >= _FIRST_IDEOGRAPH

    def _is_end(self, at: int) -> bool:
        """Whether a word ends before letter `at`."""
        line, character = self._at[at - 1]
        after = self.lines[line].text[character + 1 : character + 2]
        return not after.isalnum() or self._letters[at - 1] >= _FIRST_IDEOGRAPH

    def _spans(self, begin: int, end: int) -> tuple[Span, ...]:
        spans: list[Span] = []
        for line, at in self._at[begin:end]:
            if spans and spans[-1].line == line:
                spans[-1] = Span(line, spans[-1].begin, at + 1)
            else:
                spans.append(Span(line, at, at + 1))
        return tuple(spans)


def fold(text: str) -> str:
    """Return letters and digits alone, in one case and one Unicode form, without accents."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _figures(text: str) -> list[str]:
    """Return the figures of a text with the signs inside them: "1.2" is not "12", "030 12-34" is "0301234"."""
    return _FIGURE.findall(_LOOSE.sub("", text))
