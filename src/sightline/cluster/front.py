"""A deployment whose replicas each answer HTTP: the whole service, but for its engines.

Ray Serve's proxy has the connections, so that the time limits of `server` for slow clients are the proxy's to keep;
every other limit is ours as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ray import serve
from ray.serve.schema import ReplicaState
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.app import create_app, upstream_engines
from sightline.cluster.arguments import ClusterArgs, check_shared, cluster_settings
from sightline.engines.ray.engine import ReplicaEngine
from sightline.log import configure_logging

ANSWERING = (
    ReplicaState.RUNNING,
    ReplicaState.UPDATING,
    ReplicaState.RECOVERING,
    ReplicaState.PENDING_MIGRATION,
)
"""Replicas that Ray Serve sends requests to: also one that leaves its node, and all while the controller restarts."""


class ProxiesRequestId:
    """Leaves `x-request-id` to Ray Serve's proxy, which gives every request one and adds it to the answer itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [header for header in message["headers"] if header[0] != b"x-request-id"]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_on)


class Front:
    """`handles` are those of the engines' deployments, in the order of the settings."""

    def __init__(self, args: dict[str, Any], *handles: Any) -> None:
        configure_logging()
        here = serve.get_replica_context()
        self._args = ClusterArgs.model_validate(args)
        self._handles = handles
        self._app_name = here.app_name
        self._settings = cluster_settings(self._args)
        # A config may have changed the number of replicas since `build` looked at it; Ray tells in no other way.
        scaled = here._deployment_config.autoscaling_config
        most = max(here.world_size, scaled.max_replicas if scaled else 0)
        check_shared(self._settings, most, one_machine=self._args.one_machine)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Ray Serve, which runs the application's lifespan with this replica's."""
        limits = self._settings.limits
        # Beyond what the engines run now, requests wait in Ray Serve, where they call for more replicas.
        limits = replace(limits, max_running=self._settings.max_running * self._args.engines.max_replicas)
        replicas = [ReplicaEngine(handle, self._running(handle.deployment_name)) for handle in self._handles]
        engines = [*replicas, *upstream_engines(self._settings)]
        settings = replace(self._settings, limits=limits)
        return ProxiesRequestId(create_app(settings, engines=engines, is_told_of_disconnects=False))

    def _running(self, deployment: str) -> Callable[[], int]:
        def count() -> int:
            application = serve.status().applications.get(self._app_name)
            found = application.deployments.get(deployment) if application else None
            return sum(found.replica_states.get(state, 0) for state in ANSWERING) if found else 0

        return count
