"""`sightline ask`: a question about pictures to a running service, the answer streamed to the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sightline.cli.api_client import check, connect, list_models
from sightline.cli.terminal import err, fail, out, say
from sightline.client.boxes import draw_boxes
from sightline.client.image_file import content_part, header_of, read
from sightline.core import Detail

_STYLES = {"absent": "red", "close": "yellow"} | dict.fromkeys(("exact", "normalised"), "green")


def ask(
    images: Annotated[
        list[Path], typer.Argument(help="One or two pictures: png, jpeg, webp or gif.", metavar="IMAGE…")
    ],
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    model: Annotated[str | None, typer.Option(help="Which model to ask. [the first one loaded]")] = None,
    detail: Annotated[
        Detail, typer.Option(help="How closely to look: low, high (closer views, where a model has them).")
    ] = "auto",
    max_tokens: Annotated[int | None, typer.Option(help="The longest answer, in tokens.")] = None,
    show_usage: Annotated[bool, typer.Option("--usage", help="Print the tokens used as well.")] = False,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Say where on the pictures each value of the answer stands.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="Save the pictures as PNG with a box around each of these values; implies --evidence."),
    ] = None,
) -> None:
    """Ask a running service about pictures.

    Reads SIGHTLINE_BASE_URL (default http://127.0.0.1:8000/v1) and INFERENCE_API_KEY.
    """
    if not question.strip() or os.path.isfile(question):  # pathlib raises where a question is longer than any path
        fail('The question is missing; it comes last: sightline ask photo.jpg "What does it say?"')
    content = [_part(path, detail) for path in images]
    content.append({"type": "text", "text": question})
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if evidence or save:
        body["sightline"] = {"evidence": True}
    with connect() as client:
        if model is None:
            model = next((entry["id"] for entry in list_models(client)), None)
            if model is None:
                fail("The service has no model ready yet; try again in a moment.")
        with client.stream("POST", "chat/completions", json={**body, "model": model}) as answer:
            check(answer, "text/event-stream")
            usage, receipt = _print_stream(_lines(answer.iter_bytes()))
    if evidence or save:
        entries = receipt.get("evidence", [])
        out.print(_evidence_table(entries, len(images)) if entries else "Nothing in the answer can be looked up.")
        if save:
            _save_boxes(images, entries, save)
    if show_usage and usage:
        err.print(
            f"{usage['prompt_tokens']} prompt tokens ({usage['prompt_tokens_details']['image_tokens']} of them "
            f"for images) + {usage['completion_tokens']} completion tokens, {model}",
            style="dim",
        )


def _evidence_table(entries: list[dict[str, Any]], images: int) -> Table:
    """One row a value: how it was found, in which words, and where."""
    table = Table(box=None, pad_edge=False)
    for name in ("value", "evidence", "on the picture", "where"):
        table.add_column(name, overflow="fold")
    for one in entries:
        places = [one] if "box" in one else one.get("parts", [])
        where = [_where(place, images) for place in places]
        said = " + ".join(place["text"] for place in places)
        field = f"{one['path'].removeprefix('/')}: " if one["path"] else ""
        status = Text(one["status"], _STYLES.get(one["status"], ""))
        table.add_row(Text(f"{field}{one['value']}"), status, Text(said or "–"), Text("; ".join(where) or "–"))
    return table


def _where(place: dict[str, Any], images: int) -> str:
    left, top, width, height = place["box"]
    number = f"image {place['image']}, " if images > 1 else ""
    return f"{number}{left}, {top}, {width} × {height}"


def _save_boxes(images: list[Path], entries: list[dict[str, Any]], save: Path) -> None:
    """Write each picture with its boxes; of several, each under a number."""
    for number, path in enumerate(images, start=1):
        target = save if len(images) == 1 else save.with_stem(f"{save.stem}-{number}")
        try:
            draw_boxes(path, entries, number).save(target, "PNG")
        except OSError as error:
            fail(f"{target} cannot be written: {error.strerror}")
        err.print(f"Saved {target}", markup=False)


def _part(path: Path, detail: Detail) -> dict[str, Any]:
    try:
        data = read(path)
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    if header_of(data) is None:
        fail(f"{path} is no picture that can be sent; send a png, jpeg, webp or gif.")
    return content_part(data, detail)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Part a stream where its lines end; an answer may have other characters that end lines elsewhere (U+2028)."""
    begun = b""
    for chunk in chunks:
        *whole, begun = (begun + chunk).split(b"\n")
        yield from whole
    yield begun


def _print_stream(lines: Iterable[bytes]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Print an answer as it comes; return its usage, and what the service says beside it."""
    usage: dict[str, Any] | None = None
    receipt: dict[str, Any] = {}
    is_whole = False
    for line in lines:
        is_whole = is_whole or line == b"data: [DONE]"
        if not line.startswith(b"data: ") or is_whole:
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if "error" in event:
            say("\n")
            fail(event["error"]["message"])
        usage = event.get("usage") or usage
        receipt = event.get("sightline") or receipt
        for choice in event["choices"]:
            say(choice["delta"].get("content") or "")
    say("\n")
    if not is_whole:
        fail("The answer broke off: the service ended it without saying so.")
    return usage, receipt
