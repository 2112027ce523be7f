"""What a caller hears of an upstream's refusal: our words, and the name of a field where it can be nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sightline.engines.upstream.failures import of_status
from sightline.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter


def refusal(**said: Any) -> InvalidRequest:
    """What becomes of a 400 that says this in OpenAI's shape."""
    found = of_status(400, json.dumps({"error": {"message": "/srv/secret", **said}}).encode())
    assert isinstance(found, InvalidRequest)
    assert "secret" not in found.message
    return found


def test_parameter_that_the_server_lacks_is_named() -> None:
    found = refusal(code="unsupported_parameter", param="response_format.json_schema.schema.properties.total.minimum")

    assert isinstance(found, UnsupportedParameter)
    assert found.param == "response_format.json_schema.schema.properties.total.minimum"
    assert f"does not support {found.param}; leave it out" in found.message


def test_field_that_it_does_not_take_is_named() -> None:
    found = refusal(code="invalid_value", param="top_p")

    assert (found.param, found.code) == ("top_p", InvalidRequest.code)
    assert "does not take top_p as it is" in found.message


@pytest.mark.parametrize(
    "param",
    [
        *("messages.[0].content.[1].image_url.url", "messages", "max_tokens", "max_completion_tokens"),
        *("/srv/secret", "top_p; call 555", "<b>top_p</b>", "", "Seed", "a" * 41, ".".join(["a"] * 14), "top_p\n"),
        *(None, 3, ["top_p"], {"top_p": 1}),
    ],
)
def test_whatever_else_it_names_is_not_passed_on(param: object) -> None:
    """Messages may have other parts there than their sender wrote, a limit another name, and text may be anything."""
    found = refusal(code="unsupported_parameter", param=param)

    assert found.param is None
    assert "does not support a parameter of the request" in found.message


def test_context_that_is_too_short_is_told_without_a_name_that_was_not_sent() -> None:
    found = refusal(code="context_length_exceeded", param="max_tokens")

    assert isinstance(found, ContextLengthExceeded)
    assert found.param == "messages"
    assert "max_tokens" not in found.message
