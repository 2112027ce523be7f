"""One answer as it grows: token ids in, deltas out.

In: the ids and log-probabilities of each step. Out: `core.Delta`s with whole characters and no stop string, and the
decision that the answer is finished. Pure: knows nothing of the pipeline, of threads or of time.

`completion_tokens` counts every generated token, the one that ends the answer and those of a stop string included,
as OpenAI and vLLM count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.core import Delta, FinishReason, TokenLogprob
from sightline.engines.genai.grammar import AnswerForm
from sightline.engines.genai.text import StopMatcher, TextStream
from sightline.errors import EngineError

PAD_RUN = 8
"""So many padding tokens one after the other are no answer."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of one model. `pieces[id]` is the bytes a token shows, empty for control tokens."""

    pieces: Sequence[bytes]
    eos_ids: frozenset[int]
    pad_id: int


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """What one request asks of its answer's text."""

    stop: tuple[str, ...] = ()
    logprobs: bool = False
    form: AnswerForm | None = None


class Answer:
    """The text of one answer so far, and whether it is finished."""

    def __init__(self, vocabulary: Vocabulary, rules: AnswerRules) -> None:
        self.completion_tokens = 0
        self.finish_reason: FinishReason | None = None
        self._vocabulary = vocabulary
        self._rules = rules
        self._stream = TextStream(vocabulary.pieces)
        self._matcher = StopMatcher(rules.stop)
        self._text: list[str] = []
        self._made_characters = 0
        self._sent_characters = 0
        self._unsent: list[tuple[int, TokenLogprob]] = []
        self._pads = 0

    def feed(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> Delta | None:
        """Add the tokens of one step; None when nothing is ready to send. Sets `finish_reason` at a stop string.

        Raises:
            EngineError: the model has nothing left but padding, so the answer cannot be completed.
        """
        sent: list[str] = []
        for token_id, logprob in zip(token_ids, logprobs, strict=True):
            self.completion_tokens += 1
            self._watch_padding(token_id)
            sent.append(self._add(token_id, logprob))
            if self.finish_reason is not None:
                break
        return self._delta("".join(sent))

    def finish(self, reason: FinishReason) -> Delta | None:
        """End the answer: release what was held back.

        Raises:
            EngineError: the answer should be JSON of a form, is complete by the model's own account, and is not.
        """
        rest = ""
        met_stop_string = self.finish_reason is not None
        if not met_stop_string:
            cut = self._matcher.feed(self._stream.flush())
            rest = cut.text if cut.stopped else cut.text + self._matcher.flush()
            self._sent_characters += len(rest)
        self.finish_reason = reason
        delta = self._delta(rest, is_last=True)
        form = None if met_stop_string or reason == "length" else self._rules.form
        if form is not None and not form.accepts("".join(self._text)):
            raise EngineError("the model's answer is not JSON of the requested form; try again or simplify the schema")
        return delta

    def _add(self, token_id: int, logprob: float) -> str:
        text = self._stream.feed(token_id)
        if self._rules.logprobs and token_id not in self._vocabulary.eos_ids:
            self._unsent.append((self._made_characters, _token_logprob(self._vocabulary.pieces[token_id], logprob)))
        self._made_characters += len(text)
        cut = self._matcher.feed(text)
        self._sent_characters += len(cut.text)
        if cut.stopped:
            self.finish_reason = "stop"
        return cut.text

    def _delta(self, text: str, *, is_last: bool = False) -> Delta | None:
        """Wrap `text` with the log-probabilities of the tokens that it shows."""
        if self._rules.form is not None:
            self._text.append(text)
        ready = [entry for start, entry in self._unsent if start < self._sent_characters or is_last]
        self._unsent = [item for item in self._unsent if item[0] >= self._sent_characters and not is_last]
        if self.finish_reason is not None and not is_last:
            self._unsent = []
        return Delta(text, logprobs=tuple(ready)) if text or ready else None

    def _watch_padding(self, token_id: int) -> None:
        self._pads = self._pads + 1 if token_id == self._vocabulary.pad_id else 0
        # A grammar that allows no token at all leaves every score at minus infinity, and padding is chosen for ever.
        if self._pads >= PAD_RUN:
            raise EngineError("the model could not go on with its answer; try again, or simplify the response format")


def _token_logprob(piece: bytes, logprob: float) -> TokenLogprob:
    return TokenLogprob(piece.decode("utf-8", errors="replace"), logprob, tuple(piece))
