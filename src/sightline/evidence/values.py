"""What in an answer can be looked up: the leaves of JSON; the numbers, dates, times and quotations of a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from sightline.evidence.readings import DATE, NUMBER, TIME

_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»\n]{1,200})[\"”“»]")
_CODE = re.compile(r"(?<![\w/-])(?=[\w/-]*[^\W\d])(?=[\w/-]*\d)\w+(?:[-/]\w+)*(?![\w/-])")
"""A word with letters and digits, such as the number of an invoice."""
_LIST_MARK = re.compile(r"^[ \t]*\d+[.)]\s", re.MULTILINE)
MOST_VALUES = 2_000
"""Of one answer: an upstream may send a list of a hundred thousand."""
_SHORT_CHARACTERS, _SHORT_WORDS = 60, 8
"""An answer no longer than this is itself a value."""
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])(?=[A-Z][^\W\d_A-Z])|(?<=[^\W_A-Z])(?=[A-Z])|[\W_]+")

Leaf = str | int | float | bool


class Value(msgspec.Struct, frozen=True):
    """One value of an answer: `path` is a JSON Pointer, or "" with the offsets of `text` in the answer.

    `labels` are what it is called, the nearest name first: by its field, or by the question.
    """

    path: str
    value: Leaf
    text: str
    labels: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None


def values_of(answer: str, question: str = "", schema: dict[str, Any] | None = None) -> list[Value]:
    """Return the values of an answer in its order; `schema` says more of what its fields are called."""
    if answer.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return list(islice(_leaves(json.loads(answer), "", (), schema or {}, schema or {}), MOST_VALUES))
    return _of_text(answer, question)


def _leaves(
    tree: Any, path: str, labels: tuple[str, ...], schema: dict[str, Any], root: dict[str, Any]
) -> Iterator[Value]:
    schema = _resolved(schema, root)
    if isinstance(tree, dict):
        parts = schema.get("properties")
        for name, child in tree.items():
            part = parts.get(name, {}) if isinstance(parts, dict) else {}
            part = _resolved(part if isinstance(part, dict) else {}, root)
            said = [str(part[word]) for word in ("title", "description") if part.get(word)]
            pointer = f"{path}/{_unicode(name).replace('~', '~0').replace('/', '~1')}"
            yield from _leaves(child, pointer, (words_of(name), *said, *labels[:1]), part, root)
    elif isinstance(tree, list):
        items = schema.get("items")
        for at, child in enumerate(tree):
            yield from _leaves(child, f"{path}/{at}", labels, items if isinstance(items, dict) else {}, root)
    elif isinstance(tree, str):
        text = _unicode(tree)
        yield Value(path, text, text, labels)
    elif tree is not None:
        yield Value(path, tree, json.dumps(tree), labels)


def _unicode(text: str) -> str:
    """A text without the halves of characters that JSON can spell, and nobody can write."""
    return text.encode("utf-8", "replace").decode()


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow a `$ref` within the schema, and a choice to the one part that is no `null`."""
    for _ in range(32):
        target: Any = schema
        if isinstance(schema.get("$ref"), str):
            target = root
            for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
                target = target.get(step) if isinstance(target, dict) and step else target
        elif isinstance(schema.get("anyOf"), list):
            choices = [one for one in schema["anyOf"] if isinstance(one, dict) and one.get("type") != "null"]
            target = {**choices[0], **{k: v for k, v in schema.items() if k != "anyOf"}} if choices else {}
        if target is schema or not isinstance(target, dict):
            return schema
        schema = target
    return schema


def words_of(name: str) -> str:
    """Return a field's name as words: "invoiceNumber" and "invoice_number" are "invoice number"."""
    return _BETWEEN_WORDS.sub(" ", name).strip().lower()


def _of_text(answer: str, question: str) -> list[Value]:
    is_taken = bytearray(len(answer))
    for match in _LIST_MARK.finditer(answer):
        is_taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    found: list[Value] = []
    for pattern in (DATE, TIME, _QUOTED, _CODE, NUMBER):
        for match in pattern.finditer(answer):
            start, end = match.span(1) if pattern is _QUOTED else match.span()
            if not any(is_taken[start:end]) and len(found) < MOST_VALUES:
                is_taken[start:end] = b"\1" * (end - start)
                found.append(_part(answer, start, end, question))
    whole = answer.strip().rstrip(".!")
    if whole and len(whole) <= _SHORT_CHARACTERS and len(whole.split()) <= _SHORT_WORDS:
        start = answer.find(whole)
        if [whole] != [one.text.strip() for one in found]:
            found.append(_part(answer, start, start + len(whole), question))
    return sorted(found, key=lambda one: (one.start or 0, -(one.end or 0)))


def _part(answer: str, start: int, end: int, question: str) -> Value:
    text = answer[start:end]
    return Value("", text, text, (question,) if question else (), start, end)


def has_inner(value: Value, others: Sequence[Value]) -> bool:
    """Whether other values of the same sentence lie within this one."""
    return any(
        other is not value
        and None not in (value.start, value.end, other.start, other.end)
        and value.start <= other.start  # type: ignore[operator]
        and other.end <= value.end  # type: ignore[operator]
        for other in others
    )
