"""A temporary folder that is gone when its work ends, and at the latest when another begins after a killed one.

Who is killed cannot tidy up. So whoever works holds a lock on the folder, which ends with the process however it ends,
and each that begins removes what nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "sightline-model-"
YOUNG_S = 60.0
"""One that was just made may have no lock yet."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder in the system's temporary one, for as long as the context lasts; first remove what was left."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        held = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(held)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            is_left = time.time() - folder.lstat().st_mtime > YOUNG_S and _is_free(folder)
        except OSError:  # gone by now, or another user's
            continue
        if is_left:
            shutil.rmtree(folder, ignore_errors=True)


def _is_free(folder: Path) -> bool:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True
