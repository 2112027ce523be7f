"""What a front makes of its replicas' answers and ends, with a handle that says what Ray Serve's would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from sightline.core import Delta, ModelInfo, Usage
from sightline.engines.process.messages import Piece, Ready, encoder
from sightline.errors import EngineUnavailable
from support.engines import answer, request, said

pytestmark = [pytest.mark.scale, pytest.mark.anyio, pytest.mark.filterwarnings("ignore")]

MODEL = ModelInfo("test/model", "tests", 0, 1000, "Says what it is told to.", None, 0, frozenset({"max_tokens"}))
BEGUN = Delta("one ", usage=Usage(3, 1))
WHOLE = Delta("two", finish_reason="stop", usage=Usage(3, 2))


class Response:
    """What one replica says; an exception is how it ends."""

    def __init__(self, said: Sequence[Delta | Exception]) -> None:
        self._said = list(said)

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> bytes:
        if not self._said:
            raise StopAsyncIteration
        one = self._said.pop(0)
        if isinstance(one, Exception):
            raise one
        return encoder.encode(Piece(0, one))

    def cancel(self) -> None:
        """Nothing runs."""


class Handle:
    """Of a deployment whose replicas say what is in `answers`, one after another; its models at the last try."""

    deployment_name = "scripted"

    def __init__(self, *answers: Sequence[Delta | Exception], unavailable: int = 0) -> None:
        self.answers = list(answers)
        self.models = self
        self.unavailable = unavailable

    def options(self, *, method_name: str, stream: bool) -> Any:
        """The handle of a method that streams."""
        return Streaming(self)

    async def remote(self) -> bytes:
        """Ask for the models."""
        from ray.serve.exceptions import DeploymentUnavailableError

        if self.unavailable:
            self.unavailable -= 1
            raise DeploymentUnavailableError(None)
        return encoder.encode(Ready((MODEL,)))


class Streaming:
    """The handle's method that answers."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def remote(self, head: bytes, raw: bytes) -> Response:
        """Ask the next replica."""
        return Response(self._handle.answers.pop(0))


async def replies(handle: Handle, *, stream: bool) -> list[Delta]:
    """The pieces of an answer."""
    from sightline.engines.ray.engine import ReplicaEngine

    engine = ReplicaEngine(handle, lambda: 1)
    await engine.start()
    try:
        return await answer(engine, structs.replace(request(MODEL), stream=stream))
    finally:
        await engine.stop()


@pytest.mark.parametrize("stream", [True, False])
async def test_replica_that_is_lost_after_its_last_word_has_answered(stream: bool) -> None:
    from ray.exceptions import RayActorError

    handle = Handle([BEGUN, WHOLE, RayActorError()], [BEGUN, WHOLE])

    assert said(await replies(handle, stream=stream)) == "one two"
    assert len(handle.answers) == 1


async def test_plain_answer_begins_again_at_another_replica_and_a_stream_ends() -> None:
    from ray.exceptions import RayActorError

    lost = [BEGUN, RayActorError()]

    deltas = await replies(Handle(lost, [BEGUN, WHOLE]), stream=False)
    with pytest.raises(EngineUnavailable, match="was lost"):
        await replies(Handle(lost, [BEGUN, WHOLE]), stream=True)

    assert [delta.text for delta in deltas] == ["", "", "one two"]
    assert deltas[-1].usage == Usage(3, 2)


async def test_front_waits_for_a_deployment_that_cannot_be_started_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.engines.ray import engine

    monkeypatch.setattr(engine, "_LOOK_EVERY_S", 0.01)

    assert said(await replies(Handle([WHOLE], unavailable=2), stream=True)) == "two"
