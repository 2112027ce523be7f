"""What an answer used, as its upstream says and as far as we can tell: a figure that cannot be true is not passed on.

Pure: comes in a request and reported figures, goes out `Usage`.
"""

from __future__ import annotations

from sightline.core import GenerateRequest, ModelInfo, Usage
from sightline.engines.upstream.chunks import UsageBody
from sightline.engines.upstream.failures import Failure
from sightline.errors import EngineError

_BYTES_A_TOKEN = 4
_TOKENS_A_MESSAGE = 8
_TOKENS_A_CALL = 16
_MOST_TOKENS_A_CALL = 64
"""Names of fields, brackets and marks that templates put around it."""
_MOST_TEMPLATE_TOKENS = 1024
"""Templates may begin with a message of their own, of hundreds of tokens."""
_MOST_TOKENS_A_BYTE = 3
"""Unicode's composed form, which Qwen's tokenizers make of a text, can be three times as long; so can what we break."""
_MOST_TOKENS_A_TEXT = 16
"""Around each of several texts: the mark of three bytes that keeps it from the next, and a template's line breaks."""
_MOST_TOKENS_AROUND_AN_IMAGE = 64
_MOST_TOKENS_READ = 5
"""A character that a server reads on a picture: four bytes of it at most, and the lines' numbers and cells' letters."""


class UsageBounds:
    """Of one answer: what it may have used at least and at most, and what we count ourselves."""

    def __init__(self, request: GenerateRequest, model: ModelInfo) -> None:
        texts = [] if request.tools is None else [request.tools.definitions]
        calls = text_bytes = 0
        for message in request.messages:
            texts += message.texts()
            calls += len(message.tool_calls)
        for text in texts:
            text_bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        schema = request.sampling.response_format.schema
        schema_bytes = len(schema.encode("utf-8", "replace")) if schema else 0
        messages, images = len(request.messages), len(request.files)
        self._image_tokens = request.image_tokens
        seen_bytes = text_bytes * (2 if model.upstream_prompt_repetition else 1)
        self._most_prompt = (
            request.image_tokens
            + _MOST_TOKENS_A_BYTE * (seen_bytes + schema_bytes)  # OpenAI counts a schema as part of the prompt
            + _TOKENS_A_MESSAGE * messages
            + _MOST_TOKENS_A_TEXT * len(texts)
            + _MOST_TOKENS_A_CALL * calls
            + (_MOST_TOKENS_AROUND_AN_IMAGE + _MOST_TOKENS_READ * model.upstream_ocr_chars) * images
            + _MOST_TEMPLATE_TOKENS
        )
        self._most_completion = request.sampling.max_tokens or model.context_length
        around = _TOKENS_A_MESSAGE * messages + _TOKENS_A_CALL * calls
        self._counted_prompt = request.image_tokens + text_bytes // _BYTES_A_TOKEN + around

    def counted(self, completion_tokens: int) -> Usage:
        """Return what we count ourselves, of an answer of so many tokens."""
        return Usage(self._counted_prompt, min(completion_tokens, self._most_completion), self._image_tokens)

    def check(self, reported: UsageBody, pieces: int) -> Usage:
        """Return the usage that an upstream reports, if it can be true of an answer in so many pieces.

        Raises:
            Failure: it cannot be.
        """
        cached = 0
        if (details := reported.prompt_tokens_details) is not None:
            cached = details.cached_tokens or 0
            if details.image_tokens is not None and details.image_tokens != self._image_tokens:
                raise _other_images(details.image_tokens, self._image_tokens)
        if 0 <= reported.prompt_tokens < self._image_tokens:
            raise _other_images(reported.prompt_tokens, self._image_tokens)
        if not (
            max(self._image_tokens, 1) <= reported.prompt_tokens <= self._most_prompt
            and 0 <= cached <= reported.prompt_tokens
            # The last piece may hold what was kept back, and belongs to no token of its own.
            and max(0, pieces - 1) <= reported.completion_tokens <= self._most_completion
        ):
            raise Failure("invalid_response")
        return Usage(reported.prompt_tokens, reported.completion_tokens, self._image_tokens, cached)


class ImagesLost(Failure):
    """The model saw other image tokens than promised: such an answer is never passed on."""


def _other_images(seen: int, promised: int) -> ImagesLost:
    message = f"The model's server counted {seen} tokens where the images alone are {promised}; nothing was charged."
    return ImagesLost("invalid_response", EngineError(message))
