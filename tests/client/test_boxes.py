"""Boxes around values, drawn on a picture as a person sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from sightline.client.boxes import draw_boxes


def entry(left: int, top: int, width: int, height: int, **more: Any) -> dict[str, Any]:
    right, bottom = left + width, top + height
    quad = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return {"path": "/total", "status": "exact", "image": 1, "box": (left, top, width, height), "quad": quad, **more}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    Image.new("RGB", (400, 300), "white").save(path)
    return path


def changed(path: Path, *entries: dict[str, Any], image: int = 1) -> tuple[int, int, int, int] | None:
    drawn = draw_boxes(path, entries, image)
    return ImageChops.difference(Image.new("RGB", drawn.size, "white"), drawn).getbbox()


def test_box_lies_around_its_value_with_its_name_above(picture: Path) -> None:
    box = changed(picture, entry(100, 150, 80, 20))

    assert box is not None
    left, top, right, bottom = box
    assert left == pytest.approx(99, abs=3)
    assert bottom == pytest.approx(171, abs=3)
    assert right >= 180
    assert 120 < top < 150


def test_parts_of_a_computed_value_have_a_box_each(picture: Path) -> None:
    parts = [entry(10, 200, 30, 10), entry(300, 250, 30, 10)]

    box = changed(picture, {"path": "/sum", "status": "computed", "parts": parts})

    assert box is not None
    assert box[0] <= 10
    assert box[3] >= 260


def test_value_on_another_image_or_on_none_is_not_drawn(picture: Path) -> None:
    assert changed(picture, entry(10, 20, 30, 10), image=2) is None
    assert changed(picture, {"path": "", "status": "absent"}) is None


def test_picture_is_drawn_on_as_a_person_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "lying.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 300), "white").save(path, exif=exif)

    assert draw_boxes(path, [], 1).size == (300, 400)
