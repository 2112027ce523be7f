"""Marks are given strictly, and the table fails where too few are good."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from eval import report, table
from exam import MOST_A_PICTURE, Item, Mark, items, schema_of, skill_of
from judge import declines, is_right, wilson
from phrasing import Turn
from samples import SCENES, Mix
from served import Ask, prompt_of


def turn(skill: str, answer: str, form: str = "words") -> Turn:
    return Turn(skill, form, "What is it?", ((answer, True),))


def mark(skill: str, *, right: bool, answer: str = "x", form: str = "words") -> Mark:
    view = np.zeros((8, 8, 3), np.uint8)
    item = Item(len(answer), SCENES, turn(skill, "x", form), Ask(((view,),), "What is it?"))
    return Mark(item, answer, right)


@pytest.mark.parametrize(
    ("skill", "answer", "right"),
    [("word", "Total 5", True), ("word", "total 5", False), ("word", "Total 5.", False), ("word", " Total\n5 ", True)],
)
def test_what_is_read_must_be_exact_but_for_blanks(skill: str, answer: str, right: bool) -> None:
    assert is_right(turn(skill, "Total 5"), answer) is right


def test_our_own_words_may_differ_in_case_and_stop() -> None:
    assert is_right(turn("colour", "Red"), "red.")
    assert is_right(turn("describe", "The image shows a cat and a dog."), "the image shows a dog, a cat")
    assert not is_right(turn("yes/no", "yes"), "yes, it is")


def test_json_is_compared_as_values() -> None:
    asked = turn("json", '{"a": 1, "b": null}', "json")

    assert is_right(asked, '{"b":null,"a":1}')
    assert not is_right(asked, '{"a": 1}')
    assert not is_right(asked, '{"a": 1, "b"')


def test_declining_is_told_from_answering() -> None:
    assert declines("I can't tell from this image.")
    assert not declines("It says: I can't")


def test_the_table_names_what_is_below() -> None:
    marks = [mark("word", right=number < 8) for number in range(10)] + [mark("colour", right=True)]
    marks += [mark("count", right=True, answer="I can't tell from this image.")]

    needed, single, below = table(marks)

    assert [row[0] for row in needed if row[0] in below] == ["words and numbers", "known declined"]
    assert next(row for row in single if row[0] == "word")[1:4] == ["8", "10", "80.0%"]


def test_an_interval_stays_within_its_bounds() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(5, 10)[0] < 0.5 < wilson(5, 10)[1]


def test_the_report_shows_right_and_wrong_answers(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "sightline.json").write_text(json.dumps({"id": "a/b"}))
    marks = [mark("colour", right=True), mark("shape", right=False)]

    report(tmp_path / "page.md", model, marks, asked=40, pictures=900, seed=1, mix=Mix(8, 2, {SCENES: 1.0}))

    page = (tmp_path / "page.md").read_text()
    assert "`a/b`" in page
    assert "`python training/eval.py --asked 40 --most-pictures 900 --seed 1 --report`" in page
    assert "Expected: `x`" in page
    assert sorted(file.name for file in (tmp_path / "page").iterdir()) == ["right-1.webp", "wrong-1.webp"]


def test_every_skill_is_asked_as_often_as_wanted() -> None:
    chosen = items(Mix(56, 4, {SCENES: 1.0}), asked=4, seed=1, most_pictures=60)

    assert {item.kind for item in chosen} == {SCENES}
    counts = Counter(skill_of(item.turn) for item in chosen)
    assert {"colour", "count", "shape", "json"} <= {skill for skill, count in counts.items() if count >= 4}
    assert max(counts.values()) < 4 + MOST_A_PICTURE
    assert all(item.ask.schema for item in chosen if "json" in item.turn.form)


def test_a_schema_says_what_the_value_is() -> None:
    schema = schema_of({"n": 1, "ok": True, "all": ["x"]})

    assert schema["required"] == ["n", "ok", "all"]
    assert schema["properties"]["all"] == {"type": "array", "items": {"type": "string"}}
    assert schema["properties"]["ok"] == {"type": "boolean"}


def test_pictures_stand_before_or_after_the_question() -> None:
    view = np.zeros((8, 8, 3), np.uint8)

    assert "user\n<ov_genai_image_0>Why?<end" in prompt_of(Ask(((view,),), "Why?"))
    assert "Why?<ov_genai_image_0><end" in prompt_of(Ask(((view,),), "Why?", layout="after"))
    assert "Why?<ov_genai_image_0>Why?<end" in prompt_of(Ask(((view,),), "Why?", layout="after", again=True))
