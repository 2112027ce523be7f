"""One picture → questions and their true answers.

In: a `Scene`. Out: `Fact`s: a question, the answer as a sentence, in short, and as a value for JSON. Each asker
returns None where the scene gives no clear answer (two things too close in x to say which is left, say), so that
every answer taught or judged is true beyond doubt. Knows nothing of styles of answering: that is phrasing.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scenes import COLOUR_NAMES, SHAPE_NAMES, Scene, Thing

Value = str | int | bool | list  # type: ignore[type-arg]
CLEAR_STEP = 0.08
NUMBER_WORDS = ["no", "a", "two", "three", "four", "five", "six"]
NOUNS = ["shape", "object", "thing", "figure"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A question with its answer in every form; `key` names the value in JSON."""

    skill: str
    question: str
    sentence: str
    short: str
    key: str
    value: Value


Asker = Callable[[Scene, np.random.Generator], Fact | None]


def pick(rng: np.random.Generator, options: list[str]) -> str:
    return options[int(rng.integers(len(options)))]


def plural(shape: str, number: int) -> str:
    if number == 1:
        return shape
    return shape + ("es" if shape == "cross" else "s")


def article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def colour_word(rng: np.random.Generator) -> str:
    return pick(rng, ["colour", "color"])


def spelled(rng: np.random.Generator, colour: str) -> str:
    return "grey" if colour == "gray" and rng.random() < 0.5 else colour


def name_of(thing: Thing, scene: Scene, rng: np.random.Generator) -> str | None:
    """Return words that mean this thing alone ("red circle", "star", "blue shape"), or None if none do."""
    shapes = Counter(other.shape for other in scene.things)
    colours = Counter(other.colour for other in scene.things)
    both = Counter((other.shape, other.colour) for other in scene.things)
    names = []
    if both[thing.shape, thing.colour] == 1:
        names += [f"{spelled(rng, thing.colour)} {thing.shape}"] * 2
    if shapes[thing.shape] == 1:
        names.append(thing.shape)
    if colours[thing.colour] == 1:
        names.append(f"{spelled(rng, thing.colour)} {pick(rng, NOUNS)}")
    return pick(rng, names) if names else None


def end_thing(scene: Scene, rng: np.random.Generator, *, axis: str) -> tuple[Thing, str] | None:
    """Return the thing clearly first or last along an axis, and how to say so."""
    if len(scene.things) < 2:
        return None
    along = sorted(scene.things, key=lambda thing: share(thing, scene, axis))
    first = rng.random() < 0.5
    order = along if first else along[::-1]
    if abs(share(order[0], scene, axis) - share(order[1], scene, axis)) < CLEAR_STEP:
        return None
    side = {"x": ("left", "right"), "y": ("top", "bottom")}[axis][0 if first else 1]
    if len(along) == 2:
        words = [f"on the {side}"] if axis == "x" else [f"at the {side}"]
    else:
        words = [f"furthest to the {side}" if axis == "x" else f"nearest the {side}", f"farthest {side}"]
        if axis == "x":
            words.append(f"{side}most")
    return order[0], pick(rng, words)


def share(thing: Thing, scene: Scene, axis: str) -> float:
    return thing.x / scene.aspect if axis == "x" else thing.y


def at_end(noun: str, place: str) -> str:
    return f"the {place} {noun}" if place.endswith("most") else f"the {noun} {place}"


def ask_shape(scene: Scene, rng: np.random.Generator) -> Fact | None:
    """Ask for the name of one shape, chosen by being alone, by its colour or by its place."""
    if not scene.things:
        return None
    thing = scene.things[int(rng.integers(len(scene.things)))]
    noun = pick(rng, NOUNS)
    frames = ["What shape is {}?", "Which shape is {}?", "What kind of shape is {}?", "Name the shape of {}."]
    if len(scene.things) == 1:
        question = pick(rng, LONE_SHAPE) if rng.random() < 0.6 else pick(rng, frames).format(f"the {noun}")
    else:
        alone = [t for t in scene.things if sum(t.colour == o.colour for o in scene.things) == 1]
        end = end_thing(scene, rng, axis="x" if rng.random() < 0.7 else "y")
        if alone and (end is None or rng.random() < 0.6):
            thing = alone[int(rng.integers(len(alone)))]
            question = pick(rng, frames).format(f"the {spelled(rng, thing.colour)} {noun}")
        elif end is not None:
            thing = end[0]
            question = pick(rng, frames).format(at_end(noun, end[1]))
        else:
            return None
    return Fact("shape", question, f"It is {article(thing.shape)}.", thing.shape, "shape", thing.shape)


