"""The composition root: settings become a database, engines, a service and routes, with one lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from sightline import metrics, traces
from sightline.account import Accounts
from sightline.admission.admit import Admission
from sightline.admission.keys import Keys
from sightline.admission.limits import RateLimits
from sightline.api.intake import Intake
from sightline.api.middleware import EndWithClient, RequestLog
from sightline.api.routes import ROUTES, Find
from sightline.api.runtime import Runtime
from sightline.engines.base import Engine
from sightline.engines.catalogue import Catalogue
from sightline.engines.process import ProcessEngine
from sightline.errors import ConfigError
from sightline.images.cache import ImageCache
from sightline.images.pool import ImagePool
from sightline.images.viewer import Viewer
from sightline.log import get_logger
from sightline.metering.ledger import Ledger
from sightline.metering.ledger_lifespan import ledger_lifespan
from sightline.metering.prices import Prices
from sightline.service import Service
from sightline.settings import ServerSettings, Settings, engine_specs
from sightline.store.database import Database

log = get_logger(__name__)


def create_app(
    settings: Settings,
    admission: Admission | None = None,
    *,
    engines: Sequence[Engine] | None = None,
    limits: RateLimits | None = None,
    on_ready: Callable[[], None] = lambda: None,
    on_failure: Callable[[str], None] = lambda _: None,
) -> Application:
    """Put a service together; it is started and stopped by the application's lifespan.

    The API answers at once; `on_ready` is called when every engine has answered its warm-up, `on_failure`
    with a message when one can never start. Setting `draining` on `admission` refuses new requests.
    `engines` replaces those of the settings; `limits`, with `admission`, is for processes that count together.
    """
    admission = admission or Admission.of(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = engines
        if running is None:
            running = make_engines(settings)
        database = await asyncio.to_thread(Database.open, settings.data.expanduser(), settings.database_url)
        metrics.in_flight.read = lambda: admission.in_flight
        metrics.waiting.read = lambda: admission.waiting
        counting = limits or RateLimits(settings.redis_url)
        async with AsyncExitStack() as stack:
            if settings.traces:
                traces.start()
                stack.push_async_callback(asyncio.to_thread, traces.stop)
            pool = await stack.enter_async_context(ImagePool())
            ledger = await stack.enter_async_context(ledger_lifespan(database)) if settings.ledger.enabled else None
            stack.push_async_callback(counting.close)
            service = compose(settings, running, pool, admission, counting, ledger)
            application.runtime = Runtime(settings, Keys(database), admission, counting, service, database)
            starting = asyncio.create_task(_start(settings, pool, running, on_ready, on_failure))
            try:
                yield
            finally:
                starting.cancel()
                await asyncio.gather(*(engine.stop() for engine in running))
                database.close()

    application = Application(settings.server, lifespan)
    return application


class Application(Starlette):
    """The routes, and around every request our middlewares alone: Starlette's would cost twice as much for nothing.

    `runtime` is there from the lifespan's start on.
    """

    runtime: Runtime

    def __init__(self, settings: ServerSettings, lifespan: Lifespan[Starlette]) -> None:
        super().__init__(routes=ROUTES, lifespan=lifespan)
        self.intake = Intake(Find(self.router), settings.max_held_bytes, settings.body_s)
        # Outermost first.
        self._requests: ASGIApp = RequestLog(EndWithClient(self.intake))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        app = self._requests if scope["type"] == "http" else self.router
        await app(scope, receive, send)


def make_engines(settings: Settings) -> list[Engine]:
    """The engines that the settings name: models in processes of their own, and pools of servers elsewhere."""
    engines = [ProcessEngine(spec, settings.limits.engine_silence_s) for spec in engine_specs(settings)]
    return [*engines, *upstream_engines(settings)]


def upstream_engines(settings: Settings) -> list[Engine]:
    """The pools of servers elsewhere that the settings name."""
    if not settings.upstreams:
        return []
    # Imported when needed: its HTTP client takes a tenth of a second.
    from sightline.engines.upstream.engine import UpstreamEngine

    return [UpstreamEngine(pool) for pool in settings.upstreams]


def compose(
    settings: Settings,
    engines: Sequence[Engine],
    pool: ImagePool,
    admission: Admission,
    limits: RateLimits,
    ledger: Ledger | None,
) -> Service:
    """Put the pipeline together from its parts."""
    return Service(
        Catalogue(engines, settings.aliases),
        Viewer(pool, ImageCache(settings.images.cache_bytes)),
        admission,
        Accounts(Prices(settings.prices), limits, ledger, settings.ledger.assumed_completion_tokens),
    )


async def _start(
    settings: Settings,
    pool: ImagePool,
    engines: Sequence[Engine],
    on_ready: Callable[[], None],
    on_failure: Callable[[str], None],
) -> None:
    try:
        await asyncio.gather(pool.ready(), *(engine.start() for engine in engines))
    except ConfigError as error:
        log.error("engine_cannot_start", reason=str(error))
        on_failure(str(error))
    else:
        _warn_of_unknown_models(settings, [model.id for engine in engines for model in engine.models()])
        on_ready()


def _warn_of_unknown_models(settings: Settings, ids: Sequence[str]) -> None:
    """Name the prices and aliases whose model is not here: a mistyped price leaves its model free without a word."""
    for name in settings.prices:
        if name not in ids:
            meaning = "no model here has this id, so this price is never charged; a model without a price is free"
            log.warning("price_of_no_model", id=name, meaning=meaning, models=ids)
    for alias, name in settings.aliases.items():
        if name not in ids:
            meaning = "no model here has this id, so requests for its alias are refused"
            log.warning("alias_of_no_model", alias=alias, id=name, meaning=meaning, models=ids)
