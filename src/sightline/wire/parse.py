"""Step two of a request: the bytes of a body become a `ChatRequest`, or one error that names every problem.

Comes in: the whole body, and a function that opens one image. Goes out: core values.
Almost all bytes of a body are base64, which JSON parsers read slowly: each run is cut out first (memchr finds
its end), the small rest is parsed, and the run is handed on as a view of the body, uncopied.

Source: contract.md sections 1 and 4.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from sightline.core import (
    ChatRequest,
    Detail,
    EncodedImage,
    ImagePart,
    ImageReference,
    Message,
    Part,
    ResponseFormat,
    SamplingParams,
    TextPart,
    ToolCall,
    Tools,
)
from sightline.errors import MOST_PROBLEMS, ImageError, InvalidRequest, Problem
from sightline.wire.bounds import too_many_values, too_much, values
from sightline.wire.problems import describe, refusals
from sightline.wire.protocol import CalledTool, ChatBody, ChatMessage, ImageContent, JsonSchemaFormat

OpenImage = Callable[[ImageReference, int], EncodedImage]
"""Opens image `number` (1-based) of a request up to its header; raises `ImageError`."""

_BASE64 = b";base64,"
_BLANKED = bytes(max(code, ord(" ")) for code in range(256))
_SHORTEST_CUT = 256
_MOST_UNCUT = 64
"""Places that look like the beginning of a run and are none: beyond, a text is made of them, and the rest is parsed."""
_MOST_LOOSE_VALUES = 5000
"""Of a body with raw control characters, which is parsed three times and slowly."""
_COUNTED_BYTES = 2048  # a shorter body has not as much in it
_DEFAULT_SAMPLING = SamplingParams()
_WITHOUT_IMAGES = {
    "system": "a system",
    "developer": "a developer",
    "assistant": "an assistant",
    "tool": "a tool",
}
_SAMPLING = frozenset({*_DEFAULT_SAMPLING.__struct_fields__, "max_completion_tokens"})


class _Placed(NamedTuple):
    """Part `place` of message `at`, both from 0; `part` is None where it cannot be read."""

    at: int
    place: int
    role: str
    part: ImageContent | None


class RefusedChat(InvalidRequest):
    """A body that is no request; `draft` is one without the fields that cannot be read, where that is one.

    Images that are refused stand in it as far as they are known.
    """

    draft: ChatRequest | None = None


def parse_chat(body: bytes, open_image: OpenImage) -> ChatRequest:
    """Parse the body of `POST /v1/chat/completions`.

    Raises:
        InvalidRequest: not JSON, or too much to judge.
        RefusedChat: not a request this service takes; `details` lists every problem.
    """
    nonce = secrets.token_hex(8) if _BASE64 in body else ""
    small, runs = _cut(body, nonce) if nonce else (body, [])
    try:
        raw = _load(small)
    except InvalidRequest:
        raw = _load(body)  # fails too, and names the place in what was sent rather than in the cut text
    wire, problems = _validate(raw, len(small))
    if runs and (wire is None or sum(_is_cut(image, nonce) for image in _images(wire)) != len(runs)):
        # A run stood somewhere else than in an image's url: it is somebody's text, so put nothing in its place.
        runs = []
        raw = _load(body)
        wire, problems = _validate(raw, len(body))
    placed = list(_readable_images(raw)) if wire is None else list(_images(wire))
    images: list[EncodedImage] = []
    if placed:
        images, image_problems = _open_all(placed, nonce if runs else None, runs, open_image)
        problems += image_problems
    if wire is None or problems:
        refused = RefusedChat.of(problems)
        refused.draft = None if wire is None else _request(wire, images)
        raise refused
    return _request(wire, images)


def _cut(body: bytes, nonce: str) -> tuple[bytes, list[memoryview]]:
    """Replace each base64 run of a `"url": "data:…;base64,…"` by `@nonce:k`; return the rest and the runs."""
    view = memoryview(body)
    uncut = 0
    pieces: list[bytes | memoryview] = []
    runs: list[memoryview] = []
    done, at = 0, body.find(_BASE64)
    while at >= 0 and uncut < _MOST_UNCUT:
        start = at + len(_BASE64)
        end = body.find(b'"', start)
        if end < 0:
            break
        # A backslash means JSON escapes inside the run: leave it to the parser.
        if end - start >= _SHORTEST_CUT and _is_url(body, at) and body.find(b"\\", start, end) < 0:
            pieces += [view[done:start], f"@{nonce}:{len(runs)}".encode()]
            runs.append(view[start:end])
            done = end
        else:
            uncut += 1
        at = body.find(_BASE64, end)
    pieces.append(view[done:])
    return b"".join(pieces), runs


def _is_url(body: bytes, at: int) -> bool:
    quote = body.rfind(b'"', max(0, at - 128), at)
    return quote > 0 and body[max(0, quote - 32) : quote].rstrip().removesuffix(b":").rstrip().endswith(b'"url"')


def _load(text: bytes) -> Any:
    if (problem := too_many_values(text)) is not None:
        raise InvalidRequest.of([problem])
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        if "control character" not in str(error) or values(text) > _MOST_LOOSE_VALUES:
            raise _not_json(text, str(error)) from error
    # Raw line breaks inside a string, as `base64` of GNU puts them, are not JSON; they are taken all the same.
    try:
        loose = json.loads(text, strict=False)
        # Refuses what else `json` takes and JSON does not, NaN and lone surrogates.
        return from_json(json.dumps(loose), allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise _not_json(text, _fault(text)) from error


def _fault(text: bytes) -> str:
    """Say where a text is no JSON even if its control characters were blanks: they are, so it is all one line."""
    try:
        from_json(text.translate(_BLANKED), allow_inf_nan=False)
    except ValueError as error:
        if column := re.search(r"column (\d+)", str(error)):
            lines = text[: int(column[1])].split(b"\n")
            return f"line {len(lines)} column {len(lines[-1])}"
    return ""


def _not_json(text: bytes, reason: str) -> InvalidRequest:
    if not text.strip():
        return InvalidRequest("The body is empty; send a JSON object with model and messages.", code="invalid_json")
    place = re.search(r"line \d+ column \d+", reason)
    where = f" at {place[0]}" if place else ""
    return InvalidRequest(
        f"The body is not valid JSON{where}. Send one JSON object with the header "
        "content-type: application/json; check quotes, commas and brackets there.",
        code="invalid_json",
    )


def _validate(raw: Any, size_bytes: int) -> tuple[ChatBody | None, list[Problem]]:
    """Judge a body; where it has problems, what is left without the fields that do, and None where that is nothing.

    Raises:
        InvalidRequest: it has too many entries to judge each.
    """
    if not isinstance(raw, dict):
        message = "The body must be a JSON object with model and messages."
        return None, [Problem(message, code="invalid_type")]
    if size_bytes > _COUNTED_BYTES and (problem := too_much(raw)) is not None:
        raise InvalidRequest.of([problem])
    problems = refusals(raw)
    wire: ChatBody | None
    try:
        wire = ChatBody.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [describe(item, raw) for item in found[:MOST_PROBLEMS]] + problems
        wire = _without(raw, {item["loc"][0] for item in found})
    return wire, problems + _at_odds(raw)


def _without(raw: dict[str, Any], fields: set[int | str]) -> ChatBody | None:
    """The request that a body is without some of its fields; None where it is none."""
    try:
        return ChatBody.model_validate({name: value for name, value in raw.items() if name not in fields})
    except ValidationError:
        return None


def _at_odds(raw: dict[str, Any]) -> list[Problem]:
    """What fields of a body that may be no request say against one another."""
    problems = []
    modalities = raw.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        message = "modalities with audio is not supported; ask for text alone."
        problems.append(Problem(message, "modalities", "unsupported_parameter"))
    if raw.get("top_logprobs") and not raw.get("logprobs"):
        problems.append(Problem("top_logprobs needs logprobs to be true.", "top_logprobs", "invalid_value"))
    if raw.get("stream_options") and not raw.get("stream"):
        message = "stream_options is only for streams; set stream to true or leave it out."
        problems.append(Problem(message, "stream_options", "invalid_value"))
    if raw.get("tool_choice") is not None and not raw.get("tools"):
        problems.append(Problem("tool_choice is only for requests with tools.", "tool_choice", "invalid_value"))
    messages = raw.get("messages")
    for at, message in enumerate(messages if isinstance(messages, list) else ()):
        if isinstance(message, dict) and message.get("role") == "assistant" and not _says_or_calls(message):
            param = f"messages.[{at}].content"
            problems.append(Problem(f"{param} is required.", param, "missing_required_parameter"))
    return problems


def _says_or_calls(message: dict[str, Any]) -> bool:
    """Whether an assistant's message has content, or calls something, which may be refused by itself."""
    said = any(message.get(name) is not None for name in ("content", "function_call", "audio"))
    return said or bool(message.get("tool_calls"))


