"""What an upstream serves: its own list, what the settings say of it, and a real answer from each model.

Source: `GET /v1/models` of OpenAI, vLLM, SGLang, llama.cpp and Sightline.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Literal

import msgspec

from sightline.core import ImageEncoding, ModelInfo
from sightline.engines.upstream.backoff import Backoff
from sightline.engines.upstream.body import BodyWriter
from sightline.engines.upstream.escaping import MessageEscaper
from sightline.engines.upstream.exchange import ServedModel
from sightline.engines.upstream.failures import Failure, KeyRefused
from sightline.engines.upstream.server import Server
from sightline.engines.upstream.warm_up import is_sound, warm_up
from sightline.errors import ConfigError, ServiceError
from sightline.ids import is_name
from sightline.log import get_logger
from sightline.settings import UpstreamModel, UpstreamSettings

log = get_logger(__name__)

FIRST_MODEL_PAUSE_S, LONGEST_MODEL_PAUSE_S = 5.0, 300.0
"""How long a model that failed is left alone."""
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
_MODEL_FAILURES = ("failed", "overloaded")
"""Failures of a model rather than of its server."""
_OPENAI = ("openai", "openai-internal", "system")
"""Whom OpenAI says that its models belong to."""
_DEFAULT_MAX_IMAGES = 2
"""Of a request, where nobody states more."""
_MAX_STATED = 2**24
"""Tokens of a context, characters read of an image: what a server states beyond that is not believed."""


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
    ocr_max_chars: int | None = None
    prompt_repetition: bool | None = None
    characters_per_token: int | None = None
    architecture: _Architecture | None = None
    supported_parameters: frozenset[str] | None = None
    default_parameters: _Defaults | None = None
    meta: _Meta | None = None

    @property
    def dialect(self) -> str:
        """What kind of server lists it."""
        if self.architecture is not None and self.supported_parameters is not None and self.max_images is not None:
            return "sightline"
        owner = self.owned_by or ""
        if owner in ("vllm", "llamacpp", "sglang"):
            return owner
        return "openai" if owner in _OPENAI else "other"

    @property
    def stated_context(self) -> int | None:
        """The length of its context, by whichever name its server says it."""
        meta = self.meta or _Meta()
        return self.context_length or self.max_model_len or meta.n_ctx or meta.n_ctx_train

    @property
    def temperature(self) -> float:
        """That of a request that states none; what cannot be one is not believed."""
        stated = self.default_parameters.temperature if self.default_parameters else None
        return stated if stated is not None and 0 <= stated <= 2 else 1.0


class _List(msgspec.Struct):
    data: tuple[Listed, ...]


_list = msgspec.json.Decoder(_List)


class Discovery:
    """Asks servers of one pool what they have."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._escaper = MessageEscaper(settings.special_tokens)
        self._pauses = defaultdict[tuple[str, str], Backoff](
            lambda: Backoff(FIRST_MODEL_PAUSE_S, LONGEST_MODEL_PAUSE_S)
        )
        """Of models that failed, by server and name."""
        self._rules = {ours: _rule(ours, model) for ours, model in settings.models.items()}

    async def refresh(self, server: Server) -> None:
        """Take in what a server lists: each model that is new, or of a server that is out every one, has to answer.

        A model that fails does not keep the others out; where it has answered before it stays.

        Raises:
            KeyRefused: it does not take our key.
            Failure, TimeoutError: it cannot answer; nothing is taken in.
        """
        is_in = server.is_in
        listed = await self._list(server)
        wanted = self._settings.models or {name: UpstreamModel(name) for name in listed}
        offered = {ours: stated for ours, stated in wanted.items() if stated.id in listed}
        for ours in (server.models if is_in else wanted).keys() - offered.keys():
            log.warning("upstream_lacks_model", upstream=server.name, model=ours)
        models = {ours: model for ours, model in server.models.items() if ours in offered}
        settled = {ours for ours in server.settled if is_in and ours in offered}
        has_answered = is_in
        for ours, stated in offered.items():
            if ours in settled or (is_in and self._pauses[server.name, ours].is_waiting):
                continue
            model = self._model(server, ours, stated, listed[stated.id])
            state = await _ask(server, model, self._pauses[server.name, ours]) if model else "left out"
            if model is not None and state == "answers":
                if is_in:
                    log.info("upstream_has_model", upstream=server.name, model=ours)
                models[ours], has_answered = model, True
            elif state == "left out":
                models.pop(ours, None)
            if state != "fails":
                settled.add(ours)
        if not has_answered:
            raise Failure("failed")
        server.models, server.settled = models, frozenset(settled)

    async def _list(self, server: Server) -> dict[str, Listed]:
        with await server.send("GET", "/v1/models") as response:
            if response.status in (401, 403):
                raise KeyRefused("failed")
            if response.status != 200:
                raise Failure("failed")
            try:
                return {entry.id: entry for entry in _list.decode(await response.body()).data}
            except (msgspec.DecodeError, RecursionError) as error:
                raise Failure("invalid_response") from error

    def _model(self, server: Server, ours: str, stated: UpstreamModel, entry: Listed) -> ServedModel | None:
        """The model as it is served here; None, and a line in the log, where it cannot be."""
        context = stated.context_length or entry.stated_context
        image = self._rules.get(ours) or (entry.architecture.image if entry.architecture else None)
        if not is_name(ours):
            _leave_out(server, ours[:100], "its id is too long")
            return None
        if context is None or not 0 < context <= _MAX_STATED:
            _leave_out(server, ours, "state its context_length")
            return None
        if image is not None and not is_sound(image):
            _leave_out(server, ours, "its image rule cannot be")
            return None
        if image is None:
            log.warning("upstream_model_takes_text_only", upstream=server.name, model=ours, reason="state its image")
        info = _info(ours, stated, entry, context, image)
        return ServedModel(
            info, BodyWriter(stated.id, entry.dialect, info.supported_parameters, self._escaper), entry.dialect
        )


