"""Closed by default: every route with the key it needs, and every way to send one that is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from sightline.api.routes import ROUTES
from sightline.auth.keys import Keys
from sightline.core import PERMISSIONS, NewKey
from support.bodies import CHAT, chat
from support.failures import assert_error

pytestmark = pytest.mark.anyio

# Every route and the permission it needs; None is open to all. A route that is not here fails a test.
NEEDED = {
    "POST /v1/chat/completions": "inference",
    "POST /v1/chat/completions/input_tokens": "inference",
    "GET /v1/models": "inference",
    "GET /v1/models/{model_id:path}": "inference",
    "GET /v1/admin/keys": "admin",
    "POST /v1/admin/keys": "admin",
    "GET /v1/admin/keys/{id}": "admin",
    "DELETE /v1/admin/keys/{id}": "admin",
    "GET /v1/usage": "usage",
    "GET /v1/usage/requests": "usage",
    "GET /metrics": "admin",
    "GET /health/live": None,
    "GET /health/ready": None,
}
CLOSED = [(route, permission) for route, permission in NEEDED.items() if permission]


@pytest.fixture
async def anyone(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without a key."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sightline.test") as client:
        yield client


async def send(client: httpx2.AsyncClient, route: str, authorization: str | None) -> httpx2.Response:
    method, path = route.replace("{model_id:path}", "sightline/scripted").replace("{id}", "key_none").split()
    headers = {} if authorization is None else {"authorization": authorization}
    content = b"{" if method == "POST" else b""
    return await client.request(method, path, headers=headers, content=content)


def test_every_route_says_which_key_it_needs() -> None:
    routes = {f"{method} {route.path}" for route in ROUTES for method in (route.methods or {"ANY"}) - {"HEAD"}}

    assert routes == set(NEEDED)


@pytest.mark.parametrize("route", [route for route, permission in NEEDED.items() if permission is None])
async def test_open_route_needs_no_key(anyone: httpx2.AsyncClient, route: str) -> None:
    assert (await send(anyone, route, None)).status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer sk-sl-" + "x" * 40])
@pytest.mark.parametrize("route", [route for route, _ in CLOSED])
async def test_closed_route_refuses_strangers(
    anyone: httpx2.AsyncClient, route: str, authorization: str | None
) -> None:
    assert_error(await send(anyone, route, authorization), 401, "invalid_api_key")


@pytest.mark.parametrize("route", [route for route, _ in CLOSED if route.startswith("GET")])
async def test_head_is_as_closed_as_get(anyone: httpx2.AsyncClient, route: str) -> None:
    assert (await send(anyone, route.replace("GET", "HEAD"), None)).status_code == 401


@pytest.mark.parametrize(("route", "permission"), CLOSED)
async def test_closed_route_takes_its_own_permission_and_no_other(
    anyone: httpx2.AsyncClient, make_key: Callable[..., str], route: str, permission: str
) -> None:
    """The body is no JSON and the id no key's: whoever is let in is told so, whoever is not learns nothing of it."""
    right = make_key(permissions=frozenset({permission}))
    wrong = make_key(permissions=PERMISSIONS - {permission})

    allowed, refused = await send(anyone, route, f"Bearer {right}"), await send(anyone, route, f"Bearer {wrong}")

    assert allowed.status_code in (200, 400, 404)
    error = assert_error(refused, 403, "permission_denied")
    assert f"permission {permission}" in error["message"]
    assert all(f"--permission {one}" in error["message"] for one in PERMISSIONS)


WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda key: "",
    "scheme alone": lambda key: "Bearer",
    "scheme and blank": lambda key: "Bearer ",
    "no scheme": lambda key: key,
    "Basic": lambda key: f"Basic {key}",
    "other scheme": lambda key: f"Token {key}",
    "scheme glued": lambda key: f"Bearer{key}",
    "scheme with colon": lambda key: f"Bearer: {key}",
    "scheme twice": lambda key: f"Bearer Bearer {key}",
    "tab after scheme": lambda key: f"Bearer\t{key}",
    "two keys": lambda key: f"Bearer {key} {key}",
    "two keys, comma": lambda key: f"Bearer {key}, Bearer {key}",
    "two keys, wrong first": lambda key: f"Bearer x,{key}",
    "prefix": lambda key: f"Bearer {key[:-1]}",
    "prefix of all keys": lambda key: "Bearer sk-sl-",
    "suffix": lambda key: f"Bearer {key}x",
    "suffix NUL": lambda key: f"Bearer {key}\x00",
    "NUL": lambda key: "Bearer \x00",
    "NUL before": lambda key: f"Bearer \x00{key}",
    "newline": lambda key: f"Bearer {key}\n",
    "no-break space": lambda key: f"Bearer {key}\xa0",
    "other case": lambda key: f"Bearer {key.swapcase()}",
    "lower case": lambda key: f"Bearer {key.lower()}",
    "quotes": lambda key: f'Bearer "{key}"',
    "single quotes": lambda key: f"Bearer '{key}'",
    "angle brackets": lambda key: f"Bearer <{key}>",
    "percent": lambda key: "Bearer " + key.replace("-", "%2D"),
    "environment variable": lambda key: "Bearer $INFERENCE_API_KEY",
    "non-ASCII": lambda key: f"Bearer {key}ü",
    "long": lambda key: "Bearer " + "x" * 100_000,
    "long after key": lambda key: f"Bearer {key}" + "x" * 100_000,
    "hash": lambda key: "Bearer " + "0" * 64,
    "JSON": lambda key: f'Bearer {{"key": "{key}"}}',
    "None": lambda key: "Bearer None",
    "wildcard": lambda key: "Bearer %",
    "SQL or": lambda key: "Bearer ' OR '1'='1",
    "SQL or comment": lambda key: "Bearer ' OR 1=1 --",
    "SQL union": lambda key: "Bearer x' UNION SELECT * FROM api_keys --",
    "SQL drop": lambda key: "Bearer '; DROP TABLE api_keys; --",
    "SQL blob": lambda key: "Bearer x'00' OR sha256 IS NOT NULL",
    "SQL like": lambda key: "Bearer sk-sl-%' OR name LIKE '%",
    "SQL double quotes": lambda key: 'Bearer " OR ""="',
    "format": lambda key: "Bearer {0.__class__} %(sha256)s :sha256",
}


