"""The part of JSON Schema that answers can be held to, checked before generation.

In: the schema a request carries. Out: the same schema as a plain value, or an `InvalidRequest` that names each place.
The part is OpenAI's for strict schemas, less `pattern`, `format`, `multipleOf` and wide ranges of numbers. It is
checked here, to the last keyword, because the pipeline compiles a grammar in the middle of a step, where a failure
would end every request.

Source: https://platform.openai.com/docs/guides/structured-outputs; https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sightline.errors import MOST_PROBLEMS, InvalidRequest, UnsupportedParameter

PARAM = "response_format.json_schema.schema"
MAX_DEPTH = 32
MAX_NODES = 2_000
MAX_CHARACTERS = 100_000
MAX_COUNT = 1_000
MAX_LENGTH = 100
"""Of a string with a bound: beyond it the grammar engine takes tens of milliseconds a token."""
MAX_SPELLED = 2_000
"""Values of all enums and numbers of all ranges together: the grammar engine's time grows with their square, and every
answer waits for it."""
MAX_REPEATED = 2_000
"""Items and characters that bounds count, together: the grammar engine writes each out, and every answer waits."""
MAX_OPTIONAL = 500
"""Properties of one object that may be missing: the grammar engine's time grows with their square."""

Schema = dict[str, Any]

_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$schema", "$id", "$comment", "readOnly"})
_DEFINITIONS = ("$defs", "definitions")
_STRUCTURAL = frozenset({*_DEFINITIONS, "type", "enum", "const", "anyOf", "$ref"})
_KEYWORDS = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_ALL_TYPED = frozenset().union(*_KEYWORDS.values())
_REPEATING = (("minItems", "maxItems"), ("minLength", "maxLength"))
_BOUNDS = {_REPEATING[0]: (0, MAX_COUNT), _REPEATING[1]: (0, MAX_LENGTH), ("minimum", "maximum"): (-(2**53), 2**53)}
"""The least and the greatest value that each pair may have."""


def read_schema(text: str) -> Schema:
    """Return the schema that `text` spells.

    Raises:
        InvalidRequest: it is no JSON object, or uses something outside the supported part; says where. Of several
            faults, `details` lists each.
    """
    if len(text) > MAX_CHARACTERS:
        raise _invalid("", f"has {len(text):,} characters, the limit is {MAX_CHARACTERS:,}")
    try:
        schema = json.loads(text)
        json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise _invalid("", "is not valid JSON") from error
    _Checker(schema).check()
    return dict(schema)


class _Enough(Exception):
    """There are as many faults as one answer lists, or the schema is too large to go on."""


