"""A real Ray on this machine, with token login, a Postgres and a Redis that all its processes share.

`make test-scale` runs what is here, in an environment that has Ray.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sightline.auth.keys import Keys
from sightline.core import PERMISSIONS, KeyLimits, NewKey
from sightline.store.database import Database
from support.databases import fresh_database
from support.programs import lacking
from support.redis_server import RedisServer
from support.sockets import free_ports

APP = "sightline"
PRICES = {"sightline/scripted": {"prompt": "0.000001", "completion": "0.000002"}}
QUICK = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # How often Ray Serve looks at its queues; 10 s by default, too long for a test.
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5",
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5",
}


class Cluster:
    """Ray with Ray Serve at `port`; runs one application at a time."""

    def __init__(self, port: int, database: Database) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.database = database
        self.ready = asyncio.Event()  # what soak's clients ask of a process
        self.ready.set()
        keys = Keys(database)
        self.key = keys.create(NewKey("test", permissions=PERMISSIONS))[1]
        self.slow_key = keys.create(NewKey("slow", limits=KeyLimits(requests_per_min=10)))[1]

    def run(self, args: dict[str, Any], *, step_s: float = 0.0, **limits: int) -> None:
        """Run an application with the scripted engine; returns when it is ready."""
        from ray import serve

        from sightline.cluster import build
        from sightline.cluster.arguments import ClusterArgs

        engine = {"kind": "scripted", "options": {"step_s": step_s}}
        settings = {"engines": [engine], "prices": PRICES, "limits": limits}
        # Lighter on a machine of two cores than what they take: Ray only counts them.
        app = build(ClusterArgs.model_validate({"settings": settings, **args}))
        serve.run(app, name=APP)
        self.wait_for(self.is_ready)

    def is_ready(self) -> bool:
        """Whether a front says so."""
        return httpx2.get(f"{self.url}/health/ready").status_code == 200

    def replicas(self, deployment: str = "scripted") -> dict[str, int]:
        """The replicas of a deployment that run, and the ids of their processes."""
        from ray.serve.context import _get_global_client

        found = _get_global_client().get_serve_details()["applications"][APP]["deployments"][deployment]["replicas"]
        return {one["replica_id"]: one["pid"] for one in found if one["state"] == "RUNNING"}

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> float:
        """Wait for something; returns how long it took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < timeout_s, "it did not happen in time"
            time.sleep(0.1)
        return time.monotonic() - began

    def ask(self, text: str = "one two three", *, key: str = "", **more: Any) -> httpx2.Response:
        """Ask the scripted model."""
        body = {"model": "sightline/scripted", "messages": [{"role": "user", "content": text}], **more}
        head = {"authorization": f"Bearer {key or self.key}"}
        return httpx2.post(f"{self.url}/v1/chat/completions", json=body, headers=head, timeout=60)


@pytest.fixture(scope="session", autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    """What Ray reads as it is imported, so before any test imports it."""
    if find_spec("ray") is None:
        lacking("no Ray; run make test-scale")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUICK, "RAY_AUTH_TOKEN": secrets.token_hex(16)}.items():
            patch.setenv(name, value)
        yield patch


@pytest.fixture(scope="session")
def cluster(postgres_server: str, environment: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Ray, once for the whole run."""
    import ray
    from ray import serve

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sl-")))
        redis = RedisServer(folder)
        redis.start()
        stack.callback(redis.stop)
        url = stack.enter_context(fresh_database(postgres_server))
        database = Database.at(url)
        stack.callback(database.close)
        environment.setenv("SIGHTLINE_DATABASE", url)
        environment.setenv("SIGHTLINE_REDIS", redis.url)
        ray.init(
            num_cpus=4,
            object_store_memory=200 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=str(folder / "ray"),
        )
        stack.callback(ray.shutdown)
        [port] = free_ports(1)
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        stack.callback(serve.shutdown)
        yield Cluster(port, database)
