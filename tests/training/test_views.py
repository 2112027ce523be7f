"""Training sees a picture as the server does, or what is learnt from closer views would not be what is served."""

from __future__ import annotations

import numpy as np
from PIL import Image
from views import CROPS, WHOLE, Box, crop_boxes, see, spell_views

from sightline.core import ImageEncoding, PanAndScan
from sightline.engines.genai.template import Gemma3, ImageSlot
from sightline.images.tokens import views

ENCODING = ImageEncoding("square", 448, 256, PanAndScan())


def test_closer_views_are_the_servers() -> None:
    rng = np.random.default_rng(0)
    for width, height in [(448, 448), (600, 400), *rng.integers(100, 3000, (400, 2)).tolist()]:
        served = [tuple(view.box) for view in views(ENCODING, width, height, "high").crops]

        ours = [(box.left, box.top, box.width, box.height) for box in crop_boxes(width, height)]

        assert ours == served, (width, height)


def test_views_stand_in_the_prompt_as_the_server_writes_them() -> None:
    pieces = Gemma3().views([ImageSlot(0), ImageSlot(1), ImageSlot(2)])

    written = "".join(piece if isinstance(piece, str) else f"[{piece.index}]" for piece in pieces)  # type: ignore[union-attr]

    assert spell_views(["[0]", "[1]", "[2]"]) == written
    assert written.startswith(WHOLE)
    assert CROPS in written
    assert spell_views(["[0]"]) == "[0]"


def test_a_view_is_a_square_of_its_part() -> None:
    image = Image.new("RGB", (200, 100), "white")
    image.paste((255, 0, 0), (100, 0, 200, 100))

    right = see(image, Box(100, 0, 100, 100), 56)

    assert right.shape == (56, 56, 3)
    assert (right == (255, 0, 0)).all()
