"""Answers taught and judged are true of the picture, and judging them is strict."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
from drawing import rng_for
from facts import ask_colour, ask_count, ask_shape, ask_side
from judge import is_right, wilson
from pairs import ask_more, sample_pair
from phrasing import Turn, write_json
from portraits import ask_describe, ask_exists
from scenes import COLOUR_NAMES, SHAPE_NAMES, Scene, sample_scene
from talks import sample_talk


def drawn(number: int) -> list[tuple[Scene, np.random.Generator]]:
    rngs = [rng_for("watch", index, seed=6) for index in range(number)]
    return [(sample_scene(rng), rng) for rng in rngs]


def test_shape_and_colour_answers_are_in_the_picture() -> None:
    for scene, rng in drawn(200):
        shape, colour = ask_shape(scene, rng), ask_colour(scene, rng)
        assert shape is None or shape.value in {thing.shape for thing in scene.things}
        assert colour is None or colour.value in {thing.colour for thing in scene.things}


def test_the_colour_of_a_named_shape_is_its_own() -> None:
    for scene, rng in drawn(300):
        fact = ask_colour(scene, rng)
        named = [shape for shape in SHAPE_NAMES if fact and f"the {shape}" in fact.question]
        if fact and named:
            assert fact.value in {thing.colour for thing in scene.things if thing.shape == named[0]}


def test_counts_agree_with_the_question() -> None:
    for scene, rng in drawn(300):
        fact = ask_count(scene, rng)
        assert fact is not None
        words = fact.question.replace("grey", "gray").lower()
        shape = next((name for name in SHAPE_NAMES if name in words), None)
        colour = next((name for name in COLOUR_NAMES if f"{name} " in words), None)
        chosen = [t for t in scene.things if shape in (None, t.shape) and colour in (None, t.colour)]
        assert fact.value == len(chosen)
        assert str(len(chosen)) in fact.sentence


def test_left_and_right_are_balanced_and_clear() -> None:
    facts = [ask_side(scene, rng) for scene, rng in drawn(600)]
    values = Counter(fact.value for fact in facts if fact)

    assert 0.6 < values["left"] / values["right"] < 1.6
    assert 0.6 < values[True] / values[False] < 1.6


def test_is_there_is_balanced() -> None:
    facts = [ask_exists(scene, rng) for scene, rng in drawn(600)]
    share = np.mean([bool(fact.value) for fact in facts if fact])

    assert 0.4 < share < 0.6


def test_which_has_more_names_the_larger_count() -> None:
    for index in range(200):
        rng = rng_for("watch", index, seed=8)
        pair = sample_pair(rng)
        fact = ask_more(pair, rng)
        if fact and "fewer" not in fact.question and "hapes" in fact.question:
            a, b = (len(scene.things) for scene in pair)
            assert fact.value == ("same" if a == b else "first" if a > b else "second")


def test_a_forced_record_is_the_same_text_as_an_asked_one() -> None:
    value = {"shape": "star", "count": 2, "objects": [{"colour": "red"}, {"colour": "blue"}]}

    assert "".join(text for text, _ in write_json(value)) == json.dumps(value)


def test_a_bare_question_may_be_answered_with_a_sentence() -> None:
    bare = Turn("colour", "short", "What colour is it?", (("red", True),), sentence="It is red.")

    assert [is_right(bare, said) for said in ("red", "It is red.", "It is blue.")] == [True, True, False]
    assert not is_right(replace(bare, sentence=""), "It is red.")


def test_every_json_answer_parses() -> None:
    turns = [turn for index in range(150) for turn in sample_talk(rng_for("watch", index, seed=9)).turns]
    for turn in turns:
        if "json" in turn.form:
            assert isinstance(json.loads(turn.answer), dict)


def test_judging_is_strict() -> None:
    turn = Turn("colour", "sentence", "What colour is it?", (("It is red.", True),))

    assert is_right(turn, "it is red")
    assert not is_right(turn, "It is red or blue.")
    assert not is_right(turn, "")


def test_a_description_may_list_its_groups_in_any_order() -> None:
    turn = Turn("describe", "sentence", "", (("The image shows a red star and two blue circles.", True),))

    assert is_right(turn, "The image shows two blue circles and a red star.")
    assert not is_right(turn, "The image shows two blue circles.")
    assert not is_right(turn, "The image shows two red circles and a blue star.")


def test_a_description_is_asked_of_every_picture() -> None:
    assert all(ask_describe(scene, rng) for scene, rng in drawn(50))


def test_interval_of_wilson() -> None:
    low, high = wilson(97, 100)

    assert round(low, 3) == 0.915
    assert round(high, 3) == 0.990
