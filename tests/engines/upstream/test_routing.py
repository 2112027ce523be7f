"""Which of several servers gets a request, and which is given none for a while."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from sightline.engines.upstream import server as server_module
from sightline.engines.upstream.server import Server
from sightline.errors import EngineError, EngineOverloaded, EngineUnavailable
from support.asgi import until
from support.engines import answer, said
from support.upstreams import FILE, TEXT, ask, engine_over, rude_servers

pytestmark = pytest.mark.anyio


def occupy(server: Server, number: int) -> None:
    """Give a server so many requests more, none of which is ever sent."""
    request = ask()
    server.exchanges.update(server.exchange(request, server.models[request.model]) for _ in range(number))


async def test_request_that_fails_everywhere_puts_nobody_out() -> None:
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        for server in servers:
            server.manner = "500"

        for number in range(8):
            with pytest.raises(EngineError, match="failed"):
                await answer(engine, ask(f"poison {number}"))

        assert all(server.is_in for server in engine.pool.servers)


async def test_requests_that_fail_everywhere_at_once_put_nobody_out() -> None:
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        for server in servers:
            server.manner = "500"

        poison = [answer(engine, ask(f"poison {number}")) for number in range(9)]
        ended = await asyncio.gather(*poison, return_exceptions=True)

        assert {type(each) for each in ended} == {EngineError}
        assert all(server.is_in for server in engine.pool.servers)


async def test_only_so_many_are_sent_twice() -> None:
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        for server in servers:
            server.manner = "500"

        for number in range(60):
            with pytest.raises(EngineError):
                await answer(engine, ask(f"poison {number}"))

        assert all(server.is_in for server in engine.pool.servers)

    # Ten, a tenth of all, and of the rest those whose failure would have put a server out: one in three.
    assert 70 <= sum(len(server.asked()) for server in servers) <= 60 + 10 + 6 + 20


@pytest.mark.parametrize("stream", [True, False])
async def test_everything_that_a_dying_server_has_not_begun_to_answer_moves(stream: bool) -> None:
    async with rude_servers(2) as servers, engine_over(servers, health_timeout_s=60.0) as engine:
        servers[0].manner, servers[1].manner = "silent", "wait"  # who answers at once is given all that comes after
        asked = [asyncio.create_task(answer(engine, ask(f"{number}", stream=stream))) for number in range(80)]
        await until(lambda: len(servers[0].asked()) >= 30)
        servers[1].go_on.set()
        await servers[0].stop()

        assert {said(deltas) for deltas in await asyncio.gather(*asked)} == {TEXT}


async def test_connection_that_cannot_be_made_takes_nothing_from_requests_that_run() -> None:
    async with rude_servers(1) as servers, engine_over(servers) as engine:
        servers[0].manner = "wait"
        asked = [asyncio.create_task(answer(engine, ask(f"{number}", stream=False))) for number in range(4)]
        await until(lambda: len(servers[0].asked()) == 4)
        (only,) = engine.pool.servers

        servers[0].refuse()
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await answer(engine, ask())
        was_out = not only.is_in
        await servers[0].start(servers[0].port)
        servers[0].go_on.set()

        assert {said(deltas) for deltas in await asyncio.gather(*asked)} == {TEXT}
        assert was_out


async def test_what_a_server_has_that_cannot_be_reached_again_moves() -> None:
    """As when its machine is gone: nobody resets the connection."""
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        gone = engine.pool.choose(ask())
        rude = next(server for server in servers if server.url.endswith(gone.name))
        rude.manner = "silent"
        running = asyncio.create_task(answer(engine, ask(stream=False)))
        await until(lambda: rude.asked())

        rude.refuse()
        assert said(await answer(engine, ask())) == TEXT
        assert said(await running) == TEXT
        assert not gone.is_in


@pytest.mark.parametrize("stream", [True, False])
async def test_one_request_that_stands_still_takes_nothing_from_others(stream: bool) -> None:
    limits = {"idle_timeout_s": 0.5, "request_timeout_s": 0.5}
    async with rude_servers(1) as servers, engine_over(servers, **limits) as engine:
        servers[0].manner = "silent"
        still = asyncio.create_task(answer(engine, ask("still", stream=stream)))
        await until(lambda: len(servers[0].asked()) == 1)
        servers[0].manner, servers[0].pause_s = "well", 0.1
        while not still.done():
            assert said(await answer(engine, ask("others", stream=stream))) == TEXT

        with pytest.raises(EngineUnavailable, match="no more of this answer"):
            await still
        assert engine.pool.servers[0].is_in


async def test_server_without_room_is_left_alone_for_a_moment_and_tried_with_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "FIRST_REST_S", 1.0)
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        servers[0].manner = "503"
        await asyncio.gather(*(answer(engine, ask(str(number))) for number in range(20)))
        tried = len(servers[0].asked())
        await asyncio.gather(*(answer(engine, ask(str(number))) for number in range(20)))

        assert 1 <= tried <= 12  # half of them, which all came before the first was answered
        assert len(servers[0].asked()) == tried
        assert all(server.is_in for server in engine.pool.servers)

        servers[0].manner = "well"
        await until(lambda: not engine.pool.servers[0].is_resting)
        await answer(engine, ask("again"))
        await asyncio.gather(*(answer(engine, ask(str(number))) for number in range(20)))
        assert len(servers[0].asked()) > tried


async def test_servers_that_all_lack_room_are_asked_all_the_same() -> None:
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        for server in servers:
            server.manner = "503"
        for _ in range(3):
            with pytest.raises(EngineOverloaded):
                await answer(engine, ask())

        assert all(server.asked() for server in servers)


async def test_a_request_goes_where_there_is_room() -> None:
    """One server is full, the other has one place: whatever its picture or text, a request goes to that."""
    async with rude_servers(2) as servers, engine_over(servers, max_concurrency=4) as engine:
        full, roomy = engine.pool.servers
        occupy(full, 4)
        occupy(roomy, 3)

        chosen = {engine.pool.choose(ask(f"{number}")).name for number in range(40)}
        occupy(roomy, 1)
        with pytest.raises(EngineOverloaded):
            engine.pool.choose(ask())
        full.exchanges.clear()
        roomy.exchanges.clear()

    assert chosen == {roomy.name}


async def test_server_that_fails_every_other_request_is_put_out() -> None:
    async with rude_servers(2) as servers, engine_over(servers) as engine:
        chosen = engine.pool.choose(ask())
        flaky = next(server for server in servers if server.url.endswith(chosen.name))
        for _ in range(10):
            for flaky.manner in ("500", "well"):
                assert said(await answer(engine, ask())) == TEXT
            if not chosen.is_in:
                break

        assert not chosen.is_in
        assert len(flaky.asked()) < 12


async def test_same_picture_goes_to_the_same_server_and_work_is_shared() -> None:
    async with rude_servers(3) as servers, engine_over(servers) as engine:
        for number in range(12):
            file = structs.replace(FILE, sha256=f"{number % 4}")
            await answer(engine, structs.replace(ask(images=1), files=(file,)))
        alone = [len(server.asked()) for server in servers]
        for server in servers:
            server.bodies.clear()
            server.pause_s = 0.02
        await asyncio.gather(*(answer(engine, ask("the same")) for _ in range(12)))
        together = [len(server.asked()) for server in servers]

    assert sorted(alone) == sorted(3 * round(count / 3) for count in alone), alone
    assert min(together) >= 3


async def test_stream_that_stands_still_is_given_up_while_its_server_is_asked_whether_it_lives() -> None:
    async with rude_servers(2) as servers, engine_over(servers, idle_timeout_s=1.5, health_timeout_s=0.2) as engine:
        for server in servers:
            server.manner = "stall"
        deltas = engine.generate(ask())
        await anext(deltas)
        await anext(deltas)
        await asyncio.sleep(0.05)  # it stands still now
        busy = next(one for one in engine.pool.servers if one.exchanges)
        for server in servers:
            server.manner = "hang" if busy.name in server.url else "well"

        async def rest() -> None:
            async with asyncio.timeout(10):  # to be asked again, a server has a minute
                async for _ in deltas:
                    pass

        with pytest.raises(EngineError):
            await rest()

        assert not busy.is_in
