"""A stream's events are the same however its pieces come together."""

from __future__ import annotations

import itertools

import pytest

from sightline.api.answer import Stream
from sightline.core import ChatRequest, Delta, SamplingParams, TokenLogprob, Usage
from sightline.pipeline.run import Pieces
from sightline.wire.render import Head

HEAD = Head("chatcmpl-1", 1, "them/model")
USAGE = Usage(1, 1)
DELTAS = [
    *(Delta("one", (), None, USAGE), Delta(' "two"\n', (), None, USAGE), Delta("", (), None, USAGE)),
    *(Delta("three", (TokenLogprob("three", -0.5),), None, USAGE), Delta("é", (), None, USAGE)),
    Delta(".", (), "stop", USAGE),
]


def stream(n: int = 1, *, usage: bool = False) -> Stream:
    chat = ChatRequest("them/model", (), (), SamplingParams(), n=n, stream=True, include_usage=usage)
    return Stream(HEAD, chat, is_kept=True)


@pytest.mark.parametrize("usage", [True, False])
def test_events_are_the_same_however_pieces_come_together(usage: bool) -> None:
    alone = stream(usage=usage)
    expected = b"".join([alone.pieces(Pieces(0, (delta,))) for delta in DELTAS])
    assert expected.count(b"data: ") == len(DELTAS) - 1  # the last one waits

    for cuts in itertools.product([False, True], repeat=len(DELTAS) - 1):
        together = stream(usage=usage)
        made, batch = b"", [DELTAS[0]]
        for delta, is_cut in zip(DELTAS[1:], cuts, strict=True):
            if is_cut:
                made += together.pieces(Pieces(0, batch))
                batch = []
            batch.append(delta)
        made += together.pieces(Pieces(0, batch))

        assert made == expected == together.whole()


def test_last_piece_of_a_choice_goes_out_before_the_pieces_of_another() -> None:
    two = stream(2)

    first = two.pieces(Pieces(0, DELTAS[-2:]))
    second = two.pieces(Pieces(1, DELTAS[-2:]))

    assert (first.count(b"data: "), second.count(b"data: ")) == (1, 2)
    assert b'"finish_reason":"stop"' not in first
    assert second.index(b'"finish_reason":"stop"') < second.index(b'"index":1')
