"""ImageMetadata about a picture → its questions: which are asked, in what words and in what form.

In: `Fact`s, each true of the picture and answered by it alone, and `Absent` things that it does not say. Out:
`Question`s: short answers mostly, some sentences, some JSON under a schema, and now and then "I can't tell". The last
fifth of every list of wordings is kept for eval; training says the others in further words, never in these.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pictures.base import UNKNOWN, Question, Split, pick
from pictures.rewording import reworded

Json = Any
BRIEF = ("Answer briefly.", "Just the answer.", "Reply with the answer only.", "Be brief.", "Short answer.")
SENTENCE = ("Answer in a sentence.", "Answer in a full sentence.", "Reply in one sentence.", "Answer with a sentence.")
RECORD = (
    "Extract the fields as JSON.",
    "Read this image and return JSON.",
    "Return the details as JSON.",
    "Fill in the JSON from the image.",
    "Give me {keys} as JSON.",
    "Answer as JSON with the keys {keys}.",
    "Return a JSON object with {keys}.",
    "Extract {keys}.",
    "What does the image say? Reply in JSON.",
    "Extract the data.",
    "Output JSON with {keys}.",
    "Pull {keys} out of this picture, as JSON.",
)
WHAT_IS = (
    "What is in the image?",
    "What is on the picture?",
    "Tell me what this is.",
    "What kind of picture is this?",
    "What does this image show?",
    "Say what you see.",
    "Can you describe the image?",
    "What can you see here?",
    "What is this image of?",
    "Which kind of document is this?",
    "Describe this.",
    "What type of picture is it?",
    "What sort of thing is this?",
    "What is this?",
    "What does the image show?",
    "What is shown in the image?",
    "What do you see?",
    "Describe the image.",
    "What is in the picture?",
    "What is this a picture of?",
    "Describe the picture in a few words.",
    "What kind of image is this?",
    "What is it?",
    "What am I looking at?",
    "What does this picture show?",
)
# Asked of photographs; no document answers them.
ELSEWHERE = (
    "What breed is the dog?",
    "What is the person wearing?",
    "What is the weather like?",
    "Which animal is it?",
    "What are the people doing?",
    "What kind of car is this?",
    "Which food is on the plate?",
    "How old is the person?",
    "What colour is the car?",
    "Who is standing in the middle?",
    "Where was this photo taken?",
    "Is the person smiling?",
)
LEAST, MOST = 3, 8
LEARNT_ROUNDS = 3
"""A picture that is learnt from is asked so many times: to draw and to see it costs more than the questions."""
RECORDS, RECORDS_LEARNT = 0.4, 0.6
"""Share of the rounds in which several facts are asked together, as JSON."""
LACKING, LACKING_LEARNT = 0.3, 0.4
"""Share of these in which something is asked, too, that the picture does not say."""
REWORDED = 0.4
"""Share of the questions learnt from that are asked in other words than the list has."""
YES_NO = ("Answer yes or no.", "Yes or no?", "Answer with yes or no.")
STRANGE = (
    "notes",
    "reference",
    "category",
    "website",
    "colour_code",
    "discount",
    "weight",
    "author",
    "rating",
    "language",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something the picture says. `keys` are names for it in JSON, `value` what stands there (else the answer);
    `alone` if a key tells too little to be asked for among others, `seen` if no text tells it."""

    skill: str
    wordings: Sequence[str]
    answer: str
    sentence: str = ""
    keys: tuple[str, ...] = ()
    value: Json = None
    weight: float = 1.0
    alone: bool = False
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """Something that may be asked of other pictures and that this one does not say."""

    wordings: Sequence[str]
    keys: tuple[str, ...] = ()


def wording(rng: np.random.Generator, split: Split, wordings: Sequence[str]) -> str:
    """Choose how to ask; the last fifth of the ways is kept for eval, for half of its questions."""
    held = len(wordings) // 5
    if held == 0:
        return pick(rng, wordings)
    if split == "eval" and rng.random() < 0.5:
        return pick(rng, wordings[-held:])
    chosen = pick(rng, wordings[:-held])
    if split == "train" and rng.random() < REWORDED:
        made = reworded(rng, chosen)
        return made if made not in wordings[-held:] else chosen
    return chosen


def ask(
    rng: np.random.Generator,
    split: Split,
    facts: Sequence[Fact],
    absent: Sequence[Absent] = (),
    *,
    most: int = 6,
    what: str = "",
) -> tuple[Question, ...]:
    """Ask 3 to `most` of the facts (as many as there are), some of them together as JSON, and something absent.

    `what` names the picture as a whole ("a receipt"), if that can be asked of it. Training asks several times so much.
    """
    rounds = LEARNT_ROUNDS if split == "train" else 1
    asked = [one for _ in range(rounds) for one in ask_once(rng, split, facts, absent, most=most, what=what)]
    return tuple({(question.text, question.schema is None): question for question in asked}.values())


