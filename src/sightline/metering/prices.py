"""Prices of models and what an answer costs, in whole nano-dollars (billionths of a US dollar).

A price may be finer than a nano-dollar a token; each part of a cost is then rounded up, once, so that what is
shown is what is charged and parts add up to the total.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

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
        self._rates = {model: (_rate(price.prompt), _rate(price.completion)) for model, price in prices.items()}

    def of(self, model: str) -> PriceSettings:
        """The price of `model`, in US dollars a token."""
        return self._prices.get(model, _FREE)

    def cost(self, model: str, usage: Usage) -> Cost:
        """What `usage` of `model` costs."""
        prompt, completion = self._rates.get(model, (0, 0))
        return Cost(math.ceil(prompt * usage.prompt_tokens), math.ceil(completion * usage.completion_tokens))


def dollars(nanos: int) -> str:
    """Write nano-dollars as dollars, without an exponent and without zeros at the end: `0.000123`."""
    whole, rest = divmod(nanos, NANOS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _rate(price: Decimal) -> Decimal | int:
    """A price in nano-dollars a token; nearly always whole, and then quicker to count with."""
    nanos = price * NANOS
    return int(nanos) if nanos == nanos.to_integral_value() else nanos
