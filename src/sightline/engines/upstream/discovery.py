"""What an upstream serves: its own list, what the settings say of it, and a real answer from each model.

Source: `GET /v1/models` of OpenAI, vLLM, SGLang, llama.cpp and Sightline.
"""

from __future__ import annotations

import math
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed

import msgspec
from msgspec.structs import replace

from sightline.core import (
    GenerateRequest,
    ImageEncoding,
    ImageFile,
    ImagePart,
    Message,
    ModelInfo,
    Part,
    SamplingParams,
    TextPart,
)
from sightline.engines.upstream.body import BodyWriter
from sightline.engines.upstream.client import Broken
from sightline.engines.upstream.exchange import Asking
from sightline.engines.upstream.failures import Failure, Refused
from sightline.engines.upstream.reserved import Reserved
from sightline.engines.upstream.server import Served, Server
from sightline.errors import ConfigError, InvalidRequest, ServiceError
from sightline.ids import is_name
from sightline.log import get_logger
from sightline.settings import UpstreamModel, UpstreamSettings

log = get_logger(__name__)

IMAGE_RULES = {
    "gemma3": ImageEncoding("square", 896, 256),
    "qwen2.5-vl": ImageEncoding("patches", 28, min_pixels=3_136, max_pixels=12_845_056),
}
"""By family, as vLLM runs them: pan and scan off."""
SUPPORTED = frozenset(
    {"frequency_penalty", "logprobs", "max_completion_tokens", "max_tokens", "presence_penalty", "response_format"}
    | {"seed", "stop", "temperature", "top_logprobs", "top_p"}
)
_KNOWN = SUPPORTED | {"tools", "tool_choice"}
"""What a server may have; more than that nobody can ask for here."""
_PASSING = ("failed", "busy")
"""Failures of a model rather than of its server."""
_PAUSE_S, _MOST_PAUSE_S = 5.0, 300.0
"""Before a model that failed is asked again, twice as long each time."""
_OPENAI = ("openai", "openai-internal", "system")
"""Whom OpenAI says that its models belong to."""
_WARM_UP = "Say yes."
_MOST_IMAGES = 2
"""Of a request, where nobody states more."""
_MOST_STATED = 2**24
"""Tokens of a context, characters read of a picture: what a server states beyond that is not believed."""
_MOST_PX, _MOST_IMAGE_TOKENS, _MOST_CROPS = 8192, 65_536, 64
_MOST_SMALLEST_PX = 2048
"""Along a side of the smallest picture by a rule: one is drawn to ask about, on the event loop."""


class _Architecture(msgspec.Struct):
    image: ImageEncoding | None = None


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Defaults(msgspec.Struct):
    temperature: float | None = None


class Listed(msgspec.Struct):
    """An entry of a server's list; what only some servers say is optional."""

    id: str
    owned_by: str | None = None
    created: int | None = None
    description: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    max_images: int | None = None
    read_characters: int | None = None
    repeats_question: bool | None = None
    characters_per_token: int | None = None
    architecture: _Architecture | None = None
    supported_parameters: frozenset[str] | None = None
    default_parameters: _Defaults | None = None
    meta: _Meta | None = None


class _List(msgspec.Struct):
    data: tuple[Listed, ...]


@dataclass(slots=True)
class _Pause:
    """How long a model that failed is left alone, and until when, on the loop's clock."""

    length_s: float = _PAUSE_S / 2
    until_s: float = 0.0

    def again(self) -> None:
        self.length_s = min(2 * self.length_s, _MOST_PAUSE_S)
        self.until_s = time.monotonic() + self.length_s


_list = msgspec.json.Decoder(_List)