class _Checker:
    """Looks at one schema and all parts of it; every fault says where."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._faults: list[InvalidRequest] = []
        self._schemas: dict[int, tuple[Schema, str]] = {}
        """By identity: every schema of the document, and where it stands."""
        self._leads_to: dict[int, list[int]] = {}
        """From a schema that consumes no text itself, by `$ref` or `anyOf`, to those that may stand for it."""
        self._spelled = self._repeated = 0
        self._counted: set[str | int] = set()

    def check(self) -> None:
        with suppress(_Enough):
            self._collect(self._root, "", depth=0)
            for schema, place in self._schemas.values():
                try:
                    self._keywords(schema, place)
                    self._values(schema, place)
                    self._reference(schema, place)
                except InvalidRequest as fault:
                    self._note(fault)
            self._ways()
        if self._faults:
            raise InvalidRequest.together(self._faults)

    def _note(self, fault: InvalidRequest) -> None:
        self._faults.append(fault)
        if len(self._faults) >= MOST_PROBLEMS:
            raise _Enough

    def _collect(self, schema: object, place: str, *, depth: int) -> None:
        if not isinstance(schema, dict):
            self._note(_invalid(place, "must be a JSON object"))
            return
        if len(self._schemas) >= MAX_NODES or depth > MAX_DEPTH:
            self._note(_invalid(place, f"goes beyond {MAX_NODES:,} parts or {MAX_DEPTH} levels"))
            raise _Enough
        self._schemas[id(schema)] = (schema, place)
        try:
            for child, child_place in _children(schema, place):
                self._collect(child, child_place, depth=depth + 1)
        except InvalidRequest as fault:
            self._note(fault)

    def _keywords(self, schema: Schema, place: str) -> None:
        types = types_of(schema, place)
        allowed = _STRUCTURAL | _ANNOTATIONS | frozenset().union(*(_KEYWORDS[name] for name in types))
        faults: list[InvalidRequest] = []
        for keyword in schema:
            if keyword not in allowed:
                if keyword in _ALL_TYPED and not (keyword in _KEYWORDS["integer"] and "number" in types):
                    faults.append(_invalid(f"{place}.{keyword}", "needs a type that has it"))
                else:
                    faults.append(_unsupported(f"{place}.{keyword}", "is not supported"))
        if faults:
            raise InvalidRequest.together(faults)
        leading = [word for word in ("type", "enum", "const", "anyOf", "$ref") if word in schema]
        if len(leading) != 1 and set(leading) not in ({"type", "enum"}, {"type", "const"}):
            raise _invalid(place, "needs exactly one of type, enum, const, anyOf and $ref")

    def _values(self, schema: Schema, place: str) -> None:
        if "enum" in schema:
            values = schema["enum"]
            if not isinstance(values, list) or not 0 < len(values) <= MAX_COUNT or not all(map(_is_scalar, values)):
                raise _invalid(f"{place}.enum", f"must list 1 to {MAX_COUNT:,} strings, numbers, true, false or null")
        if "const" in schema and not _is_scalar(schema["const"]):
            raise _invalid(f"{place}.const", "must be a string, number, true, false or null")
        for (low, high), limits in _BOUNDS.items():
            for word in (low, high):
                if word in schema and not _is_whole(schema[word], *limits):
                    least, greatest = limits
                    raise _invalid(f"{place}.{word}", f"must be a whole number from {least:,} to {greatest:,}")
            if low in schema and high in schema and schema[low] > schema[high]:
                raise _invalid(f"{place}.{low}", f"is greater than {high}")
        _check_range(schema, place)
        _check_allowed(schema, place)
        before = self._spelled
        self._spelled += _spelled(schema)
        if before <= MAX_SPELLED < self._spelled:
            raise _invalid(place, f"makes it more than {MAX_SPELLED:,} values of enums and numbers between bounds")
        self._count_repeated(schema, place)
        self._object(schema, place)

    def _count_repeated(self, schema: Schema, place: str) -> None:
        """Count what the grammar writes out for bounds; of parts that are one rule there, once."""
        repeated = sum(max(schema.get(low, 0), schema.get(high, 0)) for low, high in _REPEATING)
        if not repeated or (rule := rule_key(schema)) in self._counted:
            return
        self._counted.add(rule)
        before = self._repeated
        self._repeated += repeated
        if before <= MAX_REPEATED < self._repeated:
            raise _invalid(
                place,
                f"makes it {self._repeated:,} items and characters counted by minItems, maxItems, minLength and "
                f"maxLength together, the limit is {MAX_REPEATED:,}; lower some of these or leave them out",
            )

    def _object(self, schema: Schema, place: str) -> None:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            return  # which `_children` says
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
            raise _invalid(f"{place}.required", "must list names that stand in properties")
        if schema.get("additionalProperties", False) is not False:
            raise _invalid(f"{place}.additionalProperties", "must be false")
        optional = len(properties.keys() - set(required))
        if optional > MAX_OPTIONAL:
            raise _invalid(
                place,
                f"has {optional:,} properties that may be missing, the limit is {MAX_OPTIONAL}; list more of them in "
                "required, and let those be null",
            )

    def _reference(self, schema: Schema, place: str) -> None:
        if "$ref" in schema:
            target = id(resolve(self._root, schema["$ref"], place))
            if target not in self._schemas:  # something else of the document, which nothing has looked at
                raise _invalid(f"{place}.$ref", "must point to a schema")
            self._leads_to[id(schema)] = [target]
        elif isinstance(schema.get("anyOf"), list):
            self._leads_to[id(schema)] = [id(choice) for choice in schema["anyOf"]]

    def _ways(self) -> None:
        """Refuse ways through `$ref` and `anyOf` that lead to no text, or not soon. Names the first schema on one."""
        reached = set(self._leads_to)
        for _ in range(MAX_DEPTH + 1):
            reached = {target for schema in reached for target in self._leads_to.get(schema, ())}
        for schema, (_, place) in self._schemas.items():
            if schema in reached:
                problem = f"leads round in a circle, or through more than {MAX_DEPTH} references and choices"
                self._note(_invalid(place, problem))
                return


def _check_range(schema: Schema, place: str) -> None:
    """Refuse bounds that the grammar cannot spell out."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and (low is None or high - low >= MAX_COUNT):
        raise _unsupported(f"{place}.maximum", f"needs a minimum at most {MAX_COUNT - 1:,} below it")
    if high is None and low not in (None, 0, 1):
        raise _unsupported(f"{place}.minimum", "must be 0 or 1 where there is no maximum")


