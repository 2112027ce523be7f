"""Text of a page: RGB pixels in, lines of text out, each with its place, confidence and table cell.

`read` and `transcribe` serve one image; `Reader.load` keeps the networks for many. This package knows nothing of any
service around it, and importing it loads no network: the geometry in `layout` needs numpy alone.

OpenVINO reports its import to its maker unless its telemetry package is missing; so it is missing here.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from pagetext.types import Line, Pixels

if TYPE_CHECKING:
    from pagetext.networks import WeightsError
    from pagetext.ocr import Page, Reader

__all__ = ["Line", "Page", "Reader", "WeightsError", "read", "transcribe"]

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def read(image: Pixels) -> list[Line]:
    """Read the lines of an image, (height, width, 3) uint8 RGB, in reading order; the first call loads the networks.

    Raises:
        WeightsError: the networks are missing or cannot be loaded.
    """
    return list(_reader().page(image).lines)


def transcribe(image: Pixels) -> str:
    """Return the text of an image: a row a line, cells of a table parted by tabs, charts as labels with values.

    Raises: as `read`.
    """
    return _reader().page(image).text


@cache
def _reader() -> Reader:
    from pagetext.ocr import Reader

    return Reader.load()


def __getattr__(name: str) -> Any:
    if name in ("Page", "Reader"):
        from pagetext import ocr

        return getattr(ocr, name)
    if name == "WeightsError":
        from pagetext.networks import WeightsError

        return WeightsError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
