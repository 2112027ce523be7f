"""One reader for all tests: the networks take a second to load."""

from __future__ import annotations

import pytest

from pagetext import Reader


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader.load(threads=2)
