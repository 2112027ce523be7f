"""Text of a sender for a server whose tokenizer is not known here: every family's special tokens are escaped.

Source: the tokenizers published with Gemma 3 and 4, Qwen 2 to 3, Llama 3 and 4, Mistral and Pixtral, Phi 3 and 4,
DeepSeek, InternVL, SmolVLM, LLaVA.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from sightline.core import Message, Part, TextPart, ToolCall
from sightline.engines.special_tokens import ZERO_WIDTH_SPACE, SpecialTokenEscaper

SPELLINGS = frozenset(
    {
        *("<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<s>", "</s>", "<cls>", "<sep>"),
        *("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"),
        *("<image>", "</image>", "<img>", "</img>", "<video>", "<audio>", "<IMG_CONTEXT>", "<image_placeholder>"),
        *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
        *("<box>", "</box>", "<ref>", "</ref>", "<quad>", "</quad>", "<end_of_utterance>", "<global-img>"),
        *("<fake_token_around_image>", "<row>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
        *("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]"),
        *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "<<SYS>>", "<</SYS>>"),
    }
)
PATTERNS = (
    r"<\|[^|<>\s]{1,64}\|?>",  # <|im_start|>, <|vision_start|>, <|image_1|>, <|turn>
    r"<[a-z_]{1,32}\|>",  # <turn|>, <image|>
    r"<\uff5c[^<>\s]{1,64}\uff5c>",  # DeepSeek's, between full-width bars
    r"<(?:unused|loc|seg|extra_id_|image_|audio_|reserved_special_token_|row_)\d[\w]{0,16}>",
)


class MessageEscaper:
    """Escapes the special tokens of all known families, and the spellings `more`, in the messages of a request."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._escape = SpecialTokenEscaper({*SPELLINGS, *more}, PATTERNS)

    def messages(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages with no control spelling left, within a part or across neighbouring ones."""
        return [self._message(message) for message in messages]

    def json(self, text: str) -> bytes:
        """Return JSON whose strings and names have no control spelling left."""
        return (
            text.encode() if self._is_unchanged(text) else msgspec.json.encode(self._value(msgspec.json.decode(text)))
        )

    def _is_unchanged(self, text: str) -> bool:
        """Whether there is surely nothing to break in JSON: an escape may hide it."""
        return "\\" not in text and self._escape.is_neutral(text)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._escape(value)
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, dict):
            return {self._escape(name): self._value(one) for name, one in value.items()}
        return value

    def _call(self, call: ToolCall) -> ToolCall:
        name, arguments = self._escape(call.name or ""), self._arguments(call.arguments)
        return replace(call, id=self._escape(call.id or ""), name=name, arguments=arguments)

    def _arguments(self, text: str) -> str:
        """An earlier call's arguments; `{}` for what is no JSON object, to which servers are reported to answer 500,
        and for what is nested more deeply than a program can follow.

        Source: llama.cpp's issue 25510, vLLM's 43995.
        """
        try:
            value = msgspec.json.decode(text)
            if not isinstance(value, dict):
                return "{}"
            return text if self._is_unchanged(text) else msgspec.json.encode(self._value(value)).decode()
        except (msgspec.DecodeError, RecursionError):
            return "{}"

    def _message(self, message: Message) -> Message:
        parts = message.parts
        if message.tool_calls or message.tool_call_id:
            calls = tuple([self._call(call) for call in message.tool_calls])
            answered = self._escape(message.tool_call_id) if message.tool_call_id else None
            message = replace(message, tool_calls=calls, tool_call_id=answered)
        if len(parts) == 1 and isinstance(parts[0], TextPart) and self._escape.is_neutral(parts[0].text):
            return message  # as nearly every one is
        return replace(message, parts=tuple(self._parts(parts)))

    def _parts(self, parts: Sequence[Part]) -> list[Part]:
        made: list[Part] = []
        texts: list[str] = []
        for part in parts:
            if isinstance(part, TextPart):
                texts.append(part.text)
                continue
            made += [*self._texts(texts), part]
            texts = []
        return [*made, *self._texts(texts)]

    def _texts(self, texts: Sequence[str]) -> list[Part]:
        """Break spellings in texts that a template may join, after trimming them or not."""
        whole = [self._escape(text) for text in texts]
        if len(whole) < 2:
            return [TextPart(text) for text in whole]
        joined = ("".join(whole), "".join(text.strip() for text in whole))
        if any(next(self._escape.cuts(text), None) for text in joined):
            # A spelling lies across texts: a mark at the end of each keeps every two of them apart.
            whole[:-1] = [text + ZERO_WIDTH_SPACE for text in whole[:-1]]
        return [TextPart(text) for text in whole]