class Discovery:
    """Asks servers of one pool what they have."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._reserved = Reserved(settings.reserved)
        self._pauses: dict[tuple[str, str], _Pause] = {}
        """Of models that failed, by server and name."""
        self._rules = {ours: _rule(ours, model) for ours, model in settings.models.items()}

    async def look(self, server: Server) -> None:
        """Fill in what a server serves, once each of it has answered a request.

        Raises:
            Refused: it does not take our key.
            Failure, Unreachable, Broken, TimeoutError: it cannot answer.
        """
        listed = await self._listed(server)
        for ours, model in self._settings.models.items():
            if model.id not in listed:
                log.warning("upstream_lacks_model", upstream=server.name, model=ours, id=model.id)
        served, waiting = await self._answering(server, listed)
        if not served.keys() - waiting.keys():
            raise next(iter(waiting.values()), None) or Failure("failed")
        for ours, failure in waiting.items():
            log.warning("upstream_model_not_ready", upstream=server.name, model=ours, why=failure.kind)
        server.serve(served)
        server.listed = self._looked_at(listed, waiting)

    async def look_for_more(self, server: Server) -> None:
        """Add what a server has come to list since it was last looked at, once that has answered a request; drop what
        it lists no more.

        Raises: as `look`; what it lists is then new at the next look as well.
        """
        listed = await self._listed(server)
        now_s = time.monotonic()
        resting = {name for (of, name), pause in self._pauses.items() if of == server.name and pause.until_s > now_s}
        new = {name: entry for name, entry in listed.items() if name not in server.listed | resting}
        more, waiting = await self._answering(server, new)
        for ours in more.keys() - server.served.keys():
            log.info("upstream_has_model", upstream=server.name, model=ours)
        wanted = self._wanted(listed)
        gone = {ours for ours in server.served if ours not in wanted or wanted[ours].id not in listed}
        for ours in gone:
            log.warning("upstream_lacks_model", upstream=server.name, model=ours)
        server.serve({**{ours: one for ours, one in server.served.items() if ours not in gone}, **more})
        server.listed = (server.listed & listed.keys()) | self._looked_at(new, waiting)

    async def _answering(
        self, server: Server, listed: Mapping[str, Listed]
    ) -> tuple[dict[str, Served], dict[str, Failure]]:
        """What of a list is wanted here and answers, and what fails to at this moment, both by our names.

        A model that fails does not keep the others out; where it has answered before it is among the first as well.
        """
        found: dict[str, Served] = {}
        waiting: dict[str, Failure] = {}
        for ours, model in self._wanted(listed).items():
            made = self._served(server, ours, model, listed[model.id]) if model.id in listed else None
            if made is None:
                continue
            try:
                answers = await self._answers(server, made)
            except Failure as failure:
                if failure.kind not in _PASSING:
                    raise
                self._pauses.setdefault((server.name, model.id), _Pause()).again()
                waiting[ours], answers = failure, ours in server.served
            else:
                self._pauses.pop((server.name, model.id), None)
            if answers:
                found[ours] = made
        return found, waiting

    def _wanted(self, listed: Mapping[str, Listed]) -> Mapping[str, UpstreamModel]:
        return self._settings.models or {name: UpstreamModel(name) for name in listed}

    def _looked_at(self, listed: Mapping[str, Listed], waiting: Mapping[str, Failure]) -> frozenset[str]:
        """What of a list need not be looked at again."""
        wanted = self._wanted(listed)
        return frozenset(listed.keys() - {wanted[ours].id for ours in waiting})

    async def _listed(self, server: Server) -> dict[str, Listed]:
        async with server.client.send("GET", "/v1/models") as reply:
            if reply.status in (401, 403):
                raise Refused(server.name)
            if reply.status != 200:
                raise Failure("failed")
            try:
                return {entry.id: entry for entry in _list.decode(await reply.body()).data}
            except (msgspec.DecodeError, RecursionError) as error:
                raise Broken from error

    def _served(self, server: Server, ours: str, model: UpstreamModel, entry: Listed) -> Served | None:
        if not is_name(ours):
            log.error("upstream_model_left_out", upstream=server.name, model=ours[:100], reason="its id is too long")
            return None
        kind = _dialect(entry)
        meta = entry.meta or _Meta()
        context = model.context_length or entry.context_length or entry.max_model_len or meta.n_ctx or meta.n_ctx_train
        if context is None or not 0 < context <= _MOST_STATED:
            log.error("upstream_model_left_out", upstream=server.name, model=ours, reason="state its context_length")
            return None
        image = self._rules.get(ours) or (entry.architecture.image if entry.architecture else None)
        if image is not None and not _is_sound(image):
            log.error("upstream_model_left_out", upstream=server.name, model=ours, reason="its image rule cannot be")
            return None
        if image is None:
            log.warning("upstream_model_takes_text_only", upstream=server.name, model=ours, reason="state its image")
        reads, repeats = image is not None and model.read_characters > 0, bool(entry.repeats_question)
        info = ModelInfo(
            id=ours,
            owned_by=entry.owned_by or "upstream",
            created=entry.created or 0,
            context_length=context,
            description=model.description or entry.description or f"{model.id}, served by upstream servers.",
            image=changed(image, forwarded=True) if image else None,
            max_images=(model.max_images or max(0, entry.max_images or 0) or _MOST_IMAGES) if image else 0,
            supported_parameters=_supported(model, entry),
            read_characters=model.read_characters if image else 0,
            read_there=min(max(0, entry.read_characters or 0), _MOST_STATED) if image else 0,
            # Behind a picture whose text we put there, the server finds no message that ends with a picture.
            repeats_question=model.repeats_question or (repeats and reads),
            repeated_there=repeats and not reads and not model.repeats_question,
            characters_per_token=min(max(1, entry.characters_per_token or 4), _MOST_STATED),
            temperature=_temperature(entry),
        )
        return Served(info, BodyWriter(model.id, kind, info.supported_parameters, self._reserved), kind)

    async def _answers(self, server: Server, served: Served) -> bool:
        """Whether a model answers, and counts a picture as it is said to."""
        try:
            await greet(server, served)
        except ServiceError as error:
            log.error("upstream_model_left_out", upstream=server.name, model=served.info.id, reason=error.message)
            return False
        return True


def _supported(model: UpstreamModel, entry: Listed) -> frozenset[str]:
    stated = entry.supported_parameters if model.supported_parameters is None else model.supported_parameters
    return SUPPORTED if stated is None else stated & _KNOWN


def _temperature(entry: Listed) -> float:
    """That of a request that states none; what cannot be one is not believed."""
    stated = entry.default_parameters.temperature if entry.default_parameters else None
    return stated if stated is not None and 0 <= stated <= 2 else 1.0


async def greet(server: Server, served: Served) -> None:
    """Have a model answer one token, about a picture where it takes any.

    Models that think before they answer are reported to refuse so short an answer; they are asked without a limit.

    Raises:
        Failure: the server cannot, or not truthfully.
        ServiceError: it refuses.

    Source: LiteLLM's issue 26987.
    """
    request = warm_up(served.info)
    try:
        await _take_all(Asking(server, served, request))
    except InvalidRequest:
        if request.sampling.max_tokens is None:
            raise
        request = replace(request, sampling=replace(request.sampling, max_tokens=None))
        await _take_all(Asking(server, served, request))


async def _take_all(asking: Asking) -> None:
    while await asking.more():
        pass


def warm_up(info: ModelInfo) -> GenerateRequest:
    """A request of one token."""
    image = info.image
    parts: list[Part] = [*([ImagePart(0)] if image else []), TextPart(_WARM_UP)]
    is_limited = bool({"max_tokens", "max_completion_tokens"} & info.supported_parameters)
    file, tokens = _picture(image) if image else (None, 0)
    return GenerateRequest(
        request_id="warm-up",
        model=info.id,
        messages=(Message("user", tuple(parts)),),
        images=(),
        sampling=SamplingParams(temperature=0.0, max_tokens=1 if is_limited else None),
        image_tokens=tokens,
        stream=False,
        files=(file,) if file else (),
    )


def _picture(image: ImageEncoding) -> tuple[ImageFile, int]:
    """A grey picture, and how many tokens it is."""
    across = _patches_across(image) if image.kind == "patches" else 1
    side = image.size_px * across if image.kind == "patches" else 560  # any size is as many tokens of the others
    tokens = {"square": image.tokens, "patches": across * across, "page": 1601}[image.kind]
    rows = zlib.compress((b"\0" + b"\x80" * side) * side)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)
    return ImageFile("png", data, "", "low"), tokens


def _is_sound(image: ImageEncoding) -> bool:
    """Whether a rule can be true of some model: pictures are made and counted by it."""
    crops = image.pan_and_scan
    return (
        0 < image.size_px <= _MOST_PX
        and 0 <= image.tokens <= _MOST_IMAGE_TOKENS
        and (image.kind != "square" or image.tokens > 0)
        and (image.kind != "patches" or 0 <= image.min_pixels <= image.max_pixels <= _MOST_PX**2)
        and (image.kind != "patches" or image.max_pixels >= image.size_px**2)
        and (image.kind != "patches" or image.size_px * _patches_across(image) <= _MOST_SMALLEST_PX)
        and (crops is None or (crops.min_crop_px > 0 and 1 < crops.max_crops <= _MOST_CROPS and crops.min_ratio >= 1))
    )


def _patches_across(image: ImageEncoding) -> int:
    """How many patches a side of a square picture has that the rule leaves as it is; 4, where that is one."""
    least = math.ceil(math.sqrt(image.min_pixels) / image.size_px)
    most = math.isqrt(image.max_pixels) // image.size_px
    return max(1, min(max(4, least), most))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _rule(ours: str, model: UpstreamModel) -> ImageEncoding | None:
    if not isinstance(model.image, str):
        if model.image is not None and not _is_sound(model.image):
            raise ConfigError(f"upstreams: the image rule of {ours} cannot be that of a model: {model.image}")
        return model.image
    if model.image not in IMAGE_RULES:
        known = ", ".join(IMAGE_RULES)
        raise ConfigError(f"upstreams: the image rule {model.image!r} of {ours} is not known; these are: {known}")
    return IMAGE_RULES[model.image]


def _dialect(entry: Listed) -> str:
    if entry.architecture is not None and entry.supported_parameters is not None and entry.max_images is not None:
        return "sightline"
    owner = entry.owned_by or ""
    if owner in ("vllm", "llamacpp", "sglang"):
        return owner
    return "openai" if owner in _OPENAI else "other"
