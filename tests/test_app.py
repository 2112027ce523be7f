"""The application's lifespan: engines started and stopped, ready or never, the database opened and closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import httpx2
import pytest
from structlog.testing import capture_logs

from sightline.app import create_app
from sightline.errors import ConfigError
from sightline.settings import EngineSpec, PriceSettings, Settings
from sightline.testing.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio


async def test_engines_of_the_settings_are_started_and_stopped(settings: Settings) -> None:
    ready = asyncio.Event()
    app = create_app(replace(settings, engines=(EngineSpec("scripted"),)), on_ready=ready.set)

    async with app.router.lifespan_context(app):
        await ready.wait()
        pipeline = app.state.runtime.pipeline
        was_ready = pipeline.is_ready()

    assert was_ready
    assert not pipeline.is_ready()
    assert (settings.data / "sightline.db").exists()


async def test_api_answers_while_engines_start(settings: Settings) -> None:
    class Slow(ScriptedEngine):
        async def start(self) -> None:
            await asyncio.Event().wait()

    app = create_app(settings, engines=[Slow()])

    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://sightline.test") as client:
            live, ready = await client.get("/health/live"), await client.get("/health/ready")

    assert (live.status_code, ready.status_code) == (200, 503)


async def test_engine_that_can_never_start_is_reported(settings: Settings) -> None:
    class Broken(ScriptedEngine):
        async def start(self) -> None:
            raise ConfigError("no such model")

    reported: asyncio.Queue[str] = asyncio.Queue()
    app = create_app(settings, engines=[Broken()], on_failure=reported.put_nowait)

    async with app.router.lifespan_context(app):
        assert await reported.get() == "no such model"


async def test_prices_and_aliases_of_models_that_are_not_here_are_said(settings: Settings) -> None:
    ready = asyncio.Event()
    price = PriceSettings(Decimal("0.1"))
    prices = {"sightline/scripted": price, "sightline/scirpted": price}
    aliases = {"gpt-4o": "sightline/scripted", "gpt-4": "sightline/other"}
    app = create_app(replace(settings, prices=prices, aliases=aliases), engines=[ScriptedEngine()], on_ready=ready.set)

    with capture_logs() as logs:
        async with app.router.lifespan_context(app):
            await ready.wait()

    said = [(line["event"], line["id"], line["models"]) for line in logs if line["log_level"] == "warning"]
    assert said == [
        ("unknown_model_in_prices", "sightline/scirpted", ["sightline/scripted"]),
        ("unknown_model_in_aliases", "sightline/other", ["sightline/scripted"]),
    ]
