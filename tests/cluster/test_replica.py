"""What Ray Serve asks of an engine's replica, without Ray Serve."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from sightline.engines.process.messages import Counted, Piece, Ready, encoder, pack_request, to_parent
from sightline.errors import EngineTimeout, EngineUnavailable
from sightline.settings import EngineSpec
from support.engines import request

pytestmark = [pytest.mark.scale, pytest.mark.anyio, pytest.mark.filterwarnings("ignore")]


async def test_engine_that_hangs_or_has_stopped_fails_the_health_check() -> None:
    from sightline.cluster.replica import EngineReplica

    replica = EngineReplica.__new__(EngineReplica)
    await EngineReplica.__init__(replica, EngineSpec("scripted", {"step_s": 0.3}), 0.1)
    ready = to_parent.decode(await replica.models())
    assert isinstance(ready, Ready)
    work = request(ready.models[0], "a b", images=1)
    head, raw = encoder.encode(pack_request(0, work)), work.images[0].tobytes()

    async with aclosing(replica.generate(head, raw)) as messages:
        replica.check_health()
        first = asyncio.create_task(anext(messages))
        await asyncio.sleep(0.2)
        with pytest.raises(EngineTimeout):
            replica.check_health()
        piece = to_parent.decode(await first)
        replica.check_health()

    await asyncio.sleep(0.2)
    replica.check_health()  # idle is not silent
    async with aclosing(replica.generate(encoder.encode(pack_request(0, work, only_count=True)), raw)) as messages:
        await asyncio.sleep(0.2)
        counted = to_parent.decode(await anext(messages))
        replica.check_health()  # what counts is at work
    await replica.__del__()

    assert isinstance(piece, Piece)
    assert piece.delta.text == "[32x32]"
    assert isinstance(counted, Counted)
    with pytest.raises(EngineUnavailable):
        replica.check_health()
