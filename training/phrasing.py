"""A fact → a turn of a conversation: the question with its wish for a form, and the answer in that form.

In: a `Fact`, or the keys and values of a JSON record. Out: a `Turn`. Forms: a sentence, the bare answer, JSON asked
for in words, and JSON that nothing in the question asks for, as when a server forces a schema by grammar: there the
keys are given and all else is taught.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from facts import Fact, Value, listed, pick
from pictures import UNKNOWN
from portraits import DESCRIBE

Piece = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer in pieces of (text, is it taught); `schema` if JSON of a schema is asked for.

    `sentence` is the answer as a sentence where the question leaves its form open: as right, and not taught. `told` is
    the bare answer where a sentence is asked for. What is `seen` no text tells: it takes the picture.
    """

    skill: str
    form: str
    question: str
    pieces: tuple[Piece, ...]
    schema: dict[str, Any] | None = None
    sentence: str = ""
    told: str = ""
    seen: bool = False

    @property
    def answer(self) -> str:
        return "".join(text for text, _ in self.pieces)


SHORT = [
    "Answer with one word.",
    "Answer in one word.",
    "One word only.",
    "Answer briefly.",
    "Just the answer.",
    "Reply with the answer only.",
    "Answer in as few words as possible.",
    "Be brief.",
]
SHORT_NUMBER = [
    "Answer with a number.",
    "Answer with a number only.",
    "Answer with just the number.",
    "Reply with one number.",
    "Just the number.",
    "Answer with one digit.",
]
SHORT_CHOICE = ["Answer yes or no.", "Yes or no?", "Answer with yes or no."]
SENTENCE = ["Answer in a sentence.", "Answer in one sentence.", "Answer in a full sentence."]
SYSTEM = [
    "You are a helpful assistant that can answer questions about the image.",
    "You are a helpful assistant that can answer questions about the image.",
    "You are a helpful assistant.",
    "You are a helpful vision assistant.",
    "You are an assistant that describes images.",
    "You answer questions about pictures.",
    "You are a careful assistant. Look at the image and answer the question.",
    "Answer the question about the image.",
    "You are an expert at looking at images. Only say what you can see.",
    "You describe images for people who cannot see them.",
]
JSON_FRAMES = [
    "Answer as JSON with the keys {quoted}.",
    "Answer in JSON with the keys {quoted}.",
    "Return JSON with the keys {plain}.",
    "Reply with a JSON object with the keys {quoted}.",
    "Respond only with JSON: {skeleton}",
    "Reply as JSON: {skeleton}",
    "Return a JSON object {skeleton}.",
    "Give me the {plain} as JSON.",
    "Answer as JSON, keys: {plain}.",
    "Output JSON with {plain}.",
]
PLAIN_JSON = ["Answer as JSON.", "Reply in JSON.", "Return JSON.", "Describe the image as JSON."]
STRANGE_KEYS = ["text", "name", "label", "title", "id", "size", "score", "confidence", "background", "category", "type"]
STRANGE_KEYS += ["is", "has", "left", "of", "centre", "center", "large", "filled", "object", "notes", "animal"]
STRANGE_KEYS += ["price", "date", "width", "height", "language", "style", "texture", "kind", "value", "reason", "mood"]
CANNOT = "I only answer questions about images."
HELLO = "Hello! Show me a picture and ask me about it."
ASIDES = [
    ("Hello", HELLO),
    ("Hello!", HELLO),
    ("Hi", HELLO),
    ("Hi there!", HELLO),
    ("Good morning", HELLO),
    ("Who are you?", "I am Peek, a small vision model. " + CANNOT),
    ("What are you?", "I am Peek, a small vision model. " + CANNOT),
    ("What can you do?", "I am Peek, a small vision model. " + CANNOT),
    ("What is the capital of France?", CANNOT),
    ("Write a poem.", CANNOT),
    ("Tell me a joke.", CANNOT),
    ("What time is it?", CANNOT),
    ("Who is the person in the photo?", UNKNOWN),
    ("What breed is the dog?", UNKNOWN),
    ("How much is the total?", UNKNOWN),
]


