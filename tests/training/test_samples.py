"""What is learnt from without its picture: text that answers what is asked, and never in an examination."""

from __future__ import annotations

from collections import Counter

from samples import LOOKED_AT, READ, SCENES, Mix, answered_by_text, looked_at, sample

SHAPES_ALONE = {SCENES: 1.0, "shapes": 1.0}


def test_what_is_read_alone_asks_nothing_of_the_picture() -> None:
    mix = Mix(56, 4, SHAPES_ALONE, letters=False, unseen=1.0)
    drawn = [sample("train", index, 3, mix) for index in range(120)]

    alone = [one for one in drawn if not one.images]

    assert len(alone) > 80
    assert {one.kind for one in drawn} == set(READ)
    assert all(one.readings[0] for one in alone)
    assert not [turn for one in alone for turn in one.turns if turn.skill in LOOKED_AT or looked_at(turn)]


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
