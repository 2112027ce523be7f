"""Group commit: what comes meanwhile is one group, what waits too long is refused, what failed is tried once more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection

from sightline.errors import StoreUnavailable
from sightline.store import group_commit
from sightline.store.database import Database
from sightline.store.group_commit import GroupCommitter, Write

pytestmark = pytest.mark.anyio


class Recorder:
    """Notes each group; the first one waits until it is told to go on."""

    def __init__(self) -> None:
        self.groups: list[list[Write]] = []
        self.is_busy, self.may_go_on = threading.Event(), threading.Event()
        self.fail: Callable[[], None] = lambda: None

    def apply(self, connection: Connection, writes: Sequence[Any]) -> None:
        self.groups.append(list(writes))
        self.is_busy.set()
        self.may_go_on.wait()
        self.fail()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things refuses nobody."""
    monkeypatch.setattr(group_commit, "WAIT_S", 1000.0)
    monkeypatch.setattr(group_commit, "RETRY_WITHIN_S", 1000.0)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def committer(database: Database, recorder: Recorder) -> AsyncIterator[GroupCommitter]:
    committer = GroupCommitter(database, recorder)
    committer.start()
    yield committer
    recorder.may_go_on.set()
    await committer.stop()


async def test_what_comes_meanwhile_is_one_group_in_order(committer: GroupCommitter, recorder: Recorder) -> None:
    first, *others = (Write(can_wait=True) for _ in range(10))
    committing = [committer.write(first)]
    await asyncio.to_thread(recorder.is_busy.wait)
    committing += [committer.write(write) for write in others]
    recorder.may_go_on.set()

    await asyncio.gather(*committing)

    assert recorder.groups == [[first], others]


async def test_who_waits_too_long_is_refused_while_the_group_before_still_runs(
    committer: GroupCommitter, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "WAIT_S", 0.0)
    busy = committer.write(Write())
    await asyncio.to_thread(recorder.is_busy.wait)
    patient = Write(can_wait=True)
    waiting = committer.write(patient)

    with pytest.raises(StoreUnavailable):
        await committer.write(Write())

    assert not busy.done()
    recorder.may_go_on.set()
    await busy
    await waiting
    assert recorder.groups[1:] == [[patient]]


async def test_a_group_that_failed_is_tried_once_more(committer: GroupCommitter, recorder: Recorder) -> None:
    failures = iter([StoreUnavailable()])
    recorder.fail = lambda: raise_next(failures)
    recorder.may_go_on.set()
    write = Write()

    await committer.write(write)

    assert recorder.groups == [[write], [write]]


async def test_one_that_fails_again_is_refused(committer: GroupCommitter, recorder: Recorder) -> None:
    failures = iter([StoreUnavailable() for _ in range(9)])
    recorder.fail = lambda: raise_next(failures)
    recorder.may_go_on.set()

    with pytest.raises(StoreUnavailable):
        await committer.write(Write())

    assert len(recorder.groups) == 2


async def test_after_a_slow_failure_those_who_wait_are_refused_untried(
    committer: GroupCommitter, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "RETRY_WITHIN_S", 0.0)
    failures = iter([StoreUnavailable()])
    recorder.fail = lambda: raise_next(failures)
    first = committer.write(Write())
    await asyncio.to_thread(recorder.is_busy.wait)
    waiting = committer.write(Write(can_wait=True))
    recorder.may_go_on.set()

    results = await asyncio.gather(first, waiting, return_exceptions=True)

    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert len(recorder.groups) == 1


async def test_a_bug_ends_no_thread(committer: GroupCommitter, recorder: Recorder) -> None:
    failures: Any = iter([ValueError("a bug")])
    recorder.fail = lambda: raise_next(failures)
    recorder.may_go_on.set()

    with pytest.raises(ValueError, match="a bug"):
        await committer.write(Write())

    await committer.write(Write())


def raise_next(failures: Any) -> None:
    failure = next(failures, None)
    if failure is not None:
        raise failure
