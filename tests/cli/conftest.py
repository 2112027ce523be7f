"""What tests of commands share: a database that fails, and a log that is not silent for all tests that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import structlog

from sightline import failpoints


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands silence the log of their process."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def failing() -> Iterator[Callable[[str], None]]:
    """Have the database fail by a plan, for one test."""
    yield failpoints.arm
    failpoints.arm("")