async def _ask(server: Server, model: ServedModel, pause: Backoff) -> Literal["answers", "fails", "left out"]:
    """Whether a model answers; one that fails at this moment is asked again after `pause`.

    Raises:
        Failure: it is not the model that fails, but its server.
    """
    try:
        await warm_up(server, model)
    except ServiceError as error:
        _leave_out(server, model.info.id, error.message)
        return "left out"
    except Failure as failure:
        if failure.reason not in _MODEL_FAILURES:
            raise
        log.warning("upstream_model_not_ready", upstream=server.name, model=model.info.id, reason=failure.reason)
        pause.extend()
        return "fails"
    pause.reset()
    return "answers"


def _leave_out(server: Server, model: str, reason: str) -> None:
    log.error("upstream_model_left_out", upstream=server.name, model=model, reason=reason)


def _info(ours: str, stated: UpstreamModel, entry: Listed, context: int, image: ImageEncoding | None) -> ModelInfo:
    reads, repeats = image is not None and stated.ocr_max_chars > 0, bool(entry.prompt_repetition)
    return ModelInfo(
        id=ours,
        owned_by=entry.owned_by or "upstream",
        created=entry.created or 0,
        context_length=context,
        description=stated.description or entry.description or f"{stated.id}, served by upstream servers.",
        image=replace(image, forwarded=True) if image else None,
        max_images=(stated.max_images or max(0, entry.max_images or 0) or _DEFAULT_MAX_IMAGES) if image else 0,
        supported_parameters=_supported(stated, entry),
        ocr_max_chars=stated.ocr_max_chars if image else 0,
        upstream_ocr_chars=min(max(0, entry.ocr_max_chars or 0), _MAX_STATED) if image else 0,
        # Behind an image whose text we put there, the server finds no message that ends with an image.
        prompt_repetition=stated.prompt_repetition or (repeats and reads),
        upstream_prompt_repetition=repeats and not reads and not stated.prompt_repetition,
        characters_per_token=min(max(1, entry.characters_per_token or 4), _MAX_STATED),
        temperature=entry.temperature,
    )


def _supported(stated: UpstreamModel, entry: Listed) -> frozenset[str]:
    names = entry.supported_parameters if stated.supported_parameters is None else stated.supported_parameters
    return SUPPORTED if names is None else names & _KNOWN


def _rule(ours: str, model: UpstreamModel) -> ImageEncoding | None:
    """The rule that the settings state.

    Raises:
        ConfigError: it is not known, or cannot be that of a model.
    """
    if not isinstance(model.image, str):
        if model.image is not None and not is_sound(model.image):
            raise ConfigError(f"upstreams: the image rule of {ours} cannot be that of a model: {model.image}")
        return model.image
    if model.image not in IMAGE_RULES:
        known = ", ".join(IMAGE_RULES)
        raise ConfigError(f"upstreams: the image rule {model.image!r} of {ours} is not known; these are: {known}")
    return IMAGE_RULES[model.image]
