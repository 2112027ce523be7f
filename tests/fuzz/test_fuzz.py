"""The short version of `make fuzz`: the same cases, a few seconds of them, and the same ones each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fuzz.bodies import body
from fuzz.cases import random_of, try_case
from fuzz.run import run_sample
from sightline.metering import ledger
from sightline.store import group_commit

SEED = 1


def test_three_thousand_bodies_are_answered_or_refused() -> None:
    outcomes: Counter[str] = Counter()

    for number in range(3000):
        outcomes += try_case(SEED, number)

    assert outcomes["200 parsed"] > 100
    assert outcomes["picture decoded"] > 50
    assert len(outcomes) > 12  # the cases reach most kinds of refusal


@pytest.mark.anyio
async def test_a_hundred_bodies_through_the_whole_api_give_no_5xx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (group_commit, ledger):  # a busy machine's 503 is no fault of a body
        monkeypatch.setattr(module, "WAIT_S", 60.0)
    outcomes, failures = await run_sample(SEED, range(100))

    assert failures == []
    assert outcomes["API 400"] > 50


def test_a_case_can_be_drawn_again() -> None:
    assert body(random_of(SEED, 7)) == body(random_of(SEED, 7)) != body(random_of(SEED, 8))
