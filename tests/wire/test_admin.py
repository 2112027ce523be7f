"""A key to be made, from a body or from flags: what is taken, and every problem at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sightline.core import KeyLimits, NewKey, SpendingLimit
from sightline.errors import InvalidRequest
from sightline.wire.admin import PageQuery, new_key, parse_new_key, parse_page

AFTER = "key_" + "0a" * 14


def refused(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_new_key(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


def test_name_is_all_that_a_key_needs() -> None:
    assert parse_new_key(b'{"name": "Ada", "models": null, "spend_period": null}') == NewKey("Ada")


def test_every_field_is_taken() -> None:
    body = {
        "name": "Ada ü 🦊",
        "expires_at": 4_000_000_000,
        "permissions": ["admin", "admin"],
        "models": ["sightline/scripted"],
        "requests_per_min": 1,
        "tokens_per_min": 2**31 - 1,
        "max_in_flight": 3,
        "spend_limit": "5.00",
        "spend_period": "month",
    }

    assert parse_new_key(json.dumps(body).encode()) == NewKey(
        "Ada ü 🦊",
        expires_at=datetime.fromtimestamp(4_000_000_000, UTC),
        permissions=frozenset({"admin"}),
        models=frozenset({"sightline/scripted"}),
        limits=KeyLimits(1, 2**31 - 1, 3),
        spending=SpendingLimit(5 * 10**9, "month"),
    )


@pytest.mark.parametrize(
    ("text", "nanos"),
    [("0", 0), ("5", 5 * 10**9), ("0.000000001", 1), ("999999999.999999999", 10**18 - 1), ("007.10", 7_100_000_000)],
)
def test_money_is_exact_and_for_all_time_unless_said(text: str, nanos: int) -> None:
    assert new_key({"name": "Ada", "spend_limit": text}).spending == SpendingLimit(nanos, "total")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": ""}, "name must have 1 or more characters, and is ''."),
        ({"name": "x" * 201}, "name must have 200 or fewer characters"),
        ({"name": " "}, "name must be text that can be seen"),
        ({"name": "a\x00b"}, r"control characters, and is 'a\x00b'."),
        ({"name": "a\nb"}, "name must be text that can be seen"),
        ({"name": 5}, "name must be a string, and is an integer."),
        ({"expires_at": 1}, "expires_at must be in the future, in unix seconds, and is 1."),
        ({"expires_at": 2**60}, "expires_at must be less than 253402300800"),
        ({"expires_at": "2027-01-31"}, "expires_at must be an integer, and is a string."),
        ({"permissions": []}, "permissions must have 1 or more entries"),
        ({"permissions": ["root"]}, "permissions.[0] must be 'inference', 'usage' or 'admin', and is 'root'."),
        ({"permissions": "admin"}, "permissions must be an array, and is a string."),
        ({"models": []}, "models must have 1 or more entries"),
        ({"models": ["\x00"]}, "models.[0] must be text that can be seen"),
        ({"requests_per_min": 0}, "requests_per_min must be 1 or more, and is 0."),
        ({"tokens_per_min": 2**31}, "tokens_per_min must be less than 2147483648"),
        ({"max_in_flight": 1.5}, "max_in_flight must be an integer, and is a number."),
        ({"max_in_flight": True}, "max_in_flight must be an integer, and is a boolean."),
        ({"spend_limit": 5}, "spend_limit must be a string, and is an integer."),
        ({"spend_limit": "-1"}, "spend_limit must be US dollars, "),
        ({"spend_limit": "1e3"}, "spend_limit must be US dollars, "),
        ({"spend_limit": "٣"}, "spend_limit must be US dollars, "),
        ({"spend_limit": "5\n"}, "spend_limit must be US dollars, "),
        (
            {"spend_limit": "1", "spend_period": "week"},
            "spend_period must be 'day', 'month' or 'total', and is 'week'.",
        ),
        ({"spend_period": "day"}, "spend_period is only for a spending limit; give both or neither."),
        ({"sha256": "x"}, "sha256 is not a parameter of this service; leave it out."),
    ],
)
def test_problem_is_named_with_what_was_sent(more: dict[str, Any], message: str) -> None:
    error = refused({"name": "Ada", **more})

    assert message in error.message
    assert error.param == message.split()[0] or message.startswith("control")


def test_all_problems_are_named_at_once() -> None:
    error = refused({"name": 1, "max_in_flight": 0, "permissions": ["root"], "spend_period": "day", "banana": 1})

    params = [problem.param for problem in error.details]
    assert sorted(map(str, params)) == ["banana", "max_in_flight", "name", "permissions.[0]", "spend_period"]


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"name": NaN}', b'{"name": "\xff"}', b"[" * 60_000])
def test_what_is_no_json_says_so(body: bytes) -> None:
    assert refused(body).code == "invalid_json"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"Ada"'])
def test_what_is_no_object_says_so(body: bytes) -> None:
    assert refused(body).code == "invalid_type"


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ([], PageQuery(None, 20)),
        ([("limit", "1")], PageQuery(None, 1)),
        ([("limit", "100"), ("after", AFTER)], PageQuery(AFTER, 100)),
    ],
)
def test_page_is_read_from_the_query(query: list[tuple[str, str]], page: PageQuery) -> None:
    assert parse_page(query) == page


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ([("limit", "0")], ["limit"]),
        ([("limit", "101")], ["limit"]),
        ([("limit", "٣")], ["limit"]),
        ([("limit", "9" * 5000)], ["limit"]),
        ([("limit", "1"), ("limit", "2")], ["limit"]),
        ([("after", "key_'; DROP TABLE api_keys; --")], ["after"]),
        ([("after", AFTER + "\n")], ["after"]),
        ([("after", ""), ("limit", ""), ("order", "desc")], ["after", "limit", "order"]),
    ],
)
def test_page_that_cannot_be_is_refused(query: list[tuple[str, str]], params: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_page(query)

    assert [problem.param for problem in caught.value.details] == params
