"""What a service says while everything happens to it: no key, prompt, picture, answer or password is in any of it."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.store.database import Database
from support.bodies import CHAT, chat, image, raw
from support.databases import KINDS, fresh_database
from support.live import wait_for
from support.pictures import picture
from support.running import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PROMPT, ANSWER, PASSWORD, STRANGER = "quokka prompt", "narwhal answer", "ocelot-password", "sk-sl-axolotl" + "x" * 33
# A parameter's name or choice: an answer that refuses it says which it was, to its sender; no log does.
FIELD = "badger_field"
OTHER = "sightline/other"
PICTURE = picture() + secrets.token_bytes(600)
DAMAGED = picture()[:40] + secrets.token_bytes(600)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield url.replace("postgres:@", f"postgres:{PASSWORD}@")


def test_nothing_of_a_caller_is_said(tmp_path: Path, database_url: str) -> None:
    database = Database.open(tmp_path / "data", database_url)
    key, secret = Keys(database).create(NewKey("quiet"))
    plan = tmp_path / "plan"
    plan.write_text("")
    engine = f'[[engines]]\nkind = "scripted"\noptions = {{answer = "{ANSWER}", model = "{OTHER}"}}\n'
    toml = f'database = "{database_url}"\n{engine}'

    with Running(tmp_path, step_s=0.01, toml=toml, failpoints=f"@{plan}") as service:
        heard = everything(service, secret, plan)
        Keys(database).revoke(key.id)
        wait_for(lambda: httpx2.get(f"{service.url}/v1/models", headers=bearer(secret)).status_code == 401)
        heard.append(httpx2.get(f"{service.url}/v1/models", headers=bearer(secret)).text)
        service.process.terminate()
        status = service.end()
    database.close()

    said = service.said + "".join(heard)
    assert status == 0
    assert service.said.count('"event"') > 20
    assert "store_failed" in service.said
    assert "engine_died" in service.said
    assert FIELD not in service.said
    for mark in (PROMPT, ANSWER, PASSWORD, STRANGER, STRANGER[6:], secret, secret[6:]):
        assert mark not in said, said[max(said.index(mark) - 200, 0) :][:300]
        assert mark.split()[0] not in said.split()
    for data in (PICTURE, DAMAGED):
        text = base64.b64encode(data).decode()
        assert not any(text[at : at + 24] in said for at in range(60, len(text) - 24))
        assert not any(data[at : at + 12].hex() in said for at in range(45, len(data) - 12))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def everything(service: Running, secret: str, plan: Path) -> list[str]:
    """Do whatever a caller can do, and what can befall a service; returns the errors it answered with."""
    shown = image(PICTURE)
    address = {"type": "image_url", "image_url": {"url": f"https://example.com/{STRANGER}.png"}}
    good = [
        raw(PROMPT, shown),
        raw(PROMPT, shown, stream=True),
        raw(PROMPT, logprobs=True),
        json.dumps({**chat(PROMPT), "model": OTHER}).encode(),
    ]
    bad = [
        raw(PROMPT)[:-9],
        raw(PROMPT, **{FIELD: PROMPT}),
        raw(PROMPT, temperature=PROMPT),
        raw(PROMPT, stop=[PROMPT] * 9),
        raw(PROMPT, response_format={"type": FIELD}),
        raw(PROMPT, image(DAMAGED)),
        raw(PROMPT, image(b"BM" + PICTURE)),
        raw(PROMPT, {"type": "image_url", "image_url": {"url": "data:image/png;base64,!" + PROMPT}}),
        raw(PROMPT, address),
        raw(PROMPT, shown, shown, shown),
        raw(PROMPT + " <fail>"),
        raw(PROMPT + " <fail>", stream=True),
        json.dumps({"model": "sightline/scripted", "messages": PROMPT}).encode(),
        json.dumps({"model": "sightline/scripted", "messages": [{"role": FIELD, "content": PROMPT}]}).encode(),
    ]
    heard: list[str] = []
    with httpx2.Client(base_url=service.url, headers=bearer(secret), timeout=60) as http:

        def send(body: bytes, **more: str) -> int:
            answer = http.post(CHAT, content=body, headers=more)
            if answer.status_code != 200:
                heard.extend((answer.text, str(answer.headers)))
            return answer.status_code

        assert [send(body) for body in good] == [200] * len(good)
        assert all(400 <= send(body) <= 500 for body in bad)
        assert send(raw(PROMPT), **{"idempotency-key": PROMPT.replace(" ", "-")}) == 200
        assert send(raw(PROMPT + "!"), **{"idempotency-key": PROMPT.replace(" ", "-")}) == 409
        assert send(raw(PROMPT), authorization=f"Bearer {STRANGER}") == 401
        assert send(raw(PROMPT), authorization=f"Basic {STRANGER}") == 401
        heard.append(http.get("/v1/nothing").text)
        with http.stream("POST", CHAT, content=raw(PROMPT + " word" * 200, stream=True)) as left:
            next(left.iter_bytes())
        for failures in ("store.write=error", "store.commit=error", "store.read=error", "store.write=slow:1.2"):
            plan.write_text(failures)
            for body in good[:2]:
                send(body)
        plan.write_text("seed=1 ")
        wait_for(lambda: send(good[0]) == 200)
        with suppress(httpx2.TransportError):
            send(raw(PROMPT + " <crash>", shown))
        wait_for(lambda: http.get("/health/ready").status_code == 200)
        metrics = http.get("/metrics")
        heard.append(metrics.text)
    return heard
