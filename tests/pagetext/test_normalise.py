"""What the recogniser writes, put as a person would write it."""

from __future__ import annotations

import pytest

from pagetext.normalise import as_figures, narrowed


def test_full_width_digits_and_letters_are_written_as_usual_ones() -> None:
    assert narrowed("０３１ Ｓａｌｅ，合計：") == "031 Sale，合計："


def test_degrees_are_written_as_two_signs_and_their_ring_once() -> None:
    assert narrowed("12℃ 54 °℉ 3 °C") == "12°C 54 °F 3 °C"


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("£o.60", "£0.60"),
        ("at l4:30 on 2O/05/2014", "at 14:30 on 20/05/2014"),
        ("1,OOO.00 or 1O.5%", "1,000.00 or 10.5%"),
        ("O.I", "O.I"),
        ("15.II.2024, 12/II/5, O:45, lo:8080", "15.II.2024, 12/II/5, O:45, lo:8080"),
        ("I-95, no.10, H2O, v1.0.l", "I-95, no.10, H2O, v1.0.l"),
        ("10.l.example", "10.l.example"),
        ("6.2l of 0,75l, a 2.0I engine", "6.2l of 0,75l, a 2.0I engine"),
        ("$6.2l, 6.l2, 1.25.l", "$6.21, 6.12, 1.25.l"),
    ],
)
def test_letters_in_figures_are_digits(read: str, meant: str) -> None:
    assert as_figures(read) == meant
