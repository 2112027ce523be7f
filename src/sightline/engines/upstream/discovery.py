"""What an upstream serves: its own list, what the settings say of it, and a real answer from each model.

Source: `GET /v1/models` of OpenAI, vLLM, SGLang, llama.cpp and Sightline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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
        self._pauses: dict[tuple[str, str], Backoff] = {}
        """Of models that failed, by server and name."""
        self._rules = {ours: _rule(ours, model) for ours, model in settings.models.items()}

    async def probe(self, server: Server) -> None:
        """Fill in what a server serves, once each of it has answered a request.

        Raises:
            KeyRefused: it does not take our key.
            Failure, TimeoutError: it cannot answer.
        """
        listed = await self._list(server)
        for ours, model in self._settings.models.items():
            if model.id not in listed:
                log.warning("upstream_lacks_model", upstream=server.name, model=ours, id=model.id)
        models, waiting = await self._answering(server, listed)
        if not models.keys() - waiting.keys():
            raise next(iter(waiting.values()), None) or Failure("failed")
        for ours, failure in waiting.items():
            log.warning("upstream_model_not_ready", upstream=server.name, model=ours, reason=failure.reason)
        server.models = models
        server.listed = self._settled(listed, waiting)

    async def refresh(self, server: Server) -> None:
        """Add what a server has come to list since, once that has answered a request; drop what it lists no more.

        Raises: as `probe`; what it lists is then new the next time as well.
        """
        listed = await self._list(server)
        paused = {name for (of, name), pause in self._pauses.items() if of == server.name and pause.is_waiting}
        new = {name: entry for name, entry in listed.items() if name not in server.listed | paused}
        more, waiting = await self._answering(server, new)
        for ours in more.keys() - server.models.keys():
            log.info("upstream_has_model", upstream=server.name, model=ours)
        wanted = self._wanted(listed)
        gone = {ours for ours in server.models if ours not in wanted or wanted[ours].id not in listed}
        for ours in gone:
            log.warning("upstream_lacks_model", upstream=server.name, model=ours)
        kept = {ours: model for ours, model in server.models.items() if ours not in gone}
        server.models = {**kept, **more}
        server.listed = (server.listed & listed.keys()) | self._settled(new, waiting)

    async def _answering(
        self, server: Server, listed: Mapping[str, Listed]
    ) -> tuple[dict[str, ServedModel], dict[str, Failure]]:
        """What of a list is wanted here and answers, and what fails to at this moment, both by our names.

        A model that fails does not keep the others out; where it has answered before it is among the first as well.
        """
        found: dict[str, ServedModel] = {}
        waiting: dict[str, Failure] = {}
        for ours, stated in self._wanted(listed).items():
            entry = listed.get(stated.id)
            model = self._model(server, ours, stated, entry) if entry is not None else None
            if model is None:
                continue
            pause = self._pauses.setdefault(
                (server.name, stated.id), Backoff(FIRST_MODEL_PAUSE_S, LONGEST_MODEL_PAUSE_S)
            )
            try:
                await warm_up(server, model)
            except ServiceError as error:
                _leave_out(server, ours, error.message)
            except Failure as failure:
                if failure.reason not in _MODEL_FAILURES:
                    raise
                pause.extend()
                waiting[ours] = failure
                if ours in server.models:
                    found[ours] = model
            else:
                pause.reset()
                found[ours] = model
        return found, waiting

    def _wanted(self, listed: Mapping[str, Listed]) -> Mapping[str, UpstreamModel]:
        return self._settings.models or {name: UpstreamModel(name) for name in listed}

    def _settled(self, listed: Mapping[str, Listed], waiting: Mapping[str, Failure]) -> frozenset[str]:
        """What of a list need not be asked again."""
        wanted = self._wanted(listed)
        return frozenset(listed.keys() - {wanted[ours].id for ours in waiting})

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
