"""Kind of engine to its factory, imported only when chosen: an engine that is not used costs nothing."""

from __future__ import annotations

from importlib import import_module

from sightline.engines.base import Engine
from sightline.errors import ConfigError
from sightline.settings import EngineSpec

_FACTORIES = {
    "genai": "sightline.engines.genai:create",
    "transcribe": "sightline.engines.pagetext:create",
    "scripted": "sightline.testing.scripted_engine:create",
}


def create(spec: EngineSpec) -> Engine:
    """Make the engine that `spec` describes; nothing is loaded before its `start`.

    Raises:
        ConfigError: no engine of this kind, or one without these options.
    """
    target = _FACTORIES.get(spec.kind)
    if target is None:
        raise ConfigError(f"There is no engine {spec.kind!r}; choose one of {', '.join(_FACTORIES)}.")
    module, _, name = target.partition(":")
    try:
        engine: Engine = getattr(import_module(module), name)(**spec.options)
    except TypeError as error:
        raise ConfigError(f"The engine {spec.kind!r} does not take these options: {error}.") from error
    return engine
