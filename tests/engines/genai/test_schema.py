"""JSON schemas: what is supported passes, everything else is refused by place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sightline.engines.genai.ebnf import grammar_of
from sightline.engines.genai.schema import PARAM, read_schema
from sightline.errors import MOST_PROBLEMS, InvalidRequest

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


STRINGS = {
    "type": "object",
    "properties": {f"a{number}": {"type": "string", "maxLength": 100 - number % 30} for number in range(90)},
}


def arrays(*most: int, word: str = "maxItems") -> dict[str, Any]:
    items = {"type": "null"}
    bounded = {f"a{number}": {"type": "array", "items": items, word: count} for number, count in enumerate(most)}
    return {"type": "object", "properties": bounded}


def optional(properties: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"a{number}": {"type": "null"} for number in range(properties)}}


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
        (arrays(1000, 900, 101), "properties.a2 makes it 2,001 items and characters"),
        (arrays(1000, 900, 101, word="minItems"), "2,001 items and characters"),
        (STRINGS, "2,047 items and characters counted by minItems, maxItems, minLength and maxLength"),
        (optional(501), "has 501 properties that may be missing, the limit is 500"),
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


def test_every_fault_is_named_once() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "pattern": "x", "format": "date"},
            "b": {"type": "array", "items": {"type": "text"}, "minItems": -1},
            "c": {"anyOf": [{"$ref": "#/nowhere"}, {"$ref": "#/$defs/d"}]},
            "e": 1,
        },
        "required": ["f"],
        "$defs": {"d": {"$ref": "#/$defs/d"}, "g": {"type": "object", "properties": []}},
    }

    with pytest.raises(InvalidRequest) as caught:
        read_schema(json.dumps(schema))

    assert {problem.param for problem in caught.value.details} == {PARAM}
    assert [problem.message.removeprefix("the schema's ").partition(" ")[0] for problem in caught.value.details] == [
        "$defs.g.properties",
        "properties.e",
        "required",
        "properties.a.pattern",
        "properties.a.format",
        "properties.b.minItems",
        "properties.b.items.type",
        "properties.c.anyOf[0].$ref",
        "$defs.d",
    ]


def test_no_more_faults_are_named_than_an_answer_lists() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_schema(json.dumps({"type": "object", "properties": {f"a{number}": 1 for number in range(1500)}}))

    assert len(caught.value.details) == MOST_PROBLEMS


def test_bounds_are_counted_as_often_as_they_are_written_out() -> None:
    """Sixty strings of one kind are one rule of the grammar, whatever their descriptions say."""
    parts = {f"a{number}": {"type": "string", "maxLength": 100, "description": str(number)} for number in range(60)}

    schema = read_schema(json.dumps({"type": "object", "properties": parts}))

    assert sum(rule.count("char{0,100}") for rule in grammar_of(schema).splitlines()) == 1


def test_depth_and_size_are_bounded() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    wide: dict[str, Any] = {"type": "object", "properties": {str(number): {"type": "null"} for number in range(3000)}}
    wide["required"] = list(wide["properties"])

    assert "32 levels" in refuse(deep)
    assert "2,000 parts" in refuse(wide)


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
