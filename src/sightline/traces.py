"""OpenTelemetry traces of answers, by its conventions for generative AI; off unless `traces` is set.

One span a request: what was asked of which model, what was used, how it ended; never a prompt, a picture, an answer
or a key. Where spans go is said by the variables that every OpenTelemetry SDK reads, `OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_SERVICE_NAME` and the rest. The SDK is an extra: nothing of it is imported before `start`.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sightline import __version__
from sightline.core import ChatRequest, FinishReason, Usage
from sightline.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span

_ENDING_S = 2.0
_provider: TracerProvider | None = None


def require() -> None:
    """Raise `ConfigError` where the extra is not installed."""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "traces need OpenTelemetry, the extra 'otel' of this package: install it with that, or leave traces out."
        ) from error


def start(processor: SpanProcessor | None = None) -> None:
    """Begin to send spans in the background, by OTLP over HTTP, or to `processor`.

    Raises:
        ConfigError: the extra is not installed.
    """
    global _provider
    require()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours = Resource({SERVICE_NAME: "sightline", SERVICE_VERSION: __version__})
    _provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    _provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))


def stop() -> None:
    """Send what has not been sent, within two seconds, and end; blocks meanwhile. Safe to call twice."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        # Whoever collects traces may be gone: it is tried again for longer than a stop may take.
        ending = threading.Thread(target=_end, args=(provider,), daemon=True)
        ending.start()
        ending.join(_ENDING_S)


def _end(provider: TracerProvider) -> None:
    with suppress(Exception):
        provider.shutdown()


def begin(request: ChatRequest, model_id: str, request_id: str, traceparent: str) -> Trace | None:
    """Begin the span of a request, below the caller's `traceparent` where there is one; None while off."""
    return None if _provider is None else Trace(_provider, request, model_id, request_id, traceparent)


class Trace:
    """The span of one request."""

    def __init__(
        self, provider: TracerProvider, request: ChatRequest, model_id: str, request_id: str, traceparent: str
    ) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
        asked = request.sampling
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "sightline",
            "gen_ai.request.model": request.model,
            "gen_ai.request.choice.count": request.n,
            "gen_ai.request.stream": request.stream,
            "gen_ai.request.top_p": asked.top_p,
            "gen_ai.output.type": "text" if asked.response_format.type == "text" else "json",
            "gen_ai.response.model": model_id,
            "sightline.request.id": request_id,
            "sightline.request.images": len(request.images),
        }
        if asked.max_tokens is not None:
            attributes["gen_ai.request.max_tokens"] = asked.max_tokens
        if "temperature" in request.params_sent:
            attributes["gen_ai.request.temperature"] = asked.temperature
        if asked.seed is not None:
            attributes["gen_ai.request.seed"] = asked.seed
        self._began_s = time.monotonic()
        self._finish_reasons: dict[int, FinishReason] = {}
        self._span: Span = provider.get_tracer("sightline", __version__).start_span(
            f"chat {request.model}", parent, SpanKind.SERVER, attributes
        )

    def first_piece(self) -> None:
        """Note when the answer began."""
        self._span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - self._began_s)

    def finished(self, choice: int, reason: FinishReason) -> None:
        """Note why answer number `choice` ended."""
        self._finish_reasons[choice] = reason

    def end(self, usage: Usage, error: BaseException | None = None) -> None:
        """End the span with what was used; `error` is what kept the request from being carried out."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attributes(
            {
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
                "sightline.usage.image_tokens": usage.image_tokens,
                "gen_ai.response.finish_reasons": [reason for _, reason in sorted(self._finish_reasons.items())],
            }
        )
        if error is not None:
            self._span.set_attribute("error.type", _kind(error))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _kind(error: BaseException) -> str:
    """The error's code alone: a message may quote what was sent."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "client_left"
    return (error.code if isinstance(error, ServiceError) else None) or type(error).__name__
