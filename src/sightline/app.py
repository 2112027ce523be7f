"""The composition root: settings become a database, engines, a service and routes, with one lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from sightline import metrics, traces
from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.api.failures import on_http_exception, on_service_error
from sightline.api.middleware import CancelOnDisconnectMiddleware, RequestLogMiddleware
from sightline.api.routes import ROUTES
from sightline.api.runtime import Runtime
from sightline.auth.keys import Keys
from sightline.engines.base import Engine
from sightline.engines.catalogue import Catalogue
from sightline.engines.process.supervisor import ProcessEngine
from sightline.errors import ConfigError, ServiceError
from sightline.images.cache import ImageCache
from sightline.images.pool import ImagePool
from sightline.images.preprocessor import Preprocessor
from sightline.log import get_logger
from sightline.metering.ledger import Ledger
from sightline.metering.ledger_lifespan import ledger_lifespan
from sightline.metering.prices import Prices
from sightline.pipeline.accounting import Accounting
from sightline.pipeline.run import Pipeline
from sightline.server.body_budget import BodyBudget, BodyBudgetMiddleware
from sightline.settings import Settings, engine_specs
from sightline.store.database import Database

log = get_logger(__name__)


def create_app(
    settings: Settings,
    admission: Admission | None = None,
    *,
    engines: Sequence[Engine] | None = None,
    is_told_of_disconnects: bool = True,
    on_ready: Callable[[], None] = lambda: None,
    on_failure: Callable[[str], None] = lambda _: None,
) -> Starlette:
    """Put a service together; it is started and stopped by the application's lifespan.

    The API answers at once; `on_ready` is called when every engine has answered its warm-up, `on_failure`
    with a message when one can never start. Setting `draining` on `admission` refuses new requests.
    `engines` replaces those of the settings. `is_told_of_disconnects`: see `CancelOnDisconnectMiddleware`.
    """
    admission = admission or Admission.of(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        running = engines
        if running is None:
            running = make_engines(settings)
        database = await asyncio.to_thread(Database.open, settings.data.expanduser(), settings.database_url)
        metrics.in_flight.set_function(lambda: admission.in_flight)
        metrics.waiting.set_function(lambda: admission.waiting)
        limits = RateLimits.open(settings.redis_url)
        async with AsyncExitStack() as stack:
            if settings.traces:
                traces.start()
                stack.push_async_callback(asyncio.to_thread, traces.stop)
            pool = await stack.enter_async_context(ImagePool())
            ledger = await stack.enter_async_context(ledger_lifespan(database)) if settings.ledger.enabled else None
            stack.push_async_callback(limits.close)
            pipeline = compose(settings, running, pool, admission, limits, ledger)
            app.state.runtime = Runtime(settings, Keys(database), admission, limits, pipeline, database)
            starting = asyncio.create_task(_start(settings, pool, running, on_ready, on_failure))
            try:
                yield
            finally:
                starting.cancel()
                await asyncio.gather(*(engine.stop() for engine in running))
                database.close()

    body_budget = BodyBudget(settings.server.max_buffered_bytes, settings.server.body_timeout_s)
    app = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[  # outermost first
            Middleware(RequestLogMiddleware),
            Middleware(CancelOnDisconnectMiddleware, is_told=is_told_of_disconnects),
            Middleware(BodyBudgetMiddleware, body_budget),
        ],
        exception_handlers={ServiceError: on_service_error, HTTPException: on_http_exception},
    )
    app.state.body_budget = body_budget
    app.router.redirect_slashes = False
    return app


def make_engines(settings: Settings) -> list[Engine]:
    """The engines that the settings name: models in processes of their own, and pools of servers elsewhere."""
    engines = [ProcessEngine(spec, settings.limits.engine_watchdog_s) for spec in engine_specs(settings)]
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
) -> Pipeline:
    """Put the pipeline together from its parts."""
    return Pipeline(
        Catalogue(engines, settings.aliases),
        Preprocessor(pool, ImageCache(settings.images.cache_bytes)),
        admission,
        Accounting(Prices(settings.prices), limits, ledger, settings.ledger.assumed_completion_tokens),
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
            log.warning("unknown_model_in_prices", id=name, meaning=meaning, models=ids)
    for alias, name in settings.aliases.items():
        if name not in ids:
            meaning = "no model here has this id, so requests for its alias are refused"
            log.warning("unknown_model_in_aliases", alias=alias, id=name, meaning=meaning, models=ids)