def _check_allowed(schema: Schema, place: str) -> None:
    """Refuse listed values that the type or the bounds beside them do not allow: the list alone would be held to."""
    types = types_of(schema, place)
    listed = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
    for value in listed if types else []:
        if not any(_is_allowed(value, name, schema) for name in types):
            raise _invalid(f"{place}.{'enum' if 'enum' in schema else 'const'}", "has a value that its type does not")


def _spelled(schema: Schema) -> int:
    """How many values the grammar spells out for a schema."""
    low, high = schema.get("minimum"), schema.get("maximum")
    return len(schema.get("enum", ())) + (high - low + 1 if low is not None and high is not None else 0)


def types_of(schema: Schema, place: str = "") -> list[str]:
    """Return the names under `type`, one or several.

    Raises:
        InvalidRequest: `place` names a type that there is not.
    """
    if "type" not in schema:
        return []
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not types or not all(isinstance(name, str) and name in _KEYWORDS for name in types):
        raise _invalid(f"{place}.type", f"must be one or several of {', '.join(_KEYWORDS)}")
    return types


def rule_key(schema: Schema) -> str | int:
    """Return what stands for a schema's rule in the grammar: of those without parts of their own, equal ones are one.

    What is only said about a schema makes none another.
    """
    if not schema.keys().isdisjoint(("properties", "items", "anyOf")):
        return id(schema)
    return json.dumps({word: value for word, value in schema.items() if word not in _ANNOTATIONS})


def is_any_object(schema: Schema) -> bool:
    """Say whether a schema of an object leaves open what is in it."""
    return schema.keys().isdisjoint(("properties", "additionalProperties"))


def _children(schema: Schema, place: str) -> Iterator[tuple[object, str]]:
    for word in (*_DEFINITIONS, "properties"):
        named = schema.get(word, {})
        if not isinstance(named, dict):
            raise _invalid(f"{place}.{word}", "must be a JSON object")
        yield from ((child, f"{place}.{word}.{name}") for name, child in named.items())
    if "items" in schema:
        yield schema["items"], f"{place}.items"
    if "anyOf" in schema:
        choices = schema["anyOf"]
        if not isinstance(choices, list) or not choices:
            raise _invalid(f"{place}.anyOf", "must be a list of schemas")
        yield from ((child, f"{place}.anyOf[{number}]") for number, child in enumerate(choices))


def resolve(root: object, target: object, place: str = "") -> Schema:
    """Return the schema that a reference within `root` points to.

    Raises:
        InvalidRequest: it is no string, or points nowhere, or out of the document.
    """
    if not isinstance(target, str):
        raise _invalid(f"{place}.$ref", "must be a string")
    found = root
    if target != "#":
        for step in target.removeprefix("#/").split("/") if target.startswith("#/") else [None]:
            found = found.get(step) if isinstance(found, dict) and step is not None else None
    if not isinstance(found, dict):
        raise _invalid(f"{place}.$ref", "must point to a schema of this document, such as #/$defs/name")
    return found


def _is_whole(value: object, least: int, greatest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= greatest


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _invalid(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{_where(place)} {problem}", param=PARAM)


def _unsupported(place: str, problem: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"{_where(place)} {problem}", param=PARAM)


def _where(place: str) -> str:
    return f"the schema's {place.removeprefix('.')}" if place else "the schema"


def _is_allowed(value: str | float | bool | None, name: str, schema: Schema) -> bool:
    """Say whether a value, which is a scalar, is of the type `name` and within the bounds beside it."""
    if value is None or isinstance(value, bool):
        return name == ("null" if value is None else "boolean")
    if isinstance(value, str):
        return name == "string" and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if name == "integer" and value == int(value):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return name == "number"
