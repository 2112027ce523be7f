"""What the tower is told of a patch is what is printed there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from labels import CLASSES, PRINTED, SLOTS, UNKNOWN, label_characters, pick_tokens


@dataclass(frozen=True)
class Mark:
    character: str
    x: float
    y: float


def read(classes: np.ndarray) -> str:
    return "".join(PRINTED[number - 1] for number in classes if number)


def test_characters_belong_to_the_patch_of_their_centre_in_reading_order() -> None:
    labels = label_characters([Mark("a", 0.1, 0.1), Mark("b", 0.2, 0.1), Mark("c", 0.9, 0.9), Mark(" ", 0.6, 0.1)], 2)

    assert [read(patch) for patch in labels] == ["ab", "", "", "c"]


def test_a_closer_view_has_the_characters_of_its_part() -> None:
    marks = [Mark("l", 0.25, 0.5), Mark("r", 0.75, 0.5)]

    labels = label_characters(marks, 4, part=(0.5, 0.0, 0.5, 1.0))

    assert "".join(read(patch) for patch in labels) == "r"
    assert read(labels[2 * 4 + 2]) == "r"


def test_an_unusual_character_is_some_other_and_too_many_are_not_asked() -> None:
    assert label_characters([Mark("\u4e2d", 0.5, 0.5)], 1)[0, 0] == len(PRINTED) + 1
    assert not label_characters([Mark("umbrella", 0.5, 0.5)], 1).any()
    assert (label_characters([Mark("x", 0.5, 0.5)] * (SLOTS + 1), 1) == UNKNOWN).all()
    assert CLASSES <= UNKNOWN


def test_tokens_with_characters_are_asked_about_first() -> None:
    labels = np.zeros((16, SLOTS), np.uint8)
    labels[5] = 1  # in the first of four tokens
    rng = np.random.default_rng(0)

    chosen = [pick_tokens(labels, 2, 1, rng)[0] for _ in range(200)]

    assert chosen.count(0) > 100
    assert len(set(chosen)) == 4
