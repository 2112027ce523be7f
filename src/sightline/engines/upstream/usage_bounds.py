"""What an answer used, as its upstream says and as far as we can tell: a figure that cannot be true is not passed on.

Pure: comes in a request and reported figures, goes out `Usage`.
"""

from __future__ import annotations

from sightline.core import GenerateRequest, ModelInfo, Usage
from sightline.engines.upstream.chunks import PromptDetails, UsageBody
from sightline.engines.upstream.failures import Failure
from sightline.errors import EngineError

_BYTES_A_TOKEN = 4
_TOKENS_A_MESSAGE = 8
_TOKENS_A_CALL = 16
_MOST_TOKENS_A_BYTE = 3
"""Unicode's composed form, which Qwen's tokenizers make of a text, can be three times as long; so can what we break."""
_MOST_TOKENS_AROUND = 64
"""What a template puts around each message, text, picture and call, and the mark that keeps a text from the next."""
_MOST_TEMPLATE_TOKENS = 1024
"""Templates may begin with a message of their own, of hundreds of tokens."""
_MOST_TOKENS_READ = 5
"""A character that a server reads on a picture: four bytes of it at most, and the lines' numbers and cells' letters."""


class UsageBounds:
    """Of one answer: what it may have used at least and at most, and what we count ourselves."""

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        texts = [text for message in request.messages for text in message.texts()]
        if request.tools is not None:
            texts.append(request.tools.definitions)
        text_bytes = sum(map(_bytes_of, texts))
        schema_bytes = _bytes_of(request.sampling.response_format.schema or "")  # OpenAI counts it in the prompt
        messages, images = len(request.messages), len(request.files)
        calls = sum(len(message.tool_calls) for message in request.messages)
        self._image_tokens = request.image_tokens
        self._most_prompt = (
            request.image_tokens
            + _MOST_TOKENS_A_BYTE * (text_bytes * (2 if model.upstream_prompt_repetition else 1) + schema_bytes)
            + _MOST_TOKENS_READ * model.upstream_ocr_chars * images
            + _MOST_TOKENS_AROUND * (messages + len(texts) + images + calls)
            + _MOST_TEMPLATE_TOKENS
        )
        self._most_completion = request.sampling.max_tokens or model.context_length
        around = _TOKENS_A_MESSAGE * messages + _TOKENS_A_CALL * calls
        self._counted_prompt = request.image_tokens + text_bytes // _BYTES_A_TOKEN + around

    def counted(self, completion_tokens: int) -> Usage:
        """Return what we count ourselves, of an answer of so many tokens."""
        return Usage(self._counted_prompt, min(completion_tokens, self._most_completion), self._image_tokens)

    def check(self, reported: UsageBody, pieces: int) -> Usage | None:
        """Return the usage that an upstream reports, None where it cannot be true of an answer in so many pieces.

        Raises:
            Failure: the model saw other image tokens than promised. Such an answer is never passed on.
        """
        details = reported.prompt_tokens_details or PromptDetails()
        cached, seen = details.cached_tokens or 0, details.image_tokens
        if seen not in (None, self._image_tokens) or 0 <= reported.prompt_tokens < self._image_tokens:
            message = f"The model's server counted other tokens than the {self._image_tokens} of the images alone."
            raise Failure("invalid_response", EngineError(f"{message} Nothing was charged."))
        if (
            max(self._image_tokens, 1) <= reported.prompt_tokens <= self._most_prompt
            and 0 <= cached <= reported.prompt_tokens
            # The last piece may hold what was kept back, and belongs to no token of its own.
            and max(0, pieces - 1) <= reported.completion_tokens <= self._most_completion
        ):
            return Usage(reported.prompt_tokens, reported.completion_tokens, self._image_tokens, cached)
        return None


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
