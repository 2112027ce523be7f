"""A pipeline put together for one test: scripted engine, database in a temporary folder, a client in the process.

The decoding processes are shared by the whole run, since starting them takes longer than all else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.api.runtime import Runtime
from sightline.app import compose, create_app
from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.engines.base import Engine
from sightline.images.pool import ImagePool
from sightline.metering.ledger import Ledger
from sightline.metering.ledger_lifespan import ledger_lifespan
from sightline.pipeline.run import Pipeline
from sightline.settings import Settings
from sightline.store.database import Database
from sightline.testing.scripted_engine import ScriptedEngine
from support.databases import KINDS, fresh_database, postgres

os.environ.pop("COLUMNS", None)  # pytest-xdist's; rich would keep it for tests that set their own


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def pool() -> AsyncIterator[ImagePool]:
    async with ImagePool() as pool:
        yield pool


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database.in_folder(settings.data)
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty Postgres."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(params=KINDS)
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each test over both kinds of database."""
    if request.param == "sqlite":
        database = Database.in_folder(tmp_path / "data")
        yield database
        database.close()
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        database = Database.at(url)
        yield database
        database.close()


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


@pytest.fixture
def make_key(keys: Keys) -> Callable[..., str]:
    """Make a key and return the key itself."""

    def make(name: str = "test", **terms: Any) -> str:
        return keys.create(NewKey(name, **terms))[1]

    return make


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine()
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def admission(settings: Settings) -> Admission:
    return Admission.of(settings)


@pytest.fixture
def limits() -> RateLimits:
    return RateLimits.open()


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[Ledger]:
    async with ledger_lifespan(database) as ledger:
        yield ledger


@pytest.fixture
def build(pool: ImagePool, admission: Admission, limits: RateLimits, ledger: Ledger) -> Callable[..., Pipeline]:
    """Put a pipeline together from settings and engines."""

    def compose_with(settings: Settings, *engines: Engine) -> Pipeline:
        return compose(settings, engines, pool, admission, limits, ledger)

    return compose_with


@pytest.fixture
def pipeline(settings: Settings, engine: ScriptedEngine, build: Callable[..., Pipeline]) -> Pipeline:
    return build(settings, engine)


@pytest.fixture
def app(
    settings: Settings, keys: Keys, admission: Admission, limits: RateLimits, pipeline: Pipeline, database: Database
) -> Starlette:
    """The application, as its lifespan would set it up, but with the shared pool."""
    app = create_app(settings, admission, engines=[])
    app.state.runtime = Runtime(settings, keys, admission, limits, pipeline, database)
    return app


@pytest.fixture
async def client(app: Starlette, make_key: Callable[..., str]) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with a valid key."""
    headers = {"authorization": f"Bearer {make_key()}"}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sightline.test", headers=headers) as client:
        yield client
