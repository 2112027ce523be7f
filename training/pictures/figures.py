"""Coloured shapes, one picture or two: the scenes that the first bundled model knew, asked in the same package.

In: scenes.py, drawing.py and their askers beside this package. Out: "shapes", "crowd" (up to nine to count) and
"pair" (two pictures to compare). A scene's kinds of things decide its split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import facts as askers
import numpy as np
from drawing import draw
from pairs import PAIR_ASKERS, sample_pair
from PIL import Image
from portraits import ASKERS, ask_exists, record
from scenes import Scene, Thing, sample_background, sample_count, sample_kinds, sample_scene, sample_thing

from pictures.asking import BRIEF, LEARNT_ROUNDS, SENTENCE, objectify, wording
from pictures.base import UNKNOWN, Picture, Question, Split, split_of
from pictures.fields import wordings
from pictures.lines import WHAT, sheet_size
from pictures.wear import wear

SKILLS = {"left/right": "position", "above/below": "position", "where": "position", "larger": "size"}
SKILLS |= {"is there": "yes/no", "describe": "shape"}
MOST = 9
LARGEST = (
    "Which is the {w} {n}?",
    "What is the {w} {n}?",
    "Which {n} is the {w}?",
    "Name the {w} {n}.",
    "What is the {w} {n} in the picture?",
    "Which of the {n}s is the {w}?",
    "Which {n} is {w}?",
)
CLEARLY = 1.35


def ask_size(scene: Scene, rng: np.random.Generator) -> askers.Fact | None:
    """Ask for the largest or the smallest thing, or whether one is larger than another, where the eye can tell."""
    order = sorted(scene.things, key=lambda thing: thing.reach)
    if len({(thing.colour, thing.shape) for thing in order}) < 2:  # The answer would be no choice.
        return None
    if rng.random() < 0.4:
        return ask_whether_larger(order, scene, rng)
    most = bool(rng.random() < 0.5)
    first, second = (order[-1], order[-2]) if most else (order[0], order[1])
    if max(first.reach, second.reach) / min(first.reach, second.reach) < CLEARLY:
        return None
    word = askers.pick(rng, ["largest", "biggest"] if most else ["smallest", "tiniest"])
    question = askers.pick(rng, list(LARGEST)).format(w=word, n=askers.pick(rng, askers.NOUNS[:3]))
    told = f"{first.colour} {first.shape}"
    return askers.Fact("larger", question, f"It is the {told}.", told, word, told)


SHAPE_ASKERS = [(asker, {"ask_larger": 0.5, "ask_where": 1.0}.get(asker.__name__, weight)) for asker, weight in ASKERS]
SHAPE_ASKERS.append((ask_size, 5.0))
CROWD_ASKERS = [(askers.ask_count, 4.0), (ask_exists, 1.0), (askers.ask_what_end, 0.6)]


def kinds_for(rng: np.random.Generator, split: Split, number: int) -> list[tuple[str, str]]:
    """Choose shapes and colours whose combination belongs to the split."""
    while True:
        kinds = sample_kinds(rng, number)
        if split_of("+".join(sorted(f"{colour} {shape}" for shape, colour in kinds)) or "none") == split or not kinds:
            return kinds


def ask_whether_larger(order: list[Thing], scene: Scene, rng: np.random.Generator) -> askers.Fact | None:
    """Ask of two things, given from small to large, whether the one is larger; half of the answers are yes."""
    low, high = sorted(int(i) for i in rng.permutation(len(order))[:2])
    small, large = askers.name_of(order[low], scene, rng), askers.name_of(order[high], scene, rng)
    if order[high].reach / order[low].reach < CLEARLY or not small or not large:
        return None
    yes = bool(rng.random() < 0.5)
    a, b = (large, small) if yes else (small, large)
    told = f"{'Yes' if yes else 'No'}, the {a} is {'larger' if yes else 'smaller'}."
    return askers.Fact("larger", f"Is the {a} larger than the {b}?", told, "yes" if yes else "no", "larger", yes)


def draw_shapes(rng: np.random.Generator, split: Split) -> Picture:
    scene = sample_scene(rng, kinds_for(rng, split, sample_count(rng)))
    return Picture("shapes", (image_of(scene, rng),), ((),), ask_scene(scene, SHAPE_ASKERS, rng, split), (scene,))


def draw_crowd(rng: np.random.Generator, split: Split) -> Picture:
    """Draw four to nine things and ask mostly how many there are."""
    number = int(rng.integers(4, MOST + 1))
    aspect = float(rng.uniform(0.8, 1.3))
    kinds = kinds_for(rng, split, number)
    near, far = sample_background(rng, {colour for _, colour in kinds})
    things = tuple(
        sample_thing(rng, kind, spot, (near, far), line=False, border=False)
        for kind, spot in zip(kinds, spots(rng, number, aspect), strict=True)
    )
    scene = Scene(aspect, near, far, 0.0, things)
    return Picture("crowd", (image_of(scene, rng),), ((),), ask_scene(scene, CROWD_ASKERS, rng, split), (scene,))


def spots(rng: np.random.Generator, number: int, aspect: float) -> list[tuple[float, float, float]]:
    """Place things in the cells of a grid, shifted at random, so that nine find room."""
    across = 3 if aspect > 0.9 else 2
    down = -(-number // across) if rng.random() < 0.5 else max(3, -(-number // across))
    wide, high = aspect / across, 1 / down
    cells = rng.permutation(across * down)[:number]
    found = []
    for cell in cells:
        reach = min(wide, high) * float(rng.uniform(0.26, 0.4))
        x, y = (cell % across + 0.5) * wide, (cell // across + 0.5) * high
        shift_x, shift_y = wide / 2 - reach * 1.12, high / 2 - reach * 1.12
        found.append((x + float(rng.uniform(-1, 1)) * shift_x, y + float(rng.uniform(-1, 1)) * shift_y, reach))
    return found


def draw_pair(rng: np.random.Generator, split: Split) -> Picture:
    while True:
        pair = sample_pair(rng)
        first, second = (" ".join(sorted(f"{t.colour} {t.shape}" for t in scene.things)) for scene in pair)
        if split_of(f"{first} | {second}") == split:
            break
    questions = ask_scene(pair, PAIR_ASKERS, rng, split)
    return Picture("pair", tuple(image_of(scene, rng) for scene in pair), ((), ()), questions, pair)


def image_of(scene: Scene, rng: np.random.Generator) -> Image.Image:
    size = sheet_size(rng, narrow=0.8, wide=1.25, large=0.05)
    if abs(size[0] / size[1] - scene.aspect) > 0.05:
        size = (
            (size[0], round(size[0] / scene.aspect)) if size[0] > size[1] else (round(size[1] * scene.aspect), size[1])
        )
    longest = max(size)
    if longest < 448:
        size = (round(size[0] * 448 / longest), round(size[1] * 448 / longest))
    half = draw(replace(scene), *size)
    return wear(Image.fromarray(half), rng, 0.8, lit=True)


def ask_scene(
    scene: Any, weighted: Sequence[tuple[Callable[..., Any], float]], rng: np.random.Generator, split: Split
) -> tuple[Question, ...]:
    weights = np.array([weight for _, weight in weighted])
    found: dict[str, Question] = {}
    rounds = LEARNT_ROUNDS if split == "train" else 1
    number, tries = int(rng.integers(4, 7)) * rounds, 0
    while len(found) < number and tries < 40:
        tries += 1
        fact = weighted[int(rng.choice(len(weighted), p=weights / weights.sum()))][0](scene, rng)
        if fact is not None:
            question = phrase(fact, rng, split)
            found.setdefault(fact.question, question)
    for again in range(rounds):
        if isinstance(scene, Scene) and scene.things and rng.random() < 0.25:
            values = record(scene, rng)
            if values is not None:
                found[f"json {again}"] = objectify(rng, wording(rng, split, RECORDS), dict(values))
        if rng.random() < 0.15:
            lacking = wording(
                rng, split, WHAT["any"] if rng.random() < 0.3 else wordings("date" if rng.random() < 0.5 else "total")
            )
            found[f"unknown {again}"] = Question("unknown", lacking, UNKNOWN)
    return tuple(found.values())


RECORDS = (
    "Describe the shapes as JSON.",
    "Return what you see as JSON.",
    "Describe the image as JSON.",
    "Give me the shapes and colours in JSON.",
    "List the shapes as JSON.",
    "Extract the shapes.",
    "Which shapes are there? Answer as JSON.",
    "Put the picture into JSON.",
    "Turn the picture into JSON.",
)


def phrase(fact: askers.Fact, rng: np.random.Generator, split: Split) -> Question:
    skill = SKILLS.get(fact.skill, fact.skill)
    chance = rng.random()
    if chance < 0.12:
        return Question(skill, f"{fact.question} {wording(rng, split, SENTENCE)}", fact.sentence)
    if chance > 0.93:
        return objectify(rng, f"{fact.question} Answer as JSON.", {fact.key: fact.value})
    text = f"{fact.question} {wording(rng, split, BRIEF)}" if chance < 0.3 else fact.question
    return Question(skill, text, fact.short)
