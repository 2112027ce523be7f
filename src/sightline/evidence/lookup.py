"""Where a value stands: every occurrence on the pages, and the one beside its label.

Source: contract-2.md section 15.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from rapidfuzz import fuzz, utils

from pagetext import Line
from sightline.evidence.page_index import PageIndex, Span
from sightline.evidence.readings import dates, numbers, times
from sightline.evidence.values import Value

Status = Literal["exact", "normalised", "close", "computed", "seen", "measured", "absent"]
TICKED, UNTICKED = "☑", "□"
_LABEL_LINES = 2
"""So many lines above a value may be its label."""
_ABOVE, _HEADER = 0.9, 0.85
"""How much a label above a value, or at the head of its column, counts beside one in front of it."""
_LEAST_LIKE, _LEAST_LABEL = 60.0, 80.0
"""Of 100: what is less alike is no label; a control's has to be the field's name."""


class Occurrence(NamedTuple):
    """Where a value stands: on which page (from 0), and in which characters."""

    status: Status
    page: int
    spans: tuple[Span, ...]


def occurrences(value: Value, pages: Sequence[PageIndex]) -> list[Occurrence]:
    """Return where `value` stands, as it is spelled before what can mean the same, that before what is nearly it."""
    if isinstance(value.value, bool):
        return _controls(value, pages)
    text = value.text.strip()
    found: dict[tuple[int, tuple[Span, ...]], Occurrence] = {}
    for page, index in enumerate(pages):
        for spans in _same(text, index):
            spelled = index.spelled(spans, text)
            found.setdefault((page, spans), Occurrence("exact" if spelled else "normalised", page, spelled or spans))
    if found:
        return sorted(found.values(), key=lambda one: (one.status != "exact", one.page, one.spans))
    if numbers(text) or dates(text) or times(text):
        return []  # another figure is another value
    near = ((page, index.nearly(text)) for page, index in enumerate(pages))
    return [Occurrence("close", page, spans) for page, spans in near if spans is not None]


def _same(text: str, index: PageIndex) -> Iterator[tuple[Span, ...]]:
    if numbers(text):
        yield from index.same_number(text)
    elif dates(text):
        yield from index.same_day(text)
    elif times(text):
        yield from index.same_time(text)
    else:
        yield from index.same_letters(text)


def _controls(value: Value, pages: Sequence[PageIndex]) -> list[Occurrence]:
    """Check boxes and switches that are as `value` says, beside a label that is the field's."""
    wanted = TICKED if value.value else UNTICKED
    found = []
    for page, index in enumerate(pages):
        for number, line in enumerate(index.lines):
            if line.text != wanted:
                continue
            label = _right_of(line, index.lines) or _left_of(line, index.lines)
            if label is not None and _alike(value.labels, label.text) >= _LEAST_LABEL:
                found.append(Occurrence("seen", page, (Span(number, 0, 1),)))
    return found


def nearest_label(labels: Sequence[str], found: Sequence[Occurrence], pages: Sequence[PageIndex]) -> list[Occurrence]:
    """Return `found` with the one first that stands beside what `labels` call it; the first of those that do alike."""
    if len(found) < 2 or not labels:
        return list(found)
    return sorted(found, key=lambda one: -_labelled(labels, one, pages[one.page]))


def _labelled(labels: Sequence[str], occurrence: Occurrence, index: PageIndex) -> float:
    span = occurrence.spans[0]
    line = index.lines[span.line]
    scores = [_alike(labels, line.text[: span.begin])]
    if (left := _left_of(line, index.lines)) is not None:
        scores.append(_alike(labels, left.text))
    if (first := _first_cell(line, index.lines)) is not None:
        scores.append(_ABOVE * _alike(labels, first.text))
    scores += [_ABOVE * _alike(labels, above.text) for above in _above(line, index.lines)]
    if (header := _header(line, index.lines)) is not None:
        scores.append(_HEADER * _alike(labels, header.text))
    best = max(scores)
    return best if best >= _LEAST_LIKE else 0.0


def _alike(labels: Sequence[str], text: str) -> float:
    """How much a text is like one of the labels, 0 to 100; the first of these says most."""
    text = utils.default_process(text)
    if not text:
        return 0.0
    scores = [fuzz.token_set_ratio(utils.default_process(label), text) for label in labels]
    return max((score * (1.0 if at == 0 else 0.95) for at, score in enumerate(scores)), default=0.0)


def _left_of(line: Line, lines: Sequence[Line]) -> Line | None:
    beside = [one for one in lines if one is not line and _is_beside(one, line) and one.box[2] <= _middle(line)]
    return max(beside, key=lambda one: one.box[2], default=None)


def _right_of(line: Line, lines: Sequence[Line]) -> Line | None:
    beside = [one for one in lines if one is not line and _is_beside(one, line) and one.box[0] >= _middle(line)]
    return min(beside, key=lambda one: one.box[0], default=None)


def _above(line: Line, lines: Sequence[Line]) -> list[Line]:
    over = [
        one
        for one in lines
        if one.box[3] <= (line.box[1] + line.box[3]) / 2 and one.box[0] < line.box[2] and line.box[0] < one.box[2]
    ]
    return sorted(over, key=lambda one: -one.box[3])[:_LABEL_LINES]


def _first_cell(line: Line, lines: Sequence[Line]) -> Line | None:
    """The first cell of the table row that `line` stands in."""
    if line.row is None or not line.column:
        return None
    return next((one for one in lines if one.row == line.row and one.column == 0), None)


def _header(line: Line, lines: Sequence[Line]) -> Line | None:
    """The topmost cell of the table column that `line` stands in."""
    if line.row is None:
        return None
    rows = {one.row for one in lines if one.row is not None}
    top = line.row
    while top - 1 in rows:
        top -= 1
    column = [one for one in lines if one.row == top and one.column == line.column]
    return column[0] if column and top != line.row else None


def _is_beside(one: Line, other: Line) -> bool:
    """Whether two lines overlap in height by half of the lower one."""
    overlap = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return overlap >= 0.5 * min(one.box[3] - one.box[1], other.box[3] - other.box[1])


def _middle(line: Line) -> float:
    return (line.box[0] + line.box[2]) / 2
