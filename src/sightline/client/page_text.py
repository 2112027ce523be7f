"""The text of a picture as the service reads it for a model, without a service: same decoder, networks and cut."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sightline.core import EncodedImage
from sightline.engines.pagetext.model import INFO
from sightline.images.source import undecodable
from sightline.prompting.format import whole_lines

if TYPE_CHECKING:
    from pagetext import Reader


def read_picture(image: EncodedImage, number: int, most: int) -> str:
    """Return the lines of image `number` (1-based) that fit into `most` characters; the first takes a second.

    Raises:
        ImageUndecodable: its bytes do not decode.
    """
    # Loads libraries that counting for other models need not wait for.
    from sightline.images.decode import Undecodable, decode

    assert INFO.image is not None
    try:
        page = decode(image.data, image.type, INFO.image, image.detail)
    except Undecodable as error:
        raise undecodable(image, number) from error
    pixels = np.frombuffer(page.data, np.uint8).reshape(page.height, page.width, 3)
    return whole_lines(_reader().page(pixels).text, most)


@lru_cache(maxsize=1)
def _reader() -> Reader:
    from pagetext import Reader

    return Reader.load()
