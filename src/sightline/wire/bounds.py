"""How much of a body is read and judged: what the event loop, and so every other request, would wait for is refused.

Comes in: the text of a body, or what was parsed of it. Goes out: a `Problem`, or None.
"""

from __future__ import annotations

from typing import Any

from sightline.errors import Problem
from sightline.wire.protocol import REFUSED

_MOST_VALUES = 50_000
"""Of a whole body: to parse them takes up to ten milliseconds."""
_SEPARATORS = b",[{"
MOST_ENTRIES = 2048
"""Messages and parts together; half a million of them, as fit into a body, would take seconds to judge."""
_MOST_NAMES = 8192  # of all these objects, and entries of other lists: each that is unknown is a problem
_MOST_IN_SCHEMA = 20_000  # OpenAI takes 5,000 properties
_LONG = frozenset({"messages", *REFUSED})  # counted otherwise, or refused as a whole


def values(text: bytes) -> int:
    """Return how many lists, objects and commas a text of JSON has outside of its strings.

    Where there are very many strings, that is the least that part these: to take them all out would take long.
    """
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    strings = text.count(b'"') // 2
    if strings > 2 * _MOST_VALUES:  # an object has two for each comma
        return strings // 2
    return _separators(b"".join(text.split(b'"')[::2]))


def too_many_values(text: bytes) -> Problem | None:
    """Why a text of JSON would take long to parse, if it would."""
    if len(text) <= _MOST_VALUES or _separators(text) <= _MOST_VALUES:
        return None
    found = values(text)
    if found <= _MOST_VALUES:
        return None
    message = (
        f"The body has at least {found:,} lists, objects and commas between values, the limit is {_MOST_VALUES:,}; "
        "send fewer."
    )
    return Problem(message, None, "invalid_value")


def _separators(text: bytes) -> int:
    return len(text) - len(text.translate(None, _SEPARATORS))


def too_much(raw: dict[str, Any]) -> Problem | None:
    """Why a body would take long to judge, if it would: event loop and other requests wait for that."""
    messages = raw.get("messages")
    messages = messages if isinstance(messages, list) else []
    contents = [one["content"] for one in messages if isinstance(one, dict) and isinstance(one.get("content"), list)]
    entries = len(messages) + sum(map(len, contents))
    if entries > MOST_ENTRIES:
        message = f"messages has {entries:,} messages and parts, the limit is {MOST_ENTRIES:,}; send fewer."
        return Problem(message, "messages", "invalid_value")
    parts = [part for content in contents for part in content if isinstance(part, dict)]
    others = [raw[name] for name in raw.keys() - _LONG]
    inner = [part.get("image_url") for part in parts]
    inner += [other.get(name) for other in others if isinstance(other, dict) for name in ("json_schema", "function")]
    listed = [raw.get("tools"), *(one.get("tool_calls") for one in messages if isinstance(one, dict))]
    tools = [tool for one in listed if isinstance(one, list) for tool in one if isinstance(tool, dict)]
    functions = [tool.get("function") for tool in tools]
    cited = [one.get("annotations") for one in messages if isinstance(one, dict)]
    counted = (raw, *messages, *parts, *others, *inner, *listed[1:], *tools, *functions, *cited)
    names = sum([len(one) for one in counted if isinstance(one, dict | list)])
    if names > _MOST_NAMES:
        message = f"The body's objects and lists have {names:,} entries, the limit is {_MOST_NAMES:,}; send fewer."
        return Problem(message, None, "invalid_value")
    if any(_is_vast(one["schema"]) for one in inner if isinstance(one, dict) and "schema" in one):
        message = f"The schema has more than {_MOST_IN_SCHEMA:,} entries, which is the limit; ask for less at once."
        return Problem(message, "response_format.json_schema.schema", "invalid_value")
    if _is_vast([one.get("parameters") for one in functions if isinstance(one, dict)]):
        message = f"The tools have more than {_MOST_IN_SCHEMA:,} entries, which is the limit; offer fewer at once."
        return Problem(message, "tools", "invalid_value")
    return None


def _is_vast(schema: Any) -> bool:
    """Whether there are too many entries in its objects and lists to write it out again and to judge it."""
    entries, within = 0, [schema]
    while within:
        one = within.pop()
        if isinstance(one, dict | list):
            entries += len(one)
            if entries > _MOST_IN_SCHEMA:
                return True
            within += one.values() if isinstance(one, dict) else one
    return False
