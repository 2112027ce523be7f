"""A question in front of its images, said again behind them: for models that say they want it.

In: a request's messages. Out: the same, every part in its place, and the text that a message has in front of its last
part, an image, once more behind it. A model reads such a question before there is anything to look for. What is said
again is part of the prompt as if its sender had typed it: counted, previewed and paid for.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from sightline.core import ImagePart, Message, Part, TextPart
from sightline.prompting.format import repeated


def repeat_questions(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages with all text of each that ends with an image said again at its end, as one part.

    A message that ends with text asks there what it asks; a long text is not repeated.
    """
    return tuple([_extended(message) for message in messages])


def images_before_repetition(messages: Sequence[Message]) -> frozenset[int]:
    """Return which images a repeated question follows."""
    last = [message.parts[-1] for message in messages if _repeated_text(message.parts)]
    return frozenset([part.index for part in last if isinstance(part, ImagePart)])


def _extended(message: Message) -> Message:
    text = _repeated_text(message.parts)
    return replace(message, parts=(*message.parts, TextPart(text))) if text else message


def _repeated_text(parts: Sequence[Part]) -> str:
    if not parts or not isinstance(parts[-1], ImagePart):
        return ""
    # Templates put the texts of parts that stand side by side together without a blank.
    return repeated(" ".join([part.text.strip() for part in parts if isinstance(part, TextPart)]))
