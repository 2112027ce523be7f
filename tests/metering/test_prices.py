"""Money in whole nano-dollars: exact, and the parts add up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import Usage
from sightline.metering.prices import Cost, Prices, dollars
from sightline.settings import PriceSettings


def test_model_without_a_price_is_free() -> None:
    assert Prices({}).cost("any", Usage(1000, 1000)) == Cost(0, 0)


def test_cost_is_tokens_times_price() -> None:
    prices = Prices({"m": PriceSettings(Decimal("0.0000001"), Decimal("0.0000004"))})

    assert prices.cost("m", Usage(300, 5)) == Cost(30_000, 2_000)
    assert prices.cost("m", Usage(300, 5)).total_nanos == 32_000


def test_part_of_a_nano_dollar_is_rounded_up_once() -> None:
    prices = Prices({"m": PriceSettings(prompt=Decimal("0.0000000001"))})

    assert [prices.cost("m", Usage(tokens, 0)).prompt_nanos for tokens in (0, 1, 10, 11)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (123_000, "0.000123"),
        (10**9, "1"),
        (10**10, "10"),
        (10**18 + 1, "1000000000.000000001"),
    ],
)
def test_dollars_are_written_without_exponent_or_idle_zeros(nanos: int, shown: str) -> None:
    assert dollars(nanos) == shown


@given(st.integers(0, 10**15))
def test_what_is_shown_is_what_is_charged(nanos: int) -> None:
    assert Decimal(dollars(nanos)) * 10**9 == nanos
