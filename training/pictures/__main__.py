"""Writes contact sheets: pictures of each kind with their questions, for a person to look at.

`python -m pictures --to FOLDER --kinds table,chart --count 8 --split train`, from training/.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pictures import KINDS, Picture, Split, draw

SIDE = 448
TEXT = 210


def sheet(pictures: list[Picture], across: int, *, boxes: bool) -> Image.Image:
    cell = (max(len(p.images) for p in pictures) * SIDE, SIDE + TEXT)
    rows = -(-len(pictures) // across)
    board = Image.new("RGB", (across * (cell[0] + 8), rows * cell[1]), "white")
    for i, picture in enumerate(pictures):
        left, top = i % across * (cell[0] + 8), i // across * cell[1]
        for n, (image, glyphs) in enumerate(zip(picture.images, picture.glyphs, strict=True)):
            view = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            if boxes:
                pen = ImageDraw.Draw(view)
                for g in glyphs:
                    edges = [g.x - g.width / 2, g.y - g.height / 2, g.x + g.width / 2, g.y + g.height / 2]
                    pen.rectangle([edge * SIDE for edge in edges], outline="red")
            board.paste(view, (left + n * SIDE, top))
        write(board, picture, (left, top + SIDE + 2), cell[0])
    return board


def write(board: Image.Image, picture: Picture, at: tuple[int, int], width: int) -> None:
    pen = ImageDraw.Draw(board)
    font = ImageFont.truetype("DejaVuSans.ttf", 11)
    y = at[1]
    for question in picture.questions:
        lines = f"[{question.skill}] {question.text} → {question.answer!r}".split("\n")
        text = "\n".join(lines)
        while text:
            cut = len(text)
            while pen.textlength(text[:cut], font=font) > width - 6:
                cut -= 1
            pen.text((at[0] + 2, y), text[:cut], fill="black", font=font)
            text, y = text[cut:], y + 14


def main() -> None:
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("runs/sheets"))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--across", type=int, default=4)
    parser.add_argument("--split", choices=["train", "watch", "eval"], default="train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--boxes", action="store_true", help="outline every character")
    parser.add_argument("--time", type=int, default=0, metavar="N", help="also time N pictures of each kind")
    options = parser.parse_args()
    split: Split = options.split
    options.to.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds.split(","):
        pictures = [draw(split, i, options.seed, {kind: 1}) for i in range(options.count)]
        if pictures:
            sheet(pictures, options.across, boxes=options.boxes).save(options.to / f"{kind.replace('/', '-')}.png")
        if options.time:
            start = time.process_time()
            for i in range(options.time):
                draw(split, 1000 + i, options.seed, {kind: 1})
            print(f"{kind:12} {options.time / (time.process_time() - start):6.0f} pictures/s", flush=True)


if __name__ == "__main__":
    main()