def _images(wire: ChatBody) -> Iterator[_Placed]:
    for at, message in enumerate(wire.messages):
        if isinstance(message.content, list):
            for place, part in enumerate(message.content):
                if part.type == "image_url":  # pydantic's `isinstance` is slow to deny
                    yield _Placed(at, place, message.role, part)


def _readable_images(raw: Any) -> Iterator[_Placed]:
    """The images of a body that is refused for something else, as far as they can be made out."""
    messages = raw.get("messages") if isinstance(raw, dict) else None
    for at, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        role = str(message.get("role")) if isinstance(message, dict) else ""
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") == "image_url":
                try:
                    yield _Placed(at, place, role, ImageContent.model_validate(part))
                except ValidationError:
                    yield _Placed(at, place, role, None)  # counts, and is named already


def _is_cut(image: _Placed, nonce: str) -> bool:
    return image.part is not None and f",@{nonce}:" in image.part.image_url.url


def _open_all(
    images: Sequence[_Placed], nonce: str | None, runs: list[memoryview], open_image: OpenImage
) -> tuple[list[EncodedImage], list[Problem]]:
    opened: list[EncodedImage] = []
    problems: list[Problem] = []
    for number, (at, place, role, part) in enumerate(images, start=1):
        param = f"messages.[{at}].content.[{place}]"
        if role in _WITHOUT_IMAGES:
            message = f"image {number} is in {_WITHOUT_IMAGES[role]} message; images go in user messages only."
            problems.append(Problem(message, param + ".type", "invalid_image_role"))
            opened.append(_unopened("auto", param + ".image_url.url"))
            continue
        if part is None:
            continue
        head, comma, tail = part.image_url.url.partition(",")
        cut = nonce is not None and tail.startswith(f"@{nonce}:")
        payload = runs[int(tail.rpartition(":")[2])] if cut else tail.encode()
        detail = part.image_url.detail or "auto"
        reference = ImageReference(head + comma, payload, detail, param + ".image_url.url", len(images))
        try:
            opened.append(open_image(reference, number))
        except ImageError as error:
            opened.append(_unopened(detail, reference.param))
            problem = Problem(error.message, error.param, error.code)
            if problem not in problems[-1:]:  # each image beyond the number allowed says the same
                problems.append(problem)
    return opened, problems


