"""Which request this is, whose, and what its caller must hear of beside the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sightline.admission.rate_limits.base import RateLimitStatus
from sightline.auth.keys import ApiKey
from sightline.core import ConnectionState
from sightline.metering.ledger import IdempotencyKey


def _ignore(_: RateLimitStatus) -> None:
    """Nobody asks how the limit stands."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request of one key.

    `on_token_limit` is called when it is known how the key's tokens a minute stand, also before a refusal.
    `traceparent` is the caller's trace, if it has one.
    """

    request_id: str
    key: ApiKey
    connection: ConnectionState
    idempotency_key: IdempotencyKey | None = None
    traceparent: str = ""
    on_token_limit: Callable[[RateLimitStatus], None] = _ignore


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A whole answer as it goes out, kept for the request's Idempotency-Key."""

    body: bytes
    media_type: str
