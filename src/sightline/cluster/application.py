"""`sightline.cluster:build`, the application that `serve run` and `serve deploy` name: fronts, and engines behind them.

One deployment of fronts, `front`, and one an engine, named by its kind. The settings are read again in every replica,
from its own machine's environment, so that no secret travels in a config.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ray import serve
from ray._private.authentication.authentication_utils import is_token_auth_enabled

from sightline.cluster.arguments import ClusterArgs, check_shared, cluster_settings
from sightline.cluster.front import Front
from sightline.cluster.replica import EngineReplica
from sightline.errors import ConfigError
from sightline.settings import EngineSpec, Settings, engine_specs


def build(args: ClusterArgs) -> serve.Application:
    """Put the application together; nothing is started.

    Raises:
        ConfigError: the settings cannot be used, or the cluster is open to whoever reaches it.
    """
    if not args.unprotected and not is_token_auth_enabled():
        raise ConfigError(
            "Whoever reaches this Ray cluster can run code on it. Start every node with RAY_AUTH_MODE=token and one "
            "token (`ray get-auth-token --generate`), or say unprotected: true where nobody else reaches it."
        )
    settings = cluster_settings(args)
    check_shared(settings, args.fronts.max_replicas, one_machine=args.one_machine)
    specs = engine_specs(settings)
    engines = [
        _engine(settings, args, name).bind(spec, settings.limits.engine_watchdog_s)
        for name, spec in zip(deployment_names(specs), specs, strict=True)
    ]
    return _front(settings, args).bind(args.model_dump(), *engines)


def deployment_names(specs: Sequence[EngineSpec]) -> list[str]:
    """What the engines' deployments are called: their kinds, numbered from the second of a kind on."""
    seen: Counter[str] = Counter()
    names = []
    for spec in specs:
        seen[spec.kind] += 1
        names.append(spec.kind if seen[spec.kind] == 1 else f"{spec.kind}-{seen[spec.kind]}")
    return names


def _engine(settings: Settings, args: ClusterArgs, name: str) -> Any:
    at_once = settings.max_running
    return serve.deployment(
        EngineReplica,
        name=name,
        max_ongoing_requests=at_once,
        max_queued_requests=-1,  # bounded by what the fronts let in, of which each may be several answers here
        autoscaling_config=args.engines.autoscaling(at_once),
        ray_actor_options=args.engines.resources(),
        graceful_shutdown_timeout_s=settings.server.shutdown_timeout_s,
        health_check_period_s=5,
    )


def _front(settings: Settings, args: ClusterArgs) -> Any:
    # More than the service lets in at once: what is too much is refused in our words.
    at_once = settings.limits.max_in_flight * 2
    return serve.deployment(
        serve.ingress()(Front),
        name="front",
        max_ongoing_requests=at_once,
        max_queued_requests=at_once,
        autoscaling_config=args.fronts.autoscaling(settings.limits.max_in_flight),
        ray_actor_options=args.fronts.resources(),
        graceful_shutdown_timeout_s=settings.server.shutdown_timeout_s,
    )
