"""Pictures for training are the same each time, and nothing of an eval picture was ever taught."""

import numpy as np
import pytest
from pictures import KINDS, draw
from pictures.fonts import faces

pytestmark = pytest.mark.skipif(not faces("train"), reason="no fonts: neither gathered nor Debian's DejaVu")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_index_draws_the_same_picture(kind: str) -> None:
    first, second = (draw("watch", 3, kinds={kind: 1}) for _ in range(2))

    assert first.questions == second.questions
    assert first.glyphs == second.glyphs
    assert all(np.array_equal(a, b) for a, b in zip(first.images, second.images, strict=True))
