"""The public Python API grows on purpose only."""

from __future__ import annotations

import sightline


def test_public_names_are_these() -> None:
    public = set(getattr(sightline, "__all__", ["__version__"]))

    assert public <= {
        "__version__",
        *("create_app", "Settings", "Engine"),
        *("estimate", "image_part"),
    }
    assert all(hasattr(sightline, name) for name in public)
