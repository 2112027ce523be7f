"""Messages to the prompt a model was trained on, with the sender's text kept from ever acting as a control token.

In: `core.Message`s, and how many views each image has. Out: a list of pieces (control tokens, plain text of the
template, text of the sender, views of images) and from these the prompt as the pipeline takes it. A model family is
one small object here; a new one is added to `FAMILIES`. Knows nothing of token ids.

Source: the chat template published with Gemma 3 (https://ai.google.dev/gemma/docs/core/prompt-structure).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sightline.core import ImagePart, Message, Part, TextPart
from sightline.engines.special_tokens import SpecialTokenEscaper
from sightline.errors import EngineError

_PIPELINE_TAGS = ("<ov_genai_image_", "<ov_genai_video_")


@dataclass(frozen=True, slots=True)
class Control:
    """A control token that the template itself places."""

    spelling: str


@dataclass(frozen=True, slots=True)
class ImageSlot:
    """The place of view `index`, counted over all images of the request."""

    index: int


Piece = Control | ImageSlot | str
"""A piece of a prompt; a string is text, of the template or the sender, in which nothing is special."""


class Gemma3:
    """Gemma 3: `<start_of_turn>role … <end_of_turn>`, system text in front of the first user turn.

    The sentence about crops is that of Transformers' Gemma3Processor.
    """

    controls = frozenset(
        {"<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"}
    )
    """Spellings that the family gives a meaning, beside those its tokenizer lists."""

    def conversation(self, messages: Sequence[Message]) -> list[Piece | ImagePart]:
        """Write the turns up to where the model is to answer, without the token that begins every prompt.

        Neighbours of one role become one turn, since the model knows only alternating ones.
        """
        pieces: list[Piece | ImagePart] = []
        for role, contents in _turns(messages):
            pieces += [Control("<start_of_turn>"), f"{role}\n"]
            for number, content in enumerate(contents):
                pieces += ["\n\n"] if number else []
                pieces += [part.text.strip() if isinstance(part, TextPart) else part for part in content]
            pieces += [Control("<end_of_turn>"), "\n"]
        return [*pieces, Control("<start_of_turn>"), "model\n"]

    def views(self, places: Sequence[ImageSlot]) -> list[Piece]:
        """Return how the views of one image stand in the prompt: the whole, then its crops in a sentence about them."""
        whole, *crops = places
        if not crops:
            return [whole]
        pieces: list[Piece] = ["Here is the original image ", whole, " and here are some crops to help you see better"]
        for crop in crops:
            pieces += [" ", crop]
        return pieces

    def image(self, tokens: int) -> list[Piece]:
        """Return what the pipeline writes in a view's place: `tokens` soft tokens, set off by blank lines."""
        soft: list[Piece] = [Control("<image_soft_token>")] * tokens
        return ["\n\n", Control("<start_of_image>"), *soft, Control("<end_of_image>"), "\n\n"]


FAMILIES = {"gemma3": Gemma3()}
"""By `model_type` in config.json."""


def _turns(messages: Sequence[Message]) -> list[tuple[str, list[Sequence[Part]]]]:
    """Group messages into alternating (role, contents); system text goes to the user turn that follows it."""
    turns: list[tuple[str, list[Sequence[Part]]]] = []
    for message in messages:
        role = "model" if message.role == "assistant" else "user"
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].append(message.parts)
    return turns


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in two spellings, and the control tokens in it, in order.

    `tagged` is for the pipeline (views as tags); `expanded` is what the pipeline makes of it and what is counted.
    """

    tagged: str
    expanded: str
    controls: tuple[str, ...]


class PromptWriter:
    """Writes prompts for one model: its family's template, its tokenizer's control tokens, its tokens a view."""

    def __init__(self, family: Gemma3, spellings: Iterable[str], *, image_tokens: int, opening: str) -> None:
        self._family = family
        self._neutralise = SpecialTokenEscaper({*spellings, *family.controls, *_PIPELINE_TAGS})
        self._image = family.image(image_tokens)
        self._opening: list[Piece] = [Control(opening)] if opening else []

    def write(self, messages: Sequence[Message], views: Sequence[int]) -> Prompt:
        """Return the prompt for `messages`, ready for the pipeline; `views[i]` is how many image i of the request has.

        Raises:
            EngineError: the images and their places in the messages do not match.
        """
        conversation = self._family.conversation(messages)
        images = [piece.index for piece in conversation if isinstance(piece, ImagePart)]
        if sorted(images) != list(range(len(views))):
            raise EngineError("the images of the request and their places in the messages do not match")
        starts = [0, *accumulate(views)]
        pieces = [*self._opening]
        for piece in conversation:
            if isinstance(piece, ImagePart):
                numbers = range(starts[piece.index], starts[piece.index + 1])
                pieces += self._family.views([ImageSlot(number) for number in numbers])
            else:
                pieces.append(piece)
        expanded: list[Piece] = []
        for piece in pieces:
            expanded += self._image if isinstance(piece, ImageSlot) else [piece]
        return Prompt(
            tagged=self._spell(pieces),
            expanded=self._spell(expanded),
            controls=tuple(piece.spelling for piece in expanded if isinstance(piece, Control)),
        )

    def _spell(self, pieces: Sequence[Piece]) -> str:
        """Join the pieces; neighbouring texts are neutralised as one, so that no spelling forms across them."""
        spelled: list[str] = []
        text = ""
        for piece in pieces:
            if isinstance(piece, str):
                text += piece
                continue
            spelled += [self._neutralise(text), _spelling(piece)]
            text = ""
        return "".join([*spelled, self._neutralise(text)])


def _spelling(piece: Control | ImageSlot) -> str:
    return piece.spelling if isinstance(piece, Control) else f"<ov_genai_image_{piece.index}>"
