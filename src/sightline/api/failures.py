"""Any exception to an error body in OpenAI's shape; the one mapping."""

from __future__ import annotations

import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sightline.errors import ServiceError
from sightline.log import get_logger
from sightline.wire.render import encode, error_body

log = get_logger(__name__)

_HTTP = {
    404: (
        "There is no such route here. Chat is POST /v1/chat/completions; models are GET /v1/models.",
        "not_found",
    ),
    405: ("This route does not take this method; see the allow header.", "method_not_allowed"),
}


def response_of(error: ServiceError) -> Response:
    """The answer to a request that failed before its first byte."""
    headers = {}
    if error.status == 503 or error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s or 1))
        headers["x-should-retry"] = "true"
    elif error.status < 500:
        headers["x-should-retry"] = "true" if error.status == 408 else "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.ends_connection:
        headers["connection"] = "close"
    return Response(encode(error_body(error)), error.status, headers, "application/json")


async def on_service_error(_: Request, error: Exception) -> Response:
    """Answer a request that failed with an error of ours; for Starlette's `exception_handlers`."""
    assert isinstance(error, ServiceError)
    return response_of(error)


async def on_http_exception(_: Request, error: Exception) -> Response:
    """Answer what Starlette's router refuses: no such route, another method."""
    assert isinstance(error, HTTPException)
    message, code = _HTTP.get(error.status_code, ("The request cannot be served.", None))
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    headers = {"x-should-retry": "false", **(error.headers or {})}
    return Response(encode({"error": body}), error.status_code, headers, "application/json")


def bug(error: BaseException) -> ServiceError:
    """Log an exception that nobody expected and give the error to show for it."""
    log.error("unexpected_error", exc_info=error)
    return ServiceError("Something went wrong here that is not your fault. Nothing was charged; see the server's log.")
