"""`sightline ask`: a question about pictures to a running service, the answer streamed to the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.api_client import check, connect, list_models
from sightline.cli.terminal import err, fail, say
from sightline.client.image_file import content_part, header_of, read
from sightline.core import Detail


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
    with connect() as client:
        if model is None:
            model = next((entry["id"] for entry in list_models(client)), None)
            if model is None:
                fail("The service has no model ready yet; try again in a moment.")
        with client.stream("POST", "chat/completions", json={**body, "model": model}) as answer:
            check(answer, "text/event-stream")
            usage = _print_stream(_lines(answer.iter_bytes()))
    if show_usage and usage:
        err.print(
            f"{usage['prompt_tokens']} prompt tokens ({usage['prompt_tokens_details']['image_tokens']} of them "
            f"for images) + {usage['completion_tokens']} completion tokens, {model}",
            style="dim",
        )


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


def _print_stream(lines: Iterable[bytes]) -> dict[str, Any] | None:
    usage, is_whole = None, False
    for line in lines:
        is_whole = is_whole or line == b"data: [DONE]"
        if not line.startswith(b"data: ") or is_whole:
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if "error" in event:
            say("\n")
            fail(event["error"]["message"])
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            say(choice["delta"].get("content") or "")
    say("\n")
    if not is_whole:
        fail("The answer broke off: the service ended it without saying so.")
    return usage
