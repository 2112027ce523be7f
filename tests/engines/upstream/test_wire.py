"""Events are cut out of the stream alike, however its bytes arrive."""

from __future__ import annotations

import pytest

from sightline.engines.upstream.wire import EventStream, decoder, logprobs_of

STREAM = (
    b': hello\n\ndata: {"a":1}\n\nevent: x\ndata: {"b":\ndata: 2}\n\nid: 7\r\n\r\ndata:{"c":3}\r\n\r\ndata: [DONE]\n\n'
)
EVENTS = [b'{"a":1}', b'{"b":\n2}', b'{"c":3}', b"[DONE]"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_the_same_in_pieces_of_any_size(size: int) -> None:
    stream = EventStream()

    events = [event for at in range(0, len(STREAM), size) for event in stream.feed(STREAM[at : at + size])]

    assert [event.strip() for event in events] == EVENTS


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
