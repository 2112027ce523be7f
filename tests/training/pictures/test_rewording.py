"""Rules of rewording beside every list of wordings: none asks what an examination of another list asks."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import numpy as np
import pictures
from pictures.rewording import RULES, reworded

Wordings = tuple[str, ...]


def lists_of_wordings() -> Iterator[Wordings]:
    for module in pkgutil.iter_modules(pictures.__path__):
        if module.name in ("__main__", "gather"):
            continue
        for value in vars(importlib.import_module(f"pictures.{module.name}")).values():
            texts = value if isinstance(value, tuple) and all(isinstance(each, str) for each in value) else ()
            if len(texts) >= 5 and sum(each.endswith(("?", ".")) for each in texts) > len(texts) / 2:
                yield texts


def made_of(text: str) -> Iterator[str]:
    """Every way in which the rules alone say a question."""
    for pattern, ways in RULES:
        if (found := pattern.fullmatch(text)) is not None:
            for way in ways:
                made = way.format(*(group for group in found.groups() if group))
                yield made[0].upper() + made[1:]


def test_no_rule_says_what_an_examination_of_another_list_says() -> None:
    lists = list(dict.fromkeys(lists_of_wordings()))
    taught = {each for one in lists for each in one[: -(len(one) // 5)]}
    kept = [set(one[-(len(one) // 5) :]) for one in lists]

    for at, one in enumerate(lists):
        others = set().union(*(held for number, held in enumerate(kept) if number != at)) - taught - kept[at]
        made = {way for text in one[: -(len(one) // 5)] for way in made_of(text)}
        assert not made & others

    assert len(lists) > 50


def test_who_wrote_a_message_is_not_asked_as_of_a_table() -> None:
    rng = np.random.default_rng(3)

    made = {reworded(rng, 'Whose message is "It is late."?') for _ in range(100)}

    assert len(made) > 3
    assert not [one for one in made if "row" in one or "goes with" in one]
