"""Draw the two drawings in `examples/images`, the same bytes each time: `python examples/draw_shapes.py`.

Drawn with other code than the bundled model's training pictures (`training/drawing.py`), so that the demonstration
shows it something it was not made on.
"""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw

IMAGES = Path(__file__).parent / "images"
OVERSAMPLING = 4
Point = tuple[float, float]


class Sheet:
    """A drawing surface of `width` × `height` pixels with smooth edges."""

    def __init__(self, width: int, height: int, background: str) -> None:
        self._size = (width, height)
        self._image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING), background)
        self._pen = ImageDraw.Draw(self._image)

    def circle(self, centre: Point, radius: float, colour: str) -> None:
        """A filled disc."""
        x, y, r = (value * OVERSAMPLING for value in (*centre, radius))
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def polygon(self, centre: Point, corners: list[Point], colour: str) -> None:
        """A filled polygon; `corners` are offsets from `centre` in pixels."""
        x, y = centre
        self._pen.polygon([((x + dx) * OVERSAMPLING, (y + dy) * OVERSAMPLING) for dx, dy in corners], fill=colour)

    def save(self, name: str) -> None:
        """Write the drawing to `examples/images`."""
        self._image.resize(self._size, Image.Resampling.LANCZOS).save(IMAGES / name, optimize=True)


def turn(count: int, radii: tuple[float, ...], start_degrees: float = -90) -> list[Point]:
    """Corners at equal angles, their radii in turn: one radius for a regular polygon, two for a star."""
    steps = count * len(radii)
    angles = [math.radians(start_degrees + 360 * step / steps) for step in range(steps)]
    return [(radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles)]


def draw_shapes() -> None:
    """A red circle, a yellow star, a blue square, from left to right."""
    sheet = Sheet(640, 480, "#e9edf2")
    sheet.circle((130, 250), 78, "#dc2626")
    sheet.polygon((325, 235), turn(5, (95, 40)), "#f7d714")
    sheet.polygon((515, 245), turn(4, (104,), start_degrees=-135), "#2350d8")
    sheet.save("shapes.png")


def draw_crowd() -> None:
    """Three green triangles and two orange circles."""
    sheet = Sheet(640, 480, "#ffffff")
    for x, y in ((120, 130), (330, 355), (540, 140)):
        sheet.polygon((x, y), turn(3, (82,)), "#1f9a3d")
    for x, y in ((330, 130), (120, 360)):
        sheet.circle((x, y), 62, "#f28c12")
    sheet.save("crowd.png")


if __name__ == "__main__":
    draw_shapes()
    draw_crowd()