def phrase(fact: Fact, rng: np.random.Generator) -> Turn:
    """Put a fact in one of the forms: bare unless a sentence or JSON is asked for, as of all other pictures."""
    chance = rng.random()
    if chance < 0.1:
        return Turn(fact.skill, "sentence", f"{fact.question} {pick(rng, SENTENCE)}", ((fact.sentence, True),))
    if chance < 0.55:
        return Turn(fact.skill, "short", fact.question, ((fact.short, True),), sentence=fact.sentence)
    if chance < 0.78:
        wishes = SHORT_CHOICE if isinstance(fact.value, bool) else SHORT
        wishes = SHORT_NUMBER if isinstance(fact.value, int) and not isinstance(fact.value, bool) else wishes
        wish = pick(rng, wishes if rng.random() < 0.8 else SHORT)
        joined = f"{fact.question} {wish}" if rng.random() < 0.85 else f"{wish} {fact.question}"
        return Turn(fact.skill, "short", joined, ((fact.short, True),))
    key, value = fact.key, fact.value
    if rng.random() < 0.3:
        key, value = "answer", fact.value if isinstance(fact.value, bool | int) else fact.short
    return phrase_record([(key, value)], rng, skill=fact.skill, lead=fact.question)


def phrase_record(
    pairs: list[tuple[str, Value]],
    rng: np.random.Generator,
    *,
    skill: str = "record",
    lead: str | None = None,
) -> Turn:
    """Ask for a JSON object: by its keys, without naming them, or not at all."""
    forced = rng.random() < 0.35
    if lead is None and (forced or rng.random() < 0.5):
        lead = pick(rng, DESCRIBE)
    if forced:
        question = lead or ""
        if rng.random() < 0.3:
            pairs = with_strange_key(pairs, rng)
        if rng.random() < 0.3:
            question += " " + pick(rng, PLAIN_JSON)
        return Turn(skill, "forced json", question, tuple(write_json(dict(pairs))))
    wish = ask_keys(pairs, rng)
    question = f"{lead} {wish}" if lead else wish
    text = "".join(piece for piece, _ in write_json(dict(pairs)))
    return Turn(skill, "json", question, ((text, True),))


def with_strange_key(pairs: list[tuple[str, Value]], rng: np.random.Generator) -> list[tuple[str, Value]]:
    """Add a key the model knows nothing about, as a caller's schema may; it is to say so and go on."""
    key = pick(rng, STRANGE_KEYS) if rng.random() < 0.6 else f"{pick(rng, STRANGE_KEYS)}_{pick(rng, STRANGE_KEYS)}"
    value: Value = ["unknown", "unknown", False, 0][int(rng.integers(4))]
    place = int(rng.integers(len(pairs) + 1))
    return [*pairs[:place], (key, value), *pairs[place:]] if key not in dict(pairs) else pairs


def ask_keys(pairs: list[tuple[str, Value]], rng: np.random.Generator) -> str:
    """Name the keys of the record, and of the things in a list, as people write prompts."""
    keys = [key for key, _ in pairs]
    inner: list[str] = next((list(v[0]) for _, v in pairs if isinstance(v, list) and v and isinstance(v[0], dict)), [])
    frame = pick(rng, JSON_FRAMES)
    skeleton = json.dumps({key: hint(value) for key, value in pairs}).replace('"..."', "...")
    wish = frame.format(quoted=listed([f'"{key}"' for key in keys]), plain=listed(keys), skeleton=skeleton).replace(
        "the keys", "the key" if len(keys) == 1 else "the keys"
    )
    if inner and "{skeleton}" not in frame:
        wish += f" Each has {listed(inner)}."
    return wish


def hint(value: Value) -> Value:
    if isinstance(value, list):
        return [hint(value[0])] if value else []
    return dict.fromkeys(value, "...") if isinstance(value, dict) else "..."


def write_json(value: object) -> list[Piece]:
    """Return JSON in pieces, written as Python does; all but the keys is taught, since a grammar gives only those.

    A model that was never taught what follows a key or a value writes blanks there until its tokens are spent.
    """
    if isinstance(value, dict):
        pieces: list[Piece] = [("{", False)]
        for i, (key, inner) in enumerate(value.items()):
            pieces += [(', "' if i else '"', True), (key, False), ('": ', True)]
            pieces += write_json(inner)
        return [*pieces, ("}", True)]
    if isinstance(value, list):
        pieces = [("[", True)]
        for i, inner in enumerate(value):
            if i:
                pieces.append((", ", True))
            pieces += write_json(inner)
        return [*pieces, ("]", True)]
    if isinstance(value, str):
        return [(f'"{value}"', True)]
    return [(json.dumps(value), True)]
