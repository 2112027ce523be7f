"""What an answer used, added up on its way out."""

from __future__ import annotations

import pytest

from sightline.core import Delta, EngineTimings, Usage
from sightline.errors import EngineError
from sightline.metering.meter import Meter


def last(prompt: int, completion: int, images: int = 0, cached: int = 0) -> Delta:
    return Delta("", finish_reason="stop", usage=Usage(prompt, completion, images, cached))


def test_prompt_is_counted_once_and_completions_add_up() -> None:
    meter = Meter(16)
    assert meter.usage() == Usage(0, 0)
    for choice, delta in ((0, last(20, 1, 16, 4)), (1, last(20, 5, 16, 4)), (0, last(20, 3, 16, 4))):
        meter.count([delta], choice)

    assert meter.usage() == Usage(20, 8, 16, 4)


def test_timings_are_those_of_the_engine() -> None:
    meter = Meter(0)
    meter.count([Delta("", timings=EngineTimings(1.0, 2.0, 3.0))])

    assert meter.timings == EngineTimings(1.0, 2.0, 3.0)


@pytest.mark.parametrize("seen", [0, 15, 32])
def test_image_that_was_lost_or_invented_is_an_error(seen: int) -> None:
    with pytest.raises(EngineError, match=f"saw {seen} image tokens instead of 16"):
        Meter(16).count([last(40, 1, 16), last(40, 1, seen), last(40, 2, 16)])