def ask_once(
    rng: np.random.Generator, split: Split, facts: Sequence[Fact], absent: Sequence[Absent], *, most: int, what: str
) -> tuple[Question, ...]:
    number = min(len(facts), int(rng.integers(3, most + 1)))
    weights = np.array([fact.weight for fact in facts])
    order = rng.choice(len(facts), number, replace=False, p=weights / weights.sum())
    questions = [phrase(rng, split, facts[int(i)]) for i in order]
    keyed = [fact for fact in facts if fact.keys and not fact.alone]
    if len(keyed) > 1 and rng.random() < (RECORDS_LEARNT if split == "train" else RECORDS):
        questions.append(record(rng, split, keyed, absent))
    if absent and (rng.random() < 0.25 or not questions):
        chosen = pick(rng, absent) if rng.random() < 0.8 else Absent(ELSEWHERE)
        questions.append(Question("unknown", casual(rng, wording(rng, split, chosen.wordings)), UNKNOWN))
    if what and rng.random() < 0.2:
        kind = Fact("kind", WHAT_IS, what, f"It is {what}.", ("type", "kind"), seen=True)
        questions.insert(0, phrase(rng, split, kind))
    for each in absent[: max(0, LEAST - len(questions))]:
        questions.append(Question("unknown", wording(rng, split, each.wordings), UNKNOWN))
    asked = {(question.text, question.schema is None): question for question in questions}
    kept = list(asked.values())[:MOST]
    return tuple(kept[int(i)] for i in rng.permutation(len(kept)))


def phrase(rng: np.random.Generator, split: Split, fact: Fact) -> Question:
    """Ask one fact: its bare answer mostly, a sentence if it has one, or an object of one key."""
    return replace(phrased(rng, split, fact), seen=fact.seen)


def phrased(rng: np.random.Generator, split: Split, fact: Fact) -> Question:
    text = casual(rng, wording(rng, split, fact.wordings))
    chance = rng.random()
    if fact.skill == "json":
        return objectify(rng, text, fact.value)
    if fact.sentence and chance < 0.12:
        return Question(fact.skill, f"{text} {wording(rng, split, SENTENCE)}", fact.sentence, told=fact.answer)
    if fact.keys and chance > 0.93:
        return objectify(
            rng, text if rng.random() < 0.6 else f"{text} Answer as JSON.", {pick(rng, fact.keys): of(fact)}
        )
    if fact.skill == "yes/no" and chance < 0.3:
        text = f"{text} {pick(rng, YES_NO)}"
    elif chance < 0.22:
        text = f"{text} {wording(rng, split, BRIEF)}"
    return Question(fact.skill, text, fact.answer)


def of(fact: Fact) -> Json:
    return fact.answer if fact.value is None else fact.value


def casual(rng: np.random.Generator, text: str) -> str:
    """Write a question as people type it: without its mark or capital at times, or with a polite beginning."""
    chance = rng.random()
    if chance < 0.06 and text[1:2].islower():
        text = text[0].lower() + text[1:]
    if 0.04 < chance < 0.1:
        return text.rstrip("?.")
    if chance > 0.97 and text.endswith("?"):
        return "Please tell me: " + text[0].lower() + text[1:]
    return text


def record(rng: np.random.Generator, split: Split, facts: Sequence[Fact], absent: Sequence[Absent]) -> Question:
    """Ask several facts at once, under keys in any order; what is absent is null or unknown."""
    number = min(len(facts), int(rng.integers(2, 6)))
    chosen = [facts[int(i)] for i in rng.permutation(len(facts))[:number]]
    values: dict[str, Json] = {}
    for fact in chosen:
        values.setdefault(pick(rng, fact.keys), of(fact))
    named = [each for each in absent if each.keys and not values.keys() & set(each.keys)]
    schema = schema_of(values)
    if rng.random() < (LACKING_LEARNT if split == "train" else LACKING):
        key = pick(rng, pick(rng, named).keys) if named and rng.random() < 0.7 else pick(rng, STRANGE)
        if key not in values:
            nullable = rng.random() < 0.7  # else what is missing is said, since a string has to stand there
            values[key] = None if nullable else "unknown"
            schema = schema_of(values)
    text = wording(rng, split, RECORD).format(keys=listed(list(values)))
    seen = any(fact.seen for fact in chosen)
    return Question("json", text, json.dumps(values, ensure_ascii=False), schema, seen=seen)


def objectify(rng: np.random.Generator, text: str, values: dict[str, Json]) -> Question:
    return Question("json", text, json.dumps(values, ensure_ascii=False), schema_of(values))


def schema_of(value: Json) -> dict[str, Any]:
    """Return the JSON schema that a caller would write for such a value."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {key: schema_of(inner) for key, inner in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {"type": "string"}}
    if value is None:
        return {"type": ["string", "null"]}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(value)]}


def listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
