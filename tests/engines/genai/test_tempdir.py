"""The folder that a model is loaded from: gone afterwards, whatever ends the process that made it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sightline.engines.genai.tempdir import PREFIX, YOUNG_S, temporary_folder

HOLDER = """
import sys, time
from sightline.engines.genai.tempdir import temporary_folder
with temporary_folder() as folder:
    (folder / "weights.bin").write_bytes(b"0" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def held() -> tuple[subprocess.Popen[str], Path]:
    """Start a process that works in a folder of its own, which looks an hour old."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    age(folder)
    return process, folder


def age(folder: Path) -> None:
    then = time.time() - 60 * YOUNG_S
    os.utime(folder, (then, then))


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.communicate()


def test_a_folder_is_gone_when_its_work_ends() -> None:
    with temporary_folder() as folder:
        (folder / "a").write_text("b")
        assert folder.is_dir()

    assert not folder.exists()


def test_what_a_killed_process_left_is_removed_by_the_next() -> None:
    process, folder = held()
    end(process, signal.SIGKILL)
    assert (folder / "weights.bin").is_file()

    with temporary_folder():
        assert not folder.exists()


def test_a_folder_that_another_process_works_in_stays() -> None:
    process, folder = held()

    with temporary_folder():
        assert (folder / "weights.bin").is_file()

    end(process, signal.SIGKILL)


def test_a_folder_just_made_stays_and_so_does_what_only_bears_its_name(temporary: Path) -> None:
    young = temporary / f"{PREFIX}young"
    young.mkdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    age(elsewhere)
    (temporary / f"{PREFIX}link").symlink_to(elsewhere, target_is_directory=True)
    (temporary / f"{PREFIX}file").touch()
    age(temporary / f"{PREFIX}file")

    with temporary_folder():
        pass

    assert young.is_dir()
    assert (elsewhere / "kept").is_file()
    assert (temporary / f"{PREFIX}file").is_file()
