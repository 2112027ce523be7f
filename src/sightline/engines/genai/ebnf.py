"""The form an answer must have to the grammar that holds it to that.

In: `core.ResponseFormat`, or a schema that `schema.read_schema` has passed. Out: EBNF text for the pipeline. Written
here rather than left to the pipeline's own converter: that one puts property names into the grammar unescaped, gives up
on schemas it has accepted, and does so in the middle of a step, where every running request would be lost.

Source: https://xgrammar.mlc.ai/docs/xgrammar_features/ebnf_grammar_spec.html; RFC 8259.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection
from os.path import commonprefix

from sightline.core import ResponseFormat
from sightline.engines.genai.schema import PARAM, Schema, is_any_object, read_schema, resolve, rule_key, types_of
from sightline.errors import InvalidRequest

MAX_BRANCHES = 64

# Numbers and blanks are bounded, so that an answer cannot go on in digits or blanks for ever.
_COMMON = r"""
ws ::= "" | [ ] | "\n" [ ]{0,32}
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1f] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F]{4} )
integer ::= "-"? natural
natural ::= "0" | [1-9] [0-9]{0,15}
number ::= integer ( "." [0-9]{1,16} )? ( [eE] [+\-]? [0-9]{1,2} )?
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
object ::= "{" ws ( member ( "," ws member )* )? ws "}"
member ::= string ":" ws value
array ::= "[" ws ( value ( "," ws value )* )? ws "]"
"""


def answer_grammar(wanted: ResponseFormat) -> str | None:
    """Return the grammar of the form that `wanted` asks for; None for plain text.

    Raises:
        InvalidRequest: the schema is missing, malformed or outside the supported part.
    """
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return "root ::= object" + _COMMON
    if wanted.schema is None:
        raise InvalidRequest("json_schema needs a schema", param=PARAM)
    return grammar_of(read_schema(wanted.schema))


def grammar_of(schema: Schema) -> str:
    """Return the grammar of the JSON that `schema` describes; an object's properties come in the schema's order."""
    writer = _Writer(schema)
    root = writer.rule(schema)
    writer.write()
    return "\n".join([f"root ::= {root}", *writer.rules]) + _COMMON


class _Writer:
    """Collects one rule for each part of a schema; a part met again, as in recursion, is its rule's name."""

    def __init__(self, root: Schema) -> None:
        self.rules: list[str] = []
        self._root = root
        self._names: dict[int | str, str] = {}
        self._unwritten: deque[tuple[str, Schema]] = deque()

    def rule(self, schema: Schema) -> str:
        """Return the name of the rule for `schema`, which `write` writes."""
        key = rule_key(schema)
        if key not in self._names:
            self._names[key] = f"part{len(self._names)}"
            self._unwritten.append((self._names[key], schema))
        return self._names[key]

    def write(self) -> None:
        """Write the rules that are named, and those that these name: one after another, however deep they nest."""
        while self._unwritten:
            name, schema = self._unwritten.popleft()
            self.rules.append(f"{name} ::= {self._body(schema)}")

    def _body(self, schema: Schema) -> str:
        if "$ref" in schema:
            return self.rule(resolve(self._root, schema["$ref"]))
        if "anyOf" in schema:
            return " | ".join(self.rule(choice) for choice in schema["anyOf"])
        if "enum" in schema:
            return _choice({json.dumps(value, ensure_ascii=False) for value in schema["enum"]})
        if "const" in schema:
            return _literal(json.dumps(schema["const"], ensure_ascii=False))
        return " | ".join(self._typed(name, schema) for name in types_of(schema))

    def _typed(self, name: str, schema: Schema) -> str:
        if name == "object":
            return name if is_any_object(schema) else self._object(schema)
        if name == "array":
            return self._array(schema)
        if name == "string":
            return _repeated('"\\"" ', "char", schema.get("minLength", 0), schema.get("maxLength")) + ' "\\""'
        if name == "integer":
            return _integer(schema)
        return name

    def _object(self, schema: Schema) -> str:
        """Chain the properties: each rule is one property or its absence, then the rule of the rest."""
        members = [
            (f'{_literal(json.dumps(name, ensure_ascii=False))} ":" ws {self.rule(part)}', name)
            for name, part in schema.get("properties", {}).items()
        ]
        required = set(schema.get("required", []))
        first, later = '""', '""'
        for member, name in reversed(members):
            first, later = self._member(member, first, later, is_required=name in required)
        return f'"{{" ws {first} ws "}}"'

    def _member(self, member: str, first: str, later: str, *, is_required: bool) -> tuple[str, str]:
        """Return what comes from this property on: when none came before it, and when one did."""
        as_first, as_later = f"{member} {later}", f'"," ws {member} {later}'
        if not is_required:
            as_first, as_later = f"{as_first} | {first}", f"{as_later} | {later}"
        return self._named(as_first), self._named(as_later)

    def _named(self, body: str) -> str:
        name = f"rest{len(self.rules)}"
        self.rules.append(f"{name} ::= {body}")
        return name

    def _array(self, schema: Schema) -> str:
        item = self.rule(schema["items"]) if "items" in schema else "value"
        fewest, most = schema.get("minItems", 0), schema.get("maxItems")
        if most == 0:
            return '"[" ws "]"'
        more = _repeated(f"{item} ", f'( "," ws {item} )', max(fewest - 1, 0), None if most is None else most - 1)
        return f'"[" ws {more} ws "]"' if fewest else f'"[" ws ( {more} )? ws "]"'


def _repeated(before: str, item: str, fewest: int, most: int | None) -> str:
    return before + item + (f"{{{fewest},{'' if most is None else most}}}")


def _integer(schema: Schema) -> str:
    """Bounds on both sides are spelled out; from below alone they are 0 or 1 (see `schema`)."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return _choice({str(number) for number in range(low, high + 1)})
    if low is not None:
        return "natural" if low == 0 else "[1-9] [0-9]{0,15}"
    return "integer"


def _choice(texts: Collection[str], depth: int = 0) -> str:
    """Write alternatives as a tree of prefixes: listed flat, the pipeline's grammar engine lets wrong ones through.

    Raises:
        InvalidRequest: the values branch deeper than the grammar engine may be trusted with.
    """
    if len(texts) == 1:
        return _literal(*texts)
    if depth > MAX_BRANCHES:
        raise InvalidRequest("the schema's enum has values that begin too much alike", param=PARAM)
    common = commonprefix(sorted(texts))  # noqa: RUF071  # of characters, as wanted here
    groups: dict[str, set[str]] = {}
    for text in sorted(texts):
        rest = text[len(common) :]
        groups.setdefault(rest[:1], set()).add(rest)
    branches = " | ".join(_choice(group, depth + 1) for group in groups.values())
    return f"{_literal(common)} ( {branches} )" if common else branches


def _literal(text: str) -> str:
    """Quote `text` for the grammar; everything but plain letters and digits by number, so nothing can break out."""
    return '"' + "".join(char if char.isascii() and char.isalnum() else f"\\U{ord(char):08x}" for char in text) + '"'
