"""An answer → right or wrong, read strictly.

In: the model's text and the `Turn` it should have given. Sentences and short answers must be the expected words, but
for case, blanks and a closing stop; a description may list its groups in another order; JSON must parse, with the
same keys and values and nothing more. No partial credit, no synonyms.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

from phrasing import Turn

GROUP = re.compile(r", | and ")
LEAD = re.compile(r"^(the (first|second|image|picture)( image| picture)? shows?|the (image|picture) shows)\s+")


LOOSE = {"colour", "shape", "describe", "compare", "is there", "where", "left/right", "above/below", "larger", "yes/no"}
LOOSE |= {"position", "size", "pictogram"}
"""Skills whose answers are our words, not the picture's: case and a closing stop are nothing there."""


def is_right(turn: Turn, answer: str) -> bool:
    """Say whether the answer is wholly right; where the question leaves the form open, as a sentence too."""
    if turn.sentence and is_right(replace(turn, pieces=((turn.sentence, True),), sentence=""), answer):
        return True
    if "json" in turn.form:
        value = parsed(answer)
        return value is not None and canonical(value) == canonical(json.loads(turn.answer))
    if turn.skill == "describe":
        return described(plain(answer)) == described(plain(turn.answer))
    if turn.skill in LOOSE:
        return plain(answer) == plain(turn.answer)
    return " ".join(answer.split()) == " ".join(turn.answer.split())


def parsed(answer: str) -> object | None:
    """Return the value of an answer in JSON; None if it is none."""
    try:
        value: object = json.loads(answer)
    except json.JSONDecodeError:
        return None
    return value


def declines(answer: str) -> bool:
    """Say whether the answer is that the picture does not tell."""
    return plain(answer).startswith("i can't tell")


def plain(text: str) -> str:
    return " ".join(text.lower().split()).removesuffix(".")


def described(text: str) -> tuple[str, list[str]]:
    """Return how the description begins, and its groups in an order of our own."""
    lead = LEAD.match(text)
    start = lead.end() if lead else 0
    return text[:start], sorted(GROUP.split(text[start:]))


def canonical(value: object) -> object:
    """Return the value with descriptions and unordered lists of words put in one order."""
    if isinstance(value, dict):
        return {key: described(inner) if key == "description" else canonical(inner) for key, inner in value.items()}
    if isinstance(value, list) and all(isinstance(inner, str) for inner in value):
        return sorted(value)
    return [canonical(inner) for inner in value] if isinstance(value, list) else value


def wilson(right: int, asked: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share. Source: Wilson 1927."""
    if not asked:
        return 0.0, 1.0
    share, square = right / asked, z * z / asked
    middle = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * math.sqrt(share * (1 - share) / asked + square / (4 * asked))
    return max(0.0, middle - reach), min(1.0, middle + reach)
