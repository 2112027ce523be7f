"""Open files: each connection is one, and a process may have only so many."""

from __future__ import annotations

import sys
from dataclasses import replace

from sightline.log import get_logger
from sightline.settings import Settings

log = get_logger(__name__)

OTHERS = 256
"""Descriptors for all that is no connection: the database, engines and decoding processes."""


def with_room_for_connections(settings: Settings) -> Settings:
    """Raise this process's limit of open files as far as `server.max_connections` needs it.

    Where the system does not allow as many, the settings that come back have fewer connections, and the log says so:
    a process without descriptors could not even refuse a connection.
    """
    if sys.platform == "win32":
        return settings
    import resource

    wanted = settings.server.max_connections + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == wanted:
        return settings
    most = max(allowed - OTHERS, allowed // 2)
    log.warning(
        "fewer_connections", max_connections=most, open_files=allowed, asked_for=settings.server.max_connections
    )
    return replace(settings, server=replace(settings.server, max_connections=most))
