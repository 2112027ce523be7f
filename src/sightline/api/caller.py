"""Who sends a request and whether they may: checked before a body is read."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from sightline.admission.keys import ApiKey, check_model
from sightline.api.body import header, headers
from sightline.api.runtime import runtime_of
from sightline.core import Permission
from sightline.errors import AuthenticationError, OriginNotAllowed


async def caller(scope: Scope, permission: Permission) -> ApiKey:
    """The key of a request, which must have `permission`.

    Raises:
        AuthenticationError: no valid key, or more than one.
        PermissionDenied: a valid key without the permission.
        StoreUnavailable: the database failed.
    """
    sent = headers(scope, b"authorization")
    if len(sent) > 1:
        raise AuthenticationError("More than one authorization header was sent; send one, with one API key.")
    return await runtime_of(scope).keys.authenticate(sent[0] if sent else None, permission)


def allow_model(scope: Scope, key: ApiKey, model_id: str) -> None:
    """Refuse a model that the key is not for, by whichever of its names it was asked for.

    Raises:
        ModelNotAllowed: the key is for other models.
    """
    if key.models is not None:
        check_model(key, model_id, runtime_of(scope).service.catalogue.names_of(model_id))


def same_origin(scope: Scope) -> None:
    """Refuse what a browser sends from a page of another host. Other programs send no `Origin`.

    Raises:
        OriginNotAllowed: the page's host is not ours.
    """
    host = header(scope, b"host")
    if any(not _is_of(origin, host) for origin in headers(scope, b"origin")):
        raise OriginNotAllowed(
            "This request comes from a web page of another host; it may not change anything here. "
            "Send it from a program, or from a page of this service."
        )


def _is_of(origin: str, host: str) -> bool:
    """Whether the page `https://host:port` was served under the `Host` header `host`."""
    try:
        page, ours = urlsplit(origin), urlsplit(f"//{host}")
        usual = {"http": 80, "https": 443}.get(page.scheme)
        here = (ours.hostname, ours.port or usual)
        return usual is not None and page.hostname is not None and (page.hostname, page.port or usual) == here
    except ValueError:  # no port number, half an IPv6 address
        return False
