"""Every setting in one tree. Defaults, then a TOML file, then `SIGHTLINE_…`, then command-line flags.

The only reader of the environment and of the file. Modules receive their own section and nothing else.
A field `server.port` is `[server] port = …` in the file and `SIGHTLINE_SERVER_PORT` in the environment.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from sightline import settings_validation
from sightline.core import ImageEncoding
from sightline.errors import ConfigError

TRANSCRIBER = "paddleocr/pp-ocr-v6-small/fp-32"
UPSTREAM_KEY = "SIGHTLINE_UPSTREAM_KEY"
_PREFIX = "SIGHTLINE_"
_OTHER_VARIABLES = (UPSTREAM_KEY, "SIGHTLINE_BASE_URL", "SIGHTLINE_API_KEY", "SIGHTLINE_BENCH_MODEL")
BUNDLED = {"sightline/peek-12m/bf-16": "peek-12m"}
"""Vision models that come with the package, and their folders."""
DEFAULT_MODELS = ("sightline/peek-12m/bf-16", TRANSCRIBER)
"""The models that run unless others are named."""
DEFAULT_MAX_RUNNING = 16
_STRICT = ConfigDict(extra="forbid")
_SERVER = r"^https?://[^/@\s?#]+(/[^\s?#@]*)?$"
AtLeastOne = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ServerUrl = Annotated[str, Field(pattern=_SERVER), AfterValidator(settings_validation.address)]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine to run and with what: enough to make it in another process."""

    __pydantic_config__ = _STRICT

    kind: str
    options: dict[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the service listens, how much it reads, how long it waits for clients and lets running requests finish.

    With `reuse_port` several processes listen on one port: further ones beside it, or a new one that takes it over.
    `header_timeout_s` and `body_timeout_s` are for a request's head and body to arrive, `write_timeout_s` for a client
    to go on reading its answer, `keep_alive_timeout_s` for the next request on a connection. `max_buffered_bytes` is
    for the bodies of all requests. `open_metrics` shows `/metrics` to callers without a key.
    """

    __pydantic_config__ = _STRICT

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    reuse_port: bool = False
    max_head_bytes: Annotated[int, Field(ge=1024)] = 16_384
    max_body_bytes: AtLeastOne = 1_048_576
    max_buffered_bytes: AtLeastOne = 50_331_648
    max_connections: AtLeastOne = 16_384
    header_timeout_s: Seconds = 10.0
    body_timeout_s: Seconds = 30.0
    write_timeout_s: Seconds = 30.0
    keep_alive_timeout_s: Seconds = 15.0
    shutdown_timeout_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    open_metrics: bool = False


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What one request may send: images, pixels and longest side of each (from the header), scans of a JPEG.

    `max_full_decode_bytes` is for pictures that decoders must hold whole (progressive, interlaced); `cache_bytes` is
    for decoded pictures of past requests, `encoder_cache_bytes` for what a model's vision encoder made of them, each
    model.
    """

    __pydantic_config__ = _STRICT

    max_images: AtLeastOne = 2
    max_pixels: AtLeastOne = 25_000_000
    max_side_px: AtLeastOne = 65_535
    max_jpeg_scans: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_full_decode_bytes: AtLeastOne = 160_000_000
    cache_bytes: Annotated[int, Field(ge=0)] = 64_000_000
    encoder_cache_bytes: Annotated[int, Field(ge=0)] = 64_000_000


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How many requests run at once and how many wait, a model, before further ones are refused with 503.

    `max_running` is 16 by default, or, where `[[upstreams]]` alone answer, what their servers take. `max_in_flight` is
    for all models together, running or waiting. `engine_watchdog_s` is how long an engine that has requests may give no
    piece of any answer before it is taken to hang: those requests end with 504, it starts again.
    """

    __pydantic_config__ = _STRICT

    max_running: AtLeastOne | None = None
    max_queued: Annotated[int, Field(ge=0)] = 48
    max_in_flight: AtLeastOne = 256
    engine_watchdog_s: Seconds = 300.0


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Whether requests are written down. Without a ledger there is no usage, no spending limit, no Idempotency-Key.

    `assumed_completion_tokens` is how long an answer is taken to be, before work, when the request does not say.
    """

    __pydantic_config__ = _STRICT

    enabled: bool = True
    assumed_completion_tokens: AtLeastOne = 256


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """The price of a model in US dollars a token: at most one dollar, for a column holds nine billion dollars."""

    __pydantic_config__ = _STRICT

    prompt: Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)] = Decimal(0)
    completion: Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)] = Decimal(0)


