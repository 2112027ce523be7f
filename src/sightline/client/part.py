"""`image_part`: a picture file to the content part that any OpenAI client sends."""

from __future__ import annotations

from typing import Any

from sightline.client.fit import fit as fit_picture
from sightline.client.image_file import (
    CLIENT_BODY_BYTES,
    Picture,
    content_part,
    read,
    reference,
    user_message,
    write_body,
)
from sightline.core import Detail
from sightline.errors import RequestTooLarge
from sightline.images.source import open_image
from sightline.settings import ImageLimits


def image_part(
    picture: Picture, *, fit: bool = False, detail: Detail = "auto", images: int = 1, model: str | None = None
) -> dict[str, Any]:
    """Make the content part of a picture, a path or bytes; with `fit` it is brought within the limits first.

    `images` says how many pictures share the request, `model` for whom it is made small (None: for every model here).

    Raises:
        ImageError: the service would refuse the picture.
        RequestTooLarge: the service would refuse a request with this picture alone.
        OSError: the file cannot be read.
    """
    data = read(picture)
    if fit:
        data = fit_picture(data, images=images, model=model).data
    open_image(reference(data), 1, ImageLimits())
    part = content_part(data, detail)
    body_bytes = len(write_body("", [user_message([part], "")]))
    if body_bytes >= CLIENT_BODY_BYTES:
        raise RequestTooLarge.by(f"{body_bytes:,}", CLIENT_BODY_BYTES)
    return part
