"""What a picture's bytes say, and that it is said again of bytes that come again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sightline.images import metadata_cache
from sightline.images.header import Broken
from sightline.images.metadata_cache import ImageMetadataCache, read_metadata
from support.pictures import picture
from vectors.table import FOLDER

FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in {".png", ".jpeg", ".jpg", ".webp", ".gif"})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_known_picture_is_what_it_was(file: Path) -> None:
    data, known = file.read_bytes(), ImageMetadataCache()

    first, again = known.facts(data, "key_1"), known.facts(bytes(bytearray(data)), "key_1")

    assert first is again
    assert first == read_metadata(data)
    assert first is not None
    assert first.sha256 == hashlib.sha256(data).hexdigest()


def test_one_other_byte_is_another_picture() -> None:
    known = ImageMetadataCache()
    data = picture("png", 64, 64)

    assert known.facts(data + b"1", "key_1") != known.facts(data + b"2", "key_1")


def test_senders_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(metadata_cache, "read_metadata", lambda data: (read.append(data), read_metadata(data))[1])
    known, data = ImageMetadataCache(), picture()

    for owner in ("key_1", "key_2", "key_1", "key_2"):
        known.facts(data, owner)

    assert len(read) == 2


def test_what_is_no_picture_is_not_remembered() -> None:
    known = ImageMetadataCache()

    assert known.facts(b"text", "key_1") is None
    for _ in range(2):
        with pytest.raises(Broken):
            known.facts(b"\x89PNG\r\n\x1a\n", "key_1")
    assert not known._facts


def test_those_that_came_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_cache, "MOST_KNOWN", 3)
    known, data = ImageMetadataCache(), picture()
    first = known.facts(data + b"0", "key_1")
    for number in (b"1", b"2", b"0", b"3", b"4"):
        known.facts(data + number, "key_1")

    assert known.facts(data + b"0", "key_1") is first
    assert len(known._facts) == 3
