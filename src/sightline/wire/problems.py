"""What pydantic found wrong, in our words: where (OpenAI's spelling of a path), what was expected, what was sent.

No library text reaches a caller: an error type without a sentence here gets the general one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import ErrorDetails

from sightline.errors import Problem
from sightline.wire.protocol import REFUSED, REFUSED_KINDS, REFUSED_OF_ASSISTANT, REFUSED_TOOLS

SAID = "said"
"""The type of a finding of our own; its message goes on after the name: `must be in the future`."""
_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_unicode": "a string of valid Unicode",
}
_REFUSED = frozenset(REFUSED)
_SENT = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
}


_MOST_SHOWN = 80
"""Characters of a value or a name."""


def describe(error: ErrorDetails, raw: Any) -> Problem:
    """Turn one of pydantic's findings about the body `raw` into a `Problem`."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    param = _param(error["loc"], raw, kind)
    if kind == "extra_forbidden":
        return Problem(f"{param} is not a parameter of this service; leave it out.", param, "unknown_parameter")
    if kind == "missing":
        return Problem(f"{param} is required.", param, "missing_required_parameter")
    if kind == SAID:
        return Problem(f"{param} {error['msg']}, and is {_show(value)}.", param, "invalid_value")
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        field = str(context["discriminator"]).strip("'")
        param = f"{param}.{field}" if param else field
        if kind == "union_tag_not_found":
            return Problem(f"{param} is required.", param, "missing_required_parameter")
        tag = value.get(field) if isinstance(value, dict) else context["tag"]  # pydantic spells every tag as a string
        message = f"{param} must be one of {context['expected_tags']}, and is {_show(tag)}."
        if context["tag"] in REFUSED_KINDS:
            message = f"{param} {_show(context['tag'])} is not supported by this service; leave it out."
            return Problem(message, param, "unsupported_parameter")
        return Problem(message, param, "invalid_value")
    if kind in _EXPECTED:
        sent = _SENT.get(type(value), "null" if value is None else "something else")
        return Problem(f"{param} must be {_EXPECTED[kind]}, and is {sent}.", param, "invalid_type")
    sent = f"has {len(value)}" if kind in ("too_short", "too_long") else f"is {_show(value)}"
    return Problem(f"{param} {_limit(kind, context)}, and {sent}.", param, "invalid_value")


def refusals(raw: dict[str, Any]) -> list[Problem]:
    """Name what a body asks for that OpenAI has and this service lacks; `null` asks for nothing."""
    sent = [] if _REFUSED.isdisjoint(raw) else [name for name in REFUSED if raw.get(name) is not None]
    for at, message in entries(raw.get("messages")):
        if isinstance(message, dict) and message.get("role") == "assistant":
            sent += [f"messages.[{at}].{name}" for name in REFUSED_OF_ASSISTANT if message.get(name) is not None]
    lacking = [(name, f"{name} is not supported by this service; leave it out.") for name in sent]
    for param, one in _tools(raw):
        kind = one.get("type") if isinstance(one, dict) else None
        if isinstance(kind, str) and kind in REFUSED_TOOLS:
            lacking.append((param, f"{param} {_show(kind)} is not supported by this service; use functions."))
    return [Problem(message, param, "unsupported_parameter") for param, message in lacking]


def _tools(raw: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Tools, the choice among them and calls of them, with the param of their type."""
    for at, one in entries(raw.get("tools")):
        yield f"tools.[{at}].type", one
    yield "tool_choice.type", raw.get("tool_choice")
    for at, message in entries(raw.get("messages")):
        for place, one in entries(message.get("tool_calls") if isinstance(message, dict) else None):
            yield f"messages.[{at}].tool_calls.[{place}].type", one


def entries(value: Any) -> Iterator[tuple[int, Any]]:
    """What stands in a list, with its place; nothing where it is none."""
    return enumerate(value if isinstance(value, list) else ())


def _limit(kind: str, context: dict[str, Any]) -> str:
    match kind:
        case "literal_error":
            return f"must be {context['expected']}"
        case "greater_than_equal":
            return f"must be {_show(context['ge'])} or more"
        case "less_than_equal":
            return f"must be {_show(context['le'])} or less"
        case "less_than":
            return f"must be less than {_show(context['lt'])}"
        case "finite_number":
            return "must be a finite number of 64 bits"
        case "too_short":
            return f"must have {context['min_length']} or more entries"
        case "too_long":
            return f"must have {context['max_length']} or fewer entries"
        case "string_too_short":
            return f"must have {context['min_length']} or more characters"
        case "string_too_long":
            return f"must have {context['max_length']} or fewer characters"
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}"
    return "does not have an accepted value"


def _show(value: Any) -> str:
    if isinstance(value, list | dict):
        return _SENT[type(value)]
    if isinstance(value, int) and abs(value) > 10**80:
        return "a number of more than 80 digits"
    if value is None:
        return "null"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)  # 2.0000001 is not 2, the limit
    return _quoted(value) if isinstance(value, str) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def _quoted(text: str) -> str:
    return _short(repr(text[: _MOST_SHOWN + 1]))  # a megabyte of control characters would become four


def _name(text: str) -> str:
    """A name as it was sent; in quotes where it would not show: empty, with blanks around it or control characters."""
    return _short(text) if text and text.isprintable() and text == text.strip() else _quoted(text)


def _param(loc: tuple[int | str, ...], raw: Any, kind: str) -> str:
    """Spell a location as OpenAI does, `messages.[1].content`, leaving out pydantic's names of union branches."""
    spelled: list[str] = []
    here, tag_passed = raw, False
    for depth, item in enumerate(loc):
        is_last = depth == len(loc) - 1
        if isinstance(item, int) and isinstance(here, list):
            spelled.append(f"[{item}]")
            here, tag_passed = here[item] if item < len(here) else None, False
        elif isinstance(here, dict):
            if not (tag_passed or is_last) and item in (here.get("role"), here.get("type")):
                tag_passed = True  # the branch that this object chose, not a name in it
            elif item in here or (kind == "missing" and is_last):
                spelled.append(_name(str(item)))
                here, tag_passed = here.get(item), False
    return ".".join(spelled)
