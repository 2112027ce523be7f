"""Columns: cut a page into blocks that are read one after another.

Running text side by side is columns, the left one read to its end first; cells of a table are not, however wide the
gap between them. A page is cut where such columns begin and end, then each part again. In: a layout. Out: members
of each block. Pure geometry, a cut at a time: knows neither pixels nor text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pagetext.layout.geometry import Layout, Members

_Mask = npt.NDArray[np.bool_]

# All in text heights, those of the detector's boxes: about 1.3 times the size of the letters.
_PROSE_MIN_WIDTH = 6.0
"""A cell of a table is narrower than a line of a column."""
_RAGGED = 4.0
"""How far from each other lines of a paragraph end: about the longest word."""
_INDENT = 1.5
_NEAR = 3.5
_LINE_STEP = 1.9
_HEADING_STEP = 3.0
_SECTION_STEP = 3.0
"""Running text on both sides that pauses for longer has something else between it."""
_GUTTER_MIN_WIDTH = 0.1
_MIN_LINES = 3
_MAX_TRIED = 24
"""Gutters looked at closely; the right one is nearly always the first."""


def find_blocks(layout: Layout) -> list[Members]:
    """Cut a page into blocks, in reading order."""
    return _cut(layout, np.arange(len(layout.left)), _is_prose(layout))


def _cut(layout: Layout, members: Members, prose: _Mask) -> list[Members]:
    columns = _columns(layout, members, prose)
    if columns is None:
        return [members] if len(members) else []
    left, right = columns
    inside = np.concatenate([left, right])
    rest = members[~np.isin(members, inside)]
    above = layout.middle[rest] < layout.middle[inside].min()
    return [block for part in (rest[above], left, right, rest[~above]) for block in _cut(layout, part, prose)]


def _columns(layout: Layout, members: Members, prose: _Mask) -> tuple[Members, Members] | None:
    """Find the gutter with most running text beside it: what stands left and right of it."""
    if prose[members].sum() < 2 * _MIN_LINES:
        return None
    members = members[np.argsort(layout.middle[members], kind="stable")]
    best, best_lines = None, 0
    for most_lines, left, right in _gutters(layout, members, prose):
        if most_lines <= best_lines:
            break
        for part in _sections(layout, left, right, prose):
            lines = int(prose[part[0]].sum() + prose[part[1]].sum())
            if lines > best_lines:
                best, best_lines = part, lines
    return best


def _gutters(layout: Layout, members: Members, prose: _Mask) -> list[tuple[int, Members, Members]]:
    """List places for a gutter, those with most running text first: its lines, what is left and right of it.

    A gutter begins where some box ends, and reaches as far up and down as nothing crosses it: through one band.
    """
    gap_px = _GUTTER_MIN_WIDTH * float(np.median(layout.height[members]))
    edges = np.unique(layout.right[members])
    edges = edges[np.append(np.diff(edges) > 0.25 * gap_px, True)][:, np.newaxis]
    is_right = layout.left[members] >= edges + gap_px
    is_across = ~is_right & (layout.right[members] > edges)
    # Members are sorted from top to bottom, so each that crosses begins a new band.
    band = np.cumsum(is_across, axis=1) + np.arange(len(edges))[:, np.newaxis] * (len(members) + 1)
    running = prose[members] & ~is_across
    count = len(edges) * (len(members) + 1)
    left_lines = np.bincount(band[running & ~is_right], minlength=count)
    right_lines = np.bincount(band[running & is_right], minlength=count)
    lines = np.where(np.minimum(left_lines, right_lines) < _MIN_LINES, 0, left_lines + right_lines)
    gutters = []
    for number in np.argsort(-lines, kind="stable")[:_MAX_TRIED]:
        if lines[number]:
            at = number // (len(members) + 1)
            inside = (band[at] == number) & ~is_across[at]
            gutters.append((int(lines[number]), members[inside & ~is_right[at]], members[inside & is_right[at]]))
    return gutters


def _sections(layout: Layout, left: Members, right: Members, prose: _Mask) -> list[tuple[Members, Members]]:
    """Split what stands beside a gutter where running text pauses on both sides; keep what has it on both."""
    if min(prose[left].sum(), prose[right].sum()) < _MIN_LINES:
        return []
    running = np.concatenate([_running(layout, left, prose), _running(layout, right, prose)])
    running = running[np.argsort(layout.middle[running], kind="stable")]
    middle = layout.middle[running]
    text_px = float(np.median(layout.height[running]))
    sections = []
    for lines in np.split(running, np.flatnonzero(np.diff(middle) > _SECTION_STEP * text_px) + 1):
        top_px, end_px = layout.middle[lines].min(), layout.middle[lines].max()
        sides = [side[(layout.middle[side] >= top_px) & (layout.middle[side] <= end_px)] for side in (left, right)]
        if _are_side_by_side(layout, sides[0][prose[sides[0]]], sides[1][prose[sides[1]]], text_px):
            sections.append((sides[0], sides[1]))
    return sections


def _are_side_by_side(layout: Layout, left: Members, right: Members, text_px: float) -> bool:
    if min(len(left), len(right)) < _MIN_LINES:
        return False
    shared_px = min(layout.middle[left].max(), layout.middle[right].max()) - max(
        layout.middle[left].min(), layout.middle[right].min()
    )
    return bool(shared_px >= 1.5 * text_px)


def _is_prose(layout: Layout) -> _Mask:
    """Tell lines of running text: long, and with two near ones that begin and end where they do."""
    # Only long ones are compared, each with each: of the thousands of a sheet of numbers there are few.
    long = np.flatnonzero(layout.width >= _PROSE_MIN_WIDTH * layout.height)
    left, right, middle, text_px = (edge[long] for edge in (layout.left, layout.right, layout.middle, layout.height))
    below_px = np.abs(middle[:, np.newaxis] - middle)
    alike = (
        (below_px > 0.5 * text_px)
        & (below_px < _NEAR * text_px)
        & (np.abs(left[:, np.newaxis] - left) < _INDENT * text_px)
        & (np.abs(right[:, np.newaxis] - right) < _RAGGED * text_px)
        & (np.abs(text_px[:, np.newaxis] - text_px) < 0.4 * text_px)
    )
    prose = np.zeros(len(layout.left), bool)
    prose[long[alike.sum(axis=1) >= 2]] = True
    return prose


def _running(layout: Layout, side: Members, prose: _Mask) -> Members:
    """Keep lines of running text, the short last ones of paragraphs and headings: alone above or below a line."""
    lines = side[prose[side]]
    others = side[~prose[side]]
    kept = [other for other in others if _belongs(layout, other, lines, side)]
    return np.concatenate([lines, np.array(kept, np.intp)])


def _belongs(layout: Layout, other: int, lines: Members, side: Members) -> bool:
    text_px = layout.height[lines]
    below_px = layout.middle[other] - layout.middle[lines]
    near = (below_px > 0) & (below_px < _LINE_STEP * text_px) | (below_px < 0) & (-below_px < _HEADING_STEP * text_px)
    aligned = np.abs(layout.left[lines] - layout.left[other]) < _INDENT * text_px
    if not (near & aligned).any():
        return False
    # In the whole column: the first cell of a row stands alone above a short heading.
    beside = np.abs(layout.middle[side] - layout.middle[other]) < 0.5 * layout.height[other]
    in_column = (layout.left[side] < layout.right[lines[aligned]].max()) & (layout.right[side] > layout.left[other])
    return int((beside & in_column).sum()) == 1
