"""Questions that are learnt from are asked in many words, and ask the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pictures import bills, charts, table_talk
from pictures.asking import Fact, ask, phrase, wording
from pictures.fields import FIELDS, wordings
from pictures.rewording import LIKE, reworded
from pictures.table_talk import FIRSTS, SORTS


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("What is the invoice number?", "the invoice number"),
        ("Give me the value of Photo.", "photo"),
        ("What is the fee of Bern?", "fee"),
        ("Is Bern larger than Rome?", "bern"),
        ("How many bars are there?", "bars|columns"),
        ("Count the points on the line.", "points on the|markers|dots|values"),
        ('What is written next to "Total"?', '"total"'),
    ],
)
def test_other_words_ask_for_the_same(text: str, thing: str) -> None:
    rng = np.random.default_rng(3)

    made = {reworded(rng, text) for _ in range(200)}

    assert len(made) > 8
    assert all(re.search(thing, one.lower()) for one in made)


def test_what_is_quoted_stays_as_it_is() -> None:
    rng = np.random.default_rng(3)
    text = 'Does the image contain the text "the first line"?'

    made = {reworded(rng, text) for _ in range(100)}

    assert len(made) > 5
    assert all('"the first line"' in one for one in made)


@pytest.mark.parametrize(
    "wordings",
    [
        wordings("total", "Sum"),
        tuple(way.format("the lamp") for way in bills.ITEM_PRICE),
        tuple(way.format("highest") for way in charts.PEAK),
        tuple(way.format(c="price", r="May") for way in table_talk.CELL),
        table_talk.COLUMNS,
    ],
)
def test_nothing_is_reworded_into_what_an_examination_asks(wordings: tuple[str, ...]) -> None:
    rng = np.random.default_rng(3)
    made = {wording(rng, "train", wordings) for _ in range(3000)}

    assert len(made) > 2 * len(wordings)
    assert not made & set(wordings[-(len(wordings) // 5) :])


def test_a_price_is_asked_for_in_words_of_prices_alone() -> None:
    rng = np.random.default_rng(3)

    prices = {reworded(rng, "What does the lamp cost?") for _ in range(100)}
    signs = {reworded(rng, "What does the sign say?") for _ in range(100)}

    assert {"How expensive is lamp?", "What did lamp cost?"} < prices
    assert signs == {"What does the sign say?"}


def test_no_word_that_names_a_field_or_a_column_is_exchanged() -> None:
    names = [name for group in (*SORTS.values(), *FIRSTS.values()) for name in group]
    names += [name for field in FIELDS.values() for name in (*field.labels, *field.nouns)]

    assert not LIKE.keys() & {word for name in names for word in name.lower().split()}


def test_eval_asks_in_the_words_of_its_lists() -> None:
    rng = np.random.default_rng(3)
    fact = Fact("field", ("What is the date?",) * 5, "5 May")

    asked = {question.text.strip("?.").lower() for _ in range(200) for question in ask(rng, "eval", [fact])}

    assert all(text.removeprefix("please tell me: ").startswith("what is the date") for text in asked)


def test_a_sentence_knows_its_bare_answer() -> None:
    rng = np.random.default_rng(3)
    fact = Fact("field", ("What is the date?",), "5 May", "The date is 5 May.")

    asked = [phrase(rng, "train", fact) for _ in range(200)]

    assert {question.told for question in asked if question.answer == fact.sentence} == {"5 May"}
    assert {question.told for question in asked if question.answer == fact.answer} == {""}
