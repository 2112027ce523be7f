"""An answer held against its schema once more, when it is whole.

In: a value parsed from an answer, and a schema that `schema.read_schema` has passed. Out: whether the one is what the
other describes. The grammar that the answer was written by is another's; this is our own look at it.
"""

from __future__ import annotations

from sightline.engines.genai.schema import CHECKS, Schema, is_any_object, resolve, types_of

MAX_COMPARED = 20_000
"""Pairs of a value and a schema that an answer is checked by: some tens of milliseconds."""


def conforms(value: object, schema: Schema, root: Schema) -> bool:
    """Say whether `value`, parsed from JSON, is what `schema` describes; `root` is where references start.

    Each value is held against each schema once. Where that are more than `MAX_COMPARED` pairs, the grammar that the
    answer was held to is believed: a second look must not keep others waiting.
    """
    known: dict[tuple[int, int], bool] = {}
    waiting: list[_Pair] = [(value, schema)]
    while waiting:
        pair = waiting[-1]
        if len(known) + len(waiting) > MAX_COMPARED:
            return True
        parts = _parts(*pair, root)
        unknown = [part for part in parts or () if _key(part) not in known]
        if not unknown:
            known[_key(pair)] = parts is not None and _holds(*pair, [known[_key(part)] for part in parts])
            waiting.pop()
        waiting += unknown
    return known[id(value), id(schema)]


_Pair = tuple[object, Schema]


def _key(pair: _Pair) -> tuple[int, int]:
    return id(pair[0]), id(pair[1])


def _parts(value: object, schema: Schema, root: Schema) -> list[_Pair] | None:
    """Return what a verdict on `value` hangs on; None if a part of it has no schema."""
    if "$ref" in schema:
        return [(value, resolve(root, schema["$ref"]))]
    if "anyOf" in schema:
        return [(value, choice) for choice in schema["anyOf"]]
    types = types_of(schema)
    if isinstance(value, dict) and "object" in types:
        if is_any_object(schema):
            return []
        properties = schema.get("properties", {})
        return None if value.keys() - properties else [(item, properties[name]) for name, item in value.items()]
    if isinstance(value, list) and "array" in types and "items" in schema:
        return [(item, schema["items"]) for item in value]
    return []


def _holds(value: object, schema: Schema, parts: list[bool]) -> bool:
    """Say whether a value is what a schema describes; `parts` are the verdicts on its `_parts`."""
    if "$ref" in schema or "anyOf" in schema:
        return any(parts)
    if "enum" in schema:
        return any(_same(value, choice) for choice in schema["enum"])
    if "const" in schema:
        return _same(value, schema["const"])
    return all(parts) and any(CHECKS[name](value, schema) for name in types_of(schema))


def _same(value: object, choice: object) -> bool:
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)
