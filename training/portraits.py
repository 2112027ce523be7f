"""One picture → questions about the whole of it: describe, is there, where, which is larger; and JSON of several keys.

In: a `Scene`. Out: `Fact`s, as in facts.py. Lists run from left to right.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from facts import (
    NUMBER_WORDS,
    Asker,
    Fact,
    Value,
    article,
    ask_colour,
    ask_count,
    ask_height,
    ask_shape,
    ask_side,
    ask_what_end,
    clear_pair,
    listed,
    name_of,
    noun_pair,
    pick,
    plural,
    spelled,
)
from scenes import COLOUR_NAMES, SHAPE_NAMES, Scene

DESCRIBE = [
    "What is in this image?",
    "What is in this image?",
    "What's in this image?",
    "What is in the image?",
    "What's in the image?",
    "Describe this image.",
    "Describe this image.",
    "Describe the image.",
    "Describe this picture.",
    "Describe the picture.",
    "Describe what you see.",
    "What do you see?",
    "What do you see in this image?",
    "What does this image show?",
    "What does the picture show?",
    "What can you see in this picture?",
    "What is in this picture?",
    "What is this?",
    "What's this?",
    "What is shown here?",
    "What objects are in the image?",
    "Which shapes are in this image?",
    "Which shapes do you see?",
    "Tell me what is in the image.",
    "Tell me about this image.",
    "Please describe this image.",
    "Can you describe this image?",
    "List the shapes.",
    "Caption this image.",
]


def groups(scene: Scene) -> list[tuple[int, str, str]]:
    """Return (count, colour, shape) of each kind, ordered by its leftmost member."""
    counts = Counter((thing.colour, thing.shape) for thing in scene.left_to_right())
    return [(number, colour, shape) for (colour, shape), number in counts.items()]


def told(number: int, colour: str, shape: str) -> str:
    if number == 1:
        return article(f"{colour} {shape}")
    return f"{NUMBER_WORDS[number]} {colour} {plural(shape, number)}"


def portrait(scene: Scene) -> str:
    """Return the content in words: "two red circles and a blue star"."""
    return listed([told(*group) for group in groups(scene)]) if scene.things else "no shapes"


def ask_describe(scene: Scene, rng: np.random.Generator) -> Fact | None:
    content = portrait(scene)
    return Fact("describe", pick(rng, DESCRIBE), f"The image shows {content}.", content, "description", content)


def ask_exists(scene: Scene, rng: np.random.Generator) -> Fact | None:
    """Ask whether something is there; as many yes as no, and a no is often nearly true."""
    wanted = rng.random() < 0.5
    facts = (claim_exists(scene, rng, wanted=wanted) for _ in range(6))
    return next((fact for fact in facts if fact.value == wanted), None)


def claim_exists(scene: Scene, rng: np.random.Generator, *, wanted: bool) -> Fact:
    """Ask whether a kind is there, chosen so that the answer is likely as `wanted`."""
    shapes, colours = [t.shape for t in scene.things], [t.colour for t in scene.things]
    style = rng.random()
    near = bool(scene.things) and rng.random() < 0.6
    if style < 0.4:
        shape = pick(rng, shapes if wanted and shapes else SHAPE_NAMES)
        true, name, many = shape in shapes, shape, plural(shape, 2)
    elif style < 0.65:
        colour = pick(rng, colours if wanted and colours else COLOUR_NAMES)
        one, several = noun_pair(rng)
        true, name, many = colour in colours, f"{colour} {one}", f"{colour} {several}"
    else:
        shape = pick(rng, shapes if (wanted or near) and shapes else SHAPE_NAMES)
        colour = pick(rng, colours if (wanted or near) and colours else COLOUR_NAMES)
        if wanted and scene.things:
            thing = scene.things[int(rng.integers(len(scene.things)))]
            shape, colour = thing.shape, thing.colour
        true = (colour, shape) in set(zip(colours, shapes, strict=True))
        name, many = f"{colour} {shape}", f"{colour} {plural(shape, 2)}"
    question = pick(
        rng,
        [
            f"Is there {article(name)}?",
            f"Is there {article(name)} in this image?",
            f"Do you see {article(name)}?",
            f"Does the image show {article(name)}?",
            f"Are there any {many}?",
            f"Can you see any {many}?",
        ],
    )
    sentence = f"Yes, there is {article(name)}." if true else f"No, there is no {name}."
    return Fact("is there", question, sentence, "yes" if true else "no", "present", true)


PLACES = {(0, 0): "top left", (0, 1): "top", (0, 2): "top right", (1, 0): "left", (1, 1): "middle"}
PLACES |= {(1, 2): "right", (2, 0): "bottom left", (2, 1): "bottom", (2, 2): "bottom right"}


def third(value: float) -> int | None:
    """Return 0, 1 or 2 for a clear near, middle or far third, None near a border."""
    bands = ((0.0, 0.29), (0.4, 0.6), (0.71, 1.0))
    return next((i for i, (low, high) in enumerate(bands) if low <= value <= high), None)


def ask_where(scene: Scene, rng: np.random.Generator) -> Fact | None:
    for i in rng.permutation(len(scene.things)):
        thing = scene.things[int(i)]
        row, column = third(thing.y), third(thing.x / scene.aspect)
        name = name_of(thing, scene, rng)
        if name is None or row is None or column is None:
            continue
        place = PLACES[row, column]
        question = pick(rng, [f"Where is the {name}?", f"Where in the image is the {name}?"])
        preposition = "at" if place in ("top", "bottom") else "in" if " " in place or place == "middle" else "on"
        return Fact("where", question, f"It is {preposition} the {place}.", place, "position", place)
    return None


def ask_larger(scene: Scene, rng: np.random.Generator) -> Fact | None:
    pair = clear_pair(scene, rng, "x")
    if pair is None or not (ratio := pair[0].reach / pair[1].reach) > 0.0:
        return None
    if max(ratio, 1 / ratio) < 1.4:
        return None
    names = pair[2:] if ratio > 1 else pair[:1:-1]
    big = rng.random() < 0.6
    word = pick(rng, ["larger", "bigger"]) if big else "smaller"
    winner = names[0] if big else names[1]
    a, b = (names[0], names[1]) if rng.random() < 0.5 else (names[1], names[0])
    return Fact(
        "larger",
        f"Which is {word}, the {a} or the {b}?",
        f"The {winner} is {word}.",
        winner,
        "answer",
        winner,
    )


def record(scene: Scene, rng: np.random.Generator) -> list[tuple[str, Value]] | None:
    """Return a JSON object's keys and values that fit the scene, in an order and subset of their own."""
    kinds = groups(scene)
    word = pick(rng, ["colour", "color"])
    if len(kinds) == 1 and rng.random() < 0.8:
        number, colour, shape = kinds[0]
        pairs: list[tuple[str, Value]] = [("shape", shape), (word, colour), ("count", number)]
        keep = [pairs[int(i)] for i in rng.permutation(3)[: int(rng.choice([2, 3, 3]))]]
        return sorted(keep, key=pairs.index) if rng.random() < 0.5 else keep
    if rng.random() < 0.5:
        things: Value = [{"shape": t.shape, word: t.colour} for t in scene.left_to_right()]
        if rng.random() < 0.5:
            things = [{word: t.colour, "shape": t.shape} for t in scene.left_to_right()]
        pairs = [(pick(rng, ["objects", "shapes", "items"]), things), ("count", len(scene.things))]
    elif rng.random() < 0.5:
        counted: Value = [{"shape": shape, word: colour, "count": number} for number, colour, shape in kinds]
        pairs = [(pick(rng, ["groups", "objects", "shapes"]), counted)]
    else:
        pairs = [
            ("count", len(scene.things)),
            ("shapes", list(dict.fromkeys(t.shape for t in scene.left_to_right()))),
            (word + "s", list(dict.fromkeys(t.colour for t in scene.left_to_right()))),
        ]
        pairs = [pairs[int(i)] for i in sorted(rng.permutation(3)[: int(rng.integers(2, 4))])]
    return pairs if len(pairs) == 1 or rng.random() < 0.5 else pairs[::-1]


# How often each question is asked of one picture; those named in the issue most.
ASKERS: list[tuple[Asker, float]] = [
    (ask_shape, 2.0),
    (ask_colour, 1.5),
    (ask_count, 4.0),
    (ask_side, 3.0),
    (ask_height, 4.5),
    (ask_what_end, 1.2),
    (ask_describe, 2.0),
    (ask_exists, 1.0),
    (ask_where, 2.5),
    (ask_larger, 1.0),
]
__all__ = ["ASKERS", "DESCRIBE", "groups", "portrait", "record", "spelled"]
