"""What a model takes and how it counts a prompt, told without running it: from its folder, or by what comes with us.

A vision-language model's prompt is counted by the code that its engine counts with, on its tokenizer alone; the
weights stay on the disk. The transcriber counts pictures only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from sightline.client.page_text import read_picture
from sightline.core import ChatRequest, ImageEncoding, ModelInfo, SamplingParams
from sightline.engines.context import max_new_tokens
from sightline.engines.genai.model import DEFAULT_MAX_CONTEXT, Model, read_model
from sightline.engines.genai.template import PromptWriter
from sightline.engines.genai.tokens import TokenCounter, prepare
from sightline.engines.pagetext.model import INFO as TRANSCRIBER_INFO
from sightline.engines.pagetext.model import WITHOUT_PICTURES
from sightline.errors import InvalidRequest
from sightline.images.tokens import Views, views
from sightline.prompting.build import build_prompt
from sightline.settings import DEFAULT_MODELS, engine_spec


class KnownModel:
    """A model by its id or folder.

    Raises:
        ConfigError: there is no such model, or its folder is not one that an engine can run.
    """

    def __init__(self, name: str) -> None:
        spec = engine_spec(name)
        self._model: Model | None = None
        self._tools: tuple[PromptWriter, TokenCounter] | None = None
        self.info: ModelInfo = TRANSCRIBER_INFO
        if spec.kind == "genai":
            path, model_id = Path(str(spec.options["path"])), spec.options.get("model_id")
            self._model = read_model(
                path, model_id=None if model_id is None else str(model_id), max_context=DEFAULT_MAX_CONTEXT
            )
            self.info = self._model.info

    @property
    def image(self) -> ImageEncoding:
        """How a picture becomes tokens; every model here takes pictures."""
        assert self.info.image is not None
        return self.info.image

    @property
    def eyes(self) -> tuple[ImageEncoding, ...]:
        """All ways in which it looks at a picture: its own, and the transcriber's where that reads for it."""
        assert TRANSCRIBER_INFO.image is not None
        return (self.image, TRANSCRIBER_INFO.image) if self.info.ocr_max_chars else (self.image,)

    def image_tokens(self, request: ChatRequest) -> int:
        """Exact tokens of a request's pictures, closer views included."""
        return sum(seen.tokens for seen in self._views(request))

    def input_tokens(self, request: ChatRequest) -> int:
        """Exact tokens of a request's prompt, pictures included; takes half a second the first time.

        Pictures are read first where the model has that done, a tenth of a second or more each.

        Raises:
            ContextLengthExceeded: the prompt leaves no room for an answer.
            InvalidRequest: the transcriber has nothing to read.
            ImageUndecodable: a picture that is to be read does not decode.
        """
        if self._model is None:
            if not request.images:
                raise InvalidRequest(WITHOUT_PICTURES, param="messages")
            return self.image_tokens(request)
        self._tools = self._tools or _load_tools(self._model)
        writer, counter = self._tools
        max_chars = self.info.ocr_max_chars
        images = enumerate(request.images, 1) if max_chars else ()
        messages = build_prompt(
            request.messages, self.info, [read_picture(image, number, max_chars) for number, image in images]
        )
        tokens = counter.count(writer.write(messages, [seen.count for seen in self._views(request)]))
        max_new_tokens(tokens, SamplingParams(), self.info.context_length)
        return tokens

    def _views(self, request: ChatRequest) -> list[Views]:
        return [views(self.image, image.width, image.height, image.detail) for image in request.images]


def known_models(names: Sequence[str] = ()) -> list[KnownModel]:
    """The models of these names; those that run unless others are named, if none is given."""
    return [_read_once(name) for name in names or DEFAULT_MODELS]


_read_once = lru_cache(maxsize=8)(KnownModel)  # senders count one picture after the other


def _load_tools(model: Model) -> tuple[PromptWriter, TokenCounter]:
    from openvino_genai import Tokenizer  # a third of a second that counting pictures alone need not wait

    return prepare(Tokenizer(model.path), model)
