"""Values that stand nowhere and follow from what does: the sum of a column, the number of its rows.

Asked for by the words of the question or the field alone: a small number is the count of something on every page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby

from sightline.evidence.lookup import Occurrence
from sightline.evidence.page_index import PageIndex, Span
from sightline.evidence.readings import NUMBER, numbers
from sightline.evidence.values import Value

_SUM = re.compile(r"\b(total|sum|altogether|in all|combined|summe|gesamt\w*|insgesamt|suma|somme)\b", re.IGNORECASE)
_COUNT = re.compile(r"\b(how many|count|number of|wie viele|anzahl|cu[aá]nt[oa]s|combien|nombre de)\b", re.IGNORECASE)


def computed(value: Value, question: str, pages: Sequence[PageIndex]) -> list[Occurrence]:
    """Return the parts that add up to `value`, or are as many; empty where none do, or nothing asks for that."""
    wanted = numbers(value.text)
    asked = " ".join([*value.labels, question])
    for page, index in enumerate(pages) if wanted else ():
        for column in _columns(index):
            if _SUM.search(asked):
                figures = [(span, readings) for span in column for readings in [_number(index, span)] if readings]
                if len(figures) > 1 and wanted & _sums([readings for _, readings in figures]):
                    return [Occurrence("computed", page, (span,)) for span, _ in figures]
            if _COUNT.search(asked) and Decimal(len(column) - 1) in wanted:
                return [Occurrence("computed", page, (span,)) for span in column[1:]]
    return []


def _columns(index: PageIndex) -> Iterator[list[Span]]:
    """Yield the cells of each table's columns, headers first."""
    placed = [(line.row, line.column or 0, at) for at, line in enumerate(index.lines) if line.row is not None]
    rows = sorted({row for row, _, _ in placed})
    for _, table in groupby(enumerate(rows), key=lambda pair: pair[1] - pair[0]):
        own = {row for _, row in table}
        cells = sorted((column, row, at) for row, column, at in placed if row in own)
        for _, column in groupby(cells, key=lambda cell: cell[0]):
            yield [Span(at, 0, len(index.lines[at].text)) for _, _, at in column]


def _number(index: PageIndex, span: Span) -> frozenset[Decimal]:
    found = NUMBER.search(index.lines[span.line].text)
    return numbers(found[0]) if found else frozenset()


def _sums(figures: Sequence[frozenset[Decimal]]) -> frozenset[Decimal]:
    """The sum of figures, each read in the way that most of them can be."""
    sums = {sum((max(readings) for readings in figures), Decimal()), sum((min(r) for r in figures), Decimal())}
    return frozenset(sums)
