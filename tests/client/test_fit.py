"""What fit makes is within the limits, upright, no larger than useful, and no smaller than it must be."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline import image_part
from sightline.client.fit import fit
from sightline.client.image_file import content_part, reference
from sightline.errors import ImageFormatUnsupported, ImageTooLarge, ImageUndecodable, RequestTooLarge
from sightline.images.source import open_image
from sightline.settings import BUNDLED, TRANSCRIBER, ImageLimits
from support.models import SIDE_PX, with_pictures
from support.pictures import corners, encoded, picture, png_header, quarters

MODEL = next(iter(BUNDLED))


def _noisy(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(random)


def _body_bytes(parts: list[object]) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "a" * 3_000}]}]}
    return len(json.dumps(body))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_what_fits_is_left_to_the_byte(kind: str) -> None:
    data = picture(kind, 300, 200)

    fitted = fit(data)

    assert fitted.data == data
    assert not fitted.is_changed
    assert (fitted.type, fitted.width, fitted.height) == (kind, 300, 200)


@pytest.mark.parametrize("images", [1, 2])
def test_request_of_fitted_pictures_stays_below_a_million_bytes(images: int) -> None:
    data = encoded(_noisy(1000, 900), "jpeg", quality=98)
    assert len(data) > 750_000

    fitted = fit(data, images=images)

    part = image_part(data, fit=True, images=images)
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert _body_bytes([part] * images) < 1_000_000
    assert fitted.quality is not None
    assert len(fitted.data) > 740_000 / images * 0.7
    open_image(reference(fitted.data), 1, ImageLimits())


def test_drawing_stays_free_of_loss_where_it_can() -> None:
    fitted = fit(encoded(quarters(4000, 3000)))

    assert (fitted.type, fitted.quality) == ("png", None)
    assert (fitted.width, fitted.height) == (2048, 1536)


def test_drawing_too_large_without_loss_becomes_webp() -> None:
    fitted = fit(encoded(_noisy(900, 700)))

    assert fitted.type == "webp"
    assert fitted.quality is not None


def test_more_pixels_than_a_model_uses_are_not_kept(tmp_path: Path) -> None:
    data = encoded(quarters(1600, 1200))
    unread = with_pictures(tmp_path / "unread")

    fitted = fit(data, model=str(unread))

    assert min(fitted.width, fitted.height) == 2 * SIDE_PX
    assert not fit(data, model=TRANSCRIBER).is_changed


def test_pixels_that_the_transcriber_reads_for_a_model_are_kept() -> None:
    assert not fit(encoded(quarters(1600, 1200)), model=MODEL).is_changed


def test_nothing_is_enlarged() -> None:
    assert (fit(picture(width=20, height=30), model=MODEL).width) == 20


def test_picture_over_the_pixel_limit_comes_within_it() -> None:
    data = encoded(quarters(6000, 5000), "jpeg", quality=50)
    with pytest.raises(ImageTooLarge):
        open_image(reference(data), 1, ImageLimits())

    fitted = fit(data)

    assert (fitted.width, fitted.height) == (2048, 1707)
    assert (fitted.before.width, fitted.before.height) == (6000, 5000)


@pytest.mark.parametrize(
    ("limits", "width", "height"),
    [
        (ImageLimits(max_pixels=1_000_000), 1200, 900),
        (ImageLimits(max_pixels=10_000), 600, 1000),
        (ImageLimits(max_pixels=500), 3000, 2),
        (ImageLimits(max_pixels=1), 30, 20),
        (ImageLimits(max_side_px=333), 1000, 300),
    ],
)
def test_other_limits_are_kept_and_used(limits: ImageLimits, width: int, height: int) -> None:
    data = picture("png", width, height)

    fitted = fit(data, limits=limits)

    open_image(reference(fitted.data), 1, limits)
    assert fitted.is_changed
    larger = max(fitted.width, fitted.height) + 2
    shorter = larger * min(width, height) / max(width, height)
    assert larger > limits.max_side_px or larger * shorter > limits.max_pixels or larger > limits.max_pixels / 2


def test_picture_of_exactly_as_many_pixels_as_may_be_is_left() -> None:
    assert not fit(picture("png", 400, 250), limits=ImageLimits(max_pixels=100_000)).is_changed


def test_smaller_body_is_kept_to() -> None:
    fitted = fit(encoded(_noisy(300, 200)), images=2, body_bytes=60_000)

    part = content_part(fitted.data)
    assert _body_bytes([part, part]) < 60_000


def test_body_in_which_no_picture_fits_is_a_refusal() -> None:
    with pytest.raises(ImageTooLarge, match="less than 4,000 bytes has room for 2 of it"):
        fit(picture(), images=2, body_bytes=4_000)


def test_sideways_picture_is_turned_and_says_so() -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(quarters(3000, 2400), "jpeg", exif=exif)

    fitted = fit(data)

    assert (fitted.width, fitted.height) == (1638, 2048)
    assert "rotated 90°" in fitted.actions
    with Image.open(io.BytesIO(fitted.data)) as image:
        assert not image.getexif()
        seen = corners(np.asarray(image))
    assert [int(np.argmax(colour)) for colour in (seen[0], seen[1], seen[3])] == [2, 0, 1]


def test_no_picture_is_refused_as_the_service_does() -> None:
    with pytest.raises(ImageFormatUnsupported, match="bmp"):
        fit(b"BM" + bytes(50))
    with pytest.raises(ImageUndecodable, match="does not decode"):
        fit(png_header(9000, 9000))


def test_part_is_what_an_openai_client_sends(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(picture("jpeg"))

    part = image_part(tmp_path / "photo.png", detail="low")

    assert part["type"] == "image_url"
    assert part["image_url"]["detail"] == "low"
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/"), "labelled by its bytes, not its name"


def test_part_that_does_not_fit_is_refused_with_the_remedy() -> None:
    with pytest.raises(ImageTooLarge, match="sightline fit"):
        image_part(png_header(6000, 6000))
    with pytest.raises(RequestTooLarge, match="sightline fit"):
        image_part(encoded(_noisy(1000, 900), "jpeg", quality=98))
