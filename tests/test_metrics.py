"""Metrics: the right sums in the text of Prometheus, counted by everyone who should, at next to no cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from sightline import metrics
from sightline.admission.admit import Admission
from sightline.api.middleware import RequestLogMiddleware
from sightline.auth.keys import Keys
from sightline.core import NewKey, Usage
from sightline.settings import ServerSettings, Settings
from sightline.store.database import Database
from support.bodies import CHAT, chat, image
from support.failures import assert_error
from support.ledgers import DONE, entry, fill

pytestmark = pytest.mark.anyio
Read = Callable[..., float]
DOCUMENTED = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()


def read(name: str, **labels: str) -> float:
    """One sample of what is shown; 0 if it is not there."""
    families = text_string_to_metric_families(metrics.text().decode())
    samples = [sample for family in families for sample in family.samples]
    return next((one.value for one in samples if one.name == name and one.labels == labels), 0.0)


@pytest.fixture
def grown() -> Callable[..., float]:
    """How much a sample has grown since it was first asked for."""
    before: dict[str, float] = {}

    def since(name: str, **labels: str) -> float:
        key = f"{name}{labels}"
        now = read(name, **labels)
        return now - before.setdefault(key, now)

    return since


def test_an_answer_is_counted_by_model_and_kind(grown: Read) -> None:
    kinds = ("prompt", "completion", "image", "cached")
    for kind in kinds:
        grown("sightline_tokens_total", model="m", kind=kind)
    grown("sightline_cost_dollars_total", model="m")

    metrics.answered("m", Usage(12, 5, 8, 1), 1_500_000_000)
    metrics.answered("m", Usage(1, 1), 0)

    assert [grown("sightline_tokens_total", model="m", kind=kind) for kind in kinds] == [13, 6, 8, 1]
    assert grown("sightline_cost_dollars_total", model="m") == 1.5


def test_a_histogram_s_bounds_are_inclusive(grown: Read) -> None:
    metrics.first_token("h", 0.0)
    bounds = ("0.25", "0.5", "+Inf")
    name = "sightline_time_to_first_token_seconds"
    for bound in bounds:
        grown(f"{name}_bucket", model="h", le=bound)
    grown(f"{name}_sum", model="h")

    for seconds in (0.25, 0.26, 500.0):
        metrics.first_token("h", seconds)

    assert [grown(f"{name}_bucket", model="h", le=bound) for bound in bounds] == [1, 2, 3]
    assert grown(f"{name}_sum", model="h") == pytest.approx(500.51)


def test_images_and_restarts_are_counted(grown: Read) -> None:
    grown("sightline_image_bytes_total")
    grown("sightline_engine_restarts_total", engine="genai")

    metrics.images_taken(1000)
    metrics.engine_restarted("genai")

    assert grown("sightline_image_bytes_total") == 1000
    assert grown("sightline_engine_restarts_total", engine="genai") == 1


def test_each_metric_is_documented() -> None:
    families = text_string_to_metric_families(metrics.text().decode())
    names = [f"{one.name}_total" if one.type == "counter" else one.name for one in families]
    ours = [name for name in names if name.startswith("sightline_")]

    assert len(ours) >= 13
    assert [name for name in ours if f"| `{name}` |" not in DOCUMENTED] == []


@pytest.mark.parametrize("name", ["sightline_request_duration_seconds", "sightline_requests_in_flight"])
def test_what_is_easily_misread_says_what_the_documentation_says(name: str) -> None:
    families = text_string_to_metric_families(metrics.text().decode())
    (text,) = (one.documentation for one in families if one.name == name)
    words = text[0].lower() + text[1:].removesuffix(".")

    assert any(row.startswith(f"| `{name}` |") and row.endswith(f"| {words} |") for row in DOCUMENTED.split("\n"))


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/health/live", "/health/live", 200),
        ("/v1/models/no/such", "/v1/models/{model_id:path}", 404),
        ("/nowhere/42", "other", 404),
        (CHAT, CHAT, 405),
    ],
)
async def test_requests_are_counted_by_the_route_of_the_table(
    client: httpx2.AsyncClient, grown: Read, path: str, route: str, status: int
) -> None:
    grown("sightline_requests_total", route=route, status=str(status))
    grown("sightline_request_duration_seconds_count", route=route)

    await client.get(path)

    assert grown("sightline_requests_total", route=route, status=str(status)) == 1
    assert grown("sightline_request_duration_seconds_count", route=route) == 1


async def test_a_request_that_ends_without_an_answer_is_499(grown: Read) -> None:
    grown("sightline_requests_total", route="other", status="499")

    async def silent(*_: object) -> None:
        return None

    await RequestLogMiddleware(silent)({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)  # type: ignore[arg-type]

    assert grown("sightline_requests_total", route="other", status="499") == 1


async def test_ledger_writes_are_timed(database: Database, grown: Read) -> None:
    grown("sightline_ledger_write_seconds_count")

    await fill(database, [(entry(), DONE)])

    assert grown("sightline_ledger_write_seconds_count") == 2


async def test_an_answer_over_http_is_counted(client: httpx2.AsyncClient, grown: Read) -> None:
    model, first = "sightline/scripted", "sightline_time_to_first_token_seconds_count"
    grown("sightline_tokens_total", model=model, kind="prompt")
    grown("sightline_image_bytes_total")
    grown(first, model=model)

    answer = (await client.post(CHAT, json=chat("one two three", image(), n=2))).json()

    assert grown("sightline_tokens_total", model=model, kind="prompt") == answer["usage"]["prompt_tokens"]
    assert grown("sightline_image_bytes_total") == answer["sightline"]["images"][0]["bytes"]
    assert grown(first, model=model) == 1


async def test_places_taken_are_shown(app: Starlette, admission: Admission, settings: Settings) -> None:
    metrics.in_flight.set_function(lambda: admission.in_flight)

    for places in (1, 0):
        admission.in_flight = places
        assert read("sightline_requests_in_flight") == places


async def test_metrics_are_for_admins(client: httpx2.AsyncClient, keys: Keys) -> None:
    _, secret = keys.create(NewKey("scraper", permissions=frozenset({"admin"})))
    assert_error(await client.get("/metrics"), 403, "permission_denied")

    shown = await client.get("/metrics", headers={"authorization": f"Bearer {secret}"})

    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "sightline_build_info" in shown.text
    del client.headers["authorization"]
    assert_error(await client.get("/metrics"), 401, "invalid_api_key")


class TestOpen:
    """With `server.open_metrics`."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(data=tmp_path / "data", server=ServerSettings(open_metrics=True))

    async def test_metrics_are_open_where_the_settings_say_so(self, client: httpx2.AsyncClient) -> None:
        del client.headers["authorization"]
        await client.post(CHAT, json=chat("hi"))

        assert (await client.get("/metrics")).status_code == 200
