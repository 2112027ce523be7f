"""A place for each running request, given back however it ends."""

from __future__ import annotations

import pytest

from sightline.admission.admit import Admission
from sightline.errors import EngineOverloaded


def test_place_is_given_back_after_use_and_after_failure() -> None:
    admission = Admission(1)

    with admission.admit():
        assert admission.in_flight == 1
    with pytest.raises(ZeroDivisionError), admission.admit():
        raise ZeroDivisionError

    assert admission.in_flight == 0


def test_one_more_than_the_places_is_refused() -> None:
    admission = Admission(2)

    with admission.admit(), admission.admit(), pytest.raises(EngineOverloaded, match="limit is 2") as caught:
        admission.admit().__enter__()

    assert caught.value.retry_after_s == 1
    assert admission.in_flight == 0


def test_draining_refuses_new_ones_and_lets_the_rest_finish() -> None:
    admission = Admission(2)

    with admission.admit():
        admission.draining = True
        with pytest.raises(EngineOverloaded, match="stopping"):
            admission.admit().__enter__()
        assert admission.in_flight == 1

    assert admission.in_flight == 0
