"""Decoding in child processes: a picture that kills one is its own request's error alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest
from pebble import ProcessExpired, ProcessFuture

from sightline.core import EncodedImage, ImageEncoding
from sightline.errors import EngineOverloaded, ImageUndecodable
from sightline.images.decode import Decoded
from sightline.images.pool import ImagePool
from support.asgi import until
from support.pictures import picture

pytestmark = pytest.mark.anyio
SQUARE = ImageEncoding("square", 32, 16)


def encoded(data: bytes, side_px: int = 32) -> EncodedImage:
    param = "messages.[0].content.[0].image_url.url"
    return EncodedImage(data, "image/png", "png", side_px, side_px, "auto", param, "", is_passthrough_safe=False)


async def test_picture_comes_back_as_pixels(pool: ImagePool) -> None:
    decoded = await pool.decode(encoded(picture()), SQUARE, 1)

    assert len(decoded.data) == 32 * 32 * 3


async def test_many_at_once_all_come_back(pool: ImagePool) -> None:
    decoded = await asyncio.gather(*(pool.decode(encoded(picture()), SQUARE, at) for at in range(20)))

    assert len({one.data for one in decoded}) == 1


async def test_damaged_picture_is_refused_and_named(pool: ImagePool) -> None:
    with pytest.raises(ImageUndecodable, match="image 2 does not decode") as caught:
        await pool.decode(encoded(picture()[:70]), SQUARE, 2)

    assert caught.value.param == "messages.[0].content.[0].image_url.url"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (TimeoutError(), "takes longer than the limit of 10 seconds"),
        (MemoryError(), "needs more memory to decode than the limit of 2 GB"),
        (ProcessExpired("died", code=-11), "does not decode: it begins like a png and is cut short or damaged"),
    ],
)
async def test_what_takes_too_much_is_not_called_damaged(
    pool: ImagePool, monkeypatch: pytest.MonkeyPatch, failure: Exception, reason: str
) -> None:
    async def fails(*_: object) -> Future[Decoded]:
        future: Future[Decoded] = Future()
        future.set_exception(failure)
        return future

    monkeypatch.setattr(pool, "_begin", fails)

    with pytest.raises(ImageUndecodable, match=f"image 2 {reason}"):
        await pool.decode(encoded(picture()), SQUARE, 2)


async def test_a_picture_whose_process_is_killed_is_decoded_by_the_next(
    pool: ImagePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failures = pool._begin, [ProcessExpired("killed", code=-signal.SIGKILL)]

    async def killed(*image: Any) -> Future[Decoded]:
        if not failures:
            return await begin(*image)
        future: Future[Decoded] = Future()
        future.set_exception(failures.pop())
        return future

    monkeypatch.setattr(pool, "_begin", killed)

    assert (await pool.decode(encoded(picture()), SQUARE, 1)).width == 32
    failures += [ProcessExpired("killed", code=-signal.SIGKILL)] * 2
    with pytest.raises(EngineOverloaded, match="was killed twice"):
        await pool.decode(encoded(picture()), SQUARE, 1)


async def test_cancelled_picture_leaves_the_pool_working(pool: ImagePool) -> None:
    tasks = [asyncio.create_task(pool.decode(encoded(picture()), SQUARE, at)) for at in range(10)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()

    results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert (await pool.decode(encoded(picture()), SQUARE, 1)).width == 32


async def test_a_large_picture_keeps_its_place_until_it_is_decoded(
    pool: ImagePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leaves does not end the decoding, so leaving must not let another large one begin beside it."""
    running: list[Future[Decoded]] = []

    def schedule(*_: object) -> Future[Decoded]:
        future: Future[Decoded] = Future()
        future.set_running_or_notify_cancel()
        running.append(future)
        return future

    monkeypatch.setattr(pool, "_schedule", schedule)
    large = encoded(picture(), 5000)
    tasks = [asyncio.create_task(pool.decode(large, SQUARE, 1)) for _ in range(2)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    await asyncio.sleep(0.01)
    assert len(running) == 1

    running[0].set_result(Decoded(b"", 1, 1, ()))
    await until(lambda: len(running) == 2)
    running[1].set_result(Decoded(b"\0\0\0", 1, 1, ()))

    assert (await tasks[1]).data == b"\0\0\0"
    assert not pool._large.locked()


async def test_a_picture_that_nobody_decodes_is_not_waited_for_without_end(
    pool: ImagePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: Future[Decoded] = Future()
    monkeypatch.setattr(pool, "_schedule", lambda *_: lost)
    monkeypatch.setattr("sightline.images.pool._WAIT_S", 0.05)

    with pytest.raises(EngineOverloaded, match="too slowly"):
        await pool.decode(encoded(picture(), side_px=3000), SQUARE, 1)

    assert lost.cancelled()
    await until(lambda: not pool._large.locked())


async def test_a_large_picture_does_not_wait_for_another_without_end(
    pool: ImagePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.images.pool._WAIT_S", 0.05)

    async with pool._large:
        with pytest.raises(EngineOverloaded, match="too slowly"):
            await pool.decode(encoded(picture(), side_px=3000), SQUARE, 1)


async def test_process_that_is_killed_is_replaced() -> None:
    others = {child.pid for child in psutil.Process().children()}
    async with ImagePool(workers=2) as pool:
        await pool.decode(encoded(picture()), SQUARE, 1)
        mine = [child for child in psutil.Process().children() if child.pid not in others]
        worker = next(child for child in mine if "spawn_main" in " ".join(child.cmdline()))

        os.kill(worker.pid, signal.SIGKILL)

        results = await asyncio.gather(*(pool.decode(encoded(picture()), SQUARE, 1) for _ in range(4)))
        assert {result.width for result in results} == {32}


async def test_processes_killed_while_they_have_nothing_to_do_are_replaced() -> None:
    others = {child.pid for child in psutil.Process().children()}
    async with ImagePool(workers=2) as pool:
        await pool.decode(encoded(picture()), SQUARE, 1)
        mine = [child for child in psutil.Process().children() if child.pid not in others]

        for worker in mine:
            if "spawn_main" in " ".join(worker.cmdline()):
                worker.kill()

        results = await asyncio.gather(*(pool.decode(encoded(picture()), SQUARE, 1) for _ in range(4)))
        assert {result.width for result in results} == {32}


async def test_what_is_queued_in_a_pool_that_was_given_up_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ImagePool(workers=1) as pool:
        await pool.decode(encoded(picture()), SQUARE, 1)
        given_up = pool._pool
        # As when all processes have died: the thread that would hand it on has ended, and nobody says so.
        monkeypatch.setattr(given_up, "schedule", lambda *_, **__: ProcessFuture())
        waiting = asyncio.create_task(pool.decode(encoded(picture()), SQUARE, 1))
        await asyncio.sleep(0.1)
        given_up.stop()
        monkeypatch.undo()

        assert (await asyncio.wait_for(waiting, 20)).width == 32


ENDS_SOON = """
import asyncio, time
import pebble.pool.process as theirs
from sightline.images.pool import ImagePool

end = theirs.stop_process
theirs.stop_process = lambda process: (time.sleep(1.5), end(process))  # what is starting comes to where its locks are

async def main():
    async with ImagePool(2):
        pass

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_processes_that_are_still_starting_at_the_end_say_nothing(tmp_path: Path) -> None:
    script = tmp_path / "soon.py"
    script.write_text(ENDS_SOON)

    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
