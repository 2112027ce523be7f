"""What was sent and what the model saw of it: one entry an image, in the order of the request.

Source: contract.md section 6.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from sightline.core import EncodedImage, ImageEncoding, documented_estimate
from sightline.images.decode import Decoded
from sightline.images.tokens import views


class ImageReceipt(msgspec.Struct, frozen=True):
    """One image of an answer. `sha256` is of the bytes as sent; sizes are (width, height) in pixels.

    The model took `views` looks at it, each at the seen size: the whole (`detail` is `low`), or closer views as well
    (`high`), whatever was asked; `image_tokens` are those of all of them. `ocr_max_chars` of its text stood beside
    it in the prompt, for a model that has pictures read; the tokens of these are text tokens. `actions` say it where
    the picture has more text than that, where a server elsewhere reads it to its model, and where the question was said
    again behind it, which are text tokens too.
    """

    sha256: str
    declared_type: str
    type: str
    bytes: int
    width: int
    height: int
    seen_width: int
    seen_height: int
    detail: Literal["low", "high"]
    views: int
    actions: tuple[str, ...]
    image_tokens: int
    documented_estimate: int
    cache_hit: bool
    ocr_max_chars: int = 0

    def reading(self, text: str, cut: bool) -> ImageReceipt:
        """Return this receipt with what of the picture's text the model was given; `cut` if there was more."""
        told = f"the model was given the first {len(text)} characters of its text"
        return replace(self, ocr_max_chars=len(text), actions=(*self.actions, told) if cut else self.actions)

    def upstream_ocr_chars(self, most: int) -> ImageReceipt:
        """Return this receipt with what the server that has the model does, of which it does not tell more."""
        told = f"its server may read up to {most:,} characters of its text to the model"
        return replace(self, actions=(*self.actions, told))

    def followed(self) -> ImageReceipt:
        """Return this receipt with the text in front of the picture said again behind it."""
        return replace(self, actions=(*self.actions, "the text in front of it was said again behind it"))


def write_receipt(
    image: EncodedImage, decoded: Decoded, encoding: ImageEncoding, *, cache_hit: bool = False
) -> ImageReceipt:
    """Write down one image: as it was sent, as it was decoded, as the model counts it."""
    actions = decoded.actions
    if image.declared_type.replace("jpg", "jpeg") != f"image/{image.type}":
        actions = (f"labelled {image.declared_type or 'nothing'}, is image/{image.type}", *actions)
    seen = views(encoding, image.width, image.height, image.detail)
    return ImageReceipt(
        sha256=image.sha256,
        declared_type=image.declared_type,
        type=f"image/{image.type}",
        bytes=len(image.data),
        width=image.width,
        height=image.height,
        seen_width=decoded.width,
        seen_height=decoded.height,
        detail=seen.detail,
        views=decoded.views,
        actions=actions,
        image_tokens=seen.tokens,
        documented_estimate=documented_estimate(image.width, image.height),
        cache_hit=cache_hit,
    )
