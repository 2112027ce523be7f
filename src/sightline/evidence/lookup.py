"""Where a value stands: every occurrence on the pages, and the one beside its label.

Source: contract-2.md section 15.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from rapidfuzz import fuzz, utils

from sightline.evidence.page_index import PageIndex, Span
from sightline.evidence.readings import dates, numbers, times
from sightline.evidence.values import Value

Status = Literal["exact", "normalised", "close", "computed", "seen", "measured", "absent"]
TICKED, UNTICKED = "☑", "□"
_MOST_LOOKED_AT = 64
"""Occurrences of one value on a page."""
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
        for spans in islice(_same(text, index), _MOST_LOOKED_AT):
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
            if _alike(value.labels, index.neighbours.control_label(number)) >= _LEAST_LABEL:
                found.append(Occurrence("seen", page, (Span(number, 0, 1),)))
    return found


def nearest_label(labels: Sequence[str], found: Sequence[Occurrence], pages: Sequence[PageIndex]) -> list[Occurrence]:
    """Return `found` with the one first that stands beside what `labels` call it; the first of those that do alike."""
    if len(found) < 2 or not labels:
        return list(found)
    return sorted(found, key=lambda one: -_labelled(labels, one, pages[one.page]))


def _labelled(labels: Sequence[str], occurrence: Occurrence, index: PageIndex) -> float:
    span = occurrence.spans[0]
    own = index.lines[span.line].text[: span.begin]
    scores = [share * _alike(labels, text) for share, text in [(1.0, own), *index.neighbours.labels(span.line)]]
    best = max(scores)
    return best if best >= _LEAST_LIKE else 0.0


def _alike(labels: Sequence[str], text: str) -> float:
    """How much a text is like one of the labels, 0 to 100; the first of these says most."""
    text = utils.default_process(text)
    if not text:
        return 0.0
    scores = [fuzz.token_set_ratio(utils.default_process(label), text) for label in labels]
    return max((score * (1.0 if at == 0 else 0.95) for at, score in enumerate(scores)), default=0.0)