LONE_SHAPE = [
    "What shape is this?",
    "What shape is it?",
    "What shape do you see?",
    "Which shape is shown?",
    "Which shape is in the image?",
    "Name the shape.",
    "Name the shape in this picture.",
    "What is this shape called?",
    "What is the shape in the picture?",
    "What kind of shape is this?",
]


def ask_colour(scene: Scene, rng: np.random.Generator) -> Fact | None:
    """Ask for one colour, of a thing alone, of its kind or at an end."""
    if not scene.things:
        return None
    word, noun = colour_word(rng), pick(rng, NOUNS)
    frames = ["What {w} is {t}?", "Which {w} is {t}?", "What is the {w} of {t}?", "Name the {w} of {t}."]
    frames += ["What {w} does {t} have?", "Tell me the {w} of {t}."]
    thing = scene.things[int(rng.integers(len(scene.things)))]
    if len(scene.things) == 1:
        target = pick(rng, ["it", f"the {noun}", f"this {noun}", f"the {thing.shape}", f"this {thing.shape}"])
        if rng.random() < 0.2:
            target = f"the {noun} in the image"
    else:
        alone = [t for t in scene.things if sum(t.shape == o.shape for o in scene.things) == 1]
        end = end_thing(scene, rng, axis="x" if rng.random() < 0.7 else "y")
        same = len({t.colour for t in scene.things}) == 1
        if alone and (end is None or rng.random() < 0.6):
            thing = alone[int(rng.integers(len(alone)))]
            target = f"the {thing.shape}"
        elif end is not None:
            thing, target = end[0], at_end(noun, end[1])
        elif same:
            target = f"the {plural(noun, 2)}"
            frames = ["What {w} are {t}?", "Which {w} are {t}?", "What is the {w} of {t}?"]
        else:
            return None
    question = pick(rng, frames).format(w=word, t=target)
    verb = "They are" if target.endswith("s") and not target.endswith("cross") else "It is"
    return Fact("colour", question, f"{verb} {thing.colour}.", thing.colour, word, thing.colour)


def ask_count(scene: Scene, rng: np.random.Generator) -> Fact | None:
    """Ask how many there are in all, of a shape, of a colour or of both; the answer may be none."""
    shapes = [t.shape for t in scene.things] or SHAPE_NAMES
    colours = [t.colour for t in scene.things] or COLOUR_NAMES
    shape = pick(rng, shapes if rng.random() < 0.8 else SHAPE_NAMES)
    colour = pick(rng, colours if rng.random() < 0.8 else COLOUR_NAMES)
    style = rng.random()
    if style < 0.4:
        one, many, chosen = *noun_pair(rng), scene.things
    elif style < 0.65:
        one, many = shape, plural(shape, 2)
        chosen = tuple(t for t in scene.things if t.shape == shape)
    elif style < 0.85:
        noun, nouns = noun_pair(rng)
        seen = spelled(rng, colour)
        one, many = f"{seen} {noun}", f"{seen} {nouns}"
        chosen = tuple(t for t in scene.things if t.colour == colour)
    else:
        seen = spelled(rng, colour)
        one, many = f"{seen} {shape}", f"{seen} {plural(shape, 2)}"
        chosen = tuple(t for t in scene.things if (t.shape, t.colour) == (shape, colour))
    number = len(chosen)
    question = pick(rng, COUNT_FRAMES).format(many)
    sentence = f"There is 1 {one}." if number == 1 else f"There are {number} {many}."
    return Fact("count", question, sentence, str(number), pick(rng, ["count", "count", "number", "total"]), number)


