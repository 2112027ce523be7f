"""The one place that knows what an error body looks like."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2

_TYPES = {402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}
_LEAKS = re.compile(
    r"Traceback|File \"|\.py\b|/(?:home|root|tmp|usr|var|work)/|0x[0-9a-f]{6,}|pydantic|PIL|zmq|https?://"
)


def assert_error_body(body: Any, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    """Check a whole error body: OpenAI's four fields, details where there are any, nothing of the inside."""
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) - {"details"} == {"message", "type", "param", "code"}
    assert error["code"] == code, error
    assert error["param"] == param, error
    assert error["type"] == _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    assert error["message"][0].strip()
    for detail in error.get("details", ()):
        assert set(detail) == {"message", "param", "code"}
    if "details" in error:
        assert error["details"][0] == {name: error[name] for name in ("message", "param", "code")}
    assert not _LEAKS.search(json.dumps(body)), f"the inside shows: {body}"
    return error


def assert_error(response: httpx2.Response, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    """Check an error answer: status, headers, body. Returns the error object."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    if status in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["x-should-retry"] == "true"
    return assert_error_body(response.json(), status, code, param)
