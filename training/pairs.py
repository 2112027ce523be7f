"""Two pictures → questions that need both: which has more, same or different, what is in the second.

In: two `Scene`s in the order shown. Out: `Fact`s, as in facts.py. The order of the pictures matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from facts import Fact, article, ask_colour, ask_count, ask_shape, noun_pair, pick, plural
from portraits import portrait
from scenes import COLOUR_NAMES, SHAPE_NAMES, Scene, sample_count, sample_kinds, sample_scene

ORDINALS = ("first", "second")
PairAsker = Callable[[tuple[Scene, Scene], np.random.Generator], Fact | None]


def sample_pair(rng: np.random.Generator) -> tuple[Scene, Scene]:
    """Draw two scenes that are alike in something about half of the time."""
    if rng.random() < 0.5:
        shape, other = (str(name) for name in rng.choice(SHAPE_NAMES, 2))
        colour, paint = (str(name) for name in rng.choice(COLOUR_NAMES, 2))
        second = (shape if rng.random() < 0.5 else other, colour if rng.random() < 0.5 else paint)
        return sample_scene(rng, [(shape, colour)]), sample_scene(rng, [second])
    first = sample_kinds(rng, max(1, sample_count(rng)))
    if rng.random() < 0.3:
        return sample_scene(rng, first), sample_scene(rng, first[: int(rng.integers(1, len(first) + 1))])
    return sample_scene(rng, first), sample_scene(rng, sample_kinds(rng, max(1, sample_count(rng))))


def image_word(rng: np.random.Generator) -> str:
    return pick(rng, ["image", "image", "picture"])


def lone(scene: Scene) -> bool:
    return len(scene.things) == 1


def ask_more(pair: tuple[Scene, Scene], rng: np.random.Generator) -> Fact | None:
    image = image_word(rng)
    if rng.random() < 0.6:
        chosen, many = (lambda thing: True), noun_pair(rng)[1]
    else:
        shape = pick(rng, [thing.shape for scene in pair for thing in scene.things])
        chosen, many = (lambda thing: thing.shape == shape), plural(shape, 2)
    a, b = (sum(chosen(thing) for thing in scene.things) for scene in pair)
    word = "more" if rng.random() < 0.7 else "fewer"
    question = f"Which {image} has {word} {many}?"
    if rng.random() < 0.3:
        question = f"Which {image} has {word} {many}, the first or the second?"
    elif rng.random() < 0.2:
        question = f"Does the first or the second {image} have {word} {many}?"
    if a == b:
        return Fact("compare", question, f"Both have the same number of {many}.", "same", "answer", "same")
    winner = ORDINALS[int((a < b) == (word == "more"))]
    return Fact("compare", question, f"The {winner} {image} has {word} {many}.", winner, "answer", winner)


def ask_same(pair: tuple[Scene, Scene], rng: np.random.Generator) -> Fact | None:
    """Ask whether the one shape in each picture, or its colour, is the same."""
    if not all(map(lone, pair)):
        return None
    a, b = pair[0].things[0], pair[1].things[0]
    image = image_word(rng) + "s"
    if rng.random() < 0.5:
        word, x, y = "shape", article(a.shape), article(b.shape)
    else:
        word, x, y = pick(rng, ["colour", "color"]), a.colour, b.colour
    same = x == y
    frames = [f"Do both {image} show the same {word}?", f"Is the {word} the same in both {image}?"]
    frames += [f"Do the two {image} have the same {word}?"]
    if rng.random() < 0.25:
        question = f"Is the {word} different in the two {image}?"
        lead, short = ("No", "no") if same else ("Yes", "yes")
        key, value = "different", not same
    else:
        question = pick(rng, frames)
        lead, short = ("Yes", "yes") if same else ("No", "no")
        key, value = "same", same
    sentence = f"{lead}, both are {x}." if same else f"{lead}, the first is {x} and the second is {y}."
    return Fact("compare", question, sentence, short, key, value)


def ask_difference(pair: tuple[Scene, Scene], rng: np.random.Generator) -> Fact | None:
    image = image_word(rng) + "s"
    question = pick(rng, DIFFERENCE).format(image)
    a, b = portrait(pair[0]), portrait(pair[1])
    if a == b:
        return Fact("compare", question, f"Both show {a}.", f"both show {a}", "difference", "none")
    sentence = f"The first shows {a}; the second shows {b}."
    return Fact("compare", question, sentence, f"{a}; {b}", "difference", f"{a}; {b}")


DIFFERENCE = [
    "What is the difference between the two {}?",
    "Compare the two {}.",
    "Compare these {}.",
    "Describe both {}.",
    "What is different between these {}?",
    "What is in these {}?",
    "How do the {} differ?",
]


def ask_which(pair: tuple[Scene, Scene], rng: np.random.Generator) -> Fact | None:
    """Ask which picture has a kind that exactly one of them has."""
    image = image_word(rng)
    found = [{(t.colour, t.shape) for t in scene.things} for scene in pair]
    only = [sorted(found[0] - found[1]), sorted(found[1] - found[0])]
    where = int(rng.integers(2))
    if not only[where]:
        return None
    colour, shape = only[where][int(rng.integers(len(only[where])))]
    name = f"{colour} {shape}"
    if rng.random() < 0.4 and shape not in {s for _, s in found[1 - where]}:
        name = shape
    winner = ORDINALS[where]
    question = pick(rng, [f"Which {image} has {article(name)}?", f"Which {image} shows {article(name)}?"])
    return Fact("compare", question, f"The {winner} {image}.", winner, "answer", winner)


def ask_one(pair: tuple[Scene, Scene], rng: np.random.Generator) -> Fact | None:
    """Ask a question of one of the two pictures, named by its place in the message."""
    where = int(rng.integers(2))
    scene, ordinal, image = pair[where], ORDINALS[where], image_word(rng)
    if rng.random() < 0.4:
        question = pick(rng, ["What is in the {} {}?", "Describe the {} {}.", "What does the {} {} show?"])
        content = portrait(scene)
        fact = Fact("describe", question, f"The {ordinal} {image} shows {content}.", content, "description", content)
        return replace(fact, skill="compare", question=question.format(ordinal, image))
    asker = [ask_colour, ask_count, ask_shape][int(rng.integers(3))]
    fact_of = asker(scene, rng)
    if fact_of is None or "image" in fact_of.question or "picture" in fact_of.question:
        return None
    body = fact_of.question[:-1]
    return replace(fact_of, skill="compare", question=f"{body} in the {ordinal} {image}{fact_of.question[-1]}")


PAIR_ASKERS: list[tuple[PairAsker, float]] = [
    (ask_more, 2.0),
    (ask_same, 2.0),
    (ask_difference, 1.0),
    (ask_which, 1.0),
    (ask_one, 2.0),
]
