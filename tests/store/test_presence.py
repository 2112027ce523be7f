"""Signs of life as files: what a killed process left is cleared away, and no process that lives loses its own."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from sightline.store import presence
from sightline.store.presence import FilePresence


def files(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_files_of_killed_processes_are_cleared_at_the_next_start(tmp_path: Path) -> None:
    lives = FilePresence(tmp_path)
    (tmp_path / "17.lock").touch()  # its lock went with its process

    starts = FilePresence(tmp_path)

    assert files(tmp_path) == {str(lives.number), str(starts.number)}
    assert starts.dead([17, lives.number]) == {17}
    lives.close()
    starts.close()
    assert files(tmp_path) == set()


def test_a_file_that_is_not_ours_to_clear_does_not_end_a_start(tmp_path: Path) -> None:
    (tmp_path / "folder.lock").mkdir()

    FilePresence(tmp_path).close()

    assert files(tmp_path) == {"folder"}


def test_a_sign_in_a_folder_that_is_gone_ends_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lives = FilePresence(tmp_path)
    monkeypatch.setattr(Path, "unlink", refuse)

    lives.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lives._file)


def refuse(_: Path, *, missing_ok: bool) -> None:
    raise PermissionError


def test_a_process_that_is_just_starting_is_not_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is there and not locked yet when another one starts and clears."""
    lock, is_made, started = fcntl.flock, Event(), []

    def lock_late(file: int, how: int) -> Any:
        if how == fcntl.LOCK_EX and is_file(file) and not is_made.is_set():
            is_made.set()
            other.start()
            other.join(0.3)  # it waits for us, or has cleared our file away by now
        return lock(file, how)

    other = Thread(target=lambda: started.append(FilePresence(tmp_path)))
    monkeypatch.setattr(presence.fcntl, "flock", lock_late)

    slow = FilePresence(tmp_path)
    other.join()

    assert started[0].dead([slow.number]) == set()
    slow.close()
    started[0].close()


def is_file(file: int) -> bool:
    return stat.S_ISREG(os.fstat(file).st_mode)
