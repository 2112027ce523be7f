"""What the servers of a pool are found to serve, as they start, come back and load more."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sightline.core import ImageEncoding
from sightline.engines.upstream import discovery, pool
from sightline.engines.upstream.discovery import Discovery
from sightline.engines.upstream.engine import UpstreamEngine
from sightline.errors import ConfigError, EngineOverloaded, EngineUnavailable
from sightline.settings import UpstreamModel, UpstreamSettings
from support.asgi import until
from support.engines import answer
from support.upstreams import MODEL, RULE, Rude, ask, engine_over, rude_servers

pytestmark = pytest.mark.anyio


def names(engine: UpstreamEngine) -> set[str]:
    return {model.id for model in engine.models()}


async def test_model_that_a_server_loads_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REFRESH_INTERVAL_S", 0.05)
    async with rude_servers(1) as (server,):
        engine = UpstreamEngine(UpstreamSettings((server.url,)))
        await engine.start()
        assert names(engine) == {MODEL}

        server.listed.append({**server.listed[0], "id": "second"})
        await until(lambda: names(engine) == {MODEL, "second"})
        asked = len(server.bodies)
        listings = server.paths.count("/v1/models")
        await until(lambda: server.paths.count("/v1/models") > listings + 2)
        await engine.stop()

    assert len(server.bodies) == asked  # what is known is not asked again


async def test_model_that_a_server_lists_no_more_is_not_asked_for_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REFRESH_INTERVAL_S", 0.05)
    async with rude_servers(1) as (server,):
        server.listed.append({**server.listed[0], "id": "second"})
        engine = UpstreamEngine(UpstreamSettings((server.url,)))
        await engine.start()
        assert names(engine) == {MODEL, "second"}

        second = server.listed.pop()
        await until(lambda: names(engine) == {MODEL})
        with pytest.raises(EngineUnavailable):
            await answer(engine, replace(ask(), model="second"))
        server.listed.append(second)
        await until(lambda: names(engine) == {MODEL, "second"})
        await engine.stop()


async def test_key_that_one_server_of_several_refuses_keeps_nobody_else_out() -> None:
    async with rude_servers(2) as servers:
        refusing = servers[0]
        refusing._send = lambda writer, content, status=200: Rude._send(refusing, writer, {}, 401)  # type: ignore[method-assign]
        servers[1].pause_s = 0.5
        engine = UpstreamEngine(UpstreamSettings(tuple(server.url for server in servers)))

        await engine.start()
        found = [server.is_in for server in engine.pool.servers]
        await engine.stop()

    assert found == [False, True]


async def test_no_parameters_may_be_stated() -> None:
    models = {MODEL: UpstreamModel(MODEL, supported_parameters=frozenset())}
    async with rude_servers(1) as servers, engine_over(servers, models=models) as engine:
        (model,) = engine.models()

    assert model.supported_parameters == frozenset()


async def test_server_that_cannot_say_what_it_has_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REFRESH_INTERVAL_S", 0.05)
    async with rude_servers(1) as (server,), engine_over([server]) as engine:
        server.manner = "500"
        server.listed.append({**server.listed[0], "id": "second"})
        listings = server.paths.count("/v1/models")
        await until(lambda: server.paths.count("/v1/models") > listings + 2)

        assert names(engine) == {MODEL}
        assert engine.pool.servers[0].is_in


async def test_server_that_comes_back_is_looked_at_like_a_new_one() -> None:
    async with rude_servers(1) as (server,):
        engine = UpstreamEngine(UpstreamSettings((server.url,)))
        await engine.start()
        await server.stop()
        with pytest.raises(EngineUnavailable):
            await answer(engine, ask())
        server.listed = [{**server.listed[0], "id": "another"}]
        await server.start(server.port)

        await until(lambda: engine.pool.servers[0].is_in)
        found = names(engine)
        await engine.stop()

    assert found == {"another"}


async def test_model_that_fails_keeps_the_others_of_its_server_not_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REFRESH_INTERVAL_S", 0.05)
    monkeypatch.setattr(discovery, "LONGEST_MODEL_PAUSE_S", 0.1)
    async with rude_servers(1) as (server,):
        server.listed.append({**server.listed[0], "id": "second"})
        server.manners["second"] = "503"
        engine = UpstreamEngine(UpstreamSettings((server.url,)))
        await engine.start()
        assert names(engine) == {MODEL}

        server.manners.clear()
        await until(lambda: names(engine) == {MODEL, "second"})
        await engine.stop()


async def test_model_that_fails_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REFRESH_INTERVAL_S", 0.05)
    async with rude_servers(1) as (server,):
        server.listed.append({**server.listed[0], "id": "second"})
        server.manners["second"] = "500"
        engine = UpstreamEngine(UpstreamSettings((server.url,)))
        await engine.start()
        listings = server.paths.count("/v1/models")
        await until(lambda: server.paths.count("/v1/models") > listings + 2)
        await engine.stop()

    assert [body["model"] for body in server.bodies] == [MODEL, "second"]


async def test_model_that_fails_when_its_server_comes_back_is_not_forgotten() -> None:
    async with rude_servers(1) as (server,):
        server.listed.append({**server.listed[0], "id": "second"})
        engine = UpstreamEngine(UpstreamSettings((server.url,)))
        await engine.start()
        await server.stop()
        with pytest.raises(EngineUnavailable):
            await answer(engine, ask())
        server.manners["second"] = "503"
        await server.start(server.port)
        await until(lambda: engine.pool.servers[0].is_in)

        assert names(engine) == {MODEL, "second"}
        assert await answer(engine, ask())
        with pytest.raises(EngineOverloaded):
            await answer(engine, replace(ask(), model="second"))
        await engine.stop()


UNSOUND = [
    *({"id": name} for name in ("m" * 201, "m\0", "m\x1b[2J")),
    {"max_model_len": 10**30},
    {"max_model_len": -1},
    {"architecture": {"image": {"kind": "square", "size_px": 100_000, "tokens": 256}}},
    {"architecture": {"image": {"kind": "square", "size_px": 896, "tokens": 10**12}}},
    {"architecture": {"image": {"kind": "patches", "size_px": 0, "max_pixels": 10**6}}},
    {"architecture": {"image": {"kind": "patches", "size_px": 28, "max_pixels": 10**30}}},
    {"architecture": {"image": {"kind": "patches", "size_px": 28, "min_pixels": 2**25, "max_pixels": 2**26}}},
    {"architecture": {"image": {"kind": "square", "size_px": 32, "tokens": 16, "pan_and_scan": {"min_crop_px": 0}}}},
]


@pytest.mark.parametrize("entry", UNSOUND, ids=str)
async def test_model_of_which_a_server_states_what_cannot_be_is_left_out(entry: dict[str, object]) -> None:
    server = Rude()
    server.listed.append({**server.listed[0], "id": "odd", **entry})
    await server.start()
    engine = UpstreamEngine(UpstreamSettings((server.url,)))
    await engine.start()
    found = names(engine)
    await engine.stop()
    await server.stop()

    assert found == {MODEL}


def test_image_rule_of_the_settings_that_cannot_be_is_refused() -> None:
    models = {MODEL: UpstreamModel(MODEL, image=ImageEncoding("patches", 0, max_pixels=100))}

    with pytest.raises(ConfigError, match="cannot be that of a model"):
        UpstreamEngine(UpstreamSettings(("http://127.0.0.1:1",), models=models))


async def test_server_that_says_what_nobody_expects_is_asked_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def fail(_: Discovery, __: object) -> None:
        nonlocal asked
        asked += 1
        raise RecursionError

    async with rude_servers(1) as (server,), engine_over([server]) as engine:
        only = engine.pool.servers[0]
        monkeypatch.setattr(Discovery, "refresh", fail)
        only.eject("failed")
        first_s = only.pause.delay_s
        await until(lambda: asked == 2)

        assert not only.is_in
        assert only.pause.delay_s > first_s


@pytest.mark.parametrize(
    ("listed", "taken"),
    [({"temperature": 0}, 0.0), ({"temperature": None}, 1.0), ({"temperature": 9}, 1.0), (None, 1.0)],
)
async def test_temperature_of_who_states_none_is_the_servers(listed: object, taken: float) -> None:
    async with rude_servers(1, default_parameters=listed) as servers, engine_over(servers) as engine:
        (model,) = engine.models()

    assert model.temperature == taken


@pytest.mark.parametrize(
    ("stated", "listed", "offered"), [(1, 4, 1), (None, 4, 4), (None, None, 2), (None, 0, 2), (None, -1, 2)]
)
async def test_number_of_pictures_is_what_is_stated_or_else_the_servers(
    stated: int | None, listed: int | None, offered: int
) -> None:
    server = Rude(max_images=listed)
    await server.start()
    engine = UpstreamEngine(
        UpstreamSettings((server.url,), models={MODEL: UpstreamModel(MODEL, image=RULE, max_images=stated)})
    )
    await engine.start()
    found = engine.models()[0].max_images
    await engine.stop()
    await server.stop()

    assert found == offered
