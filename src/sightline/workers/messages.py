"""Everything that crosses between a worker and the desk of its parent, as msgpack."""

from __future__ import annotations

import msgspec

from sightline import errors
from sightline.admission.buckets import Window
from sightline.errors import ServiceError
from sightline.metrics import Labels


class Admit(msgspec.Struct, tag=True, frozen=True):
    """A request wants `places` of `model`, in its line."""

    number: int
    key_id: str
    max_in_flight: int | None
    model: str
    places: int


class Made(msgspec.Struct, tag=True, frozen=True):
    """The model is done with a request, which is still read or written down."""

    number: int


class Leave(msgspec.Struct, tag=True, frozen=True):
    """A request has ended, or waits no longer."""

    number: int


class Take(msgspec.Struct, tag=True, frozen=True):
    """Take from a bucket."""

    number: int
    name: str
    limit: int
    cost: int


class Adjust(msgspec.Struct, tag=True, frozen=True):
    """Take from a bucket or give back to it, whatever there is. Nobody waits for it."""

    name: str
    limit: int
    cost: int


class Series(msgspec.Struct, frozen=True, array_like=True):
    """What one metric has counted under one set of labels: a histogram's buckets, or no `counts` and the value."""

    name: str
    labels: Labels
    value: float
    counts: tuple[int, ...] = ()


class Counts(msgspec.Struct, tag=True, frozen=True):
    """All that this worker has counted since its start."""

    series: tuple[Series, ...]


class Scrape(msgspec.Struct, tag=True, frozen=True):
    """Somebody asks for the metrics of all together."""

    number: int


class Listening(msgspec.Struct, tag=True, frozen=True):
    """The worker takes requests, and has all its engines."""


class Unable(msgspec.Struct, tag=True, frozen=True):
    """The worker cannot work, nor could another one."""

    message: str


class Hangs(msgspec.Struct, tag=True, frozen=True):
    """An engine has given no piece of any answer for too long; `number` is its place in the settings."""

    number: int


class Granted(msgspec.Struct, tag=True, frozen=True):
    """The request has its place."""

    number: int


class Denied(msgspec.Struct, tag=True, frozen=True):
    """The request is refused; `error` is the name of a class of `sightline.errors`."""

    number: int
    error: str
    message: str
    retry_after_s: float | None


class Taken(msgspec.Struct, tag=True, frozen=True):
    """How a bucket stands after a `Take`."""

    number: int
    window: Window


class Full(msgspec.Struct, tag=True, frozen=True):
    """From now on every request would be refused so; None: no longer."""

    refusal: Denied | None


class Count(msgspec.Struct, tag=True, frozen=True):
    """Send your `Counts`."""


class Text(msgspec.Struct, tag=True, frozen=True):
    """The metrics of all together, as Prometheus reads them."""

    number: int
    text: bytes


# What comes through a worker's door: an engine's number with a channel to that engine, or one of these.
LEND = 255
"""With it comes the listening socket of a worker that has died: take its connections too."""
RETURN = 254
"""Every worker listens again for itself."""

ToDesk = Admit | Made | Leave | Take | Adjust | Counts | Scrape | Listening | Unable | Hangs
ToWorker = Granted | Denied | Taken | Full | Count | Text

encoder = msgspec.msgpack.Encoder()
to_desk = msgspec.msgpack.Decoder(ToDesk)
to_worker = msgspec.msgpack.Decoder(ToWorker)


def denied(number: int, error: ServiceError) -> Denied:
    """Pack a refusal."""
    return Denied(number, type(error).__name__, error.message, error.retry_after_s)


def unpack(refusal: Denied) -> ServiceError:
    """Rebuild it."""
    kind: type[ServiceError] = getattr(errors, refusal.error)
    return kind(refusal.message, retry_after_s=refusal.retry_after_s)
