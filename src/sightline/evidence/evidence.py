"""Evidence for an answer: of each value, whether it stands on a picture, where, and how sure it was read.

In: an answer's text, the lines of its pictures. Out: one entry a value, in the answer's order. It never changes an
answer.

Source: contract-2.md section 15.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from sightline.core import TokenLogprob
from sightline.evidence.computed import computed
from sightline.evidence.lookup import Occurrence, Status, nearest_label, occurrences
from sightline.evidence.page import ReadPage
from sightline.evidence.page_index import PageIndex
from sightline.evidence.readings import numbers
from sightline.evidence.values import Leaf, Value, has_inner, values_of

MOST_OTHERS = 16
_MEASURED = re.compile(r"~\s*([-−]?[\d.,]+)")

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where something stands: `image` and `page` from 1, `box` left, top, width, height in pixels at full size."""

    image: int
    box: tuple[int, int, int, int]
    quad: Quad
    text: str
    read_confidence: float
    page: int = 1


class Evidence(msgspec.Struct, frozen=True):
    """One value of an answer. `parts` are what a value was computed of, `others` where else it stands."""

    path: str
    value: Leaf
    status: Status
    start: int | None = None
    end: int | None = None
    place: Place | None = None
    parts: tuple[Place, ...] = ()
    others: tuple[Place, ...] = ()
    token_probability: float | None = None


class EvidenceFinder:
    """Looks up the values of the answers to one request. `question` is its last text, `schema` the answer's."""

    def __init__(self, pages: Sequence[ReadPage], question: str = "", schema: dict[str, Any] | None = None) -> None:
        self._pages = pages
        self._indexes = [PageIndex(page.lines) for page in pages]
        self._question = question
        self._schema = schema

    def find(self, answer: str, logprobs: Sequence[TokenLogprob] = ()) -> list[Evidence]:
        """Return one entry for each value of an answer."""
        values = values_of(answer, self._question, self._schema)
        found = [(value, self._one(value)) for value in values]
        kept = [one for value, one in found if one.status != "absent" or not has_inner(value, values)]
        return [_with_probability(one, answer, logprobs) for one in kept] if logprobs else kept

    def _one(self, value: Value) -> Evidence:
        found = nearest_label(value.labels, occurrences(value, self._indexes), self._indexes)
        said = {"path": value.path, "value": value.value, "start": value.start, "end": value.end}
        if found:
            places = [self._place(one) for one in found[: MOST_OTHERS + 1]]
            return Evidence(status=found[0].status, place=places[0], others=tuple(places[1:]), **said)  # type: ignore[arg-type]
        if self._is_measured(value.text):
            return Evidence(status="measured", **said)  # type: ignore[arg-type]
        if parts := computed(value, self._question, self._indexes):
            return Evidence(status="computed", parts=tuple(self._place(one) for one in parts), **said)  # type: ignore[arg-type]
        return Evidence(status="absent", **said)  # type: ignore[arg-type]

    def _is_measured(self, text: str) -> bool:
        """Whether a value was read off the axis of a chart, which the page's text marks with a tilde."""
        wanted = numbers(text)
        return any(
            wanted & numbers(measured.rstrip(".,")) for page in self._pages for measured in _MEASURED.findall(page.text)
        )

    def _place(self, occurrence: Occurrence) -> Place:
        lines = self._indexes[occurrence.page].lines
        quads = [lines[span.line].quad_of(span.begin, span.end) for span in occurrence.spans]
        confidence = min(lines[span.line].confidence for span in occurrence.spans)
        text = self._indexes[occurrence.page].text_of(occurrence.spans)
        return place(occurrence.page + 1, text, quads, confidence)


def place(image: int, text: str, quads: Sequence[Quad], confidence: float) -> Place:
    """Return the place around `quads`; several, of a text on several lines, become one level rectangle."""
    xs, ys = [x for quad in quads for x, _ in quad], [y for quad in quads for _, y in quad]
    left, top, right, bottom = math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys))
    around: Quad = ((left, top), (right, top), (right, bottom), (left, bottom))
    quad = quads[0] if len(quads) == 1 else around
    return Place(image, (max(0, left), max(0, top), right - max(0, left), bottom - max(0, top)), quad, text, confidence)


def _with_probability(evidence: Evidence, answer: str, logprobs: Sequence[TokenLogprob]) -> Evidence:
    """Add the model's own probability of a value: that of all its tokens together."""
    if evidence.start is None or evidence.end is None:
        return evidence
    at, total, is_covered = 0, 0.0, False
    for token in logprobs:
        end = at + len(token.token)
        if at < evidence.end and evidence.start < end:
            total, is_covered = total + token.logprob, True
        at = end
    if not is_covered or at != len(answer):
        return evidence
    return msgspec.structs.replace(evidence, token_probability=round(math.exp(total), 4))
