"""Files for models elsewhere: what Pillow, as they use it, makes of each is what a person sees."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.core import EncodedImage, ImageEncoding, ImageFile, PanAndScan
from sightline.images.cache import ImageCache
from sightline.images.decode import decode
from sightline.images.header import read_header
from sightline.images.passthrough import is_passthrough_safe
from sightline.images.pool import ImagePool
from sightline.images.preprocessor import Preprocessor
from sightline.images.recode import LARGEST_PNG_BYTES, recode
from sightline.images.tokens import views
from support.pictures import encoded, png, quarters

VECTORS = sorted(
    file
    for file in (Path(__file__).parents[1] / "vectors" / "images").glob("*.*")
    if file.suffix in (".png", ".jpg", ".webp", ".gif")
)
AS_STORED = ImageEncoding("page", 65_535)
SQUARE = ImageEncoding("square", 64, 16, forwarded=True)


def plain(data: bytes) -> bool:
    header = read_header(data)
    assert header is not None
    return is_passthrough_safe(data, header.type, header.width, header.height)


def shown(data: bytes) -> np.ndarray:
    """As vLLM and Transformers read a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def seen(data: bytes, encoding: ImageEncoding = AS_STORED) -> np.ndarray:
    header = read_header(data)
    assert header is not None
    decoded = decode(data, header.type, encoding)
    return np.frombuffer(decoded.data, np.uint8).reshape(decoded.height, decoded.width, 3).astype(int)


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: file.name)
def test_what_is_plain_is_read_by_others_as_by_us(file: Path) -> None:
    data = file.read_bytes()

    if plain(data):
        assert np.abs(shown(data) - seen(data)).max() <= 2


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: file.name)
def test_what_is_written_anew_is_what_we_see(file: Path) -> None:
    data = file.read_bytes()
    header = read_header(data)
    assert header is not None

    made = recode(data, header.type, SQUARE)

    assert made.file_type in ("png", "jpeg")
    again = read_header(made.data)
    assert again is not None
    assert (again.type, again.width, again.height) == (made.file_type, 64, 64)
    assert plain(made.data)
    assert np.abs(shown(made.data) - seen(data, SQUARE)).max() <= (0 if made.file_type == "png" else 24)


def test_most_common_files_are_plain() -> None:
    photo = quarters(640, 480)
    exif = Image.Exif()
    exif[0x0112] = 1
    exif[0x010F] = "a camera"

    assert plain(encoded(photo, "jpeg"))
    assert plain(encoded(photo, "jpeg", progressive=True))
    assert plain(encoded(photo, "jpeg", exif=exif.tobytes()))
    assert plain(encoded(photo.convert("L"), "jpeg"))
    assert plain(encoded(photo))
    assert plain(encoded(photo.convert("L")))
    assert plain(encoded(photo, "jpeg") + bytes(100))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_photo_is_not_plain(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert not plain(encoded(quarters(64, 64), "jpeg", exif=exif.tobytes()))


@pytest.mark.parametrize(
    "data",
    [
        encoded(quarters(64, 64), "webp"),
        encoded(quarters(64, 64), "gif"),
        encoded(quarters(64, 64).convert("RGBA")),
        encoded(quarters(64, 64).convert("P")),
        encoded(quarters(64, 64).convert("CMYK"), "jpeg"),
        encoded(quarters(64, 64), icc_profile=b"x" * 200),
        encoded(quarters(64, 64), "jpeg", icc_profile=b"x" * 200),
        encoded(quarters(64, 64), "jpeg", keep_rgb=True),
        encoded(quarters(64, 64), "jpeg", xmp=b"<x tiff:Orientation='6'/>"),
        encoded(quarters(64, 64), "jpeg")[:-2],
        encoded(quarters(64, 64))[:-12],
        encoded(quarters(27, 64)),
        encoded(quarters(28, 3640)),
        png(32, 32, 8, 0, bytes(32 * 32), (b"tRNS", b"\0\0")),
        png(32, 32, 8, 0, bytes(32 * 32), (b"gAMA", b"\0\1\x86\xa0")),
        png(32, 32, 8, 0, bytes(32 * 32), (b"zTXt", b"x\0\0" + b"x" * 10)),
        png(32, 32, 16, 0, bytes(2 * 32 * 32)),
    ],
    ids=range(17),
)
def test_anything_else_is_not(data: bytes) -> None:
    assert not plain(data)


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def exif(*tags: tuple[int, int]) -> bytes:
    """A segment that says these numbers."""
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4))


def behind_fill_byte(hidden: bytes) -> bytes:
    """Read as a marker with a length, the fill byte in front would reach to the end of the comment."""
    rest = (hidden[1] << 8 | hidden[2]) + 2 - (len(hidden) + 1)
    return b"\xff" + hidden + segment(0xFE, bytes(rest - 4))


