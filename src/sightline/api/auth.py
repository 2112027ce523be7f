"""Who sends a request and whether they may: checked before a body is read."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from sightline.api.runtime import runtime_of
from sightline.auth.keys import ApiKey, check_model
from sightline.core import Permission
from sightline.errors import AuthenticationError, OriginNotAllowed


async def authenticate(request: Request, permission: Permission) -> ApiKey:
    """Return the key of a request, which must have `permission`.

    Raises:
        AuthenticationError: no valid key, or more than one.
        PermissionDenied: a valid key without the permission.
        StoreUnavailable: the database failed.
    """
    sent = request.headers.getlist("authorization")
    if len(sent) > 1:
        raise AuthenticationError("More than one authorization header was sent; send one, with one API key.")
    return await runtime_of(request).keys.authenticate(sent[0] if sent else None, permission)


def allow_model(request: Request, key: ApiKey, model_id: str) -> None:
    """Refuse a model that the key is not for, by whichever of its names it was asked for.

    Raises:
        ModelNotAllowed: the key is for other models.
    """
    if key.models is not None:
        check_model(key, model_id, runtime_of(request).pipeline.catalogue.names_of(model_id))


def same_origin(request: Request) -> None:
    """Refuse what a browser sends from a page of another host. Other programs send no `Origin`.

    Raises:
        OriginNotAllowed: the page's host is not ours.
    """
    host = request.headers.get("host", "")
    if any(not _is_of(origin, host) for origin in request.headers.getlist("origin")):
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
