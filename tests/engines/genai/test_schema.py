"""JSON schemas: what is supported passes, everything else is refused by place, answers are checked truly."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sightline.core import ResponseFormat
from sightline.engines.genai.ebnf import grammar_of
from sightline.engines.genai.grammar import read_form
from sightline.engines.genai.schema import MAX_COMPARED, PARAM, conforms, read_schema
from sightline.errors import InvalidRequest

SHAPES = {
    "type": "object",
    "title": "What is in the picture",
    "properties": {
        "shape": {"enum": ["circle", "square"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 6},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "maxItems": 2},
        "note": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        "area": {"type": ["number", "null"]},
        "kind": {"const": 1},
        "solid": {"type": "boolean"},
    },
    "required": ["shape"],
    "additionalProperties": False,
    "$defs": {"part": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/part"}}}},
}


def refuse(schema: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_schema(schema if isinstance(schema, str) else json.dumps(schema))
    assert caught.value.param == PARAM
    return caught.value.message


def test_a_schema_of_supported_parts_is_read() -> None:
    assert read_schema(json.dumps(SHAPES)) == SHAPES


MANY_RANGES = {
    "type": "object",
    "properties": {f"a{number}": {"type": "integer", "minimum": 0, "maximum": 999} for number in range(3)},
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "not valid JSON"),
        ("[" * 50_000, "not valid JSON"),
        ("x" * 100_001, "100,001 characters"),
        ([], "must be a JSON object"),
        ({}, "exactly one of"),
        ({"type": "text"}, "type must be one or several of"),
        ({"type": []}, "type must be one or several of"),
        ({"type": "string", "pattern": "("}, "pattern is not supported"),
        ({"type": "string", "minimum": 1}, "minimum needs a type that has it"),
        ({"type": "number", "minimum": 0}, "minimum is not supported"),
        ({"type": "object", "properties": {"a": {"multipleOf": 2}}}, "properties.a.multipleOf is not supported"),
        ({"type": "object", "properties": {"a": 1}}, "properties.a must be a JSON object"),
        ({"type": "object", "properties": []}, "properties must be a JSON object"),
        ({"type": "object", "required": ["a"]}, "required must list names"),
        ({"type": "object", "required": [[]]}, "required must list names"),
        ({"type": "object", "additionalProperties": True}, "additionalProperties must be false"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems is greater than maxItems"),
        ({"type": "array", "minItems": -1}, "minItems must be a whole number"),
        ({"type": "integer", "minimum": 0.5}, "minimum must be a whole number"),
        ({"type": "integer", "maximum": 2**60}, "maximum must be a whole number"),
        ({"type": "integer", "maximum": 5}, "maximum needs a minimum"),
        ({"type": "integer", "minimum": 0, "maximum": 1000}, "maximum needs a minimum at most 999 below it"),
        ({"type": "integer", "minimum": 2}, "minimum must be 0 or 1"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "leads round in a circle"),
        ({"enum": []}, "enum must list"),
        ({"enum": [{}]}, "enum must list"),
        ({"const": []}, "const must be"),
        ('{"const": "\\ud800"}', "not valid JSON"),
        ('{"const": NaN}', "not valid JSON"),
        ({"anyOf": []}, "anyOf must be a list"),
        ({"anyOf": [{"type": "string"}], "enum": ["a"]}, "exactly one of"),
        ({"$ref": "#"}, "leads round in a circle"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads round in a circle"),
        ({"$ref": "#/nowhere"}, "must point to a schema"),
        ({"$ref": "https://example.com/schema"}, "must point to a schema"),
        ({"$ref": 1}, "must be a string"),
        ({"type": "array", "items": {"$ref": "#/$defs"}, "$defs": {"x": {"type": "string"}}}, "must point to a schema"),
        ({"$ref": "#/default", "default": {"type": "string", "minLength": "0} EVIL"}}, "must point to a schema"),
        ({"type": "integer", "minimum": 0, "maximum": 100, "enum": [1, 300]}, "enum has a value that its type"),
        ({"type": "string", "enum": ["a", None]}, "enum has a value that its type"),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 3, "const": "q"},
            "const has a value that its type",
        ),
        (MANY_RANGES, "more than 2,000 values"),
    ],
)
def test_anything_else_is_refused_by_place(schema: Any, words: str) -> None:
    assert words in refuse(schema)


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"type": "string", "pattern": "a"}, "unsupported_parameter"),
        ({"type": "integer", "minimum": 0, "maximum": 10_000}, "unsupported_parameter"),
        ({"type": "text"}, "invalid_value"),
    ],
)
def test_what_a_schema_lacks_here_and_what_is_wrong_with_it_have_codes(schema: Any, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_schema(json.dumps(schema))

    assert caught.value.code == code


def test_depth_and_size_are_bounded() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    wide = {"type": "object", "properties": {str(number): {"type": "null"} for number in range(3000)}}

    assert "32 levels" in refuse(deep)
    assert "2,000 parts" in refuse(wide)


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


def test_plain_text_has_no_form() -> None:
    assert read_form(ResponseFormat()) is None


def test_json_object_takes_any_object_and_nothing_else() -> None:
    form = read_form(ResponseFormat("json_object"))

    assert form is not None
    assert form.accepts('{"a": [1]}')
    assert not form.accepts("[1]")
    assert not form.accepts('{"a": [1')


def test_json_schema_without_a_schema_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_form(ResponseFormat("json_schema"))


def test_json_schema_takes_what_conforms() -> None:
    form = read_form(ResponseFormat("json_schema", json.dumps(SHAPES)))

    assert form is not None
    assert form.accepts('{"shape": "square"}')
    assert not form.accepts('{"shape": "line"}')


def chained(parts: int, part: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A schema of so many definitions, each made of the reference to the next; the last is a string."""
    made = {f"d{number}": part({"$ref": f"#/$defs/d{number + 1}"}) for number in range(parts)}
    return {"$ref": "#/$defs/d0", "$defs": {**made, f"d{parts}": {"type": "string"}}}


@pytest.mark.parametrize(("parts", "part"), [(500, dict), (40, lambda next_: {"anyOf": [next_, next_]})])
def test_ways_through_references_are_followed_once_and_are_short(
    parts: int, part: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """The second doubles the ways at each step: followed one by one they would take years."""
    assert "more than 32 references and choices" in refuse(chained(parts, part))
    assert read_schema(json.dumps(chained(12, part)))


def test_a_schema_as_deep_as_it_is_long_becomes_a_grammar() -> None:
    schema = chained(900, lambda next_: {"type": "object", "properties": {"a": next_}})

    rules = grammar_of(read_schema(json.dumps(schema))).splitlines()

    assert sum('"{" ws rest' in rule for rule in rules) == 900


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
