"""The values every stage shares, from a parsed request to the last piece of an answer.

All are frozen: a stage that changes one uses `msgspec.structs.replace`. Nothing here validates (the wire did)
and nothing here does work. What every request makes are msgspec structs: they are made in a tenth of a frozen
dataclass's time, and cross process boundaries. What is made once is a dataclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pagetext import Line

Role = Literal["system", "developer", "user", "assistant", "tool"]
Detail = Literal["auto", "low", "high"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Permission = Literal["inference", "usage", "admin"]
"""What a key may do: ask models, read what was used, manage keys. None of them implies another."""
PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))
DEFAULT_PERMISSIONS: frozenset[Permission] = frozenset({"inference", "usage"})
Period = Literal["day", "month", "total"]
Pixels = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3), as a person sees the picture."""
ViewPixels = npt.NDArray[np.uint8]
"""RGB of one image, shape (views, height, width, 3): the whole picture first, then the closer views of it, if any."""


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Text of a message, exactly as the sender wrote it."""

    text: str


class ImagePart(msgspec.Struct, frozen=True, tag="image"):
    """The place of image `index` (0-based, counted over the whole request) among a message's parts."""

    index: int


Part = TextPart | ImagePart


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool that a model calls: whole in a message, in an answer as far as a piece of it has come.

    `index` counts an answer's calls. `id` and `name` come with the first piece of each; `arguments` is JSON text.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Message(msgspec.Struct, frozen=True):
    """One turn. Parts keep the sender's order; an assistant's may be none where it calls tools.

    `tool_call_id` is of a tool's result: which call it answers.
    """

    role: Role
    parts: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def texts(self) -> list[str]:
        """All that the sender wrote of it, as far as a model may be shown it."""
        parts = self.parts
        if len(parts) == 1 and isinstance(parts[0], TextPart):
            texts = [parts[0].text]  # as nearly all are
        else:
            texts = [part.text for part in parts if isinstance(part, TextPart)]
        for call in self.tool_calls:
            texts += (call.id or "", call.name or "", call.arguments)
        if self.tool_call_id is not None:
            texts.append(self.tool_call_id)
        return texts


class Tools(msgspec.Struct, frozen=True):
    """What an answer may call: `definitions` and `choice` as JSON text in OpenAI's shape; None is not said."""

    definitions: str
    choice: str | None = None
    parallel: bool | None = None


class _Veiled(msgspec.Struct, frozen=True):
    """Shows everything but bytes: a picture is in no log."""

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__)
        fields = ", ".join(f"{name}={value!r}" for name, value in shown if not isinstance(value, bytes | memoryview))
        return f"{type(self).__name__}({fields})"


class ImageReference(_Veiled, frozen=True):
    """An image as the request names it: `head` up to the comma of the data URI, `payload` the base64 after it.

    `param` is where it stood, e.g. `messages.[1].content.[0].image_url.url`; `of` how many images the request has.
    """

    head: str
    payload: bytes | memoryview
    detail: Detail
    param: str
    of: int = 1


class ImageFile(_Veiled, frozen=True):
    """A picture as a file that every decoder reads alike, for a model that runs elsewhere.

    `type` is `png` or `jpeg`; `sha256` is of the bytes that the sender sent, which may be other ones; `detail` is what
    the sender asked.
    """

    type: str
    data: bytes
    sha256: str
    detail: Detail


class EncodedImage(_Veiled, frozen=True):
    """An image whose header was read and is within the limits; not one pixel was decoded yet.

    `declared_type` is the sender's media type, `type` what the bytes are; `width`, `height` as stored. `sha256` is of
    the bytes, `is_passthrough_safe` whether every decoder reads them alike.
    """

    data: bytes
    declared_type: str
    type: str
    width: int
    height: int
    detail: Detail
    param: str
    sha256: str
    is_passthrough_safe: bool


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form an answer must have. `schema` is JSON text, only for `json_schema`."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    schema: str | None = None


class SamplingParams(msgspec.Struct, frozen=True):
    """How to choose tokens. `max_tokens` None means up to the end of the context, `limit_name` is what it is called."""

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logprobs: bool = False
    top_logprobs: int = 0
    response_format: ResponseFormat = ResponseFormat()
    limit_name: str = "max_tokens"


class ChatRequest(msgspec.Struct, frozen=True):
    """A parsed `POST /v1/chat/completions`: what the sender asked, before any limit or pixel was looked at.

    `params_sent` names the body's fields that were given a value, for engines that lack some of them. With `evidence`
    the answer's values are looked up on its pictures, with `lines` it carries what is written on these.
    """

    model: str
    messages: tuple[Message, ...]
    images: tuple[EncodedImage, ...]
    sampling: SamplingParams
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    params_sent: frozenset[str] = frozenset()
    tools: Tools | None = None
    evidence: bool = False
    lines: bool = False


class ConnectionState(msgspec.Struct):
    """Whether the client of a request has disconnected; None where the server does not tell.

    Then a request that is cancelled is taken to have lost its client.
    """

    disconnected: bool | None = None


class GenerateRequest(msgspec.Struct, frozen=True, eq=False):
    """What an engine gets: one answer's worth of work, pixels ready.

    `images[i]` belongs to `ImagePart(i)`, its views already at the size the model sees; where the model's encoding is
    `forwarded` it is `files[i]` instead. `image_tokens` is what the receipt promises for all of them: an engine that
    counts otherwise refuses before it begins. Where `stream` is false nobody reads the answer before its end, so its
    pieces may be joined on the way. What an engine remembers of a request serves no request of another `owner` (the id
    of the key that sent it). With `lines` the transcriber says of each piece where it stands.
    """

    request_id: str
    model: str
    messages: tuple[Message, ...]
    images: tuple[ViewPixels, ...]
    sampling: SamplingParams
    image_tokens: int = 0
    stream: bool = True
    files: tuple[ImageFile, ...] = ()
    owner: str = ""
    tools: Tools | None = None
    lines: bool = False


