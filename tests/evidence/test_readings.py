"""What a text can mean as a number, a day or a time."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal

import pytest

from sightline.evidence.readings import dates, numbers, same_day, times


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("12", ["12"]),
        ("1,234.56", ["1234.56"]),
        ("1.234,56", ["1234.56"]),
        ("1 234,50 €", ["1234.50"]),
        ("1'234.50", ["1234.50"]),
        ("$12.00", ["12"]),
        ("12 EUR", ["12"]),
        ("(45.10)", ["-45.10"]),
        ("−3", ["-3"]),
        ("7.5 %", ["7.5"]),
        ("1.234", ["1234", "1.234"]),
        ("12,345,678", ["12345678"]),
        ("2024-03-01", []),
        ("3.11.7", []),
        ("INV-204", []),
        ("", []),
    ],
)
def test_number_has_every_reading_that_somebody_would_give_it(text: str, meant: list[str]) -> None:
    assert numbers(text) == {Decimal(one) for one in meant}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-03-01", [date(2024, 3, 1)]),
        ("31.12.2024", [date(2024, 12, 31)]),
        ("01/02/2024", [date(2024, 1, 2), date(2024, 2, 1)]),
        ("12 March 2024", [date(2024, 3, 12)]),
        ("March 12th, 2024", [date(2024, 3, 12)]),
        ("12. März 2024", [date(2024, 3, 12)]),
        ("3 de enero de 2024", [date(2024, 1, 3)]),
        ("1er mai 2023", [date(2023, 5, 1)]),
        ("13/13/2024", []),
        ("12.50", []),
        ("may", []),
    ],
)
def test_day_is_read_in_the_forms_of_four_languages(text: str, meant: list[date]) -> None:
    assert dates(text) == set(meant)


def test_day_without_a_year_is_that_of_any_year() -> None:
    assert same_day(dates("12 March"), dates("2024-03-12"))
    assert not same_day(dates("12 March"), dates("2024-03-13"))
    assert not same_day(dates("2023-03-12"), dates("12.03.2024"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [("14:30", time(14, 30)), ("2:30 pm", time(14, 30)), ("12:05 a.m.", time(0, 5)), ("14h30", time(14, 30))],
)
def test_time_of_day_is_read_with_and_without_halves(text: str, meant: time) -> None:
    assert times(text) == {meant}


@pytest.mark.parametrize("text", ["25:10", "10:75", "10", "1:2"])
def test_what_is_no_time_has_no_reading(text: str) -> None:
    assert not times(text)
