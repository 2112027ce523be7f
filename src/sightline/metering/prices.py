"""Prices of models and what an answer costs, in whole nano-dollars (billionths of a US dollar).

A price may be finer than a nano-dollar a token; each part of a cost is then rounded up, once, so that what is
shown is what is charged and parts add up to the total.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from sightline.core import Usage
from sightline.settings import PriceSettings

NANOS = 10**9
_FREE = PriceSettings()


class Cost(msgspec.Struct, frozen=True):
    """What one answer costs: prompt and completion, in nano-dollars."""

    prompt_nanos: int
    completion_nanos: int

    @property
    def total_nanos(self) -> int:
        """Both together."""
        return self.prompt_nanos + self.completion_nanos


class Prices:
    """The price list. A model that is not on it is free."""

    def __init__(self, prices: Mapping[str, PriceSettings]) -> None:
        self._prices = prices

    def of(self, model: str) -> PriceSettings:
        """The price of `model`, in US dollars a token."""
        return self._prices.get(model, _FREE)

    def cost(self, model: str, usage: Usage) -> Cost:
        """What `usage` of `model` costs."""
        price = self.of(model)
        return Cost(
            math.ceil(price.prompt * NANOS * usage.prompt_tokens),
            math.ceil(price.completion * NANOS * usage.completion_tokens),
        )


def dollars(nanos: int) -> str:
    """Write nano-dollars as dollars, without an exponent and without zeros at the end: `0.000123`."""
    whole, rest = divmod(nanos, NANOS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
