"""Events are cut out of the stream alike, however its bytes arrive."""

from __future__ import annotations

import msgspec
import pytest

from sightline.engines.upstream.wire import EventStream, decoder, logprobs_of

MIXED = (
    b': hello\n\ndata: %b\n\nevent: x\ndata: {"choices":\ndata: [{"delta":{"content":"2"}}]}\n\nid: 7\r\n\r\n'
    b"data:%b\r\n\r\ndata: [DONE]\n\n"
)
USUAL = b"data: %b\n\ndata: %b\n\ndata: %b\n\ndata: [DONE]\n\n"


def chunk(text: str) -> bytes:
    return b'{"choices":[{"delta":{"content":%b}}]}' % msgspec.json.encode(text)


STREAMS = {
    "mixed": (MIXED % (chunk("1"), chunk("3")), ["1", "2", "3"]),
    "usual": (USUAL % (chunk("1"), chunk("2"), chunk("3")), ["1", "2", "3"]),
    "going on": ((USUAL % (chunk("1"), chunk("[DONE]"), chunk("2"))) * 2, ["1", "[DONE]", "2"] * 2),
    "comments between": (
        b"data: %b\n\n: ping\n\ndata: %b\n\n: ping\n\n: ping\n\ndata:\n\n" % (chunk("1"), chunk("2")),
        ["1", "2"],
    ),
    "text like events": (
        USUAL % (chunk("\n\ndata: "), chunk("data: [DONE]"), chunk("\r\n")),
        ["\n\ndata: ", "data: [DONE]", "\r\n"],
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 13, 150, 10_000])
def test_chunks_are_the_same_in_pieces_of_any_size(kind: str, size: int) -> None:
    stream = EventStream()
    data, texts = STREAMS[kind]

    answers = [answer for at in range(0, len(data), size) for answer in stream.feed(data[at : at + size])]

    assert [answer.choices[0].delta.content for answer in answers] == texts


def test_comment_behind_the_last_chunk_of_a_read_is_dropped() -> None:
    (answer,) = EventStream().feed(b"data: " + chunk("1") + b"\n\n: ping\n\n")

    assert answer.choices[0].delta.content == "1"


@pytest.mark.parametrize(
    "event",
    [
        *(b"data: {", b"data: 1", b"data: {}x", b"data: [DONE", b"data: x[DONE]"),
        *(b"data: {}[DONE]", b"data: {} {}", b"data:  ", b'data: {"choices":\n\ndata: []}'),
    ],
)
def test_what_is_no_chunk_is_refused(event: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expected|no chunk"):
        EventStream().feed(b"data: {}\n\n" + event + b"\n\ndata: {}\n\ndata: [DONE]\n\n")


def test_event_without_end_is_refused() -> None:
    stream = EventStream()

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
