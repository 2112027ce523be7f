"""What of a model's context is left for the answer."""

from __future__ import annotations

from sightline.core import SamplingParams
from sightline.errors import ContextLengthExceeded


def max_new_tokens(prompt_tokens: int, sampling: SamplingParams, context_length: int, *, is_least: bool = False) -> int:
    """Return the most tokens the answer may take; `is_least` where the prompt may have more than `prompt_tokens`.

    Raises:
        ContextLengthExceeded: the prompt and the answer asked for are longer than the context.
    """
    wanted = sampling.max_tokens
    if prompt_tokens + (wanted or 1) > context_length:
        answer = "at least 1 for the answer" if wanted is None else f"{wanted:,} for the answer ({sampling.limit_name})"
        least = "at least " if is_least else ""
        raise ContextLengthExceeded(
            f"this model's context is {context_length:,} tokens; the request needs {least}"
            f"{prompt_tokens + (wanted or 1):,}: {least}{prompt_tokens:,} for the prompt and {answer}; shorten either",
            param="messages" if wanted is None or prompt_tokens >= context_length else sampling.limit_name,
        )
    return context_length - prompt_tokens if wanted is None else wanted
