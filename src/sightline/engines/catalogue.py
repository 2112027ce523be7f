"""Which engine answers for which model id, aliases included; and whether a model can do what a request asks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from sightline.core import ChatRequest, ModelInfo
from sightline.engines.base import Engine
from sightline.errors import EngineUnavailable, InvalidRequest, ModelNotFound, TooManyImages, UnsupportedParameter

# Honoured by every engine, or by the service itself.
_ALWAYS = frozenset(
    {"model", "messages", "n", "stream", "stream_options", "metadata", "user"}
    | {"store", "service_tier", "safety_identifier", "prompt_cache_key", "reasoning_effort", "verbosity"}
    | {"parallel_tool_calls", "modalities", "sightline"}
)
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})  # one thing
# Values that ask for nothing: clients may say their defaults.
_NOTHING = {"frequency_penalty": 0, "presence_penalty": 0, "logprobs": False, "top_logprobs": 0}


class Catalogue:
    """The models of some engines. `aliases` maps an id that callers may use to the id of the model that answers."""

    def __init__(self, engines: Sequence[Engine], aliases: Mapping[str, str]) -> None:
        self._engines = tuple(engines)
        self._aliases = aliases
        self._known: set[str] = set()

    def models(self) -> list[ModelInfo]:
        """The models that can answer now."""
        models = [model for engine in self._engines for model in engine.models()]
        self._known.update(model.id for model in models)
        return models

    async def stop(self) -> None:
        """Stop every engine; what runs fails with `EngineUnavailable`."""
        await asyncio.gather(*(engine.stop() for engine in self._engines))

    def resolve(self, model_id: str) -> str:
        """The id of the model that answers for `model_id`: the alias's target, or the id itself."""
        return self._aliases.get(model_id, model_id)

    def aliases_of(self, model_id: str) -> list[str]:
        """The other ids under which a model is served."""
        return [alias for alias, target in self._aliases.items() if target == model_id]

    def names_of(self, model_id: str) -> set[str]:
        """Every id of the model that answers for `model_id`."""
        resolved = self.resolve(model_id)
        return {model_id, resolved, *self.aliases_of(resolved)}

    def is_complete(self) -> bool:
        """Whether every engine has answered its warm-up and none is restarting."""
        self.models()
        return all(engine.models() for engine in self._engines)

    def find(self, model_id: str, allowed: Collection[str] | None = None) -> tuple[Engine, ModelInfo]:
        """Find a model that can answer now, by its id or an alias; what is not `allowed` no refusal names.

        Raises:
            ModelNotFound: no engine here has it.
            EngineUnavailable: its engine is starting or restarting, or may be: while one is, nobody knows what it has.
        """
        wanted = self.resolve(model_id)
        for engine in self._engines:
            for model in engine.models():
                if model.id == wanted:
                    return engine, model
        shown = repr(model_id[:100])
        told = [one.id for one in self.models() if allowed is None or self.names_of(one.id) & set(allowed)]
        loaded = ", ".join(told) or "none that this key may use"
        if wanted in self._known or not self.is_complete():
            message = (
                f"No engine serves {shown} at this moment; one is starting, or its servers cannot be reached. "
                "Try again in a moment."
            )
            raise EngineUnavailable(message, retry_after_s=2)
        raise ModelNotFound(f"There is no model {shown} here. Loaded: {loaded}.", param="model")


def check(request: ChatRequest, model: ModelInfo) -> None:
    """Refuse what `model` cannot do before any work is done for it.

    Raises:
        InvalidRequest: images it does not take, or too many; or several problems, which `details` lists.
        UnsupportedParameter: a parameter it lacks; never silently dropped.
    """
    refusals: list[InvalidRequest] = []
    if request.images and model.image is None:
        param = request.images[0].param.removesuffix(".image_url.url") + ".type"
        message = f"{model.id} takes text only; send the image to another model."
        refusals.append(UnsupportedParameter(message, param=param))
    elif len(request.images) > model.max_images:
        limit = f"{model.max_images} image{'s' * (model.max_images != 1)}"
        message = f"{model.id} takes {limit} a request, {len(request.images)} were sent; send fewer."
        refusals.append(TooManyImages(message, param="messages"))
    lacking = request.params_sent - _ALWAYS
    if lacking:
        lacking -= model.supported_parameters
        if not model.supported_parameters.isdisjoint(_LIMITS):
            lacking -= _LIMITS
    for name in sorted(lacking) if lacking else ():
        if _asks_for_nothing(request, name):
            continue
        refusals.append(UnsupportedParameter(f"{model.id} does not support {name}; leave it out.", param=name))
    if "tools" not in model.supported_parameters:
        for at, one in enumerate(request.messages):
            if one.tool_calls:
                name = f"messages.[{at}].tool_calls"
                refusals.append(UnsupportedParameter(f"{model.id} does not support {name}; leave it out.", param=name))
    if refusals:
        raise InvalidRequest.together(refusals)


def _asks_for_nothing(request: ChatRequest, name: str) -> bool:
    if name == "response_format":
        return request.sampling.response_format.type == "text"
    if name == "tools":
        return request.tools is None
    return name in _NOTHING and getattr(request.sampling, name) == _NOTHING[name]
