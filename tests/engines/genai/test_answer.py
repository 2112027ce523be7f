"""A growing answer: text, stop strings, log-probabilities, padding, and the check of its form."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import Delta, ResponseFormat, SamplingParams
from sightline.engines.genai.answer import PAD_RUN, Answer, Vocabulary
from sightline.errors import EngineError

PAD, EOS = 0, 1
PIECES = [b"", b"", *(bytes([value]) for value in range(256))]
VOCABULARY = Vocabulary(PIECES, eos_ids=frozenset({EOS}), pad_id=PAD)


def ids(text: str) -> list[int]:
    return [value + 2 for value in text.encode()]


def feed(answer: Answer, text: str) -> list[Delta]:
    deltas = [answer.feed([token_id], [-float(at)]) for at, token_id in enumerate(ids(text))]
    return [delta for delta in deltas if delta is not None]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_every_generated_token_is_counted_the_last_one_too() -> None:
    answer = Answer(VOCABULARY, SamplingParams())

    answer.feed([*ids("hi"), EOS], [0.0] * 3)

    assert answer.completion_tokens == 3


def test_a_stop_string_ends_the_answer_and_is_not_shown() -> None:
    answer = Answer(VOCABULARY, SamplingParams(stop=("END",)))

    deltas = feed(answer, "one END")

    assert text_of(deltas) == "one "
    assert answer.finish_reason == "stop"
    assert answer.finish("stop") == Delta("")


def test_text_held_for_a_stop_string_is_released_at_the_end() -> None:
    answer = Answer(VOCABULARY, SamplingParams(stop=("END",)))

    deltas = feed(answer, "one EN")
    last = answer.finish("length")

    assert text_of(deltas) + last.text == "one EN"


@given(st.text(min_size=1, max_size=12), st.lists(st.text(min_size=1, max_size=2), max_size=2))
def test_logprobs_spell_the_text_that_was_sent(text: str, stops: list[str]) -> None:
    text = text.encode("utf-8", errors="replace").decode()
    answer = Answer(VOCABULARY, SamplingParams(stop=tuple(stops), logprobs=True))

    deltas: list[Delta | None] = []
    for token_id in [*ids(text), EOS]:
        deltas.append(answer.feed([token_id], [-1.0]))
        if answer.finish_reason:
            break
    deltas.append(answer.finish("stop"))

    sent = [delta for delta in deltas if delta is not None]
    shown = b"".join(bytes(entry.bytes or ()) for delta in sent for entry in delta.logprobs)
    assert shown == text_of(sent).encode()


@given(st.text())
def test_bytes_one_by_one_give_the_text_back(text: str) -> None:
    answer = Answer(VOCABULARY, SamplingParams())

    deltas = feed(answer, text.encode("utf-8", errors="replace").decode())

    assert text_of(deltas) + answer.finish("stop").text == text.encode("utf-8", errors="replace").decode()


def test_no_piece_holds_a_broken_character() -> None:
    answer = Answer(VOCABULARY, SamplingParams())

    pieces = [answer.feed([token_id], [0.0]) for token_id in ids("é😀")]

    assert [delta and delta.text for delta in pieces] == [None, "é", None, None, None, "😀"]


def test_an_unfinished_character_is_replaced_at_the_end() -> None:
    answer = Answer(VOCABULARY, SamplingParams())

    assert answer.feed(ids("é")[:1], [0.0]) is None
    assert answer.finish("stop").text == "\ufffd"


def test_logprobs_come_with_their_token() -> None:
    answer = Answer(VOCABULARY, SamplingParams(logprobs=True))

    (delta,) = feed(answer, "a")

    assert [(entry.token, entry.bytes) for entry in delta.logprobs] == [("a", (97,))]
    assert math.isclose(delta.logprobs[0].logprob, 0.0)


def test_endless_padding_is_an_error() -> None:
    answer = Answer(VOCABULARY, SamplingParams())

    answer.feed([PAD] * (PAD_RUN - 1), [0.0] * (PAD_RUN - 1))

    with pytest.raises(EngineError):
        answer.feed([PAD], [0.0])


def test_json_that_is_not_complete_is_an_error_only_when_it_claims_to_be() -> None:
    sampling = SamplingParams(response_format=ResponseFormat("json_object"))
    cut_short, broken, whole = (Answer(VOCABULARY, sampling) for _ in range(3))
    feed(cut_short, '{"a": ')
    feed(broken, '{"a": ')
    feed(whole, '{"a": 1}')

    cut_short.finish("length")
    whole.finish("stop")

    with pytest.raises(EngineError):
        broken.finish("stop")


def test_json_that_a_stop_string_cut_short_is_what_was_asked_for() -> None:
    answer = Answer(VOCABULARY, SamplingParams(stop=("1",), response_format=ResponseFormat("json_object")))

    deltas = feed(answer, '{"a": 1')

    assert text_of(deltas) == '{"a": '
    assert answer.finish("stop") == Delta("")
