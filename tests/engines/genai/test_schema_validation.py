"""Answers held against their schemas: truly, and in few steps."""

from __future__ import annotations

import pytest
from tests.engines.genai.test_schema import SHAPES, chained

from sightline.engines.genai.schema_validation import MAX_COMPARED, conforms


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"shape": "circle"}, True),
        ({"shape": "circle", "count": 6, "parts": [{}, {"inner": {"inner": {}}}], "note": None}, True),
        ({"shape": "circle", "area": 1.5, "kind": 1, "solid": True}, True),
        ({"shape": "circle", "area": None, "note": "abc", "count": 2.0}, True),
        ({}, False),
        ([], False),
        ({"shape": "oval"}, False),
        ({"shape": "circle", "count": 7}, False),
        ({"shape": "circle", "count": True}, False),
        ({"shape": "circle", "count": "1"}, False),
        ({"shape": "circle", "kind": True}, False),
        ({"shape": "circle", "note": "abcd"}, False),
        ({"shape": "circle", "parts": [{}, {}, {}]}, False),
        ({"shape": "circle", "parts": [{"outer": 1}]}, False),
        ({"shape": "circle", "extra": 1}, False),
    ],
)
def test_answers_are_held_to_the_schema(value: object, fits: bool) -> None:
    assert conforms(value, SHAPES, SHAPES) is fits


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "object"}, True),
        ({"type": ["object", "null"], "description": "anything"}, True),
        ({"type": "object", "additionalProperties": False}, False),
        ({"type": "object", "properties": {}}, False),
    ],
)
def test_an_object_is_open_that_says_nothing_of_its_properties(schema: dict[str, object], fits: bool) -> None:
    assert conforms({"a": [1, {"b": None}]}, schema, schema) is fits
    assert conforms({}, schema, schema)
    assert not conforms([], schema, schema)


@pytest.mark.parametrize("last", [2, 3])
def test_an_answer_is_checked_in_few_steps_however_choices_nest(last: int) -> None:
    """Every level is an object in two ways that differ in what comes last."""
    schema = chained(
        30,
        lambda next_: {
            "anyOf": [
                {"type": "object", "properties": {"x": next_, "y": {"const": number}}, "required": ["x", "y"]}
                for number in (1, 2)
            ]
        },
    )
    answer: object = "s"
    for level in range(30):
        answer = {"x": answer, "y": 2 if level else last}

    assert conforms(answer, schema, schema) is (last == 2)


def test_an_answer_deeper_than_pythons_stack_is_checked() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
    good: object = None
    bad: object = 1
    for _ in range(2000):
        good, bad = {"a": good}, {"a": bad}

    assert conforms(good, schema, schema)
    assert not conforms(bad, schema, schema)


def test_an_answer_with_too_much_to_compare_is_left_to_the_grammar() -> None:
    schema = {"type": "array", "items": {"anyOf": [{"const": number} for number in range(900)]}}

    assert not conforms([-1] * 3 + [[]], schema, schema)
    assert conforms([[] for _ in range(MAX_COMPARED // 900 + 2)], schema, schema)
