"""Held-out pictures → questions put to a served model → marks by skill.

In: the shipped folder's model, a seed. Out: `Mark`s: each question with the answer given and whether it is right, and
whether PP-OCR's transcription of the same picture has the text asked for. Pictures come from the split "eval": faces,
words and layouts that training has never seen, drawn anew from seeds of their own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pictures
from judge import is_right
from phrasing import Turn
from PIL import Image
from samples import SCENES, Mix, Sample, sample
from served import Ask, Served

from sightline.prompting.format import whole_lines

Transcribe = Callable[[Image.Image], str]
READ = {"word", "number", "date", "amount", "block", "field"}
"""Skills of reading, where a transcription of the whole picture can be held beside the answer."""
IGNORED = {"aside"}
MOST_A_PICTURE = 3


@dataclass(frozen=True, slots=True)
class Item:
    """A question about a held-out sample. `index` draws it again."""

    index: int
    kind: str
    turn: Turn
    ask: Ask


@dataclass(frozen=True, slots=True)
class Mark:
    """An item, the answer given, whether it is right, and whether the transcription has it (None: not asked)."""

    item: Item
    answer: str
    right: bool
    transcribed: bool | None = None


def items(
    mix: Mix,
    *,
    asked: int,
    seed: int,
    most_pictures: int,
    transcribe: Transcribe | None = None,
    characters: int = 0,
    again: bool = False,
    drew: Callable[[], None] = lambda: None,
) -> list[Item]:
    """Draw pictures until every skill met has `asked` questions, or `most_pictures` are drawn.

    Where the model has pictures read, `characters` of what `transcribe` reads on them stand beside them, as the
    service puts them; `again`: questions in front of them are said once more. `drew` is called after every picture.
    """
    chosen: list[Item] = []
    counts: Counter[str] = Counter()
    for index in range(most_pictures):
        drawn = sample("eval", index, seed, mix)
        fitting = [turn for turn in drawn.turns if turn.skill not in IGNORED and counts[skill_of(turn)] < asked]
        readings: tuple[str, ...] = ()
        if fitting and transcribe is not None and characters:
            readings = tuple(whole_lines(transcribe(image), characters) for image in originals(drawn, index, seed, mix))
        for turn in sorted(fitting, key=lambda turn: counts[skill_of(turn)])[:MOST_A_PICTURE]:
            counts[skill_of(turn)] += 1
            ask = replace(ask_of(drawn, turn), readings=readings, again=again)
            chosen.append(Item(index, drawn.kind, turn, ask))
        drew()
        if index > 200 and min(counts.values()) >= asked:
            break
    return chosen


def skill_of(turn: Turn) -> str:
    """Return what the table counts a turn under: JSON is a skill of its own."""
    return "json" if "json" in turn.form else turn.skill


def ask_of(drawn: Sample, turn: Turn) -> Ask:
    images = tuple(tuple(view.pixels for view in views) for views in drawn.images)
    schema = turn.schema
    if schema is None and "json" in turn.form:
        schema = schema_of(json.loads(turn.answer))
    layout = "after" if drawn.layout == "after" else "before"
    return Ask(images, turn.question, drawn.system, layout, schema)


def schema_of(value: object) -> dict[str, Any]:
    """Return the JSON schema a caller would send for a value of this form."""
    if isinstance(value, dict):
        inner = {key: schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": inner, "required": list(value), "additionalProperties": False}
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}}
    if isinstance(value, bool):
        return {"type": "boolean"}
    return {"type": "integer"} if isinstance(value, int) else {"type": "string"}


def examine(
    served: Served, asked: Sequence[Item], *, seed: int, mix: Mix, transcribe: Transcribe | None
) -> Iterator[Mark]:
    """Put every item to the model, and give its marks in the order asked."""
    answers = served.answer([item.ask for item in asked])
    for item, answer in zip(asked, answers, strict=True):
        found = None
        if transcribe is not None and item.turn.skill in READ and item.kind != SCENES and len(item.ask.images) == 1:
            text = transcribe(original(item, seed=seed, mix=mix))
            wanted = item.turn.told or item.turn.answer
            found = " ".join(wanted.split()) in " ".join(text.split())
        yield Mark(item, answer, is_right(item.turn, answer), found)


def originals(drawn: Sample, index: int, seed: int, mix: Mix) -> list[Image.Image]:
    """Draw a sample's pictures again, at their own size."""
    if drawn.kind == SCENES:
        return [Image.fromarray(views[0].pixels) for views in drawn.images]
    return [image.convert("RGB") for image in pictures.draw("eval", index, seed, mix.drawn_kinds).images]


def original(item: Item, *, seed: int, mix: Mix) -> Image.Image:
    """Draw the item's first picture again, at its own size."""
    if item.kind == SCENES:
        return Image.fromarray(item.ask.images[0][0])
    return pictures.draw("eval", item.index, seed, mix.drawn_kinds).images[0].convert("RGB")


def transcriber() -> Transcribe:
    """Load the service's own PP-OCR; needs the service's environment."""
    from pagetext import Reader

    reader = Reader.load(threads=2)
    return lambda image: reader.page(np.asarray(image)).text
