"""Every vector is seen as a person sees it, by the decoder and by a running service, and counted alike everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.core import EncodedImage, ImageEncoding
from sightline.images.decode import decode
from sightline.images.header import read_header
from sightline.images.receipt import write_receipt
from vectors.make import vectors
from vectors.table import FOLDER, PAGE, page, read

ENTRIES = read()
_AS_STORED = ImageEncoding("page", size_px=4000)


def _expected(entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    with Image.open(FOLDER / entry["expected"]) as image:
        assert image.mode == "RGB"
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["file"]))
def test_pixels_are_those_a_person_sees(entry: dict[str, Any]) -> None:
    data = (FOLDER / entry["file"]).read_bytes()
    expected = _expected(entry)
    header = read_header(data)
    assert header is not None

    decoded = decode(data, header.type, _AS_STORED)

    assert f"image/{header.type}" == entry["type"]
    assert (decoded.width, decoded.height) == (entry["width"], entry["height"]) == expected.shape[1::-1]
    pixels = np.frombuffer(decoded.data, np.uint8).reshape(expected.shape).astype(int)
    off = np.abs(pixels - expected)
    assert off.mean(axis=(0, 1)).max() <= entry["tolerance"]["mean"]
    assert off.max() <= entry["tolerance"]["max"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["file"]))
def test_receipt_tells_what_was_done(entry: dict[str, Any]) -> None:
    data = (FOLDER / entry["file"]).read_bytes()
    header = read_header(data)
    assert header is not None
    image = EncodedImage(data, entry["declared_type"], header.type, header.width, header.height, "auto", "", "", False)

    decoded = decode(data, header.type, _AS_STORED)
    receipt = write_receipt(image, decoded, _AS_STORED)

    assert list(receipt.actions) == entry["actions"]


def test_folder_is_what_the_script_makes() -> None:
    """Names and words, and the expected pixels; the files' bytes depend on the versions of image libraries."""
    made = list(vectors())

    assert [_stable(vector.describe()) for vector in made] == [_stable(entry) for entry in ENTRIES]
    for vector, entry in zip(made, ENTRIES, strict=True):
        assert np.array_equal(vector.expected, _expected(entry)), entry["file"]


def test_folder_is_small_and_complete() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]

    named = {str(entry[field]) for entry in ENTRIES for field in ("file", "expected")}
    assert {str(path.relative_to(FOLDER)) for path in files} == named | {"vectors.json", "README.md"}
    assert sum(path.stat().st_size for path in files) < 400_000
    assert all((FOLDER / entry["file"]).stat().st_size == entry["bytes"] for entry in ENTRIES)


def test_table_in_the_documentation_is_up_to_date() -> None:
    assert Path(PAGE).read_text(encoding="utf-8") == page(), "run: PYTHONPATH=tests python -m vectors.table"


def _stable(entry: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in entry.items() if name != "bytes"}, sort_keys=True)
