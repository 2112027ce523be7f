"""The judge of pictures that no code of ours drew."""

from __future__ import annotations

import pytest
from foreign import PICTURES, QUESTIONS, Question, verdict

TITLE = Question("manual.png", "What is the title?", ("Valgrind Documentation",))
ABSENT = Question("book.png", "What is the price?")


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        (TITLE, "Valgrind Documentation", "true"),
        (TITLE, "valgrind documentation.", "true"),
        (TITLE, "Valgrind", "false"),
        (TITLE, "I can't tell from this image.", "declined"),
        (ABSENT, "I can't tell from this image.", "declined"),
        (ABSENT, "12.50", "false"),
        (ABSENT, "", "false"),
    ],
)
def test_an_answer_is_true_declined_or_false(question: Question, answer: str, expected: str) -> None:
    assert verdict(question, answer) == expected


def test_there_are_ten_pictures_and_each_is_asked_about() -> None:
    there = {path.name for path in PICTURES.iterdir()} - {"README.md"}
    assert len(there) == 10
    assert {question.picture for question in QUESTIONS} == there