TURNED = exif((0x0112, 6))
HIDDEN = {
    "behind a marker without a length": b"\xff\xd0" + struct.pack(">H", 2 + len(TURNED)) + TURNED,
    "behind an unknown marker": b"\xff\x01" + struct.pack(">H", 2 + len(TURNED)) + TURNED,
    "behind a fill byte": behind_fill_byte(TURNED),
    "behind many tags": exif(*((0x0100, 1),) * 201, (0x0112, 6)),
    "said twice": exif((0x0112, 1), (0x0112, 6)),
    "in two blocks": exif((0x0112, 1)) * 2,
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_orientation_is_not_hidden_from_us(kind: str) -> None:
    data = encoded(quarters(64, 48), "jpeg")

    assert not plain(data[:2] + HIDDEN[kind] + data[2:])


CHUNKS = {
    "a second header": [(b"IHDR", struct.pack(">IIBBBBB", 4000, 4000, 8, 0, 0, 0, 0))],
    "XMP as text": [(b"tEXt", b'XML:com.adobe.xmp\0<x tiff:Orientation="6"/>')],
    "EXIF as text": [(b"tEXt", b"Raw profile type exif\0\nexif\n 8\n" + TURNED[4:].hex().encode())],
    "pixels in two runs": [(b"IDAT", b""), (b"tEXt", b"a\0b")],
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_png_that_decoders_take_differently_is_not_plain(kind: str) -> None:
    assert plain(png(64, 48, 8, 0, bytes(64 * 48), (b"tEXt", b"Software\0a camera")))
    assert not plain(png(64, 48, 8, 0, bytes(64 * 48), *CHUNKS[kind]))


def test_damaged_headers_are_not_plain_and_do_no_harm() -> None:
    for data in (encoded(quarters(64, 64)), encoded(quarters(64, 64), "jpeg", exif=Image.Exif().tobytes())):
        kind = "png" if data[:1] == b"\x89" else "jpeg"
        for end in range(0, len(data) - 2, 7):
            assert not is_passthrough_safe(data[:end], kind, 64, 64)


def test_large_lossless_file_becomes_a_jpeg() -> None:
    noise = Image.frombytes("RGB", (500, 500), np.random.default_rng(0).bytes(750_000))

    made = recode(encoded(noise, "webp"), "webp", ImageEncoding("square", 500, 16, forwarded=True))

    assert made.file_type == "jpeg"
    assert len(encoded(noise)) > LARGEST_PNG_BYTES


def test_model_with_closer_views_gets_the_shape_of_the_picture() -> None:
    encoding = ImageEncoding("square", 64, 16, PanAndScan(min_crop_px=16), forwarded=True)

    made = recode(encoded(quarters(800, 200), "webp"), "webp", encoding, "high")

    again = read_header(made.data)
    assert again is not None
    assert (again.width, again.height) == (512, 128)
    assert (made.width, made.height) == (64, 64)  # what the model sees of it
    assert made.views == views(encoding, again.width, again.height, "high").count == 5


QWEN = ImageEncoding("patches", 28, min_pixels=3_136, max_pixels=12_845_056, forwarded=True)


@pytest.mark.parametrize(("width", "height"), [(65_535, 28), (8_000, 8), (24, 6_000), (7_960, 40), (3_600, 28)])
def test_a_strip_goes_out_in_a_shape_that_models_take(width: int, height: int) -> None:
    """The code of Qwen's models refuses a side of 200 times the other."""
    noise = Image.frombytes("L", (width, height), np.random.default_rng(1).bytes(width * height))

    made = recode(encoded(noise, "gif"), "gif", QWEN)

    again = read_header(made.data)
    assert again is not None
    assert max(again.width, again.height) < 200 * min(again.width, again.height)
    assert (again.width, again.height) == (views(QWEN, width, height, "low").whole.width, made.height)
    assert views(QWEN, again.width, again.height, "low").tokens == views(QWEN, width, height, "low").tokens


def test_what_is_too_long_for_a_jpeg_stays_a_png() -> None:
    noise = Image.frombytes("RGB", (65_535, 28), np.random.default_rng(1).bytes(65_535 * 28 * 3))

    made = recode(encoded(noise), "png", ImageEncoding("square", 64, 16, PanAndScan(min_crop_px=16), forwarded=True))

    assert made.file_type == "png"
    assert len(made.data) > LARGEST_PNG_BYTES


@pytest.mark.parametrize("behind", [b"", b"\0" * 100, b"\xd9" * 5, b"\xd9" * 50, b"\xff" * 9, b"\xff\xd9", b"\0\xd9\0"])
def test_end_is_found_whatever_stands_behind_it(behind: bytes) -> None:
    jpeg = encoded(quarters(64, 48), "jpeg")
    assert jpeg.endswith(b"\xff\xd9")

    assert plain(jpeg + behind)
    assert plain(jpeg[:-2] + behind) == (b"\xff\xd9" in behind)


@pytest.mark.anyio
async def test_viewer_hands_on_what_is_plain_and_keeps_what_it_wrote(pool: ImagePool) -> None:
    viewer = Preprocessor(pool, ImageCache(1_000_000))
    jpeg, webp = encoded(quarters(64, 48), "jpeg"), encoded(quarters(64, 48), "webp")
    images = [
        EncodedImage(jpeg, "image/jpeg", "jpeg", 64, 48, "auto", "messages", "1", True),
        EncodedImage(webp, "image/webp", "webp", 64, 48, "low", "messages", "2", False),
    ]

    first = await viewer.prepare(images, SQUARE, "key")
    second = await viewer.prepare(images, SQUARE, "key")

    one, other = first[0].shown, first[1].shown
    assert isinstance(one, ImageFile)
    assert isinstance(other, ImageFile)
    assert one.data is jpeg
    assert one.detail == "auto"
    assert other.type == "png"
    assert first[0].receipt.actions == ("forwarded as sent", "resized")
    assert first[1].receipt.actions == ("written anew as png", "resized")
    assert [seen.receipt.cache_hit for seen in (*first, *second)] == [False, False, False, True]
    assert {(seen.receipt.seen_width, seen.receipt.seen_height, seen.receipt.image_tokens) for seen in first} == {
        (64, 64, 16)
    }
