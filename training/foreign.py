"""Ten pictures that no code of ours drew: `python training/foreign.py` asks about them and judges every answer.

In: the pictures of `foreign/` (its README says where each is from) and what is true of them. Out: every answer with
its verdict, true, declined or false; exit status 1 if one is false. Asked as an application asks: the service itself,
through the official client, greedy.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from judge import declines, plain
from openai import OpenAI
from rich.console import Console

from sightline.testing.live_server import LiveServer

PICTURES = Path(__file__).parent / "foreign"
COLOURS = {"true": "green", "declined": "yellow", "false": "red"}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture and every answer that is true; with none, nothing but declining is."""

    picture: str
    text: str
    true: tuple[str, ...] = ()


QUESTIONS = (
    Question("dialog.png", "What does the message say?", ("Delete report.pdf? This cannot be undone.",)),
    Question("dialog.png", "Which buttons are there?", ("Cancel, Delete", "Cancel and Delete")),
    Question("dialog.png", "What is the total?"),
    Question("manual.png", "What is the title?", ("Valgrind Documentation",)),
    Question("manual.png", "What is the first line?", ("Valgrind Documentation",)),
    Question("manual.png", "Which date is written in the image?", ("11 Apr 2022",)),
    Question("book.png", "What is the heading?", ("Hello, Cargo!", "The Rust Programming Language")),
    Question("book.png", "What is the price?"),
    Question("terminal.png", "What is the first line?", ("Beautiful is better than ugly.",)),
    Question("terminal.png", "What does the second line say?", ("Explicit is better than implicit.",)),
    Question("page.png", "What is the title?", ("Region-based segmentation",)),
    Question("page.png", "What is the invoice number?"),
    Question("formula.png", "What does the image show?"),
    Question("formula.png", "What is the date?"),
    Question("china.jpg", "What does the image show?", ("A temple.", "A building.")),
    Question("china.jpg", "What is the total?"),
    Question("flower.jpg", "What is the colour of the flower?", ("red", "orange", "It is red.", "It is orange.")),
    Question("flower.jpg", "What is the first word?"),
    Question("coffee.jpg", "What is in this picture?", ("A cup.", "A cup of coffee.")),
    Question("coffee.jpg", "Which food is on the plate?"),
    Question("folder.png", "What is this?", ("It is a folder.", "a folder", "folder")),
    Question("folder.png", "What is the first word?"),
)


def verdict(question: Question, answer: str) -> str:
    """Return whether an answer is true, declined or false."""
    if declines(answer):
        return "declined"
    return "true" if plain(answer) in map(plain, question.true) else "false"


def data_uri(path: Path) -> str:
    kind = {".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="an exported model; default: the one that is shipped")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    folders = ["--model", str(options.folder), "--model", "paddleocr/pp-ocr-v6-small/fp-32"] if options.folder else []
    verdicts: Counter[str] = Counter()
    with LiveServer(*folders) as service:
        client = OpenAI(base_url=service.base_url, api_key=service.api_key)
        model = next(model.id for model in client.models.list() if "pp-ocr" not in model.id)
        for question in QUESTIONS:
            picture = {"type": "image_url", "image_url": {"url": data_uri(PICTURES / question.picture)}}
            completion = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": [picture, {"type": "text", "text": question.text}]}],
                temperature=0,
            )
            answer = completion.choices[0].message.content or ""
            found = verdict(question, answer)
            verdicts[found] += 1
            console.print(f"{question.picture:<13} {question.text}", style="dim")
            console.print(f"  [{COLOURS[found]}]{found:<9}[/] ", end="")
            console.print(answer.replace("\n", " ⏎ "), markup=False)
    pictures = len({question.picture for question in QUESTIONS})
    counts = ", ".join(f"{verdicts[name]} {name}" for name in COLOURS)
    console.print(f"{model}: {len(QUESTIONS)} answers about {pictures} pictures: {counts}.")
    if verdicts["false"]:
        sys.exit("an answer is false")


if __name__ == "__main__":
    main()
