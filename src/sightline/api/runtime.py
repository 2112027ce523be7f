"""What endpoints share, put together by `app`."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.auth.keys import Keys
from sightline.pipeline.run import Pipeline
from sightline.settings import Settings
from sightline.store.database import Database


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of a running service."""

    settings: Settings
    keys: Keys
    admission: Admission
    limits: RateLimits
    pipeline: Pipeline
    database: Database


def runtime_of(request: Request) -> Runtime:
    """The running service behind a request."""
    runtime: Runtime = request.app.state.runtime
    return runtime
