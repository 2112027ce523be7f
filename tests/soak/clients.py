"""Clients that note what they received, to the last byte, and send again what was not answered."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2

from soak.place import Process

CHAT = "/v1/chat/completions"
PATIENCE_S = 300.0
Usage = tuple[int, int]


@dataclass(slots=True)
class Asked:
    """One question: what was sent, under which ids, each answer that came whole, and what came of others, by id."""

    body: bytes
    stream: bool
    secret: str
    once: str | None
    request_ids: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    parts: dict[str, bytes] = field(default_factory=dict)
    usage: Usage | None = None
    problems: list[str] = field(default_factory=list)


class Load:
    """Sends questions to whichever process is up, until told to stop."""

    def __init__(self, processes: Sequence[Process], secrets: Sequence[str], seed: int) -> None:
        self.processes = list(processes)
        self.asked: list[Asked] = []
        self.outcomes: Counter[str] = Counter()
        self.stopping = False
        self._secrets = secrets
        self._seed = seed

    async def client(self, number: int) -> None:
        """One after another; half of them with an Idempotency-Key, sent again until answered, some twice."""
        dice = random.Random(f"{self._seed}/{number}")
        async with httpx2.AsyncClient(timeout=60) as http:
            count = 0
            while not self.stopping:
                count += 1
                await self._ask(http, dice, f"{number}-{count}")

    async def _ask(self, http: httpx2.AsyncClient, dice: random.Random, name: str) -> None:
        stream = dice.random() < 0.5
        words = " ".join(["word"] * dice.randint(1, 25))
        message = {"role": "user", "content": f"{name} {words}"}
        body = {"model": "sightline/scripted", "messages": [message], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        once = f"once-{self._seed}-{name}" if dice.random() < 0.5 else None
        asked = Asked(json.dumps(body).encode(), stream, dice.choice(list(self._secrets)), once)
        self.asked.append(asked)
        wanted = 2 if once and dice.random() < 0.4 else 1
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while len(asked.answers) < wanted:
            up = [process for process in self.processes if process.ready.is_set()]
            if up:
                before = len(asked.answers)
                await self._send(http, asked, dice.choice(up), f"{name}-{len(asked.request_ids)}")
                if once is None or len(asked.answers) > before:
                    if once is None:
                        return
                    continue
            if asyncio.get_running_loop().time() > deadline:
                asked.problems.append("was never answered")
                return
            await asyncio.sleep(dice.uniform(0.05, 0.3))

    async def _send(self, http: httpx2.AsyncClient, asked: Asked, process: Process, request_id: str) -> None:
        asked.request_ids.append(request_id)
        head = {"authorization": f"Bearer {asked.secret}", "x-request-id": request_id}
        if asked.once is not None:
            head["idempotency-key"] = asked.once
        got, status = bytearray(), 0
        try:
            url = f"http://127.0.0.1:{process.port}{CHAT}"
            async with http.stream("POST", url, content=asked.body, headers=head) as answer:
                status = answer.status_code
                async for piece in answer.aiter_raw():
                    got += piece
        except httpx2.TransportError as error:
            self.outcomes[type(error).__name__] += 1
            if status == 200:
                asked.parts[request_id] = bytes(got)
            return
        self._note(asked, answer, bytes(got))

    def _note(self, asked: Asked, answer: httpx2.Response, got: bytes) -> None:
        replayed = "idempotent-replayed" in answer.headers
        self.outcomes[f"{answer.status_code}{' again' if replayed else ''}"] += 1
        if answer.status_code != 200:
            if answer.status_code not in (409, 503):
                asked.problems.append(f"{answer.status_code} {got[:200]!r}")
            elif "retry-after" not in answer.headers:
                asked.problems.append(f"{answer.status_code} without retry-after")
            return
        usage = usage_of(got, asked.stream)
        if usage is None:  # an event that says what went wrong, in the place of an end
            self.outcomes["200 with an error at its end"] += 1
            return
        if asked.answers and asked.answers[0] != got:
            asked.problems.append("two answers that differ")
        asked.answers.append(got)
        asked.usage = usage


def usage_of(got: bytes, stream: bool) -> Usage | None:
    """Prompt and completion tokens of a whole answer; None where it ended in an error."""
    if not stream:
        return _counts(json.loads(got))
    if not got.endswith(b"data: [DONE]\n\n"):
        return None
    events = [json.loads(line[6:]) for line in got.split(b"\n\n") if line.startswith(b"data: {")]
    return _counts(events[-1])


def _counts(body: dict[str, dict[str, int]]) -> Usage:
    return body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