COUNT_FRAMES = [
    "How many {} are there?",
    "How many {} are there?",
    "How many {} are in this image?",
    "How many {} are there in the picture?",
    "How many {} do you see?",
    "How many {} can you see?",
    "Count the {}.",
    "Count the {} in this image.",
    "What is the number of {}?",
    "How many {}?",
]


def noun_pair(rng: np.random.Generator) -> tuple[str, str]:
    noun = pick(rng, ["shape", "shape", "object", "thing", "figure"])
    return noun, noun + "s"


def clear_pair(scene: Scene, rng: np.random.Generator, axis: str) -> tuple[Thing, Thing, str, str] | None:
    """Return two things apart along the axis, first the one nearer 0, with names that mean each alone."""
    if len(scene.things) < 2:
        return None
    for _ in range(6):
        a, b = (scene.things[int(i)] for i in rng.permutation(len(scene.things))[:2])
        if share(a, scene, axis) > share(b, scene, axis):
            a, b = b, a
        names = name_of(a, scene, rng), name_of(b, scene, rng)
        if share(b, scene, axis) - share(a, scene, axis) >= CLEAR_STEP and names[0] and names[1]:
            return a, b, names[0], names[1]
    return None


def ask_side(
    scene: Scene, rng: np.random.Generator, axis: str = "x", styles: tuple[float, float] = (0.45, 0.8)
) -> Fact | None:
    """Ask which of two things is left (or above); half of the questions name the other thing first.

    `styles` are the shares, added up, of "is it left or right" and then of "is it left", yes or no.
    """
    pair = clear_pair(scene, rng, axis)
    if pair is None:
        return None
    _, _, first, second = pair
    before, after = ("to the left of", "to the right of") if axis == "x" else ("above", "below")
    words = ("left", "right") if axis == "x" else ("above", "below")
    skill = "left/right" if axis == "x" else "above/below"
    flipped = rng.random() < 0.5
    a, b = (second, first) if flipped else (first, second)
    truth = 1 if flipped else 0
    told = f"The {a} is {(before, after)[truth]} the {b}."
    style = rng.random()
    if style < styles[0]:
        frames = [f"Is the {a} {before} or {after} the {b}?"]
        if axis == "x":
            frames += [
                f"Is the {a} left or right of the {b}?",
                f"Is the {a} on the left or the right of the {b}?",
                f"Which side of the {b} is the {a} on, left or right?",
                f"Is the {a} on the left or on the right side of the {b}?",
            ]
        else:
            frames += [
                f"Is the {a} higher or lower than the {b}, above or below?",
                f"Above or below the {b}: the {a}?",
            ]
        return Fact(skill, pick(rng, frames), told, words[truth], "position", words[truth])
    if style < styles[1]:
        claim = int(rng.integers(2))
        question = f"Is the {a} {(before, after)[claim]} the {b}?"
        yes = claim == truth
        sentence = f"Yes, the {a} is {(before, after)[truth]} the {b}."
        if not yes:
            sentence = f"No, the {a} is {(before, after)[truth]} the {b}."
        return Fact(skill, question, sentence, "yes" if yes else "no", words[claim], yes)
    last = int(rng.integers(2))
    winner = (first, second)[last]
    adjective = (("further left", "further right") if axis == "x" else ("higher", "lower"))[last]
    question = f"Which is {adjective}, the {a} or the {b}?"
    return Fact(skill, question, f"The {winner} is {adjective}.", winner, "answer", winner)


def ask_height(scene: Scene, rng: np.random.Generator) -> Fact | None:
    return ask_side(scene, rng, "y")


def ask_what_end(scene: Scene, rng: np.random.Generator) -> Fact | None:
    """Ask what is at the left, right, top or bottom: colour and shape together."""
    end = end_thing(scene, rng, axis="x" if rng.random() < 0.8 else "y")
    if end is None:
        return None
    thing, place = end
    noun = pick(rng, NOUNS)
    if place.endswith("most"):
        question = f"What is the {place} {noun}?"
    else:
        question = pick(rng, [f"What is {place}?", f"What do you see {place}?", f"Which {noun} is {place}?"])
    told = f"{thing.colour} {thing.shape}"
    skill = "left/right" if "left" in place or "right" in place else "above/below"
    return Fact(skill, question, f"It is {article(told)}.", told, "answer", told)
