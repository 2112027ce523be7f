"""What is learnt from without its picture: text that answers what is asked, and never in an examination."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from phrasing import UNKNOWN, Turn
from pictures import Question
from samples import MOST_READ_OUT, READ, SCENES, Mix, answered_by_text, glance, read_alone, sample, told_by, turn_of

SHAPES_ALONE = {SCENES: 1.0, "shapes": 1.0}


def test_what_is_read_alone_asks_nothing_of_the_picture() -> None:
    mix = Mix(56, 4, SHAPES_ALONE, letters=False, unseen=1.0)
    drawn = [sample("train", index, 3, mix) for index in range(120)]

    alone = [one for one in drawn if not one.images]

    assert len(alone) > 80
    assert {one.kind for one in drawn} == set(READ)
    assert all(one.readings[0] for one in alone)
    turns = [turn for one in alone for turn in one.turns]
    assert not {"kind", "colour", "position", "aside"} & {turn.skill for turn in turns}
    keys = {(one.kind, key) for one in alone for turn in one.turns if turn.schema for key in turn.schema["properties"]}
    assert not {"kind", "chart_type", "primary_button"} & {key for _, key in keys}
    assert ("screen", "selected") not in keys  # A form's check boxes are read, a screen's tab is not.


def test_documents_learnt_from_are_asked_for_their_whole_text() -> None:
    mix = Mix(56, 4, {"form": 1.0, "receipt": 1.0}, letters=False)
    drawn = [sample("train", index, 3, mix) for index in range(60)]

    whole = [one for one in drawn if any(turn.answer == one.readings[0] != "" for turn in one.turns)]

    assert 5 < len(whole) < 30
    assert all(len(one.readings[0]) <= MOST_READ_OUT for one in whole)
    exam = [sample("eval", index, 3, mix) for index in range(40)]
    assert not any(turn.answer == one.readings[0] for one in exam for turn in one.turns)


def test_what_only_the_picture_shows_is_not_asked_of_its_text() -> None:
    drawn = [sample("train", index, 3, Mix(56, 4, {"screen": 1.0, "chart": 1.0}, letters=False)) for index in range(40)]
    seen = [turn for one in drawn for turn in one.turns if turn.seen]

    assert {"chart", "screen", "kind"} <= {turn.skill for turn in seen}
    assert all(turn not in read_alone(one).turns for one in drawn for turn in seen)
    records = [turn for turn in seen if turn.schema is not None and len(turn.schema["properties"]) > 1]
    assert records


def test_what_was_lost_in_reading_is_not_asked_of_the_text() -> None:
    receipts = [sample("train", index, 3, Mix(56, 4, {"receipt": 1.0}, letters=False)) for index in range(20)]
    cut = [replace(one, readings=(one.readings[0][:40],)) for one in receipts]

    for one in cut:
        text = "".join(one.readings[0].split()).lower()
        answers = [turn.answer for turn in read_alone(one).turns if turn.skill == "amount" and not turn.told]
        assert all("".join(answer.split()).lower() in text for answer in answers if len(answer) > 3)
    assert sum(len(read_alone(one).turns) for one in cut) < sum(len(read_alone(one).turns) for one in receipts)


@pytest.mark.parametrize(
    ("read", "learnt"),
    [
        ("Reading\n850.88 kWh", "850.88"),
        ("85O.8B", "850.88"),
        ("kWh", None),
        ("", UNKNOWN),
    ],
)
def test_a_number_that_was_not_read_is_not_learnt_from_a_picture_that_shows_no_print(read: str, learnt: str) -> None:
    turn = Turn("number", "words", "What does it show?", (("850.88", True),))
    shape = Turn("shape", "words", "Which shape is red?", (("circle", True),))

    told = told_by([read], [turn, shape])

    assert [one.answer for one in told] == [*([learnt] if learnt else []), "circle"]


@pytest.mark.parametrize(("read", "learnt"), [("Slow down", "a road sign"), ("", UNKNOWN)])
def test_what_a_document_is_is_not_learnt_where_nothing_was_read(read: str, learnt: str) -> None:
    turn = Turn("kind", "words", "What is it?", (("a road sign", True),), seen=True)

    assert [one.answer for one in told_by([read], [turn])] == [learnt]


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("Extract total and paid.", ["{", '"']),
        ("Extract it.", ["{", '"total"', '"', '"paid"']),
        ("Extract total and paid as JSON.", ['"']),
    ],
)
def test_of_json_what_the_question_does_not_tell_is_given(asked: str, given: list[str]) -> None:
    turn = turn_of(Question("json", asked, '{"total": "unknown", "paid": 1}', {"type": "object"}))

    assert turn.answer == '{"total": "unknown", "paid": 1}'
    assert [text for text, taught in turn.pieces if not taught] == given


def test_shapes_and_pictograms_are_known_on_every_picture_that_shows_them() -> None:
    for kind in ("shapes", "crowd", "pair", "emblems", "scenes"):
        drawn = [sample("train", index, 3, Mix(144, 9, {kind: 1.0}, letters=False)) for index in range(12)]

        views = [views[0].shapes for one in drawn for views in one.images]
        assert all(view is not None for view in views), kind
        named = [bool((view.name if kind == "emblems" else view.shape).max() > 0) for view in views if view is not None]
        assert sum(named) >= len(named) - 2, kind  # A scene may be empty.
    assert all(glance("train", index, 3, Mix(144, 9, letters=False)) for index in range(20))


def test_a_chart_is_read_alone_only_if_its_values_are_printed() -> None:
    mix = Mix(56, 4, {"chart": 1.0}, letters=False)
    charts = [sample("train", index, 3, mix) for index in range(60)]
    found = Counter(answered_by_text(chart) for chart in charts)

    assert min(found[True], found[False]) > 5
    for chart in charts:
        if answered_by_text(chart):
            values = [turn.answer for turn in chart.turns if turn.skill == "chart" and turn.answer.isdecimal()]
            assert all(value in chart.readings[0] for value in values)


def test_half_are_seen_where_half_are_to_be_and_all_in_an_examination() -> None:
    mix = Mix(56, 4, SHAPES_ALONE, letters=False, unseen=0.5)
    seen = {split: [bool(sample(split, index, 3, mix).images) for index in range(80)] for split in ("train", "eval")}

    assert 20 < sum(seen["train"]) < 65
    assert all(seen["eval"])
