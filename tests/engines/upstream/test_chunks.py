"""Events are cut out of the stream alike, however its bytes arrive."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from sightline.core import ToolCall
from sightline.engines.upstream.chunks import Content, EventParser, ToolCalls, decoder, logprobs_of

MIXED = (
    b': hello\n\ndata: %b\n\nevent: x\ndata: {"choices":\ndata: [{"delta":{"content":"2"}}]}\n\nid: 7\r\n\r\n'
    b"data:%b\r\n\r\ndata: [DONE]\n\n"
)
EVENTS = b"data: %b\n\ndata: %b\n\ndata: %b\n\ndata: [DONE]\n\n"


def chunk(text: str) -> bytes:
    return b'{"choices":[{"delta":{"content":%b}}]}' % msgspec.json.encode(text)


STREAMS = {
    "mixed": (MIXED % (chunk("1"), chunk("3")), ["1", "2", "3"]),
    "usual": (EVENTS % (chunk("1"), chunk("2"), chunk("3")), ["1", "2", "3"]),
    "going on": ((EVENTS % (chunk("1"), chunk("[DONE]"), chunk("2"))) * 2, ["1", "[DONE]", "2"] * 2),
    "comments between": (
        b"data: %b\n\n: ping\n\ndata: %b\n\n: ping\n\n: ping\n\ndata:\n\n" % (chunk("1"), chunk("2")),
        ["1", "2"],
    ),
    "text like events": (
        EVENTS % (chunk("\n\ndata: "), chunk("data: [DONE]"), chunk("\r\n")),
        ["\n\ndata: ", "data: [DONE]", "\r\n"],
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 13, 150, 10_000])
def test_chunks_are_the_same_in_pieces_of_any_size(kind: str, size: int) -> None:
    stream = EventParser()
    data, texts = STREAMS[kind]

    answers = [answer for at in range(0, len(data), size) for answer in stream.feed(data[at : at + size])]

    assert [answer.choices[0].delta.content for answer in answers] == texts


def test_comment_behind_the_last_chunk_of_a_read_is_dropped() -> None:
    (answer,) = EventParser().feed(b"data: " + chunk("1") + b"\n\n: ping\n\n")

    assert answer.choices[0].delta.content == "1"


@pytest.mark.parametrize(
    "event",
    [
        *(b"data: {", b"data: 1", b"data: {}x", b"data: [DONE", b"data: x[DONE]"),
        *(b"data: {}[DONE]", b"data: {} {}", b"data:  ", b'data: {"choices":\n\ndata: []}'),
    ],
)
def test_what_is_no_chunk_is_refused(event: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expected|truncated"):
        EventParser().feed(b"data: {}\n\n" + event + b"\n\ndata: {}\n\ndata: [DONE]\n\n")


def test_event_without_end_is_refused() -> None:
    stream = EventParser()

    stream.feed(b"x" * 4_000_000)

    with pytest.raises(ValueError, match="without end"):
        stream.feed(b"x" * 400_000)


def test_logprobs_come_with_their_rivals() -> None:
    answer = decoder.decode(
        b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97],'
        b'"top_logprobs":[{"token":"b","logprob":-1.5,"bytes":null}]}]}}],"unknown":{"x":[1]}}'
    )

    (token,) = logprobs_of(answer.choices[0])

    assert (token.token, token.logprob, token.bytes) == ("a", -0.5, (97,))
    assert [(top.token, top.logprob) for top in token.top] == [("b", -1.5)]


def calls(*pieces: dict[str, Any]) -> list[ToolCall]:
    """What is made of the pieces of calls, each in a chunk of its own."""
    numbered = ToolCalls()
    chunks = [msgspec.convert({"tool_calls": [piece]}, Content) for piece in pieces]
    return [one for chunk in chunks for one in numbered.of(chunk)]


def piece(name: str | None = None, arguments: str = "", **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


def test_pieces_of_calls_are_passed_on() -> None:
    begun, other = piece("f", index=0, id="a"), piece("g", "{}", index=1, id="b")

    found = calls(begun, piece(None, "{", index=0), other, piece("", "}", index=0))

    assert found == [
        ToolCall(0, "a", "f", ""),
        ToolCall(0, None, None, "{"),
        ToolCall(1, "b", "g", "{}"),
        ToolCall(0, None, None, "}"),
    ]


def test_calls_that_all_have_number_0_are_told_apart_by_their_ids() -> None:
    found = calls(piece("f", "{}", index=0, id="a"), piece("g", "{", index=0, id="b"), piece(None, "}", index=0))

    assert [(call.index, call.id, call.name, call.arguments) for call in found] == [
        (0, "a", "f", "{}"),
        (1, "b", "g", "{"),
        (1, None, None, "}"),
    ]


def test_calls_without_a_number_are_one_after_another() -> None:
    found = calls(piece("f", "{}"), piece("g", "{}"), {"id": "c"}, {"index": None, "function": None})

    assert [(call.index, call.name) for call in found] == [(0, "f"), (1, "g"), (2, None), (2, None)]
    ids = [call.id for call in found]
    assert all(one is not None and re.fullmatch(r"call_[0-9a-f]{24}", one) for one in ids[:2])
    assert len(set(ids[:3])) == 3
    assert ids[2:] == ["c", None]


def test_id_and_name_that_come_again_are_said_once() -> None:
    found = calls(*(piece("f", text, index=0, id="a") for text in "{}"))

    assert found == [ToolCall(0, "a", "f", "{"), ToolCall(0, None, None, "}")]


def test_calls_of_a_plain_answer_stand_in_their_order() -> None:
    content = msgspec.convert({"tool_calls": [piece("f", "1", index=0), piece("g", "2", index=0, id="b")]}, Content)

    found = ToolCalls().whole(content)

    assert [(call.index, call.name, call.arguments) for call in found] == [(0, "f", "1"), (1, "g", "2")]
    assert found[0].id is not None
    assert found[1].id == "b"
