"""The context of the bundled model: what fits is answered, what does not is refused with the numbers, and soon."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.engines.genai.conftest import FOLDER, Bench

from sightline.engines.genai.model import read_model
from sightline.engines.genai.model_patches import patched_folder
from sightline.engines.genai.template import Prompt
from sightline.engines.genai.tokens import TokenCounter
from sightline.errors import ContextLengthExceeded

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("wanted", [None, 1, 100_000])
def test_a_prompt_over_the_context_is_refused_with_the_numbers(bench: Bench, wanted: int | None) -> None:
    text = "word " * (100 if wanted == 100_000 else bench.info.context_length)

    with pytest.raises(ContextLengthExceeded) as caught:
        bench.answer(bench.request(text, max_tokens=wanted))

    assert f"{bench.info.context_length:,}" in caught.value.message


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Prompt]:
    """The prompts whose tokens are counted from now on."""
    prompts: list[Prompt] = []
    count = TokenCounter.count

    def spy(counter: TokenCounter, prompt: Prompt) -> int:
        prompts.append(prompt)
        return count(counter, prompt)

    monkeypatch.setattr(TokenCounter, "count", spy)
    return prompts


def test_a_text_that_cannot_fit_is_refused_before_its_tokens_are_counted(bench: Bench, counted: list[Prompt]) -> None:
    """The tokenizer would hold the interpreter for a fifth of a second, once for each of `n` answers."""
    with pytest.raises(ContextLengthExceeded, match=r"needs at least [\d,]+: at least [\d,]+ for the prompt"):
        bench.answer(bench.request("hello world, what is this? " * 37_000))

    assert counted == []


def test_a_text_of_the_longest_pieces_is_counted_before_it_is_refused(bench: Bench) -> None:
    with patched_folder(read_model(FOLDER, max_context=bench.info.context_length)) as (_, vocabulary):
        longest = max(vocabulary.pieces, key=len).decode()
    around = bench.count(bench.request("", images=0)).prompt_tokens
    fits = bench.info.context_length - around - 16

    usage = bench.count(bench.request("a" + longest * (fits - 1), images=0))

    assert usage.prompt_tokens == bench.info.context_length - 16


def test_a_request_may_fill_the_context_to_the_last_token(bench: Bench) -> None:
    request = bench.request(max_tokens=None, stop=("e", " "))
    room = bench.info.context_length - bench.count(request).prompt_tokens
    full = replace(request, sampling=replace(request.sampling, max_tokens=room))
    over = replace(request, sampling=replace(request.sampling, max_tokens=room + 1))

    bench.answer(request)
    bench.answer(full)

    with pytest.raises(ContextLengthExceeded):
        bench.answer(over)
