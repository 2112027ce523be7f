"""The texts of cells → the text of a row or a chart, as it is written.

Plain strings in and out: knows neither places nor pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ChartData(NamedTuple):
    """The labels of a chart in order and the value of each, "" where none is seen; whether its axis stands."""

    labels: Sequence[str]
    values: Sequence[str]
    is_vertical: bool


def row_text(texts: Sequence[str], data_labels: int) -> str:
    """Return the text of a `RowLayout` whose cells read so: tabs between them, of a chart a line for each value.

    The detector takes labels that stand close together for one text: its words are the labels if they are as many.
    """
    if not data_labels:
        return "\t".join(texts).rstrip()
    figures, labels = texts[:data_labels], texts[data_labels:]
    if len(labels) != data_labels:
        labels = " ".join(labels).split()
    if len(labels) != data_labels or not all(any(map(str.isdigit, figure)) for figure in figures if figure):
        lines = ["\t".join(figures), " ".join(labels)]
    else:
        lines = [f"{label}\t{figure}" for label, figure in zip(labels, figures, strict=True)]
    return "\n".join(line.rstrip() for line in lines if not line.isspace())


def chart_text(lines: Sequence[str], corner: str, data: ChartData | None) -> str:
    """Return the text of a `ChartLayout` whose rows read `lines`, with the values of its labels if they were data.

    The labels of an axis that stands are the last line, before which its lowest number may be the `corner`; those
    beside an axis that lies are the other lines.
    """
    if data is not None:
        pairs = zip(data.labels, data.values, strict=True)
        valued = [f"{label}\t{value}".rstrip() for label, value in pairs if label]
        lines = [*lines[:-1], corner, *valued] if data.is_vertical else [*valued, lines[-1]]
    return "\n".join(line for line in lines if line)
