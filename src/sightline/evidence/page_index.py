"""The text of a page made ready to be searched: by letters and digits alone, and by its numbers, dates and times."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from pagetext import Line
from sightline.evidence.neighbours import Neighbours
from sightline.evidence.readings import DATE, NUMBER, TIME, dates, numbers, same_day, times

_FIRST_IDEOGRAPH = "\u2e80"
"""From here on words have no blanks between them."""
_LEAST_CLOSE = 5
"""Letters that a text must have before one of them may differ."""
_LEADING = 0.8
"""The most that is blank between lines of one text, in heights of a line."""


_FIGURE = re.compile(r"\d+(?:[.,:/]\d+)*")
_LOOSE = re.compile(r"[\s()-]")


class Span(NamedTuple):
    """Characters `begin` to `end` of line number `line` of a page."""

    line: int
    begin: int
    end: int


class PageIndex:
    """One page: its lines in reading order, and, for a text that is broken in a cell, each above the one below it."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self.lines = lines
        self.neighbours = Neighbours(lines)
        self._orders = [_Letters(lines, range(len(lines))), _Letters(lines, _stacked(lines))]

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
        for order in self._orders:
            for spans in order.find(fold(text)):
                if _figures(self.text_of(spans)) == _figures(text):
                    yield spans

    def nearly(self, text: str) -> tuple[Span, ...] | None:
        """Return where whole words differ from `text` in a few letters and no digit; None if they do nowhere."""
        return next((spans for order in self._orders if (spans := order.nearly(fold(text)))), None)

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


class _Letters:
    """The letters and digits of lines one after another, and where each stands."""

    def __init__(self, lines: Sequence[Line], order: Iterable[int]) -> None:
        self._lines = lines
        self._at: list[tuple[int, int]] = []
        letters: list[str] = []
        for number in order:
            for at, character in enumerate(lines[number].text):
                for letter in fold(character):
                    letters.append(letter)
                    self._at.append((number, at))
        self._text = "".join(letters)

    def find(self, wanted: str) -> Iterator[tuple[Span, ...]]:
        """Yield where whole words have these letters."""
        at = self._text.find(wanted) if wanted else -1
        while at >= 0:
            if self._is_start(at) and self._is_end(at + len(wanted)):
                yield self._spans(at, at + len(wanted))
            at = self._text.find(wanted, at + 1)

    def nearly(self, wanted: str) -> tuple[Span, ...] | None:
        """Return where whole words differ from these letters in a few, and in no digit."""
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

    def _is_start(self, at: int) -> bool:
        """Whether a word begins with letter `at`."""
        line, character = self._at[at]
        before = self._lines[line].text[:character][-1:]
        return not before.isalnum() or self._text[at] >= _FIRST_IDEOGRAPH

    def _is_end(self, at: int) -> bool:
        """Whether a word ends before letter `at`."""
        line, character = self._at[at - 1]
        after = self._lines[line].text[character + 1 : character + 2]
        return not after.isalnum() or self._text[at - 1] >= _FIRST_IDEOGRAPH

    def _spans(self, begin: int, end: int) -> tuple[Span, ...]:
        spans: list[Span] = []
        for line, at in self._at[begin:end]:
            if spans and spans[-1].line == line:
                spans[-1] = Span(line, spans[-1].begin, at + 1)
            else:
                spans.append(Span(line, at, at + 1))
        return tuple(spans)


def _stacked(lines: Sequence[Line]) -> list[int]:
    """The lines in another order: behind each the one right below it, as a text is broken in a cell of a table."""
    by_top = sorted(range(len(lines)), key=lambda at: lines[at].box[1])
    tops = [lines[at].box[1] for at in by_top]
    below: dict[int, int] = {}
    taken: set[int] = set()
    for number in by_top:
        _, top, _, bottom = lines[number].box
        near = by_top[bisect_right(tops, top) : bisect_right(tops, bottom + _LEADING * (bottom - top))]
        under = next((at for at in near if at not in taken and _share_width(lines[at], lines[number])), None)
        if under is not None:
            below[number] = under
            taken.add(under)
    order: list[int] = []
    for number in range(len(lines)):
        at: int | None = None if number in taken else number
        while at is not None:
            order.append(at)
            at = below.get(at)
    return order


def _share_width(one: Line, other: Line) -> bool:
    """Whether two lines stand over each other by half of the narrower one."""
    overlap = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    return overlap > min(one.box[2] - one.box[0], other.box[2] - other.box[0]) / 2


def fold(text: str) -> str:
    """Return letters and digits alone, in one case and one Unicode form, without accents."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _figures(text: str) -> list[str]:
    """Return the figures of a text with the signs inside them: "1.2" is not "12", "030 12-34" is "0301234"."""
    return _FIGURE.findall(_LOOSE.sub("", text))
