"""The part of JSON Schema that answers can be held to, checked before generation.

In: the schema a request carries. Out: the same schema as a plain value, or an `InvalidRequest` that names each place.
The part is OpenAI's for strict schemas, less `pattern`, `format`, `multipleOf` and wide ranges of numbers. It is
checked here, to the last keyword, because the pipeline compiles a grammar in the middle of a step, where a failure
would end every request.

Source: https://platform.openai.com/docs/guides/structured-outputs; https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
MAX_MAGNITUDE = 2**53

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
_OF_INTEGERS = frozenset({"minimum", "maximum"})
"""Which numbers have as well, and this service lacks."""
_ALL_TYPED = frozenset().union(*_KEYWORDS.values())
_REPEATING = (("minItems", "maxItems"), ("minLength", "maxLength"))
_BOUNDS = (*_REPEATING, ("minimum", "maximum"))
_LIMITS = {
    **dict.fromkeys(("minItems", "maxItems"), MAX_COUNT),
    **dict.fromkeys(("minLength", "maxLength"), MAX_LENGTH),
    **dict.fromkeys(("minimum", "maximum"), MAX_MAGNITUDE),
}


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
    """Walks one schema; every fault says where."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._faults: list[InvalidRequest] = []
        self._nodes = self._spelled = self._repeated = 0
        self._counted: set[str | int] = set()
        self._seen: set[int] = set()
        self._pointed_to: list[tuple[Schema, str]] = []
        self._beyond: dict[int, int] = {}
        """Of schemas that were followed: how many more lie on the longest way from there."""

    def check(self) -> None:
        with suppress(_Enough):
            self._schema(self._root, "", depth=0)
            for target, place in self._pointed_to:
                if id(target) not in self._seen:  # something else of the document, which nothing has looked at
                    self._note(_invalid(f"{place}.$ref", "must point to a schema"))
        if self._faults:
            raise InvalidRequest.together(self._faults)

    def _note(self, fault: InvalidRequest) -> None:
        self._faults.append(fault)
        if len(self._faults) >= MOST_PROBLEMS:
            raise _Enough

    def _schema(self, schema: object, place: str, *, depth: int) -> None:
        self._nodes += 1
        if not isinstance(schema, dict):
            self._note(_invalid(place, "must be a JSON object"))
            return
        self._seen.add(id(schema))
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            self._note(_invalid(place, f"goes beyond {MAX_NODES:,} parts or {MAX_DEPTH} levels"))
            raise _Enough
        try:
            for look in (self._keywords, self._values, self._reference):
                look(schema, place)
        except InvalidRequest as fault:
            self._note(fault)
        try:
            for child, child_place in _children(schema, place):
                self._schema(child, child_place, depth=depth + 1)
        except InvalidRequest as fault:
            self._note(fault)

    def _keywords(self, schema: Schema, place: str) -> None:
        types = types_of(schema, place)
        allowed = _STRUCTURAL | _ANNOTATIONS | frozenset().union(*(_KEYWORDS[name] for name in types))
        faults: list[InvalidRequest] = []
        for keyword in schema:
            if keyword not in allowed:
                if keyword in _ALL_TYPED and not (keyword in _OF_INTEGERS and "number" in types):
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
            _check_enum(schema["enum"], place)
        if "const" in schema and not _is_scalar(schema["const"]):
            raise _invalid(f"{place}.const", "must be a string, number, true, false or null")
        for low, high in _BOUNDS:
            lowest, highest = (_whole(schema, word, place) for word in (low, high))
            if lowest is not None and highest is not None and lowest > highest:
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
        if not isinstance(required, list) or not all(name in properties for name in map(_hashable, required)):
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

    def _reference(self, schema: Schema, place: str, above: tuple[int, ...] = ()) -> int:
        """Follow `$ref` and `anyOf` to what consumes text: no way through them is long or leads round in a circle.

        Each schema is followed once; returns how many lie beyond this one. A fault is named once, where it is found.
        """
        if id(schema) in above:
            raise self._misled(above, place, "leads round in a circle")
        beyond = self._beyond.get(id(schema), 0)
        if len(above) + beyond > MAX_DEPTH:
            raise self._misled(above, place, f"leads through more than {MAX_DEPTH} references and choices")
        if id(schema) in self._beyond:
            return beyond
        targets = schema.get("anyOf", [])
        if "$ref" in schema:
            try:
                targets = [resolve(self._root, schema["$ref"], place)]
            except InvalidRequest:
                if above:
                    return 0  # looked at by itself, it is named where it stands
                raise
            self._pointed_to.append((targets[0], place))
        for target in targets if isinstance(targets, list) else []:
            if isinstance(target, dict):
                beyond = max(beyond, 1 + self._reference(target, place, (*above, id(schema))))
        self._beyond[id(schema)] = beyond
        return beyond

    def _misled(self, above: tuple[int, ...], place: str, problem: str) -> InvalidRequest:
        self._beyond.update(dict.fromkeys(above, 0))
        return _invalid(place, problem)


def _check_range(schema: Schema, place: str) -> None:
    """Refuse bounds that the grammar cannot spell out."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and (low is None or high - low >= MAX_COUNT):
        raise _unsupported(f"{place}.maximum", f"needs a minimum at most {MAX_COUNT - 1:,} below it")
    if high is None and low not in (None, 0, 1):
        raise _unsupported(f"{place}.minimum", "must be 0 or 1 where there is no maximum")


def _check_enum(values: object, place: str) -> None:
    if not isinstance(values, list) or not 0 < len(values) <= MAX_COUNT or not all(map(_is_scalar, values)):
        raise _invalid(f"{place}.enum", f"must list 1 to {MAX_COUNT:,} strings, numbers, true, false or null")


def _check_allowed(schema: Schema, place: str) -> None:
    """Refuse listed values that the type or the bounds beside them do not allow: the list alone would be held to."""
    types = types_of(schema, place)
    listed = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
    for value in listed if types else []:
        if not any(CHECKS[name](value, schema) for name in types):
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


def _whole(schema: Schema, word: str, place: str) -> int | None:
    value = schema.get(word)
    if value is None and word not in schema:
        return None
    limit = _LIMITS[word]
    lowest = -limit if word in ("minimum", "maximum") else 0
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= limit:
        raise _invalid(f"{place}.{word}", f"must be a whole number from {lowest:,} to {limit:,}")
    return value


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _hashable(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _invalid(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{_where(place)} {problem}", param=PARAM)


def _unsupported(place: str, problem: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"{_where(place)} {problem}", param=PARAM)


def _where(place: str) -> str:
    return f"the schema's {place.removeprefix('.')}" if place else "the schema"


def _is_object(value: object, schema: Schema) -> bool:
    return isinstance(value, dict) and all(name in value for name in schema.get("required", []))


def _is_array(value: object, schema: Schema) -> bool:
    return isinstance(value, list) and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))


def _is_string(value: object, schema: Schema) -> bool:
    return isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))


def _is_integer(value: object, schema: Schema) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


CHECKS: dict[str, Callable[[object, Schema], bool]] = {
    "object": _is_object,
    "array": _is_array,
    "string": _is_string,
    "integer": _is_integer,
    "number": lambda value, _schema: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value, _schema: isinstance(value, bool),
    "null": lambda value, _schema: value is None,
}
"""Of each type, whether a value is of it and within the bounds beside it."""
