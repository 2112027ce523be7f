"""Questions that name a sign and ask where it is, what is beside it or whether a place shows it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pictures import emblems, scrawl
from pictures.asking import Fact
from pictures.emblems import draw_emblems
from pictures.matching import Signs, matching
from pictures.scrawl import draw_digits

NAMES = ("bell", "car", "fox", "key", "owl", "car")
OTHERS = ("tent", "rose", "drum")
STEPS = {"right": (1, 0), "after": (1, 0), "left": (-1, 0), "before": (-1, 0), "below": (0, 1), "above": (0, -1)}
ANYWHERE = re.compile(r"Is there an? \w+( in the picture)?\?")
NEAR = re.compile(r"(right|after|left|before|below|above)\b.* the (\w+)\?")


def made(columns: int, rounds: int = 60) -> list[Fact]:
    signs = Signs("pictogram", NAMES, columns, OTHERS, "a {}".format, "the {}".format)
    return [fact for seed in range(rounds) for fact in matching(np.random.default_rng(seed), signs)]


@pytest.mark.parametrize("columns", [2, 3, 6])
def test_what_is_beside_a_sign_is_what_stands_there(columns: int) -> None:
    checked = 0
    for fact in made(columns):
        found = NEAR.search(fact.wordings[0])
        if fact.skill != "pictogram" or found is None:
            continue
        right, down = STEPS[found[1]]
        i = NAMES.index(found[2])
        column = i % columns + right
        assert 0 <= column < columns
        assert fact.answer == NAMES[i + right + columns * down]
        checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("columns", "places"),
    [
        (6, ["first from the left", None, "third from the left", "fourth from the left", "fifth from the left"]),
        (3, ["at the top left", None, "at the top right", "at the bottom left", "at the bottom middle"]),
        (2, ["at the top left", None, "at the middle left", "at the middle right", "at the bottom left"]),
    ],
)
def test_a_sign_is_where_it_is_said_to_be(columns: int, places: list[str | None]) -> None:
    """What is there twice is not asked for: it is at no one place."""
    asked = {fact.wordings[0]: fact.answer for fact in made(columns) if fact.skill == "where"}
    said = {f"Where is the {name}?": place for name, place in zip(NAMES, places, strict=False) if place}
    assert asked == said


@pytest.mark.parametrize("columns", [2, 3, 6])
def test_yes_is_said_of_what_a_place_shows_and_no_of_all_else(columns: int) -> None:
    signs = Signs("pictogram", NAMES, columns, OTHERS, "a {}".format, "the {}".format)
    facts = [fact for fact in made(columns) if fact.skill == "yes/no"]
    for fact in facts:
        shown = {f"Is a {name} {signs.place(i)}?" for i, name in enumerate(NAMES)}
        assert (fact.wordings[0] in shown) == (fact.answer == "yes") == fact.value
    assert {fact.answer for fact in facts} == {"yes", "no"}


def test_one_of_what_is_offered_is_there() -> None:
    offered = [fact for fact in made(3) if fact.wordings[0].startswith("Which of these is there:")]
    assert offered
    for fact in offered:
        said = set(re.findall(r"a (\w+)", fact.wordings[0]))
        assert said & set(NAMES) == {fact.answer}
        assert len(said) in (2, 3)


@pytest.mark.parametrize("draw", [draw_emblems, draw_digits])
def test_only_what_is_learnt_from_is_asked_so(draw) -> None:  # type: ignore[no-untyped-def]
    def skills(split: str) -> set[str]:
        return {each.skill for seed in range(30) for each in draw(np.random.default_rng(seed), split).questions}

    assert "where" in skills("train")
    assert "where" not in skills("eval")


@pytest.mark.parametrize(("learnt", "least", "most"), [(True, 0.56, 0.68), (False, 0.44, 0.56)])
def test_signs_learnt_from_are_asked_for_more_often_where_they_are(learnt: bool, least: float, most: float) -> None:
    """An examination asks for as many that are there as for others."""
    said = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        facts = emblems.metadata_of(["bell", "car"], 2, rng, ("bell", "car", *OTHERS), learnt=learnt)
        facts += scrawl.metadata_of([1, 2], rng, learnt=learnt)
        said += [fact.value for fact in facts if ANYWHERE.fullmatch(fact.wordings[0])]

    assert least < sum(map(bool, said)) / len(said) < most
