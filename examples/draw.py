"""Draw the text pictures in `examples/images`, the same bytes each time: `python examples/draw.py`.

Each picture has its true text beside it (`receipt.txt`, `page.txt`); the demonstration and a test compare
answers with it. Shops, names and prices are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

IMAGES = Path(__file__).parent / "images"
FONTS = Path(__file__).parent.parent / "tests" / "data" / "fonts"

RECEIPT = (
    ("centre", "MILL LANE BAKERY"),
    ("centre", "14 Mill Lane, Harbourside"),
    ("centre", "Tel. 020 7946 0318"),
    ("gap", ""),
    ("pair", "2026-11-14|08:42"),
    ("pair", "Till 2|No. 004817"),
    ("gap", ""),
    ("pair", "2 x Espresso|5.20"),
    ("pair", "Oat flat white|3.90"),
    ("pair", "3 x Butter croissant|7.35"),
    ("pair", "Rye bread 750g|4.80"),
    ("pair", "Apple juice|2.95"),
    ("gap", ""),
    ("pair", "Subtotal|24.20"),
    ("pair", "VAT 20%|4.03"),
    ("pair", "TOTAL GBP|24.20"),
    ("pair", "Card ****4417|24.20"),
    ("gap", ""),
    ("centre", "Thank you, come again!"),
)
PAGE = (
    "Notes on the Harbour Clock",
    "The clock over the harbour gate was built in 1862 by a",
    "maker of ship's chronometers. Its four faces are lit from",
    "behind, so that boats can read the hour from the water.",
    "For ninety years a keeper climbed 118 steps each morning",
    "to wind it. Since 1954 a small electric motor has done the",
    "work, and the keeper's room is open to visitors.",
    "Opening hours: Tuesday to Sunday, 10:00 to 16:30.",
    "Tickets cost 4.50 for adults and 2.00 for children.",
    "Groups of more than twelve should write a week ahead.",
    "The bell strikes at noon; please mind your ears.",
    "Harbour Trust, Quay Street 7",
)


def draw_page() -> tuple[Image.Image, str]:
    """A clean page: a headline and running text."""
    image = Image.new("RGB", (1000, 760), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    draw.text((80, 60), PAGE[0], font=ImageFont.truetype(FONTS / "Lora-Regular.ttf", 44), fill=(24, 24, 32))
    body = ImageFont.truetype(FONTS / "Lora-Regular.ttf", 30)
    for row, line in enumerate(PAGE[1:]):
        draw.text((80, 150 + row * 50), line, font=body, fill=(32, 32, 40))
    return image, "\n".join(PAGE) + "\n"


def draw_receipt() -> tuple[Image.Image, str]:
    """A till receipt photographed on a table: tilted, bent light, grain, a little out of focus."""
    rng = np.random.default_rng(4417)
    paper = _paper(rng)
    photo = _table(rng, (1200, 1600))
    # Corners of the paper on the photograph: nearer at the bottom, turned a little.
    corners = ((292.0, 118.0), (868.0, 172.0), (962.0, 1506.0), (176.0, 1452.0))
    shadow = Image.new("L", photo.size, 0)
    ImageDraw.Draw(shadow).polygon([(x + 16, y + 22) for x, y in corners], fill=150)
    photo = Image.composite(
        Image.new("RGB", photo.size, (20, 14, 10)), photo, shadow.filter(ImageFilter.GaussianBlur(18))
    )
    warp = _perspective(corners, paper.size)
    placed = paper.transform(photo.size, Image.Transform.PERSPECTIVE, warp, Image.Resampling.BICUBIC)
    mask = Image.new("L", paper.size, 255).transform(photo.size, Image.Transform.PERSPECTIVE, warp)
    photo.paste(placed, (0, 0), mask.filter(ImageFilter.GaussianBlur(1.2)))
    return _camera(rng, photo), _receipt_text()


def _receipt_text() -> str:
    return "\n".join(text.replace("|", "\t") for kind, text in RECEIPT if kind != "gap") + "\n"


def _paper(rng: np.random.Generator) -> Image.Image:
    width_px, height_px, step_px, margin_px = 620, 1330, 64, 46
    image = Image.new("RGB", (width_px, height_px), (242, 239, 231))
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONTS / "Inconsolata-Regular.ttf", 38)
    y_px = 70
    for kind, text in RECEIPT:
        ink = (52 + int(rng.integers(0, 22)),) * 3
        left, _, right = text.partition("|")
        if kind == "centre":
            draw.text(((width_px - font.getlength(text)) / 2, y_px), text, font=font, fill=ink)
        elif kind == "pair":
            draw.text((margin_px, y_px), left, font=font, fill=ink)
            draw.text((width_px - margin_px - font.getlength(right), y_px), right, font=font, fill=ink)
        y_px += step_px if kind != "gap" else 46
    # A thermal head prints unevenly: faint bands along the paper, and two creases across it.
    shade = np.asarray(image, np.float64)
    shade += np.repeat(rng.normal(0, 2.5, (1, width_px, 1)), 1, axis=0)
    rows = np.arange(height_px)[:, None, None]
    for at_px, depth in ((430, 20.0), (905, 26.0)):
        shade -= depth * np.exp(-(((rows - at_px) / 5.0) ** 2))
        shade += 0.45 * depth * np.exp(-(((rows - at_px - 14) / 9.0) ** 2))
    return Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))


def _table(rng: np.random.Generator, size_px: tuple[int, int]) -> Image.Image:
    width_px, height_px = size_px
    fibre = _smooth(rng, (height_px // 160 + 2, width_px // 3), (width_px, height_px))
    fine = _smooth(rng, (height_px // 24 + 2, width_px), (width_px, height_px))
    tone = 0.5 + 0.20 * fibre + 0.07 * fine
    for seam_px in (14, 412, 806, 1190):
        tone -= 0.5 * np.exp(-(((np.arange(width_px) - seam_px) / 2.2) ** 2))[None, :]
    dark, light = np.array((74.0, 48.0, 30.0)), np.array((168.0, 122.0, 82.0))
    wood = dark + np.clip(tone, 0, 1)[..., None] * (light - dark)
    return Image.fromarray(np.clip(wood, 0, 255).astype(np.uint8))


def _smooth(rng: np.random.Generator, grid: tuple[int, int], size_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    coarse = Image.fromarray(rng.normal(0, 1, grid).astype(np.float32))
    return np.asarray(coarse.resize(size_px, Image.Resampling.BICUBIC), np.float64)


def _camera(rng: np.random.Generator, photo: Image.Image) -> Image.Image:
    """Light from one side, the shadow of a hand, a soft lens, the grain of a sensor."""
    pixels = np.asarray(photo.filter(ImageFilter.GaussianBlur(0.9)), np.float64)
    height_px, width_px = pixels.shape[:2]
    x, y = np.meshgrid(np.linspace(0, 1, width_px), np.linspace(0, 1, height_px))
    light = 1.04 - 0.30 * x - 0.12 * y - 0.16 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    light -= 0.22 / (1 + np.exp(-((x - 0.62) * 1.6 + (y - 0.80)) * 16))
    pixels = pixels * light[..., None] * np.array((1.03, 1.0, 0.93))
    pixels += rng.normal(0, 5.0, (height_px, width_px, 1)) + rng.normal(0, 3.0, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _perspective(corners: tuple[tuple[float, float], ...], size_px: tuple[int, int]) -> list[float]:
    """Solve for the eight coefficients that take the photograph's `corners` to the paper's."""
    width_px, height_px = size_px
    rows, goal = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (width_px, 0), (width_px, height_px), (0, height_px)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        goal += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows, np.float64), np.array(goal, np.float64))]


def main() -> None:
    """Write every picture and its text."""
    pictures: dict[str, Callable[[], tuple[Image.Image, str]]] = {"receipt.jpg": draw_receipt, "page.png": draw_page}
    for name, draw in pictures.items():
        image, text = draw()
        path = IMAGES / name
        if path.suffix == ".jpg":
            image.save(path, quality=70)
        else:
            image.save(path, optimize=True)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
        print(f"{name}: {image.width}x{image.height}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
