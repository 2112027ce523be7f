"""What callers send to manage keys: bytes, a query or flags become a `NewKey` or a `PageQuery`, or one error.

As strict as `protocol`: wrong types are refused, never converted; unknown names are refused, never dropped. Money is
a decimal string of US dollars, time is unix seconds; `null` means absent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError, from_json

from sightline.core import DEFAULT_PERMISSIONS, KeyLimits, NewKey, Period, Permission, SpendingLimit
from sightline.errors import MOST_PROBLEMS, InvalidRequest, Problem
from sightline.wire.problems import SAID, describe

T = TypeVar("T", bound=BaseModel)
_DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
KEY_ID = re.compile(r"key_[0-9a-f]{28}")


def _printable(text: str) -> str:
    if text.strip() and text.isprintable():
        return text
    raise PydanticCustomError(SAID, "must be text that can be seen, without line breaks or control characters")


def _in_future(seconds: int) -> int:
    if seconds > time.time():
        return seconds
    raise PydanticCustomError(SAID, "must be in the future, in unix seconds")


def _dollars(text: str) -> str:
    if _DOLLARS.fullmatch(text):
        return text
    raise PydanticCustomError(
        SAID, 'must be US dollars, such as "5" or "0.25", with up to 9 digits before and after the point'
    )


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Limit = Annotated[int, Field(ge=1, lt=2**31)]


class NewKeyBody(_Wire):
    """The body of `POST /v1/admin/keys`."""

    name: Text
    expires_at: Annotated[int, Field(lt=253_402_300_800), AfterValidator(_in_future)] | None = None
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=10)] | None = None
    models: Annotated[list[Text], Field(min_length=1, max_length=100)] | None = None
    requests_per_min: Limit | None = None
    tokens_per_min: Limit | None = None
    max_in_flight: Limit | None = None
    spend_limit: Annotated[str, AfterValidator(_dollars)] | None = None
    spend_period: Period | None = None


class _PageQuery(_Wire):
    after: Annotated[str, Field(pattern=f"^{KEY_ID.pattern}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which part of a list: up to `limit` entries after the one with the id `after`."""

    after: str | None
    limit: int


def parse_new_key(body: bytes) -> NewKey:
    """Parse the body of `POST /v1/admin/keys`.

    Raises:
        InvalidRequest: not JSON, or not what a key can be; `details` lists every problem.
    """
    try:
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        place = re.search(r"line \d+ column \d+", str(error))
        where = f" at {place[0]}" if place else ""
        message = f'The body is not valid JSON{where}. Send one JSON object, for example {{"name": "Ada"}}.'
        raise InvalidRequest(message, code="invalid_json") from error
    if not isinstance(raw, dict):
        raise InvalidRequest("The body must be a JSON object with name.", code="invalid_type")
    return new_key(raw)


def new_key(raw: dict[str, Any]) -> NewKey:
    """Check the fields of a key to be made.

    Raises:
        InvalidRequest: `details` lists every problem.
    """
    problems: list[Problem] = []
    wire = _check(NewKeyBody, raw, problems)
    if raw.get("spend_period") is not None and raw.get("spend_limit") is None:
        message = "spend_period is only for a spending limit; give both or neither."
        problems.append(Problem(message, "spend_period", "invalid_value"))
    if wire is None or problems:
        raise InvalidRequest.of(problems)
    return NewKey(
        name=wire.name,
        expires_at=None if wire.expires_at is None else datetime.fromtimestamp(wire.expires_at, UTC),
        permissions=DEFAULT_PERMISSIONS if wire.permissions is None else frozenset(wire.permissions),
        models=None if wire.models is None else frozenset(wire.models),
        limits=KeyLimits(wire.requests_per_min, wire.tokens_per_min, wire.max_in_flight),
        spending=_spending(wire),
    )


def parse_page(query: Iterable[tuple[str, str]]) -> PageQuery:
    """Read `after` and `limit` from a query.

    Raises:
        InvalidRequest: `details` lists every problem.
    """
    raw: dict[str, Any] = {}
    for name, text in query:
        value: Any = int(text) if name == "limit" and re.fullmatch(r"-?[0-9]{1,9}", text) else text
        raw[name] = [raw[name], value] if name in raw else value  # sent twice: an array, which neither can be
    problems: list[Problem] = []
    wire = _check(_PageQuery, raw, problems)
    if wire is None:
        raise InvalidRequest.of(problems)
    return PageQuery(wire.after, wire.limit)


def _check(kind: type[T], raw: dict[str, Any], problems: list[Problem]) -> T | None:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False)[:MOST_PROBLEMS]
        problems += [describe(item, raw) for item in found]
        return None


def _spending(wire: NewKeyBody) -> SpendingLimit | None:
    if wire.spend_limit is None:
        return None
    return SpendingLimit(int(Decimal(wire.spend_limit).scaleb(9)), wire.spend_period or "total")