@pytest.mark.parametrize("form", WRONG)
@pytest.mark.parametrize("route", ["GET /v1/models", "POST /v1/admin/keys"])
async def test_wrong_key_is_401_and_is_not_echoed(
    anyone: httpx2.AsyncClient, make_key: Callable[..., str], keys: Keys, form: str, route: str
) -> None:
    key = make_key(permissions=PERMISSIONS)
    sent = WRONG[form](key)
    method, path = route.split()

    with capture_logs() as logs:
        response = await anyone.request(method, path, headers={"authorization": sent.encode("latin-1")}, content=b"{")

    check_refused(response, key, logs)
    for part in sent.split():
        assert len(part) < 8 or part not in response.text
    assert len(keys.all()) == 1


def check_refused(response: httpx2.Response, key: str, logs: Any) -> None:
    error = assert_error(response, 401, "invalid_api_key")
    assert error["type"] == "invalid_request_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-should-retry"] == "false"
    assert key not in response.text + str(response.headers) + str(logs)
    assert len(response.text) < 400


@pytest.mark.parametrize(
    "request_",
    [
        lambda key: {"params": {"api_key": key}},
        lambda key: {"params": {"authorization": f"Bearer {key}"}},
        lambda key: {"params": {"access_token": key, "key": key, "token": key}},
        lambda key: {"headers": {"cookie": f"authorization=Bearer {key}; api_key={key}; session={key}"}},
        lambda key: {"headers": {"x-api-key": key, "api-key": key}},
        lambda key: {"headers": {"proxy-authorization": f"Bearer {key}"}},
        lambda key: {"headers": {"x-forwarded-authorization": f"Bearer {key}"}},
        lambda key: {"headers": {"openai-api-key": key}},
        lambda key: {"headers": [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")]},
        lambda key: {"headers": [("authorization", f"Bearer {key}"), ("authorization", "Bearer x")]},
        lambda key: {"headers": [("authorization", "Basic x"), ("authorization", f"Bearer {key}")]},
        lambda key: {"auth": ("user", key)},
    ],
)
async def test_key_in_another_place_is_401(
    anyone: httpx2.AsyncClient, make_key: Callable[..., str], request_: Callable[[str], Any]
) -> None:
    key = make_key()

    with capture_logs() as logs:
        response = await anyone.get("/v1/models", **request_(key))

    check_refused(response, key, logs)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_scheme_may_be_in_any_case(anyone: httpx2.AsyncClient, make_key: Callable[..., str], scheme: str) -> None:
    assert (await send(anyone, "GET /v1/models", f"{scheme} {make_key()}")).status_code == 200


async def test_key_for_some_models_sees_and_uses_these_alone(
    anyone: httpx2.AsyncClient, make_key: Callable[..., str]
) -> None:
    mine = {"authorization": f"Bearer {make_key(models=frozenset({'sightline/scripted'}))}"}
    theirs = {"authorization": f"Bearer {make_key(models=frozenset({'gpt-4o'}))}"}

    assert (await anyone.post(CHAT, json=chat("a"), headers=mine)).status_code == 200
    assert len((await anyone.get("/v1/models", headers=mine)).json()["data"]) == 1
    assert (await anyone.get("/v1/models", headers=theirs)).json()["data"] == []
    for response in (
        await anyone.post(CHAT, json=chat("a"), headers=theirs),
        await anyone.post(f"{CHAT}/input_tokens", json=chat("a"), headers=theirs),
        await anyone.post(CHAT, json=chat("a", model="nobody/nothing"), headers=theirs),
        await anyone.get("/v1/models/sightline/scripted", headers=theirs),
        await anyone.get("/v1/models/nobody/nothing", headers=theirs),
    ):
        error = assert_error(response, 403, "model_not_allowed", "model")
        assert "It is for gpt-4o" in error["message"]


async def test_key_for_other_models_learns_nothing_of_this_one(
    anyone: httpx2.AsyncClient, make_key: Callable[..., str]
) -> None:
    theirs = {"authorization": f"Bearer {make_key(models=frozenset({'gpt-4o'}))}"}

    response = await anyone.post(CHAT, json=chat("a", logit_bias={"5": 1}, top_p=0.5), headers=theirs)

    assert [problem["param"] for problem in response.json()["error"]["details"]] == ["logit_bias"]


async def test_key_for_an_alias_may_use_the_model_by_all_its_names(
    app: Starlette, anyone: httpx2.AsyncClient, keys: Keys
) -> None:
    app.state.runtime.pipeline.catalogue._aliases = {"gpt-4o": "sightline/scripted"}
    _, secret = keys.create(NewKey("Ada", models=frozenset({"gpt-4o"})))
    headers = {"authorization": f"Bearer {secret}"}

    for name in ("gpt-4o", "sightline/scripted"):
        assert (await anyone.post(CHAT, json=chat("a", model=name), headers=headers)).status_code == 200
    [listed] = (await anyone.get("/v1/models", headers=headers)).json()["data"]
    assert listed["aliases"] == ["gpt-4o"]
