"""Every failure a caller can meet, with its HTTP status and OpenAI's words for it.

Comes first in the import order: any module may raise these, none is imported here.
Messages are written to be shown: what was wrong, the limit, the actual value, what to do. They never
carry a path, an address, a stack or a library's own text.

ServiceError                       status, type, code, param
├─ InvalidRequest 400              UnsupportedParameter · ContextLengthExceeded · ModelNotFound 404
│  │                               RequestTooLarge 413 · UnsupportedMediaType 415 · RequestTimeout 408
│  │                               KeyNotFound 404 · LastAdminKey 409
│  │                               MalformedHttp · HeadTooLarge 431
│  └─ ImageError 400               ImageAddressUnsupported · ImageFormatUnsupported · ImageTooLarge
│                                  ImageUndecodable · TooManyImages
├─ AuthenticationError 401         PermissionDenied 403 · ModelNotAllowed · OriginNotAllowed
├─ RateLimitExceeded 429           QuotaExceeded 402
├─ StoreUnavailable 503            ReportsBusy 503 · IdempotencyConflict 409
└─ EngineError 500                 EngineOverloaded 503 (UploadRefused) · EngineUnavailable 503
                                   EngineTimeout 504
ConfigError                        start-up only; lists every problem at once

Source: contract.md section 5; https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

SMALLER_IMAGES = "Send smaller images: resize them, save them as JPEG or WebP, or run `sightline fit`."


MOST_PROBLEMS = 100
"""That one answer lists: a body can hold a hundred thousand."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request. `param` is OpenAI's spelling of where, e.g. `messages.[1].content`."""

    message: str
    param: str | None = None
    code: str | None = None


class ServiceError(Exception):
    """A failure that is reported to the caller in OpenAI's error shape."""

    status = 500
    type = "server_error"
    code: str | None = None
    ends_connection = False  # the rest of the request is not going to be read

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(ServiceError):
    """The request cannot be carried out as it is written; sending it again will not help."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        details: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message, param=param)
        self.code = code or type(self).code
        self.details = tuple(details)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> Self:
        """Report several problems at once: the first leads, `MOST_PROBLEMS` are listed."""
        first = problems[0]
        return cls(first.message, param=first.param, code=first.code, details=problems[:MOST_PROBLEMS])

    @classmethod
    def together(cls, refusals: Sequence[InvalidRequest]) -> InvalidRequest:
        """Several refusals as one that lists them all; a single one as it is."""
        if len(refusals) == 1:
            return refusals[0]
        return cls.of([problem for refusal in refusals for problem in refusal.problems])

    @property
    def problems(self) -> Sequence[Problem]:
        """All of them, a single one as well."""
        return self.details or (Problem(self.message, self.param, self.code),)


class UnsupportedParameter(InvalidRequest):
    """The model or the service lacks what a parameter asks for, and says so instead of dropping it."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and requested answer together are longer than the model's context."""

    code = "context_length_exceeded"


class ModelNotFound(InvalidRequest):
    """No loaded model has this id."""

    status = 404
    code = "model_not_found"


class RequestTooLarge(InvalidRequest):
    """The body is over the limit; it was refused before it was held."""

    status = 413
    code = "request_too_large"
    ends_connection = True

    @classmethod
    def by(cls, size: str, limit_bytes: int, remedy: str = SMALLER_IMAGES) -> RequestTooLarge:
        """Say how large the body is, in words, and what to do."""
        return cls(f"The body is {size} bytes, it must be less than {limit_bytes:,}. {remedy}")


class UnsupportedMediaType(InvalidRequest):
    """The body is declared as something other than JSON."""

    status = 415
    code = "unsupported_media_type"


class RequestTimeout(InvalidRequest):
    """The head or the body did not arrive in time."""

    status = 408
    code = "request_timeout"
    ends_connection = True


class MalformedHttp(InvalidRequest):
    """The bytes on the connection are no HTTP/1.1 request."""

    code = "invalid_http"
    ends_connection = True


class HeadTooLarge(InvalidRequest):
    """The request's line and headers are over the limit."""

    status = 431
    code = "request_head_too_large"
    ends_connection = True


class KeyNotFound(InvalidRequest):
    """No API key has this id."""

    status = 404
    code = "key_not_found"


class LastAdminKey(InvalidRequest):
    """Revoking this key would leave nobody who can manage keys over HTTP."""

    status = 409
    code = "last_admin_key"


class ImageError(InvalidRequest):
    """A picture in the request cannot be shown to the model."""


class ImageAddressUnsupported(ImageError):
    """An image was given by address; only base64 data URIs are taken, and nothing is ever fetched."""

    code = "image_url_not_supported"


class ImageFormatUnsupported(ImageError):
    """The bytes are not a png, jpeg, webp or gif."""

    code = "unsupported_image_format"


class ImageTooLarge(ImageError):
    """The header declares more pixels or scans than the limit; nothing was decoded."""

    code = "image_too_large"


class ImageUndecodable(ImageError):
    """The bytes begin like a supported format and then do not decode."""

    code = "invalid_image"


class TooManyImages(ImageError):
    """More images than the service or the model takes in one request."""

    code = "too_many_images"


class AuthenticationError(ServiceError):
    """No key, or one that is not known here, was revoked or has expired."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class PermissionDenied(ServiceError):
    """The key is known and not allowed this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class ModelNotAllowed(PermissionDenied):
    """The key is for other models."""

    code = "model_not_allowed"


class OriginNotAllowed(PermissionDenied):
    """A browser sent the request from a page of another host."""

    code = "origin_not_allowed"


class QuotaExceeded(ServiceError):
    """The key's spending limit does not cover the request."""

    status = 402
    type = "insufficient_quota"
    code = "insufficient_quota"


class RateLimitExceeded(ServiceError):
    """The key's rate limit is reached; `retry_after_s` says when to come back."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class EngineError(ServiceError):
    """The engine failed on this request."""

    code = "engine_error"


class EngineOverloaded(EngineError):
    """Too many requests are waiting already; refused at once rather than queued without bound."""

    status = 503
    code = "overloaded"


class UploadRefused(EngineOverloaded):
    """There is no room for this body beside those of other requests, or no room for another connection."""

    ends_connection = True


class EngineUnavailable(EngineError):
    """No engine serves the model at this moment: it is starting or restarting."""

    status = 503
    code = "engine_unavailable"


class EngineTimeout(EngineError):
    """The engine gave no piece of any answer for as long as it may, and is being started again."""

    status = 504
    code = "engine_timeout"


class StoreUnavailable(ServiceError):
    """The database cannot be read or written at this moment; without a row in the ledger there is no answer."""

    status = 503
    code = "store_unavailable"

    def __init__(self, message: str = "", *, param: str | None = None, retry_after_s: float | None = 1) -> None:
        default = "The service's database cannot be used at this moment. Send the request again; nothing was charged."
        super().__init__(message or default, param=param, retry_after_s=retry_after_s)


class ReportsBusy(ServiceError):
    """Too many reports on usage are being made; each reads much of the ledger."""

    status = 503
    code = "overloaded"


class IdempotencyConflict(ServiceError):
    """The Idempotency-Key was used for another body, or its first request is still running."""

    status = 409
    type = "invalid_request_error"
    code = "idempotency_conflict"


class ConfigError(Exception):
    """The settings cannot be used; lists every problem, one a line. Start-up only."""
