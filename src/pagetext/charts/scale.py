"""The value axis of a chart: its tick labels → a linear scale, and values written as its tick labels are.

In: heights and numbers of tick labels. Out: a `Scale`, or None where they are no even axis. Knows no pixels.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from pagetext.types import Floats

MIN_TICKS = 3
_MIN_SPAN_PX = 8
_NUMBER = re.compile(r"([$€£]?)(-?\d{1,3}(?:,\d{3}){1,3}|-?\d{1,9}(?:\.\d{1,2})?)( ?[%kM]?)")
"""Three places would be thousands elsewhere."""
_ALIKE = str.maketrans("OoD日口K", "00000k")
"""What a nought alone and the sign for thousands are taken for."""
_FITTING = 0.6
"""Of the numbers of an axis, the rest of which is misread."""
# In steps of the axis.
_OFF = 0.15
"""How far a number of the axis stands from its place at most."""
_TENTH = 10
_NEXT = (1, 9)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis that stands: value = start + y * rate. Its numbers are `step` apart from `low` to `high`."""

    start: float
    rate: float
    step: float
    low: float
    high: float

    def value_at(self, y: float) -> float:
        """Return the value at a height."""
        return self.start + y * self.rate

    def place_of(self, value: float) -> float:
        """Return the height of a value."""
        return (value - self.start) / self.rate


def parse_tick(text: str) -> re.Match[str] | None:
    """Match a number of an axis: what stands before it, the number, its unit."""
    return _NUMBER.fullmatch(text.translate(_ALIKE))


def fit_scale(ticks: Floats) -> Scale | None:
    """Fit an axis to its numbers from the top, (count, 2) heights and values; None if too few fit it."""
    values = np.unique(ticks[:, 1])
    if len(values) < MIN_TICKS:
        return None
    one, other = np.triu_indices(len(ticks), 1)
    rises = (ticks[one, 1] - ticks[other, 1]) / np.minimum(ticks[one, 0] - ticks[other, 0], -1.0)
    rate = float(np.median(rises))
    start = float(np.median(ticks[:, 1] - rate * ticks[:, 0]))
    step = float(np.median(np.diff(values)))
    kept = ticks[np.abs(start + rate * ticks[:, 0] - ticks[:, 1]) < _OFF * step]
    if len(kept) < max(MIN_TICKS, _FITTING * len(ticks)) or np.ptp(kept[:, 0]) < _MIN_SPAN_PX:
        return None
    rate, start = (float(number) for number in np.polyfit(kept[:, 0], kept[:, 1], 1))
    low, high = float(kept[:, 1].min()), float(kept[:, 1].max())
    return Scale(start, rate, step, low, high) if rate < 0 else None


def format_value(value: float, step: float, *, parted: bool) -> str:
    """Write a value to a tenth of a step; one that is a tenth off a number of the axis is taken for that number."""
    unit = step / _TENTH
    tenths = round(value / unit)
    rounded = (round(tenths / _TENTH) * _TENTH if tenths % _TENTH in _NEXT else tenths) * unit
    places = max(0, math.ceil(-math.log10(unit) - 1e-9))
    rounded += 0.0  # no "-0"
    text = f"{rounded:,.{places}f}" if parted else f"{rounded:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
