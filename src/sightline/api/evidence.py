"""Evidence and lines as JSON.

Source: contract-2.md section 15.
"""

from __future__ import annotations

from typing import Any

from pagetext import Line
from sightline.evidence.evidence import Evidence, Place
from sightline.evidence.page import ReadPage

MOST_LINES = 2_000
"""Of one picture."""


def evidence_body(evidence: Evidence, choice: int, tool_call: int | None) -> dict[str, Any]:
    """One value of an answer: where it stands, and where else."""
    body: dict[str, Any] = {"choice": choice}
    if tool_call is not None:
        body["tool_call"] = tool_call
    body["path"] = evidence.path
    if evidence.start is not None:
        body |= {"start": evidence.start, "end": evidence.end}
    body |= {"value": evidence.value, "status": evidence.status}
    if evidence.place is not None:
        body |= _place(evidence.place)
    if evidence.token_probability is not None:
        body["token_probability"] = evidence.token_probability
    if evidence.parts:
        body["parts"] = [_place(one) for one in evidence.parts]
    if evidence.others:
        body["others"] = [_place(one) for one in evidence.others]
    return body


def _place(place: Place) -> dict[str, Any]:
    return {
        "image": place.image,
        "page": place.page,
        "box": place.box,
        "quad": _rounded(place.quad),
        "text": place.text,
        "read_confidence": round(place.read_confidence, 3),
    }


def lines_body(page: ReadPage, image: int) -> dict[str, Any]:
    """What is written on one picture, in reading order."""
    body: dict[str, Any] = {"image": image, "page": 1, "lines": [_line(line) for line in page.lines[:MOST_LINES]]}
    return {**body, "cut": True} if len(page.lines) > MOST_LINES else body


def _line(line: Line) -> dict[str, Any]:
    left, top, right, bottom = line.box
    body: dict[str, Any] = {
        "text": line.text,
        "box": (left, top, right - left, bottom - top),
        "quad": _rounded(line.quad),
        "confidence": round(line.confidence, 3),
    }
    return body if line.row is None else {**body, "row": line.row, "column": line.column}


def _rounded(quad: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [(round(x, 1), round(y, 1)) for x, y in quad]
