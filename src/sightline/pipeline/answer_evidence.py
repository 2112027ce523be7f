"""Evidence for the answers to one request: gathered while they come, looked up when they and the pages are there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from sightline.core import ChatRequest, Delta
from sightline.evidence.evidence import Evidence, EvidenceFinder
from sightline.evidence.page import ReadPage
from sightline.pipeline.fanout import Pieces


class ChoiceEvidence(msgspec.Struct, frozen=True):
    """One value of answer number `choice`, or of the arguments of the tool that this calls at `tool_call`."""

    choice: int
    evidence: Evidence
    tool_call: int | None = None


class AnswerEvidence:
    """What was asked of one request; `reading` is its pages on their way, None where nothing is to be looked up."""

    def __init__(self, request: ChatRequest, reading: asyncio.Task[list[ReadPage]] | None) -> None:
        self._request = request
        self._reading = reading
        self._answers: list[list[Delta]] = [[] for _ in range(request.n)]

    def add(self, pieces: Pieces) -> None:
        """Take note of pieces of an answer."""
        if self._request.evidence:
            self._answers[pieces.choice] += pieces.deltas

    async def pages(self) -> tuple[ReadPage, ...] | None:
        """Return the pages where the answer is to carry their lines.

        Raises:
            ServiceError: they could not be read.
        """
        if self._reading is None:
            return None
        read = await self._reading
        return tuple(read) if self._request.lines else None

    async def evidence(self) -> tuple[ChoiceEvidence, ...] | None:
        """Return an entry for each value of each answer, where that was asked.

        Raises: as `pages`.
        """
        if self._reading is None or not self._request.evidence:
            return None
        return await asyncio.to_thread(_evidence, self._request, await self._reading, self._answers)


def _evidence(
    request: ChatRequest, pages: Sequence[ReadPage], answers: Sequence[Sequence[Delta]]
) -> tuple[ChoiceEvidence, ...]:
    schema: dict[str, Any] | None = None
    if request.sampling.response_format.schema is not None:
        schema = json.loads(request.sampling.response_format.schema)
    finder = EvidenceFinder(pages, _question(request), schema)
    found: list[ChoiceEvidence] = []
    for choice, deltas in enumerate(answers):
        whole = Delta.join(deltas)
        found += [ChoiceEvidence(choice, one) for one in finder.find(whole.text, whole.logprobs)]
        arguments: dict[int, str] = {}
        for call in whole.tool_calls:
            arguments[call.index] = arguments.get(call.index, "") + call.arguments
        for index, text in arguments.items():
            found += [ChoiceEvidence(choice, one, index) for one in finder.find(text)]
    return tuple(found)


def _question(request: ChatRequest) -> str:
    """The last thing that the user wrote."""
    return next((" ".join(one.texts()) for one in reversed(request.messages) if one.role == "user"), "")
