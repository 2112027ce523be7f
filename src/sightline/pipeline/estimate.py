"""What a request may use, before any work: what is reserved of its key's limits.

Image tokens are exact. Text is taken by its length, the answer at its longest.
"""

from __future__ import annotations

from sightline.core import ChatRequest, ModelInfo, Usage
from sightline.images.tokens import views
from sightline.prompting.prompt_repetition import repeat_questions

TOKENS_A_MESSAGE = 8
TOKENS_A_CALL = 16


def estimate(request: ChatRequest, model: ModelInfo, *, assumed_tokens: int) -> Usage:
    """What a request may use, before any work: image tokens exactly, text by its length, the answer at its longest.

    An answer without a stated maximum is taken to be `assumed_tokens` long. A schema is a text too: some servers
    count it; so are tools.
    """
    image_tokens = 0
    if model.image is not None:
        for image in request.images:
            image_tokens += views(model.image, image.width, image.height, image.detail).tokens
    read = model.ocr_max_chars + model.upstream_ocr_chars
    characters = read * 2 * len(request.images)  # the lines' numbers and letters, and ranks, come on top
    around = 0
    messages = request.messages
    if model.prompt_repetition or model.upstream_prompt_repetition:
        messages = repeat_questions(messages)
    for message in messages:
        characters += sum(map(len, message.texts()))
        around += TOKENS_A_MESSAGE + TOKENS_A_CALL * len(message.tool_calls)
    characters += len(request.sampling.response_format.schema or "")
    if request.tools is not None:
        characters += len(request.tools.definitions)
    prompt = image_tokens + characters // model.characters_per_token + around
    longest = max(model.context_length - image_tokens, 1)  # What is not counted yet leaves the answer no less room.
    answer = min(request.sampling.max_tokens or assumed_tokens, longest)
    return Usage(prompt, answer * request.n, image_tokens)