class TokenLogprob(msgspec.Struct, frozen=True):
    """One chosen token, its natural-log probability, and the most likely alternatives, best first."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. `cached_tokens` of the prompt came from a cache.

    Here they are the image tokens of views that were encoded for an earlier request of the same owner; of an upstream
    they are what it says.
    """

    prompt_tokens: int
    completion_tokens: int
    image_tokens: int = 0
    cached_tokens: int = 0

    @property
    def text_tokens(self) -> int:
        """Prompt tokens that are not image tokens."""
        return self.prompt_tokens - self.image_tokens

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


class EngineTimings(msgspec.Struct, frozen=True):
    """Where an engine's time went, in seconds: waiting for a place, up to the first token, after it."""

    queue_s: float
    prefill_s: float
    decode_s: float


class Delta(msgspec.Struct, frozen=True, gc=False):
    """A piece of an answer. `usage` is of the answer so far; the last one carries `finish_reason` and `timings` too.

    `lines` are those of a picture that the transcriber's piece is of, in pixels of what it was shown.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: EngineTimings | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    lines: tuple[Line, ...] = ()

    @staticmethod
    def join(deltas: Sequence[Delta]) -> Delta:
        """Return an answer's deltas as one."""
        if len(deltas) == 1:
            return deltas[0]
        logprobs = tuple(entry for delta in deltas for entry in delta.logprobs)
        calls = tuple(call for delta in deltas for call in delta.tool_calls)
        lines = tuple(line for delta in deltas for line in delta.lines)
        text = "".join(delta.text for delta in deltas)
        return replace(deltas[-1], text=text, logprobs=logprobs, tool_calls=calls, lines=lines)


@dataclass(frozen=True, slots=True)
class PanAndScan:
    """When and how a model takes closer views of a picture that is not square: cuts along its longer side.

    A picture is cut from `min_ratio` (longer by shorter side) on, into two to `max_crops` parts, and not at all where
    a part would have a side below `min_crop_px`. `by_default`: also where the sender leaves `detail` to the model.

    Source: Gemma 3 (https://arxiv.org/abs/2503.19786, section 2.1); Transformers' Gemma3ImageProcessor.
    """

    min_crop_px: int = 256
    max_crops: int = 4
    min_ratio: float = 1.2
    by_default: bool = False


@dataclass(frozen=True, slots=True)
class ImageEncoding:
    """How a model turns a picture into tokens.

    `square`: stretched to `size_px` × `size_px`, always `tokens` tokens a view (Gemma 3). `pan_and_scan` says how it
    takes closer views; None where it has none.
    `patches`: nearly kept in shape, its sides brought to whole patches of `size_px`, a token each, and its pixels to
    `min_pixels` to `max_pixels` (Qwen2-VL and its successors).
    `page`: kept in shape, reduced until its longer side is at most `size_px`; counted by the documented
    estimate, since the model has no tokens of its own (transcription).
    `forwarded`: the model runs elsewhere and takes files; what its pixels become is done there.
    """

    kind: Literal["square", "patches", "page"]
    size_px: int
    tokens: int = 0
    pan_and_scan: PanAndScan | None = None
    min_pixels: int = 0
    max_pixels: int = 0
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What one model is and takes. `image` None means text only.

    Up to `ocr_max_chars` of each picture's text, read by the transcriber, stand beside it in the prompt; 0: none.
    `upstream_ocr_chars` as many are read by the server that has the model, another Sightline, which counts them as
    text. `prompt_repetition`: a text in front of images is said again behind them, in the prompt;
    `upstream_prompt_repetition`: by the server that has the model. `characters_per_token` is what a text is taken to
    have before it is counted: 4, or fewer where a tokenizer spells. `temperature` is that of a request which states
    none.
    """

    id: str
    owned_by: str
    created: int
    context_length: int
    description: str
    image: ImageEncoding | None
    max_images: int
    supported_parameters: frozenset[str]
    ocr_max_chars: int = 0
    upstream_ocr_chars: int = 0
    prompt_repetition: bool = False
    upstream_prompt_repetition: bool = False
    characters_per_token: int = 4
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class SpendingLimit:
    """What a key may spend in each period, in nano-dollars. Days and months are those of UTC."""

    nanos: int
    period: Period


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may use: a minute, and at once (running and waiting). None is no limit."""

    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    max_in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made: whose it is and what it may do. `models` are ids or aliases; None is all."""

    name: str
    expires_at: datetime | None = None
    permissions: frozenset[Permission] = DEFAULT_PERMISSIONS
    models: frozenset[str] | None = None
    limits: KeyLimits = KeyLimits()
    spending: SpendingLimit | None = None


def documented_estimate(width: int, height: int) -> int:
    """Tokens of a picture by the formula that the public guide documents: 1601 to 6404.

    Its text and table, not its printed formula, which has `min` and `max` the wrong way round.
    Source: vision.md, "Token Usage"; contract.md section 3.
    """
    clamped = min(max(width, 560), 1120) * min(max(height, 560), 1120)
    return -(-clamped * 1601 // (560 * 560))


def tenths_of_ms(seconds: float) -> float:
    """A duration as people read it: in milliseconds, to a tenth. `round` works out every digit first."""
    return int(seconds * 10_000 + 0.5) / 10