def _unopened(detail: Detail, param: str) -> EncodedImage:
    """What stands for an image that is refused."""
    return EncodedImage(b"", "", "", 1, 1, detail, param, sha256="", is_passthrough_safe=False)


def _request(wire: ChatBody, images: list[EncodedImage]) -> ChatRequest:
    numbers = count()
    sent = _given(wire)
    return ChatRequest(
        model=wire.model,
        messages=tuple([_message(message, numbers) for message in wire.messages]),
        images=tuple(images),
        sampling=_DEFAULT_SAMPLING if _SAMPLING.isdisjoint(sent) else _sampling(wire),
        n=wire.n or 1,
        stream=bool(wire.stream),
        include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
        params_sent=sent,
        tools=_tools(wire) if wire.tools else None,
        evidence=bool(wire.sightline and wire.sightline.evidence),
        lines=bool(wire.sightline and wire.sightline.lines),
    )


def _given(wire: ChatBody) -> frozenset[str]:
    """The fields of a body that were given a value."""
    return frozenset([name for name in wire.model_fields_set if getattr(wire, name) is not None])


def _message(message: ChatMessage, numbers: Iterator[int]) -> Message:
    parts = _parts(message.content, numbers)
    if message.role == "tool":
        return Message("tool", parts, tool_call_id=message.tool_call_id)
    if message.role != "assistant" or not message.tool_calls:
        return Message(message.role, parts)
    called = [one for one in message.tool_calls if isinstance(one, CalledTool)]
    calls = [ToolCall(at, one.id, one.function.name, one.function.arguments) for at, one in enumerate(called)]
    return Message("assistant", parts, tuple(calls))


def _parts(content: Any, numbers: Iterator[int]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple([TextPart(part.text) if part.type == "text" else ImagePart(next(numbers)) for part in content or ()])


def _tools(wire: ChatBody) -> Tools:
    definitions = to_json(wire.tools, exclude_none=True).decode()
    choice = None if wire.tool_choice is None else to_json(wire.tool_choice).decode()
    return Tools(definitions, choice, wire.parallel_tool_calls)


def _sampling(wire: ChatBody) -> SamplingParams:
    stop = (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ())
    form = wire.response_format
    schema = to_json(form.json_schema.schema_).decode() if isinstance(form, JsonSchemaFormat) else None
    return SamplingParams(
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        limit_name="max_completion_tokens" if wire.max_completion_tokens else "max_tokens",
        temperature=1.0 if wire.temperature is None else wire.temperature,
        top_p=1.0 if wire.top_p is None else wire.top_p,
        seed=wire.seed,
        stop=stop,
        frequency_penalty=wire.frequency_penalty or 0.0,
        presence_penalty=wire.presence_penalty or 0.0,
        logprobs=bool(wire.logprobs),
        top_logprobs=wire.top_logprobs or 0,
        response_format=ResponseFormat(form.type, schema) if form else ResponseFormat(),
    )
