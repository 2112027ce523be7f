"""`/v1/admin/keys`: make, list, read and revoke API keys, with a key that may.

A key is revoked, never removed: the ledger goes on naming it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sightline.api.auth import authenticate, same_origin
from sightline.api.body import read_json_body
from sightline.api.runtime import runtime_of
from sightline.auth.keys import PREFIX, ApiKey, Keys
from sightline.errors import KeyNotFound
from sightline.log import get_logger
from sightline.metering.prices import dollars
from sightline.metering.quota import Spent, spent_by
from sightline.wire.admin import KEY_ID, parse_new_key, parse_page
from sightline.wire.render import encode

log = get_logger(__name__)
_REMEDY = "Name fewer models, or leave them out to allow all."
_MAX_BODY_BYTES = 65_536


async def keys(request: Request) -> Response:
    """`GET` lists a page of keys, `POST` makes one."""
    return await (_create if request.method == "POST" else _list)(request)


async def key(request: Request) -> Response:
    """`GET` reads a key, `DELETE` revokes it."""
    return await (_revoke if request.method == "DELETE" else _read)(request)


async def _list(request: Request) -> Response:
    await authenticate(request, "admin")
    page = parse_page(request.query_params.multi_items())
    store = runtime_of(request).keys
    found, has_more = await asyncio.to_thread(store.page, page.after, page.limit)
    data = await _bodies(store, found)
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return _answer({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})


async def _create(request: Request) -> Response:
    same_origin(request)
    by = await authenticate(request, "admin")
    body = await read_json_body(request, _MAX_BODY_BYTES, remedy=_REMEDY)
    store = runtime_of(request).keys
    made, secret = await asyncio.to_thread(store.create, parse_new_key(body))
    log.info("key_made", id=made.id, by=by.id)
    shown = _body(made, Spent() if made.spending else None, datetime.now(UTC))  # Nothing is read: it must be shown now.
    return _answer({**shown, "value": secret}, 201)


async def _read(request: Request) -> Response:
    await authenticate(request, "admin")
    store = runtime_of(request).keys
    [shown] = await _bodies(store, [await asyncio.to_thread(store.find, _id(request))])
    return _answer(shown)


async def _revoke(request: Request) -> Response:
    same_origin(request)
    by = await authenticate(request, "admin")
    store = runtime_of(request).keys
    revoked = await asyncio.to_thread(store.find, _id(request))
    if await asyncio.to_thread(store.revoke, revoked.id, keep_an_admin=True):
        log.info("key_revoked", id=revoked.id, by=by.id)
    return _answer({"id": revoked.id, "object": "api_key.deleted", "deleted": True})


def _id(request: Request) -> str:
    sent: str = request.path_params["id"]
    if not KEY_ID.fullmatch(sent):  # nor does a database take every character
        raise KeyNotFound("This is no id of an API key; list them with GET /v1/admin/keys.", param="id")
    return sent


async def _bodies(store: Keys, found: Sequence[ApiKey]) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    limits = {one.id: one.spending for one in found if one.spending}
    spent = await store.database.run_read(lambda connection: spent_by(connection, limits, now)) if limits else {}
    return [_body(one, spent.get(one.id), now) for one in found]


def _body(shown: ApiKey, spent: Spent | None, now: datetime) -> dict[str, Any]:
    return {
        "id": shown.id,
        "object": "api_key",
        "name": shown.name,
        "redacted_value": f"{PREFIX}…{shown.hint}",
        "state": shown.state(now),
        "created_at": int(shown.created_at.timestamp()),
        "expires_at": _seconds(shown.expires_at),
        "revoked_at": _seconds(shown.revoked_at),
        "permissions": sorted(shown.permissions),
        "models": None if shown.models is None else sorted(shown.models),
        "requests_per_min": shown.limits.requests_per_min,
        "tokens_per_min": shown.limits.tokens_per_min,
        "max_in_flight": shown.limits.max_in_flight,
        "spend_limit": dollars(shown.spending.nanos) if shown.spending else None,
        "spend_period": shown.spending.period if shown.spending else None,
        "spent": dollars(spent.settled_nanos) if spent else None,
        "reserved": dollars(spent.reserved_nanos) if spent else None,
    }


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(encode(body), status, {"cache-control": "no-store"}, "application/json")
