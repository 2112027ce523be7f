"""OpenAI's own description of its API as a judge: checks our answers, and draws requests that it allows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from support.pictures import data_uri, picture

PAGE = Path(__file__).parents[3] / "shared" / "spec" / "openai-chat.json"
_REFERENCE = "#/components/schemas/"
Values = st.SearchStrategy[Any]


@cache
def _components() -> dict[str, Any]:
    if not PAGE.exists():
        pytest.skip("OpenAI's description, ../shared/spec/openai-chat.json, is not here")
    schemas: dict[str, Any] = _modern(json.loads(PAGE.read_text())["components"]["schemas"])
    return schemas


def _modern(value: Any) -> Any:
    """Rewrite `nullable`, of an older OpenAPI, as JSON Schema says it."""
    if isinstance(value, list):
        return [_modern(item) for item in value]
    if not isinstance(value, dict):
        return value
    schema = {name: _modern(item) for name, item in value.items() if name != "nullable"}
    return {"anyOf": [schema, {"type": "null"}]} if value.get("nullable") is True else schema


def assert_described(body: Any, name: str) -> None:
    """A body is what the description calls `name`. Fields of our own beside OpenAI's are allowed."""
    root = {"$ref": _REFERENCE + name, "components": {"schemas": _components()}}
    problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(root).iter_errors(body)]
    assert not problems, problems[:5]


def requests(parameters: tuple[str, ...]) -> Values:
    """Bodies of `POST /v1/chat/completions` that the description allows, with some of `parameters`."""
    known = _properties("CreateChatCompletionRequest")
    required = {name: _values(known[name], name) for name in ("model", "messages")}
    return st.fixed_dictionaries(required, optional={name: _values(known[name], name) for name in parameters})


def _properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def collect(schema: dict[str, Any]) -> None:
        if "$ref" in schema:
            collect(_resolve(schema))
        for part in schema.get("allOf", ()):
            collect(part)
        found.update(schema.get("properties", {}))

    collect(_components()[name])
    return found


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    resolved: dict[str, Any] = _components()[schema["$ref"].removeprefix(_REFERENCE)]
    return resolved


# What the description says in words only, and what an image must be to be one.
_NARROWER: dict[str, Values] = {
    "model": st.just("sightline/scripted"),
    "url": st.just(data_uri(picture())),
    "json_schema": st.fixed_dictionaries({"name": st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)}).flatmap(
        lambda named: st.fixed_dictionaries({k: st.just(v) for k, v in named.items()} | {"schema": st.just({})})
    ),
    "n": st.integers(1, 8) | st.none(),
    "top_logprobs": st.integers(0, 20),
    "seed": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "max_tokens": st.integers(1, 2**31 - 1) | st.none(),
    "max_completion_tokens": st.integers(1, 2**31 - 1) | st.none(),
}


def _values(schema: dict[str, Any], name: str = "") -> Values:
    if name in _NARROWER:
        return _NARROWER[name]
    if "$ref" in schema:
        return st.deferred(lambda: _values(_resolve(schema), name))
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return st.one_of([_values(option) for option in schema[choice]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _typed(schema)


def _typed(schema: dict[str, Any]) -> Values:
    low, high = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"):
        case "string":
            return st.text(min_size=1, max_size=20)
        case "integer":
            return st.integers(low, high)
        case "number":
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            most = min(schema.get("maxItems", 2), 2)
            return st.lists(_values(schema["items"]), min_size=schema.get("minItems", 0), max_size=most)
    return _object(schema)


def _object(schema: dict[str, Any]) -> Values:
    known = schema.get("properties")
    if known is None:
        more = schema.get("additionalProperties")
        return st.dictionaries(
            st.text(max_size=8), _values(more) if isinstance(more, dict) else st.integers(), max_size=2
        )
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: _values(known[name], name) for name in known if name in required},
        optional={name: _values(known[name], name) for name in known if name not in required},
    )
