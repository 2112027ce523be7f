"""A data URI becomes bytes within the limits, or a refusal that says what to do; nothing is ever fetched."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import EncodedImage, ImageReference
from sightline.errors import ImageError
from sightline.images.source import open_image
from sightline.settings import ImageLimits
from support.pictures import FORMATS, encoded, picture, png_header, quarters

LIMITS = ImageLimits()


def reference(head: str, payload: bytes) -> ImageReference:
    return ImageReference(head, payload, "auto", "messages.[0].content.[0].image_url.url")


def opened(data: bytes, media_type: str = "image/png", limits: ImageLimits = LIMITS, number: int = 1) -> EncodedImage:
    return open_image(reference(f"data:{media_type};base64,", base64.b64encode(data)), number, limits)


def refused(head: str, payload: bytes, number: int = 1) -> ImageError:
    with pytest.raises(ImageError) as caught:
        open_image(reference(head, payload), number, LIMITS)
    return caught.value


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("label", ["image/png", "IMAGE/JPG", "image/webp;charset=x;q=1", "text/plain", ""])
def test_bytes_decide_not_the_label(kind: str, label: str) -> None:
    image = opened(picture(kind, 20, 10), label)

    assert (image.type, image.width, image.height) == (kind, 20, 10)
    assert image.declared_type == label.split(";")[0].lower()
    assert image.data == picture(kind, 20, 10)


@pytest.mark.parametrize(
    "head",
    [
        *("https://example.com/cat.png", "http://127.0.0.1/", "file:///etc/passwd", "ftp://h/x.png", "//h/x.png"),
        *("/etc/passwd", "cat.png", "data", "", "blob:x", "javascript:data:image/png;base64,"),
    ],
)
def test_address_is_refused_and_says_how_else(head: str) -> None:
    error = refused(head, b"")

    assert error.code == "image_url_not_supported"
    assert error.param == "messages.[0].content.[0].image_url.url"
    assert "data:image/png;base64," in error.message
    assert head in ("", "data") or head not in error.message


@pytest.mark.parametrize(
    "head",
    [
        *("data:,", "data:image/png,", "data:image/png;base64", "data:image/png;base32,", "data:base64,"),
        *("data:image/png;base64;charset=x,", "data:image/png;base 64,", "data:image/png;base64,,"),
    ],
)
def test_data_uri_without_base64_is_refused(head: str) -> None:
    assert refused(head, b"QUJD").code == "image_url_not_supported"


def test_scheme_and_base64_may_be_in_capitals() -> None:
    payload = base64.b64encode(picture())

    assert open_image(reference("DATA:IMAGE/PNG;BASE64,", payload), 1, LIMITS).type == "png"


@pytest.mark.parametrize(
    "head",
    [
        *("data:image/png; base64,", "data:image/png;  BASE64 ,", " \n\tdata:image/png;base64,"),
        *("data: image/png ;charset=x; base64,", "data:image/png;;base64,"),
    ],
)
def test_blanks_in_a_data_uri_are_passed_over(head: str) -> None:
    image = open_image(reference(head, base64.b64encode(picture())), 1, LIMITS)

    assert (image.type, image.declared_type) == ("png", "image/png")


@pytest.mark.parametrize("length", [127, 128, 700_000])
def test_media_type_is_bounded(length: int) -> None:
    """A receipt repeats it."""
    label = "image/" + "x" * (length - 6)
    head, payload = f"data: {label} ;charset={'y' * 200};base64,", base64.b64encode(picture())

    if length == 127:
        assert open_image(reference(head, payload), 1, LIMITS).declared_type == label
        return
    error = refused(head, payload)

    assert error.code == "image_url_not_supported"
    assert error.message == (
        f"image 1 is a data URI whose media type has {length:,} characters, the limit is 127; "
        "write it as data:image/png;base64,…"
    )


@pytest.mark.parametrize("width", [1, 4, 57, 76])
def test_wrapped_base64_is_taken(width: int) -> None:
    text = base64.b64encode(picture())
    wrapped = b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))

    assert open_image(reference("data:image/png;base64,", b" " + wrapped + b"\t\n"), 1, LIMITS).data == picture()


def test_missing_padding_is_taken() -> None:
    data = next(data for size in range(8, 40) if len(data := picture("png", size, 8)) % 3)

    payload = base64.b64encode(data).rstrip(b"=")

    assert open_image(reference("data:image/png;base64,", payload), 1, LIMITS).data == data


@pytest.mark.parametrize("cut", [base64.b64encode(picture())[:-7], b"Q", b"QUJD\r\nQ"])
def test_base64_that_was_cut_is_told_so(cut: bytes) -> None:
    error = refused("data:image/png;base64,", cut)

    assert error.code == "invalid_image"
    assert f"cut short: {len(cut):,} characters" in error.message


@pytest.mark.parametrize("payload", [b"!!!!", b"QUJ-_w==", b"QUJD=QUJD", b"Q", b"%41%42", "ä".encode(), b"\x00"])
def test_other_base64_is_refused(payload: bytes) -> None:
    error = refused("data:image/png;base64,", payload)

    assert error.code == "invalid_image"
    assert "base64" in error.message


@pytest.mark.parametrize(
    ("data", "name"), [(b"", "empty"), (b"hello", "text"), (b"BM\0\0", "bmp"), (b"<svg/>", "svg"), (b"%PDF", "pdf")]
)
def test_other_format_is_refused_and_named(data: bytes, name: str) -> None:
    error = refused("data:image/png;base64,", base64.b64encode(data), number=2)

    assert error.code == "unsupported_image_format"
    assert error.message.startswith(f"image 2 is {name}; supported are png, jpeg, webp and gif.")


def test_picture_cut_within_its_header_is_damaged() -> None:
    assert refused("data:image/png;base64,", base64.b64encode(picture()[:18])).code == "invalid_image"


@pytest.mark.parametrize("size", [(5000, 5000), (65_535, 381), (381, 65_535)])
def test_picture_of_the_limit_is_taken(size: tuple[int, int]) -> None:
    assert opened(png_header(*size)).width == size[0]


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_size_to_bring_a_large_picture_to_is_within_the_limit(width: int, height: int) -> None:
    try:
        opened(png_header(width, height))
    except ImageError as error:
        found = re.search(r"resize it to ([\d,]+) × ([\d,]+) or less", error.message)
    else:
        assert width * height <= LIMITS.max_pixels
        assert max(width, height) <= LIMITS.max_side_px
        return

    assert found is not None
    fit_width, fit_height = (int(number.replace(",", "")) for number in found.groups())
    assert 1 <= fit_width * fit_height <= LIMITS.max_pixels
    assert max(fit_width, fit_height) <= LIMITS.max_side_px
    assert fit_width <= width
    assert fit_height <= height


def test_message_about_size_has_limit_value_and_remedy() -> None:
    error = refused("data:image/png;base64,", base64.b64encode(png_header(7812, 7812)))

    assert error.code == "image_too_large"
    assert error.message == (
        "image 1 is 7,812 × 7,812, 61.0 megapixels, the limit is 25; "
        "resize it to 5,000 × 5,000 or less, or run `sightline fit`."
    )


def test_jpeg_of_many_scans_is_refused() -> None:
    data = encoded(quarters(64, 64), "jpeg", progressive=True)
    start = data.rindex(b"\xff\xda")

    error = refused("data:image/jpeg;base64,", base64.b64encode(data[:start] + data[start:-2] * 92 + data[-2:]))

    assert error.code == "image_too_large"
    assert "101 scans, the limit is 100" in error.message


def test_image_beyond_the_number_is_refused_before_it_is_read() -> None:
    error = refused("nonsense", b"", number=3)

    assert error.code == "too_many_images"
    assert "the limit is 2" in error.message


def test_pixels_and_bytes_are_kept_out_of_what_is_printed() -> None:
    image = opened(picture())

    assert "PNG" not in repr(image)
    assert "base64" not in repr(reference("data:", b"x" * 100))[50:]


def test_nothing_in_the_server_can_fetch_an_address() -> None:
    """Only the engine of upstreams has an HTTP client, for the addresses of the settings; and the command line."""
    source = Path(__file__).parent.parent.parent / "src" / "sightline"
    clients = re.compile(
        r"^\s*(?:(?:import|from)\s+(?:httpx2?|requests|urllib3|urllib\.request|aiohttp|http\.client)\b"
        r"|from\s+(?:urllib\s+import.*\brequest|http\s+import.*\bclient)\b|import\s+(?:urllib|http)\s*$)"
        r"|\b(?:create|open|sock)_connect(?:ion)?\(",
        re.MULTILINE,
    )

    using = [file for file in source.rglob("*.py") if clients.search(file.read_text(encoding="utf-8"))]

    assert {file.parent.name for file in using} <= {"cli", "upstream"}
