"""OpenTelemetry spans of answers: what they say, and what they must not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sightline import traces
from sightline.core import KeyLimits
from sightline.errors import ConfigError
from support.bodies import CHAT, chat, image, raw
from support.pictures import picture

pytestmark = pytest.mark.anyio
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[Callable[[], tuple[ReadableSpan, ...]]]:
    exporter = InMemorySpanExporter()
    traces.start(SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    traces.stop()


async def test_answer_is_a_span_by_the_conventions(client: httpx2.AsyncClient, spans: Any) -> None:
    body = raw("a quokka", image(picture()), max_tokens=50, seed=7, temperature=0.5)

    answer = await client.post(CHAT, content=body, headers={"traceparent": PARENT, "x-request-id": "mine"})

    usage = answer.json()["usage"]
    (span,) = spans()
    assert span.name == "chat sightline/scripted"
    assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
    said = dict(span.attributes)
    assert said.pop("gen_ai.response.time_to_first_chunk") > 0
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "sightline",
        "gen_ai.request.model": "sightline/scripted",
        "gen_ai.request.choice.count": 1,
        "gen_ai.request.stream": False,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "text",
        "gen_ai.response.model": "sightline/scripted",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "sightline.usage.image_tokens": usage["prompt_tokens_details"]["image_tokens"],
        "sightline.request.id": "mine",
        "sightline.request.images": 1,
    }
    assert "quokka" not in span.to_json()


async def test_each_answer_of_several_says_why_it_ended(client: httpx2.AsyncClient, spans: Any) -> None:
    await client.post(CHAT, json=chat("a b c d", n=2, max_tokens=2))

    (span,) = spans()
    assert span.attributes["gen_ai.response.finish_reasons"] == ("length", "length")


async def test_failure_says_its_code_and_none_of_the_request(client: httpx2.AsyncClient, spans: Any) -> None:
    answer = await client.post(CHAT, json=chat("quokka <fail>"))

    (span,) = spans()
    assert span.attributes["error.type"] == answer.json()["error"]["code"]
    assert not span.status.is_ok
    assert "quokka" not in span.to_json()


async def test_request_beyond_its_limit_has_a_span(
    client: httpx2.AsyncClient, make_key: Callable[..., str], spans: Any
) -> None:
    poor = {"authorization": f"Bearer {make_key('poor', limits=KeyLimits(tokens_per_min=1))}"}

    answer = await client.post(CHAT, json=chat("a"), headers=poor)

    assert answer.status_code == 429
    (span,) = spans()
    assert span.attributes["error.type"] == "rate_limit_exceeded"


async def test_without_the_setting_there_are_none(client: httpx2.AsyncClient, spans: Any) -> None:
    traces.stop()

    answer = await client.post(CHAT, json=chat("a"))

    assert answer.status_code == 200
    assert spans() == ()


async def test_spans_arrive_at_a_collector(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "of-the-operator")
        traces.start()
        await client.post(CHAT, json=chat("a"))
        traces.stop()
        collector.shutdown()

    ((path, body),) = arrived
    assert path == "/v1/traces"
    assert b"chat sightline/scripted" in body
    assert b"of-the-operator" in body


async def test_collector_that_is_gone_does_not_keep_a_service_from_stopping(client: httpx2.AsyncClient) -> None:
    """OpenTelemetry's exporter would try for ten seconds."""
    answers, ended = threading.Event(), threading.Event()

    class Trying(SpanProcessor):
        def shutdown(self) -> None:
            answers.wait()
            ended.set()

    traces.start(Trying())
    await client.post(CHAT, json=chat("a"))

    traces.stop()
    traces.stop()

    assert not ended.is_set()
    answers.set()
    assert ended.wait(60)


def test_without_the_extra_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)

    with pytest.raises(ConfigError, match="the extra 'otel' of this package"):
        traces.require()
