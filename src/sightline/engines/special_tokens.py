"""Breaks what a tokenizer would read as more than text, in text that a sender wrote.

Comes in: spellings, and patterns of such. Goes out: the same text to a person, ordinary characters to a tokenizer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

ZERO_WIDTH_SPACE = "\u200b"


class SpecialTokenEscaper:
    """Breaks every spelling that a tokenizer or a template would read as more than text.

    A zero-width space goes after the first character of each: people see the same text, the model sees nearly the
    same, the tokenizer sees ordinary characters. Spellings of one character cannot be broken and are left out.
    `patterns` are regular expressions for spellings that are too many to list; each begins with the character that its
    spellings begin with.
    """

    def __init__(self, spellings: Iterable[str], patterns: Iterable[str] = ()) -> None:
        rests: defaultdict[str, list[str]] = defaultdict(list)
        for spelling in sorted(set(spellings)):
            if len(spelling) > 1:
                rests[spelling[0]].append(re.escape(spelling[1:]))
        for pattern in patterns:
            rests[pattern[0]].append(pattern[1:])
        # The look-ahead finds overlapping spellings too: breaking one must not leave another whole. With the first
        # character before it a text is gone through forty times faster.
        starts = [f"{re.escape(first)}(?={'|'.join(which)})" for first, which in sorted(rests.items())]
        self._start = re.compile("|".join(starts) or "(?!)")

    def __call__(self, text: str) -> str:
        """Return `text` with no control spelling left in it; half a surrogate pair, which is no text, is replaced."""
        if self.is_neutral(text):
            return text
        text = text.encode("utf-8", errors="replace").decode()
        parts: list[str] = []
        last = 0
        for cut in self.cuts(text):
            parts += [text[last:cut], ZERO_WIDTH_SPACE]
            last = cut
        return "".join([*parts, text[last:]])

    def is_neutral(self, text: str) -> bool:
        """Whether there is surely nothing to break or replace in `text`; only of ASCII that is known at once."""
        return text.isascii() and self._start.search(text) is None

    def cuts(self, text: str) -> Iterator[int]:
        """Yield the places in `text` where it has to be broken."""
        return (match.start() + 1 for match in self._start.finditer(text))
