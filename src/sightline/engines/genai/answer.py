"""One answer as it grows: token ids in, deltas out.

In: the ids and log-probabilities of each step. Out: `core.Delta`s with whole characters and no stop string, and the
decision that the answer is finished. Pure: knows nothing of the pipeline, of threads or of time.

`completion_tokens` counts every generated token, the one that ends the answer and those of a stop string included,
as OpenAI and vLLM count.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core import Delta, FinishReason, SamplingParams, TokenLogprob
from sightline.engines.stop_strings import StopMatcher
from sightline.errors import EngineError

PAD_RUN = 8
"""So many padding tokens one after the other are no answer."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of one model. `pieces[id]` is the bytes a token shows, empty for control tokens."""

    pieces: Sequence[bytes]
    eos_ids: frozenset[int]
    pad_id: int


class Answer:
    """The text of one answer so far, and whether it is finished."""

    def __init__(self, vocabulary: Vocabulary, sampling: SamplingParams) -> None:
        self.completion_tokens = 0
        self.finish_reason: FinishReason | None = None
        self._vocabulary = vocabulary
        self._logprobs = sampling.logprobs
        self._is_json = sampling.response_format.type != "text"
        # One character may be spread over several tokens; bytes that never become one are replaced by U+FFFD.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop_matcher = StopMatcher(sampling.stop)
        self._text: list[str] = []
        self._made_characters = 0
        self._sent_characters = 0
        self._unsent: list[tuple[int, TokenLogprob]] = []
        """Log-probabilities of tokens whose text is held back, each with the place where that begins."""
        self._pads = 0

    def feed(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> Delta | None:
        """Add the tokens of one step; None when nothing is ready to send. Sets `finish_reason` at a stop string.

        Raises:
            EngineError: the model has nothing left but padding, so the answer cannot be completed.
        """
        sent = ""
        for token_id, logprob in zip(token_ids, logprobs, strict=True):
            self.completion_tokens += 1
            self._watch_padding(token_id)
            sent += self._add(token_id, logprob)
            if self._stop_matcher.stopped:
                self.finish_reason = "stop"
                break
        self._text.append(sent)
        self._sent_characters += len(sent)
        ready = tuple([entry for start, entry in self._unsent if start < self._sent_characters])
        self._unsent = self._unsent[len(ready) :]
        return Delta(sent, logprobs=ready) if sent or ready else None

    def finish(self, reason: FinishReason) -> Delta:
        """End the answer: release what was held back.

        Raises:
            EngineError: the answer should be JSON, is complete by the model's own account, and is not.
        """
        if self.finish_reason is not None:
            return Delta("")  # at a stop string: all that stands before it was sent
        self.finish_reason = reason
        rest = self._stop_matcher.feed(self._decoder.decode(b"", final=True)) + self._stop_matcher.flush()
        if self._is_json and reason != "length" and not _is_json("".join([*self._text, rest])):
            raise EngineError("the model's answer is not JSON of the requested form; try again or simplify the schema")
        return Delta(rest, logprobs=tuple([entry for _, entry in self._unsent]))

    def _add(self, token_id: int, logprob: float) -> str:
        piece = self._vocabulary.pieces[token_id]
        if self._logprobs and token_id not in self._vocabulary.eos_ids:
            entry = TokenLogprob(piece.decode("utf-8", errors="replace"), logprob, tuple(piece))
            self._unsent.append((self._made_characters, entry))
        text = self._decoder.decode(piece)
        self._made_characters += len(text)
        return self._stop_matcher.feed(text)

    def _watch_padding(self, token_id: int) -> None:
        self._pads = self._pads + 1 if token_id == self._vocabulary.pad_id else 0
        # A grammar that allows no token at all leaves every score at minus infinity, and padding is chosen for ever.
        if self._pads >= PAD_RUN:
            raise EngineError("the model could not go on with its answer; try again, or simplify the response format")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
