"""Which views a model takes of a picture, as Transformers' processor cuts them; and that every figure follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import Detail, ImageEncoding, PanAndScan
from sightline.images.tokens import Box, useful_size, views

RULES = PanAndScan(min_crop_px=32)
SQUARE = ImageEncoding("square", 56, 4, RULES)
sides = st.integers(1, 3000)


def boxes(encoding: ImageEncoding, width: int, height: int, detail: Detail = "high") -> list[tuple[int, int, int, int]]:
    return [tuple(crop.box) for crop in views(encoding, width, height, detail).crops]


@pytest.mark.parametrize(
    ("size", "crops"),
    [
        ((90, 80), []),  # 1.125, below the least ratio
        ((96, 80), [(0, 0, 48, 80), (48, 0, 48, 80)]),  # 1.2 is enough; two at least
        ((300, 60), [(0, 0, 75, 60), (75, 0, 75, 60), (150, 0, 75, 60), (225, 0, 75, 60)]),  # five wanted
        ((60, 170), [(0, 0, 60, 57), (0, 57, 60, 57), (0, 114, 60, 56)]),  # the last is what is left
        ((150, 60), [(0, 0, 50, 60), (50, 0, 50, 60), (100, 0, 50, 60)]),  # 2.5 is three
        ((62, 40), []),  # two of 31, below the least side
        ((300, 31), []),
        ((32, 32), []),
    ],
)
def test_crops_are_those_of_the_models_own_processor(
    size: tuple[int, int], crops: list[tuple[int, int, int, int]]
) -> None:
    assert boxes(SQUARE, *size) == crops


def test_published_defaults_cut_a_photograph_in_two() -> None:
    seen = views(ImageEncoding("square", 896, 256, PanAndScan()), 1600, 1200, "high")

    assert (seen.count, seen.tokens, seen.detail) == (3, 768, "high")
    assert [crop.box for crop in seen.crops] == [Box(0, 0, 800, 1200), Box(800, 0, 800, 1200)]
    assert {(view.width, view.height, view.tokens) for view in (seen.whole, *seen.crops)} == {(896, 896, 256)}


@pytest.mark.parametrize("by_default", [False, True])
def test_auto_is_the_models_default(by_default: bool) -> None:
    encoding = ImageEncoding("square", 56, 4, PanAndScan(min_crop_px=32, by_default=by_default))

    low, auto, high = (views(encoding, 300, 100, detail) for detail in ("low", "auto", "high"))

    assert (low.count, high.count) == (1, 4)
    assert auto == (high if by_default else low)
    assert (low.detail, high.detail) == ("low", "high")


@pytest.mark.parametrize("encoding", [ImageEncoding("square", 56, 4), ImageEncoding("page", 100)])
def test_model_without_closer_views_takes_one_and_says_so(encoding: ImageEncoding) -> None:
    seen = views(encoding, 300, 100, "high")

    assert (seen.count, seen.detail) == (1, "low")
    assert seen == views(encoding, 300, 100, "low")


@given(width=sides, height=sides, least=st.integers(1, 300), most=st.integers(1, 9))
def test_crops_cover_the_picture_once(width: int, height: int, least: int, most: int) -> None:
    crops = boxes(ImageEncoding("square", 56, 4, PanAndScan(least, most)), width, height)

    assert len(crops) <= most
    assert not crops or sum(across * down for _, _, across, down in crops) == width * height
    assert all(across >= 1 and down >= 1 for _, _, across, down in crops)


@given(width=sides, height=sides)
def test_a_picture_on_its_side_has_as_many_views(width: int, height: int) -> None:
    one, other = views(SQUARE, width, height, "high"), views(SQUARE, height, width, "high")

    assert (one.count, one.tokens) == (other.count, other.tokens)


def page_of(encoding: ImageEncoding, width: int, height: int) -> tuple[int, int]:
    """What `recode` and `fit` make of a picture: they hand on the longer side."""
    whole = views(ImageEncoding("page", max(useful_size(encoding, width, height))), width, height, "high").whole
    return whole.width, whole.height


@pytest.mark.parametrize("size", [(3000, 1000), (1000, 3000), (4000, 1100), (2000, 2000), (1200, 1000), (2500, 1000)])
@pytest.mark.parametrize("rules", [RULES, PanAndScan(min_crop_px=500), None])
def test_useful_size_keeps_every_view_and_what_it_shows(size: tuple[int, int], rules: PanAndScan | None) -> None:
    encoding = ImageEncoding("square", 56, 4, rules)

    useful = useful_size(encoding, *size)

    assert max(useful) < max(size)
    before, after = views(encoding, *size, "high"), views(encoding, *useful, "high")
    assert after.count == before.count
    assert all(min(crop.box.width, crop.box.height) >= 2 * 56 - 1 for crop in after.crops)


@pytest.mark.parametrize(
    ("size_px", "size", "count"),
    [
        (896, (3600, 3000), 3),  # 6:5
        (896, (6160, 2464), 4),  # 5:2
        (896, (7175, 2050), 5),  # 7:2
        (288, (1750, 700), 4),
        (288, (2345, 670), 5),
    ],
)
def test_useful_size_keeps_the_views_of_a_ratio_on_a_boundary(size_px: int, size: tuple[int, int], count: int) -> None:
    """The shorter side is rounded, and the ratio with it."""
    encoding = ImageEncoding("square", size_px, 16, PanAndScan())

    useful = useful_size(encoding, *size)

    assert max(useful) < max(size)
    assert views(encoding, *size, "high").count == views(encoding, *useful, "high").count == count
    assert page_of(encoding, *size) == useful


@given(ratio=st.sampled_from([(6, 5), (5, 2), (7, 2), (1, 1)]), times=st.integers(1, 900), more=st.integers(-1, 1))
@pytest.mark.parametrize("size_px", [56, 288, 896])
def test_useful_size_keeps_the_number_of_views_near_every_boundary(
    size_px: int, ratio: tuple[int, int], times: int, more: int
) -> None:
    encoding = ImageEncoding("square", size_px, 16, PanAndScan())
    size = max(1, ratio[0] * times + more), ratio[1] * times

    useful = useful_size(encoding, *size)

    assert views(encoding, *useful, "high").count == views(encoding, *size, "high").count
    assert page_of(encoding, *size) == useful
    assert useful_size(encoding, *reversed(size)) == tuple(reversed(useful))


@pytest.mark.parametrize(
    ("most", "size", "seen"),
    [
        (12_845_056, (3838, 3838), (127 * 28, 127 * 28)),
        (12_845_056, (4559, 4559), (127 * 28, 127 * 28)),
        (12_845_056, (4312, 4312), (128 * 28, 128 * 28)),
        (12_845_056, (8624, 2156), (256 * 28, 64 * 28)),
        (1_003_520, (2840, 2272), (1120, 896)),
    ],
)
def test_patches_are_those_of_the_models_own_processor(most: int, size: tuple[int, int], seen: tuple[int, int]) -> None:
    """Sizes that Transformers' `smart_resize` gives, where a product rounds otherwise than its quotient."""
    whole = views(ImageEncoding("patches", 28, min_pixels=3_136, max_pixels=most), *size, "low").whole

    assert (whole.width, whole.height) == seen
    assert whole.tokens == seen[0] * seen[1] // 28**2
