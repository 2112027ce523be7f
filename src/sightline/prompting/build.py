"""The one place where a prompt gets more than its sender wrote: what the model's card asks for, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core import Message, ModelInfo
from sightline.prompting.page_text import insert_page_texts
from sightline.prompting.prompt_repetition import repeat_questions


def build_prompt(messages: Sequence[Message], model: ModelInfo, page_texts: Sequence[str] = ()) -> tuple[Message, ...]:
    """Return the messages as `model` is given them; `page_texts[i]` is the text of image `i`, for models that want it.

    A question is repeated as it was written, without the text of its images.
    """
    if model.prompt_repetition:
        messages = repeat_questions(messages)
    if page_texts:
        messages = insert_page_texts(messages, page_texts)
    return tuple(messages)
