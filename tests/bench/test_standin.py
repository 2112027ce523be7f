"""The server behind the proxies that `bench proxy` measures: whoever is measured must take it for a good one."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from bench.standin import CHUNKS, MODEL, PACED, StandIn
from sightline.engines.upstream.engine import UpstreamEngine
from sightline.settings import UpstreamModel, UpstreamSettings
from support.engines import answer, request, said


def test_it_is_taken_in_and_answers_whole() -> None:
    async def run() -> list[str]:
        server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        models = {name: UpstreamModel(name) for name in (MODEL, PACED)}
        engine = UpstreamEngine(UpstreamSettings((url,), models=models))
        try:
            async with asyncio.timeout(10):
                await engine.start()
            asked = [request(model, max_tokens=CHUNKS) for model in engine.models()]
            return [said(await answer(engine, replace(one, stream=s))) for one in asked for s in (False, True)]
        finally:
            await engine.stop()
            server.close()

    assert asyncio.run(run()) == ["yes" * CHUNKS] * 4
