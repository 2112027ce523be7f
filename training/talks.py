"""Scenes → whole training samples: which pictures, which questions, in what order and under which system prompt.

In: a split and an index. Out: a `Sample`: scenes and turns. One picture is asked several questions; rows.py decides
how they lie in a sequence. Knows no tokens and no pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from facts import Fact, ask_colour, ask_count, ask_shape, ask_side, ask_what_end, pick
from pairs import PAIR_ASKERS, sample_pair
from phrasing import ASIDES, SYSTEM, Turn, phrase, phrase_record
from portraits import ASKERS, ask_describe, ask_where, record
from scenes import COLOUR_NAMES, SHAPE_NAMES, Scene, sample_scene

MOST_TURNS = 12
# Left or right is learnt soon from "left or right?"; "is it left?" and "which is further left?" take longer.
HARD_SIDE = partial(ask_side, styles=(0.2, 0.68))
HARD_HEIGHT = partial(ask_side, axis="y", styles=(0.2, 0.68))
APART = [ask_colour, ask_shape, HARD_SIDE, HARD_HEIGHT, ask_what_end, ask_describe, ask_count, ask_where]
APART_WEIGHTS = np.array([1.2, 1.2, 4.5, 7.0, 1.5, 0.5, 5.0, 3.0])


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures in the order shown, questions about them, the system prompt ("" for none) and the layout.

    Layouts: "before" (pictures, then text; each turn stands alone), "after" (text, then pictures; likewise), "talk"
    (one conversation, pictures first).
    """

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    system: str
    layout: str


def sample_talk(rng: np.random.Generator, *, focus: float = 0.0) -> Sample:
    """Draw one sample: a picture or, for one in four, two; a share `focus` asks only what tells things apart."""
    if rng.random() < focus:
        kinds = distinct_kinds(rng, int(rng.choice([2, 3, 4, 5, 6]))) if rng.random() < 0.5 else None
        scene = sample_scene(rng, kinds)
        scenes: tuple[Scene, ...] = (scene,)
        turns = [phrase(choose(scene, APART, APART_WEIGHTS, rng), rng) for _ in range(MOST_TURNS)]
    elif rng.random() < 0.25:
        pair = sample_pair(rng)
        scenes = pair
        turns = [pair_turn(pair, rng) for _ in range(MOST_TURNS)]
    else:
        scene = sample_scene(rng)
        scenes = (scene,)
        turns = [single_turn(scene, rng) for _ in range(MOST_TURNS)]
    system = pick(rng, SYSTEM) if rng.random() < 0.5 else ""
    layout = str(rng.choice(["before", "after", "talk"], p=[0.5, 0.35, 0.15]))
    return Sample(scenes, tuple(turns), system, layout)


def distinct_kinds(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Choose things that differ from one another in shape and in colour."""
    shapes = rng.choice(SHAPE_NAMES, count, replace=False)
    colours = rng.choice(COLOUR_NAMES, count, replace=False)
    return [(str(shape), str(colour)) for shape, colour in zip(shapes, colours, strict=True)]


def single_turn(scene: Scene, rng: np.random.Generator) -> Turn:
    chance = rng.random()
    if chance < 0.015:
        question, answer = ASIDES[int(rng.integers(len(ASIDES)))]
        return Turn("aside", "sentence", question, ((answer, True),))
    if chance < 0.15 and scene.things:
        pairs = record(scene, rng)
        if pairs is not None:
            return phrase_record(pairs, rng)
    weights = np.array([weight for _, weight in ASKERS])
    return phrase(choose(scene, [asker for asker, _ in ASKERS], weights, rng), rng)


def pair_turn(pair: tuple[Scene, Scene], rng: np.random.Generator) -> Turn:
    weights = np.array([weight for _, weight in PAIR_ASKERS])
    return phrase(choose(pair, [asker for asker, _ in PAIR_ASKERS], weights, rng), rng)


def choose(subject: object, askers: list, weights: np.ndarray, rng: np.random.Generator) -> Fact:  # type: ignore[type-arg]
    """Ask askers at random until one has a clear answer."""
    while True:
        fact: Fact | None = askers[int(rng.choice(len(askers), p=weights / weights.sum()))](subject, rng)
        if fact is not None:
            return fact