@dataclass(frozen=True, slots=True)
class UpstreamModel:
    """A model of an upstream: its id there, and what is not to be asked of the upstream or cannot be.

    `image` is how it turns pictures into tokens, or the name of a family that is known (`IMAGE_RULES` of the engine).
    Up to `ocr_max_chars` of each picture's text are read here and stand beside it in the prompt; `prompt_repetition`
    says a text in front of pictures again behind them.
    """

    __pydantic_config__ = _STRICT

    id: Annotated[str, Field(min_length=1)]
    context_length: AtLeastOne | None = None
    image: ImageEncoding | str | None = None
    max_images: AtLeastOne | None = None
    supported_parameters: frozenset[str] | None = None
    description: str = ""
    ocr_max_chars: Annotated[int, Field(ge=0, le=10_000)] = 0
    prompt_repetition: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """A pool of servers that speak OpenAI's protocol and answer for the same models.

    `key_env` names the environment variable that holds their key; `key` is what it held. `models` maps our ids to
    theirs; by default all are served. `special_tokens` are further control tokens to escape. An upstream is left out
    that cannot be reached within `connect_timeout_s`, is silent for `health_timeout_s`, fails repeatedly or lies; a
    stream that stands still for `idle_timeout_s` is given up, a plain answer after `request_timeout_s`. `trust_env`:
    use the environment's proxies.
    """

    __pydantic_config__ = _STRICT

    urls: Annotated[tuple[ServerUrl, ...], Field(min_length=1)]
    key_env: str = ""
    key: SecretStr | None = None
    models: dict[str, UpstreamModel] = field(default_factory=dict)
    special_tokens: tuple[str, ...] = ()
    max_concurrency: AtLeastOne = 256
    connect_timeout_s: Seconds = 0.8
    health_timeout_s: Seconds = 1.0
    idle_timeout_s: Seconds = 60.0
    request_timeout_s: Seconds = 600.0
    trust_env: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole tree. `data` holds the database unless `database` is the URL of a Postgres, which hides itself when
    shown since it may carry a password, as `redis` may; `engines` and `upstreams` are started in this order.
    `traces`: send OpenTelemetry traces.

    `aliases` maps an id that callers may use to the id of the model that answers; `prices` are by model id.
    """

    __pydantic_config__ = _STRICT

    data: Annotated[Path, AfterValidator(settings_validation.folder)] = Path("~/.sightline")
    database: SecretStr | None = None
    redis: SecretStr | None = None
    traces: bool = False
    server: ServerSettings = ServerSettings()
    images: ImageLimits = ImageLimits()
    limits: RequestLimits = RequestLimits()
    ledger: LedgerSettings = LedgerSettings()
    engines: tuple[EngineSpec, ...] = ()
    upstreams: tuple[UpstreamSettings, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    prices: dict[str, PriceSettings] = field(default_factory=dict)

    @property
    def max_running(self) -> int:
        """How many requests of one model run at once."""
        if self.limits.max_running is not None:
            return self.limits.max_running
        if engine_specs(self):
            return DEFAULT_MAX_RUNNING
        return max(len(pool.urls) * pool.max_concurrency for pool in self.upstreams)

    @property
    def database_url(self) -> str:
        """The URL of the database as it is, to open it and nothing else; empty for the one in `data`."""
        return self.database.get_secret_value() if self.database else ""

    @property
    def redis_url(self) -> str:
        """The URL of the Redis as it is, to open it and nothing else; empty for counting in memory."""
        return self.redis.get_secret_value() if self.redis else ""


def merge_settings(
    tree: dict[str, Any], flags: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Merge defaults, `tree` (what a settings file says), `environ` and `flags` (dotted names; None means not given).

    Raises:
        ConfigError: every problem, one a line, each with the name of its setting.
    """
    tree = deepcopy(tree)
    variables = {_PREFIX + name.replace(".", "_").upper(): name for name in _names(Settings)}
    for variable in environ.keys() & variables.keys():
        _set(tree, variables[variable], environ[variable])
    _refuse_unknown_variables(tree, environ, variables)
    for name, value in flags.items():
        if value is not None:
            _set(tree, name, value)
    _add_keys(tree, environ)
    return settings_of(tree)


def _refuse_unknown_variables(tree: Mapping[str, Any], environ: Mapping[str, str], known: Collection[str]) -> None:
    """A mistyped variable would leave its setting as it is without a word."""
    upstreams = tree.get("upstreams")
    pools = [one for one in upstreams if isinstance(one, dict)] if isinstance(upstreams, list) else []
    keys = [str(pool.get("key_env")) for pool in pools]
    ours = settings_validation.not_kubernetes([name for name in environ if name.startswith(_PREFIX)])
    unknown = set(ours) - {*known, *keys, *_OTHER_VARIABLES}
    lines = [f"{name}: there is no such setting{settings_validation.nearest(name, known)}" for name in sorted(unknown)]
    if lines:
        raise ConfigError("\n".join(lines))


