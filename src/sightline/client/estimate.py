"""What pictures and prompts would use, cost and be refused for: offline, to the token and the nano-dollar.

Source: contract.md sections 3 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sightline.client.image_file import Picture, content_part, header_of, read, reference, user_message, write_body
from sightline.client.models import KnownModel, known_models
from sightline.core import Detail, Usage, documented_estimate
from sightline.engines.catalogue import check
from sightline.errors import InvalidRequest, RequestTooLarge
from sightline.images.source import open_image
from sightline.images.tokens import Views, views
from sightline.metering.prices import Prices
from sightline.settings import Settings
from sightline.wire.parse import parse_chat


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """One picture in one model: the size it is seen at, its exact tokens, their price in nano-dollars.

    `detail` is what the model takes, whatever was asked: the whole (`low`) or closer views too (`high`),
    `views` in all.
    """

    model: str
    seen_width: int
    seen_height: int
    image_tokens: int
    cost_nanos: int
    detail: Literal["low", "high"] = "low"
    views: int = 1


@dataclass(frozen=True, slots=True)
class ImageEstimate:
    """One picture, sent alone. `problem` is what the service would refuse it with.

    `type`, sizes (in pixels, as stored), `documented_estimate` and `models` are empty where the header says nothing.
    """

    name: str
    bytes: int
    type: str = ""
    width: int = 0
    height: int = 0
    documented_estimate: int = 0
    models: tuple[ImageTokens, ...] = ()
    problem: str | None = None

    @property
    def fits(self) -> bool:
        """Whether the service would take it."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class RequestEstimate:
    """A whole request to one model: exact tokens as `usage` will have them, cost of the prompt in nano-dollars."""

    model: str
    input_tokens: int = 0
    image_tokens: int = 0
    text_tokens: int = 0
    cost_nanos: int = 0
    problem: str | None = None

    @property
    def fits(self) -> bool:
        """Whether the service would take it."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Each picture by itself, and, where a prompt or messages were given, the request for each model."""

    images: tuple[ImageEstimate, ...]
    requests: tuple[RequestEstimate, ...] = ()


def estimate(
    images: Iterable[Picture] = (),
    *,
    model: str | None = None,
    prompt: str | None = None,
    messages: Sequence[dict[str, Any]] = (),
    detail: Detail = "auto",
    settings: Settings | None = None,
) -> Estimate:
    """Say what pictures take of `model` (those that run unless others are named, if None), without a service.

    With `prompt`, also what one request of all `images` and this text takes. `messages`, in OpenAI's shape, are a
    request of their own, pictures included. `detail` is that of `images`. `settings` holds limits, prices and
    aliases.

    Raises:
        OSError: a picture's file cannot be read.
        ConfigError: there is no such model.
        TypeError: one picture where a list of them belongs.
    """
    if isinstance(images, str | bytes | Path):
        raise TypeError("images is a list of pictures: estimate([picture])")
    settings = settings or Settings()
    known = known_models([settings.aliases.get(model, model)] if model else [])
    read_once = [(str(one) if isinstance(one, str | Path) else "", read(one)) for one in images]
    estimates = tuple(
        estimate_image(data, known, settings, name=name or f"image {number}", detail=detail)
        for number, (name, data) in enumerate(read_once, start=1)
    )
    if prompt is not None:
        messages = [*messages, user_message([content_part(data, detail) for _, data in read_once], prompt)]
    return Estimate(estimates, tuple(estimate_request(messages, one, settings) for one in known) if messages else ())


def estimate_image(
    data: bytes, models: Sequence[KnownModel], settings: Settings, *, name: str, detail: Detail = "auto"
) -> ImageEstimate:
    """Estimate one picture, sent with `detail`, for several models."""
    header = header_of(data)
    problem = _problem(data, settings)
    if header is None:
        return ImageEstimate(name, len(data), problem=problem)
    # Only a page is seen in its own shape, and only then is it worth finding out which side is up.
    width, height = header.width, header.height
    if any(model.image.kind == "page" for model in models):
        from sightline.images.decode import is_lying  # loads libvips, which counting for other models need not wait for

        if is_lying(data, header.type):
            width, height = height, width
    return ImageEstimate(
        name=name,
        bytes=len(data),
        type=f"image/{header.type}",
        width=header.width,
        height=header.height,
        documented_estimate=documented_estimate(header.width, header.height),
        models=tuple(_in_model(model, views(model.image, width, height, detail), settings) for model in models),
        problem=problem,
    )


def estimate_request(messages: Sequence[dict[str, Any]], model: KnownModel, settings: Settings) -> RequestEstimate:
    """Estimate a request in OpenAI's shape for one model."""
    model_id = model.info.id
    body = write_body(model_id, messages)
    try:
        if len(body) >= settings.server.max_body_bytes:
            raise RequestTooLarge.by(f"{len(body):,}", settings.server.max_body_bytes)
        request = parse_chat(body, partial(open_image, limits=settings.images))
        check(request, model.info)
        tokens = model.input_tokens(request)
    except InvalidRequest as error:
        return RequestEstimate(model_id, problem=error.message)
    image_tokens = model.image_tokens(request)
    cost = Prices(settings.prices).cost(model_id, Usage(tokens, 0, image_tokens))
    return RequestEstimate(model_id, tokens, image_tokens, tokens - image_tokens, cost.prompt_nanos)


def _problem(data: bytes, settings: Settings) -> str | None:
    body = len(write_body("", [user_message([content_part(data)], "")]))
    try:
        open_image(reference(data), 1, settings.images)
        if body >= settings.server.max_body_bytes:
            raise RequestTooLarge.by(f"{body:,}", settings.server.max_body_bytes)
    except InvalidRequest as error:
        return error.message
    return None


def _in_model(model: KnownModel, seen: Views, settings: Settings) -> ImageTokens:
    cost = Prices(settings.prices).cost(model.info.id, Usage(seen.tokens, 0, seen.tokens))
    return ImageTokens(
        model=model.info.id,
        seen_width=seen.whole.width,
        seen_height=seen.whole.height,
        image_tokens=seen.tokens,
        cost_nanos=cost.prompt_nanos,
        detail=seen.detail,
        views=seen.count,
    )
