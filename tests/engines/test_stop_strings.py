"""Stop strings: none is missed and nothing of one leaks, however a text falls into pieces."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sightline.engines.stop_strings import StopMatcher

SMALL = st.text(alphabet="ab", max_size=12)


def run(stops: Sequence[str], chunks: Sequence[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    sent = ""
    for chunk in chunks:
        sent += matcher.feed(chunk)
        if matcher.stopped:
            return sent, True
    return sent + matcher.flush(), False


def reference(stops: Sequence[str], text: str) -> tuple[str, bool]:
    """The stop string that is complete first, looked for by brute force."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if stop and text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


def test_a_stop_string_spread_over_pieces_never_leaks() -> None:
    assert run(["STOP"], ["one S", "T", "O", "P two"]) == ("one ", True)


def test_the_beginning_of_a_stop_string_is_sent_once_it_is_none() -> None:
    matcher = StopMatcher(["STOP"])

    assert matcher.feed("a ST") == "a "
    assert matcher.feed("EP") == "STEP"


def test_held_text_is_sent_when_no_more_comes() -> None:
    assert run(["STOP"], ["a ST"]) == ("a ST", False)


@given(st.lists(SMALL, max_size=4), st.lists(SMALL, max_size=8))
def test_stop_strings_are_found_whatever_the_pieces(stops: list[str], chunks: list[str]) -> None:
    assert run(stops, chunks) == reference(stops, "".join(chunks))
