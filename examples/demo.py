"""`make demo`: start the service, ask it about the pictures in `examples/images`, print what it answers.

Everything goes through the official OpenAI client, as in an application. Each answer is checked against what is
known of the picture; the exit status is 0 when every answer is true.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from sightline.testing.live_server import LiveServer

IMAGES = Path(__file__).parent / "images"
TRANSCRIBER = "paddleocr/pp-ocr-v6-small/fp-32"
PEEK = "sightline/peek-12m/bf-16"


@dataclass(frozen=True)
class Question:
    """Pictures, a question about them, and how to tell whether an answer is true."""

    model: str
    images: tuple[str, ...]
    text: str
    is_true: Callable[[str], bool]


def reads(name: str) -> Callable[[str], bool]:
    """True when the answer has every word of `name`, a text file beside the picture, in order."""
    return lambda answer: answer.split() == (IMAGES / name).read_text().split()


def says(pattern: str, without: str = "$.") -> Callable[[str], bool]:
    """True when the answer contains `pattern` as whole words, and none of `without`."""
    wanted, other = re.compile(rf"\b({pattern})\b"), re.compile(rf"\b({without})\b")
    return lambda answer: bool(wanted.search(answer.lower())) and not other.search(answer.lower())


QUESTIONS = (
    Question(TRANSCRIBER, ("receipt.jpg",), "What does the receipt say?", reads("receipt.txt")),
    Question(TRANSCRIBER, ("page.png",), "Transcribe this page.", reads("page.txt")),
    Question(TRANSCRIBER, ("photo.png",), "What does this photograph of a page say?", reads("photo.txt")),
    Question(PEEK, ("receipt.jpg",), "What is the total?", says(r"24\.20")),
    Question(PEEK, ("receipt.jpg",), "What is the phone number?", says("020 7946 0318")),
    Question(PEEK, ("shapes.png",), "What is the colour of the star?", says("yellow")),
    Question(PEEK, ("shapes.png", "crowd.png"), "Which image has more shapes?", says("second|2", without="first|1")),
)


def main() -> int:
    """Ask every question; returns 0 when every answer is true."""
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        with console.status("Starting the service …"):
            service = stack.enter_context(LiveServer())
        client = OpenAI(base_url=service.base_url, api_key=service.api_key)
        wrong = sum(not ask(client, question, console) for question in QUESTIONS)
    answers = f"{len(QUESTIONS)} answers about {len({name for q in QUESTIONS for name in q.images})} pictures"
    console.print(f"[green]{answers}, every one true.[/]" if not wrong else f"[red]{answers}, {wrong} not true.[/]")
    console.print("Your own picture: [bold]make serve[/], then follow what it prints.")
    return 1 if wrong else 0


def ask(client: OpenAI, question: Question, console: Console) -> bool:
    """Ask one question and print it with its answer and usage; returns whether the answer is true."""
    parts = [{"type": "image_url", "image_url": {"url": data_uri(IMAGES / name)}} for name in question.images]
    completion = client.chat.completions.create(
        model=question.model,
        messages=[{"role": "user", "content": [*parts, {"type": "text", "text": question.text}]}],
        temperature=0,
    )
    answer = completion.choices[0].message.content or ""
    true = question.is_true(answer)
    usage = completion.usage
    assert usage is not None
    console.print(f"[bold]{' + '.join(f'examples/images/{name}' for name in question.images)}[/]")
    console.print(f"  [cyan]{question.text}[/]")
    console.print(Padding.indent(Text(answer.expandtabs()), 4))
    console.print(
        f"  [{'green' if true else 'red'}]{'true' if true else 'not true'}[/] · {completion.model} · "
        f"{usage.prompt_tokens} prompt + {usage.completion_tokens} completion tokens\n",
        style="dim",
    )
    return true


def data_uri(path: Path) -> str:
    """The picture as a base64 data URI."""
    kind = {".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


if __name__ == "__main__":
    sys.exit(main())