def settings_of(tree: Mapping[str, Any]) -> Settings:
    """The settings that `tree`, which is all of a settings file, says.

    Raises:
        ConfigError: every problem, one a line, each with the name of its setting.
    """
    try:
        settings = TypeAdapter(Settings).validate_python(tree)
    except ValidationError as error:
        lines = [settings_validation.in_words(item, Settings) for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    for name in settings.prices.keys() & settings.aliases.keys():
        raise ConfigError(f"prices.{name}: is an alias; what is charged is the price of {settings.aliases[name]}")
    body, held = settings.server.max_body_bytes, settings.server.max_buffered_bytes
    if held < (least := settings_validation.least_held_bytes(body)):
        message = f"{held:,} bytes cannot hold a body of server.max_body_bytes ({body:,}); allow {least:,} or more"
        raise ConfigError(f"server.max_buffered_bytes: {message}")
    return settings


def _add_keys(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put the keys of upstreams in their place; they are in the environment and nowhere else."""
    upstreams = tree.get("upstreams")
    for number, entry in enumerate(upstreams if isinstance(upstreams, list) else []):
        if not isinstance(entry, dict):
            continue
        if "key" in entry:
            raise ConfigError(f"upstreams.{number}.key: name the environment variable that holds it in key_env instead")
        variable = entry.get("key_env")
        if isinstance(variable, str) and variable:
            if not environ.get(variable):
                raise ConfigError(f"upstreams.{number}.key_env: the environment has no {variable}")
            key = environ[variable].strip()
            if not (key.isascii() and key.isprintable()):
                raise ConfigError(
                    f"upstreams.{number}.key_env: {variable} has characters that no HTTP header can carry"
                )
            entry["key"] = key


def upstream_pool(urls: str, environ: Mapping[str, str] = os.environ) -> UpstreamSettings:
    """The pool for an `--upstream URL[,URL…]` argument; its key, if it needs one, is in `SIGHTLINE_UPSTREAM_KEY`.

    Raises:
        ConfigError: not addresses, or no key. What stands before an @ may be a password, and is not shown.
    """
    entry = {"urls": urls.split(","), "key_env": UPSTREAM_KEY if UPSTREAM_KEY in environ else ""}
    _add_keys({"upstreams": [entry]}, environ)
    with suppress(ValidationError):
        return TypeAdapter(UpstreamSettings).validate_python(entry)
    shown = urls.rpartition("@")[2]
    raise ConfigError(f"--upstream {shown}: give addresses like http://10.0.0.1:8000, parted by commas.")


def engine_spec(model: str) -> EngineSpec:
    """The engine for a `--model` argument: the id of a model that comes with the package, or a model folder.

    Raises:
        ConfigError: neither.
    """
    if model == TRANSCRIBER:
        return EngineSpec("transcribe")
    if model in BUNDLED:
        path = Path(__file__).parent / "bundled" / BUNDLED[model]
        return EngineSpec("genai", {"path": str(path), "model_id": model})
    with suppress(OSError, RuntimeError):  # a name too long for a file, a folder of others, nobody's home
        if Path(model).expanduser().is_dir():
            return EngineSpec("genai", {"path": str(Path(model).expanduser().resolve())})
    known = ", ".join((*BUNDLED, TRANSCRIBER))
    raise ConfigError(f"--model {model}: neither a folder nor a model that comes with Sightline ({known}).")


def engine_specs(settings: Settings) -> tuple[EngineSpec, ...]:
    """The engines to run here: those of the settings, or, where they name no models at all, the usual ones.

    The transcriber is among them where a model has pictures read.
    """
    usual = () if settings.upstreams else tuple(map(engine_spec, DEFAULT_MODELS))
    specs = settings.engines or usual
    reads = any(model.ocr_max_chars for pool in settings.upstreams for model in pool.models.values())
    if (reads or any(map(_reads, specs))) and all(spec.kind != "transcribe" for spec in specs):
        specs = (*specs, engine_spec(TRANSCRIBER))
    shares = {
        "encoder_cache_bytes": settings.images.encoder_cache_bytes,
        "max_running": settings.limits.max_running or DEFAULT_MAX_RUNNING,
    }
    return tuple(replace(spec, options=shares | spec.options) if spec.kind == "genai" else spec for spec in specs)


def _reads(spec: EngineSpec) -> bool:
    """Whether a model folder says that its pictures are read; what is wrong with a folder, its engine tells."""
    if spec.kind != "genai":
        return False
    card = Path(str(spec.options.get("path", ""))) / "sightline.json"
    try:
        return bool(json.loads(card.read_bytes()).get("ocr_max_chars"))
    except (OSError, ValueError, AttributeError):
        return False


def read_file(file: Path | None) -> dict[str, Any]:
    """Read a settings file, if there is one, as a tree of names, unchecked; one that is no TOML is a `ConfigError`."""
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error}") from error


def _names(kind: Any, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            yield from _names(hints[item.name], prefix + item.name + ".")
        elif item.name not in ("engines", "upstreams", "aliases", "prices"):
            yield prefix + item.name


def _set(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            return  # the file has a value where a section belongs; the check that follows says so
    tree[last] = value
