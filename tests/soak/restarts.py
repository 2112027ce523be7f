"""One process takes over from another on the same port, again and again; no client of OpenAI's may notice."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from openai import AsyncOpenAI, OpenAIError

from soak import books
from soak.kills import CLIENTS, Result
from soak.place import Place, Process
from support.sockets import free_ports


class Users:
    """Clients with their defaults, their retries included."""

    def __init__(self, port: int, secrets: list[str]) -> None:
        self.answered: dict[str, tuple[int, int]] = {}
        self.failed: list[str] = []
        self.stopping = False
        self._url = f"http://127.0.0.1:{port}/v1"
        self._secrets = secrets

    async def run(self, number: int) -> None:
        """Ask until told to stop, plain and streamed in turn."""
        dice = random.Random(number)
        async with AsyncOpenAI(base_url=self._url, api_key=self._secrets[number % len(self._secrets)]) as client:
            count = 0
            while not self.stopping:
                count += 1
                name = f"user-{number}-{count}"
                try:
                    self.answered[name] = await self._ask(client, name, dice, stream=count % 2 == 0)
                except (OpenAIError, ValueError) as error:
                    self.failed.append(f"{name}: {type(error).__name__}: {error} {error.__cause__!r}")

    async def _ask(self, client: AsyncOpenAI, name: str, dice: random.Random, *, stream: bool) -> tuple[int, int]:
        content = " ".join(["word"] * dice.randint(1, 60))
        head = {"x-request-id": name}
        if not stream:
            answer = await client.chat.completions.create(
                model="sightline/scripted", messages=[{"role": "user", "content": content}], extra_headers=head
            )
            said, usage = answer.choices[0].message.content or "", answer.usage
        else:
            said, usage = "", None
            async for chunk in await client.chat.completions.create(
                model="sightline/scripted",
                messages=[{"role": "user", "content": content}],
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=head,
            ):
                said += "".join(choice.delta.content or "" for choice in chunk.choices)
                usage = chunk.usage or usage
        if usage is None or said != content:
            raise ValueError(f"half an answer: {len(said)} of {len(content)} characters")
        return usage.prompt_tokens, usage.completion_tokens


async def run(place: Place, restarts: int, minutes: float, on_restart: Callable[[], None]) -> Result:
    """Restart `restarts` times or until the time is up, and check."""
    result = Result()
    deadline = time.monotonic() + minutes * 60
    [port] = free_ports(1)
    old = await _up(place, port)
    users = Users(port, place.keys)
    asking = [asyncio.create_task(users.run(number)) for number in range(CLIENTS)]
    statuses: list[int] = []
    try:
        while result.done < restarts and time.monotonic() < deadline:
            new = await _up(place, port)
            old.terminate()
            statuses.append(await old.end())
            old = new
            result.done += 1
            on_restart()
        users.stopping = True
        await asyncio.gather(*asking)
        old.terminate()
        statuses.append(await old.end())
    finally:
        users.stopping = True
        old.kill()
        with suppress(AssertionError):
            await old.end()
    result.problems += [f"a process that was asked to stop exited with {status}" for status in statuses if status]
    result.problems += users.failed + books.problems(place.database, [])
    result.problems += list(_of_rows(books.rows_by_request(place.database), users.answered))
    result.figures = Counter({"answered": len(users.answered), "failed": len(users.failed)})
    result.figures.update({f"rows {name}": count for name, count in books.outcomes(place.database).items()})
    return result


async def _up(place: Place, port: int) -> Process:
    process = place.process(port, reuse_port=True)
    await process.start()
    await process.until_ready()
    return process


def _of_rows(rows: books.Rows, answered: dict[str, tuple[int, int]]) -> list[str]:
    wrong = []
    for name, usage in answered.items():
        completed = [row for row in rows.get(name, ()) if row.outcome == "completed"]
        counts = [(row.prompt_tokens, row.completion_tokens) for row in completed]
        if counts != [usage]:
            wrong.append(f"{name}: answered with {usage}, its rows say {counts}")
    return wrong
