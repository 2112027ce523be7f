"""Offline figures are the service's: same sizes, same tokens, same sentences."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sightline
from sightline.client.estimate import Estimate
from sightline.errors import ConfigError
from sightline.settings import BUNDLED, TRANSCRIBER, ImageLimits, PriceSettings, ServerSettings, Settings
from support.models import IMAGE_TOKENS, SIDE_PX, with_pictures
from support.pictures import data_uri, encoded, picture, png_header, quarters

MODEL = next(iter(BUNDLED))
PRICED = Settings(prices={MODEL: PriceSettings(prompt=Decimal("0.0000002501"))})


def test_the_models_that_run_unless_others_are_named_are_counted_by_default() -> None:
    (image,) = sightline.estimate([picture(width=640, height=480)]).images

    assert (image.name, image.type, image.width, image.height) == ("image 1", "image/png", 640, 480)
    assert image.documented_estimate == 1830
    assert [(seen.model, seen.seen_width, seen.seen_height) for seen in image.models] == [
        (MODEL, SIDE_PX, SIDE_PX),
        (TRANSCRIBER, 640, 480),
    ]
    assert [seen.image_tokens for seen in image.models] == [IMAGE_TOKENS, 1830]
    assert image.fits


def test_model_is_known_by_an_alias_of_the_settings() -> None:
    (image,) = sightline.estimate([picture()], model="gpt-4o", settings=Settings(aliases={"gpt-4o": MODEL})).images

    assert [seen.model for seen in image.models] == [MODEL]


@pytest.mark.parametrize("one", ["photo.jpg", Path("photo.jpg"), b"\x89PNG"])
def test_one_picture_where_a_list_belongs_is_told_so(one: Any) -> None:
    with pytest.raises(TypeError, match=re.escape("estimate([picture])")):
        sightline.estimate(one)


def test_page_is_seen_upright() -> None:
    exif = Image.Exif()
    exif[274] = 6

    (image,) = sightline.estimate([encoded(quarters(64, 32), "jpeg", exif=exif)], model=TRANSCRIBER).images

    assert (image.width, image.height) == (64, 32)
    assert (image.models[0].seen_width, image.models[0].seen_height) == (32, 64)


def test_cost_is_whole_nano_dollars_rounded_up() -> None:
    (image,) = sightline.estimate([picture()], model=MODEL, settings=PRICED).images

    assert image.models[0].cost_nanos == -(-IMAGE_TOKENS * 2501 // 10)  # 250.1 a token


def test_file_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture("jpeg"))

    (image,) = sightline.estimate([tmp_path / "photo.jpg"], model=MODEL).images

    assert image.name == str(tmp_path / "photo.jpg")
    assert image.type == "image/jpeg"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"BM" + bytes(60), "image 1 is bmp; supported are png, jpeg, webp and gif. Convert it to one of these."),
        (picture()[:20], "image 1 is cut short or damaged: its header cannot be read. Save it again and resend."),
    ],
)
def test_what_is_no_picture_says_why(data: bytes, message: str) -> None:
    (image,) = sightline.estimate([data], model=MODEL).images

    assert image.problem == message
    assert not image.fits
    assert image.models == ()


def test_picture_over_a_limit_is_counted_all_the_same() -> None:
    (image,) = sightline.estimate([png_header(7_812, 7_812)], model=MODEL).images

    assert image.problem is not None
    assert "61.0 megapixels, the limit is 25" in image.problem
    assert "sightline fit" in image.problem
    assert image.models[0].image_tokens == IMAGE_TOKENS


def test_limits_are_those_of_the_settings() -> None:
    settings = Settings(images=ImageLimits(max_pixels=100), server=ServerSettings(max_body_bytes=1_500))
    noise = picture() + bytes(2_000)

    small, large = (sightline.estimate([data], model=MODEL, settings=settings).images[0] for data in (picture(), noise))

    assert small.problem is not None
    assert "32 × 32" in small.problem
    assert large.problem is not None
    assert sightline.estimate([noise], model=MODEL, settings=Settings()).images[0].fits


def test_body_is_counted_as_a_client_writes_it() -> None:
    data = picture() + bytes(790_000)

    (image,) = sightline.estimate([data], model=MODEL).images

    assert image.problem is not None
    assert image.problem.startswith("The body is 1,05")
    assert "it must be less than 1,048,576" in image.problem


def test_prompt_makes_a_request_of_all_pictures() -> None:
    estimated = sightline.estimate([picture(), picture("jpeg")], model=MODEL, prompt="Which is larger?")

    (request,) = estimated.requests
    assert request.fits
    assert request.image_tokens == 2 * IMAGE_TOKENS
    assert request.input_tokens == request.image_tokens + request.text_tokens
    assert request.text_tokens > 10


def test_messages_are_a_request_of_their_own() -> None:
    part = {"type": "image_url", "image_url": {"url": data_uri(picture())}}
    text = {"type": "text", "text": "Which is larger?"}
    asked = sightline.estimate([picture()], model=MODEL, prompt="Which is larger?")

    told = sightline.estimate(messages=[{"role": "user", "content": [part, text]}], model=MODEL)

    assert told.images == ()
    assert told.requests == asked.requests


def test_transcriber_counts_pictures_only() -> None:
    short, long = (_request([picture()], TRANSCRIBER, prompt).input_tokens for prompt in ("a", "a " * 500))

    assert short == long == 1601


def test_transcriber_without_a_picture_would_be_refused() -> None:
    (asked,) = sightline.estimate(prompt="hi", model=TRANSCRIBER).requests

    assert asked.problem == "this model reads pictures: send one or two as image_url parts"


def test_request_that_would_be_refused_says_why() -> None:
    too_many = _request([picture()] * 3, MODEL, "a")
    too_long = _request([picture()], MODEL, "seven " * 5_000)
    nonsense = sightline.estimate(messages=[{"role": "nobody", "content": "a"}], model=MODEL).requests[0]

    assert too_many.problem == "The request has 3 images, the limit is 2; send fewer a request."
    assert too_long.problem is not None
    assert "this model's context is 4,096 tokens" in too_long.problem
    assert nonsense.problem is not None
    assert not any(request.fits for request in (too_many, too_long, nonsense))


def test_model_that_takes_one_image_is_not_offered_two(tmp_path: Path) -> None:
    folder = with_pictures(tmp_path / "single")
    card = json.loads((folder / "sightline.json").read_text())
    (folder / "sightline.json").unlink()
    (folder / "sightline.json").write_text(json.dumps(card | {"id": "a/b", "max_images": 1}))

    one, two = (_request([picture()] * number, str(folder), "a") for number in (1, 2))

    assert one.fits
    assert two.problem == "a/b takes 1 image a request, 2 were sent; send fewer."


def test_text_that_spells_a_control_token_is_text() -> None:
    plain = _request([picture()], MODEL, "a")
    spelled = _request([picture()], MODEL, "a<start_of_image><end_of_turn>")

    assert spelled.image_tokens == plain.image_tokens
    assert spelled.input_tokens > plain.input_tokens + 2


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a folder nor a model that comes with Sightline"):
        sightline.estimate([picture()], model="gpt-4o")


def test_missing_file_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sightline.estimate([tmp_path / "none.png"])


def _request(images: list[bytes], model: str, prompt: str) -> Any:
    estimated: Estimate = sightline.estimate(images, model=model, prompt=prompt)
    return estimated.requests[0]
