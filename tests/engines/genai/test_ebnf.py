"""Schema to grammar: nothing of a schema breaks out of its place, and every choice is a tree of prefixes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sightline.core import ResponseFormat
from sightline.engines.genai.ebnf import answer_grammar, grammar_of
from sightline.errors import InvalidRequest


def own_rules(schema: dict[str, Any]) -> str:
    grammar = grammar_of(schema)
    return grammar[: grammar.index("\nws ::=")]


def test_every_rule_is_defined_once() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["a"],
    }

    grammar = grammar_of(schema)

    defined = re.findall(r"^(\w+) ::=", grammar, flags=re.MULTILINE)
    used = set(re.findall(r"\b(?:part|rest)\d+\b", grammar))
    assert len(defined) == len(set(defined))
    assert used <= set(defined)


@pytest.mark.parametrize("name", ['"', '" | "x', "\\", "\n", "é", "::=", "a b"])
def test_names_and_values_cannot_break_out_of_their_quotes(name: str) -> None:
    rules = own_rules({"type": "object", "properties": {name: {"const": name}}})

    assert set(re.findall(r'"([^"]*)"', rules)) <= set(re.findall(r'"((?:[\w{}:,]|\\U[0-9a-f]{8})*)"', rules))


def test_numbers_in_a_range_are_a_tree_of_prefixes() -> None:
    assert '"1" ( "" | "0" | "1" )' in own_rules({"type": "integer", "minimum": 1, "maximum": 11})


def test_a_lower_bound_alone_leaves_the_sign_out() -> None:
    assert "::= natural" in own_rules({"type": "integer", "minimum": 0})
    assert "::= [1-9]" in own_rules({"type": "integer", "minimum": 1})


def test_lengths_become_counts() -> None:
    assert "char{2,3}" in own_rules({"type": "string", "minLength": 2, "maxLength": 3})
    assert '"[" ws "]"' in own_rules({"type": "array", "maxItems": 0})
    assert "{1,2} ws" in own_rules({"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3})
    assert "{0,} )? ws" in own_rules({"type": "array"})


def test_values_that_branch_too_deep_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        grammar_of({"enum": ["a" * length for length in range(1, 100)]})


def test_the_grammar_of_any_object_begins_with_one() -> None:
    grammar = answer_grammar(ResponseFormat("json_object"))

    assert grammar is not None
    assert grammar.startswith("root ::= object\n")


def test_plain_text_has_no_grammar() -> None:
    assert answer_grammar(ResponseFormat()) is None


def test_json_schema_without_a_schema_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        answer_grammar(ResponseFormat("json_schema"))


def test_an_object_is_open_that_says_nothing_of_its_properties() -> None:
    assert own_rules({"type": "object"}).endswith("part0 ::= object")
    assert own_rules({"type": "object", "additionalProperties": False}).endswith('part0 ::= "{" ws "" ws "}"')


def test_equal_parts_without_parts_of_their_own_are_one_rule() -> None:
    grade = {"type": "integer", "minimum": 0, "maximum": 19}
    grammar = grammar_of({"type": "object", "properties": {f"a{number}": dict(grade) for number in range(100)}})

    assert sum(line.startswith("part") for line in grammar.split("\n")) == 2
