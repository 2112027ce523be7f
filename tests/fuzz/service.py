"""The whole application with the scripted engine in this process, without a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import structlog

from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.api.runtime import Runtime
from sightline.app import compose, create_app
from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.images.pool import ImagePool
from sightline.metering.ledger_lifespan import ledger_lifespan
from sightline.settings import Settings
from sightline.store.database import Database
from sightline.testing.scripted_engine import ScriptedEngine


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, with a key."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    settings = Settings(data=folder)
    engine, admission = ScriptedEngine(), Admission.of(settings)
    await engine.start()
    database = Database.in_folder(folder)
    limits = RateLimits.open()
    async with ImagePool() as pool, ledger_lifespan(database) as ledger:
        app = create_app(settings, admission, engines=[])
        keys = Keys(database)
        composed = compose(settings, [engine], pool, admission, limits, ledger)
        app.state.runtime = Runtime(settings, keys, admission, limits, composed, database)
        headers = {"authorization": f"Bearer {keys.create(NewKey('fuzz'))[1]}"}
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://fuzz.test", headers=headers) as client:
            yield client
    database.close()
