"""The examples in deploy/ are what Ray Serve, KubeRay and Compose take; nothing is started.

Serve configs are checked by Ray's own schema, the compose file by the Compose Specification's, which a wheel carries.
KubeRay publishes its schema in no package: its manifest is checked by models of the fields that its guide documents.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from sightline.errors import ConfigError
from sightline.settings import merge_settings
from support.programs import lacking

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore")]
DEPLOY = Path(__file__).parents[2] / "deploy"


def read(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((DEPLOY / name).read_text())


def serve_configs() -> dict[str, Any]:
    kuberay = pytest.importorskip("yaml").safe_load(read("kuberay.yaml")["spec"]["serveConfigV2"])
    return {
        "serve-one-machine.yaml": read("serve-one-machine.yaml"),
        "serve-vllm.yaml": read("serve-vllm.yaml"),
        "kuberay.yaml": kuberay,
    }


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_DATABASE", "postgresql://postgres/sightline")
    monkeypatch.setenv("SIGHTLINE_REDIS", "redis://redis:6379/0")


@pytest.mark.parametrize("name", ["serve-one-machine.yaml", "serve-vllm.yaml", "kuberay.yaml"])
def test_serve_config_is_one_by_rays_schema(name: str) -> None:
    from ray.serve.schema import ServeDeploySchema

    config = ServeDeploySchema.model_validate(serve_configs()[name])

    assert [app.import_path for app in config.applications if app.name == "sightline"] == ["sightline.cluster:build"]


@pytest.mark.parametrize("name", ["serve-one-machine.yaml", "serve-vllm.yaml", "kuberay.yaml"])
def test_application_can_be_built_from_the_config(name: str) -> None:
    from sightline.cluster import build
    from sightline.cluster.arguments import ClusterArgs

    [application] = [app for app in serve_configs()[name]["applications"] if app["name"] == "sightline"]
    args = ClusterArgs.model_validate({**application["args"], "unprotected": True})

    deployments = {deployment["name"] for deployment in application.get("deployments", ())}

    assert build(args)
    assert deployments <= {"front", "genai", "transcribe"}


def test_front_that_a_config_may_multiply_is_refused_without_shared_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray import serve

    from sightline.cluster.front import Front

    monkeypatch.delenv("SIGHTLINE_DATABASE")
    scaled = SimpleNamespace(autoscaling_config=SimpleNamespace(max_replicas=4))
    context = SimpleNamespace(app_name="sightline", world_size=1, _deployment_config=scaled)
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)

    with pytest.raises(ConfigError, match="4 front replicas"):
        Front({})


def test_vllm_application_takes_what_ray_serve_llm_takes() -> None:
    """The fields of `LLMConfig` cannot be checked without vLLM; their names can."""
    [vllm] = [app for app in serve_configs()["serve-vllm.yaml"]["applications"] if app["name"] == "vllm"]

    assert vllm["import_path"] == "ray.serve.llm:build_openai_app"
    for config in vllm["args"]["llm_configs"]:
        assert {"model_id", "model_source"} <= config["model_loading_config"].keys()
        assert config.keys() <= {"model_loading_config", "accelerator_type", "engine_kwargs", "deployment_config"}


def test_every_vllm_of_the_examples_takes_pictures_and_chooses_tokens_as_asked() -> None:
    """Without its rule a model is offered for text alone; without the option a model's folder has a say."""
    compose = read("docker-compose.yaml")
    applications = {app["name"]: app["args"] for app in serve_configs()["serve-vllm.yaml"]["applications"]}
    trees = [
        tomllib.loads(compose["configs"]["sightline"]["content"]),
        applications["sightline"]["settings"],
    ]

    for tree in trees:
        (pool,) = merge_settings(tree, {}, environ={"VLLM_KEY": "k"}).upstreams
        assert {name: model.image is not None for name, model in pool.models.items()} == {
            "google/gemma-3-27b-instruct": True
        }
    (pool,) = merge_settings(applications["sightline"]["settings"], {}, environ={}).upstreams
    (model,) = pool.models.values()
    vllm = applications["vllm"]["llm_configs"][0]["engine_kwargs"]
    assert model.context_length == vllm["max_model_len"]  # which Ray Serve LLM does not list
    command = compose["services"]["vllm"]["command"]
    assert command[command.index("--generation-config") + 1] == "vllm"
    assert vllm["generation_config"] == "vllm"


def test_compose_file_is_one_by_the_compose_specification() -> None:
    try:
        import check_jsonschema  # noqa: F401
    except ImportError:
        lacking("no check-jsonschema; run make test-scale")
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "docker-compose.yaml")]

    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_compose_services_are_there_and_only_the_front_is_reachable() -> None:
    services = read("docker-compose.yaml")["services"]

    assert {"front", "vllm", "postgres", "redis"} == services.keys()
    assert [name for name, service in services.items() if "ports" in service] == ["front"]


class Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SecretKey(Exact):
    name: str
    key: str


class ValueFrom(Exact):
    secretKeyRef: SecretKey


class Variable(Exact):
    name: str
    value: str | None = None
    valueFrom: ValueFrom | None = None


class Port(Exact):
    name: str = Field(pattern=r"^[a-z][a-z-]{0,14}$")
    containerPort: int


class Resources(Exact):
    limits: dict[Literal["cpu", "memory", "nvidia.com/gpu"], str]
    requests: dict[Literal["cpu", "memory", "nvidia.com/gpu"], str]


class Container(Exact):
    name: str
    image: str
    env: list[Variable]
    resources: Resources
    ports: list[Port] = []


class PodSpec(Exact):
    containers: list[Container] = Field(min_length=1)


class Pod(Exact):
    spec: PodSpec


class HeadGroup(Exact):
    rayStartParams: dict[str, str]
    template: Pod


class WorkerGroup(Exact):
    groupName: str
    replicas: int
    minReplicas: int
    maxReplicas: int
    rayStartParams: dict[str, str]
    template: Pod


class AuthOptions(Exact):
    mode: Literal["token"]


class RayCluster(Exact):
    rayVersion: str
    authOptions: AuthOptions
    enableInTreeAutoscaling: bool
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]


class RayServiceSpec(Exact):
    serveConfigV2: str
    rayClusterConfig: RayCluster


class RayService(Exact):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: dict[str, str]
    spec: RayServiceSpec


def test_kuberay_manifest_has_the_documented_fields_and_token_login() -> None:
    service = RayService.model_validate(read("kuberay.yaml"))

    cluster = service.spec.rayClusterConfig
    pods = [cluster.headGroupSpec.template, *(group.template for group in cluster.workerGroupSpecs)]
    environments = [{one.name for one in pod.spec.containers[0].env} for pod in pods]
    assert all({"SIGHTLINE_DATABASE", "SIGHTLINE_REDIS"} <= names for names in environments)


@pytest.mark.parametrize("mode", ["disabled", "token"])
def test_open_cluster_is_refused(mode: str) -> None:
    """In a process of its own: Ray reads the mode once."""
    program = (
        "from sightline.cluster import build; from sightline.cluster.arguments import ClusterArgs as A; build(A())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "RAY_AUTH_MODE": mode}, capture_output=True, text=True
    )

    assert ("ConfigError" in done.stderr and "RAY_AUTH_MODE=token" in done.stderr) == (mode == "disabled")
    assert (done.returncode == 0) == (mode == "token")


@pytest.mark.parametrize(
    ("missing", "one_machine", "named"),
    [
        ("SIGHTLINE_DATABASE", False, "SIGHTLINE_DATABASE"),
        ("SIGHTLINE_REDIS", False, "SIGHTLINE_REDIS"),
        ("SIGHTLINE_REDIS", True, "SIGHTLINE_REDIS"),
    ],
)
def test_several_fronts_need_what_they_share(
    missing: str, one_machine: bool, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sightline.cluster import build
    from sightline.cluster.arguments import ClusterArgs

    monkeypatch.delenv(missing)
    args = {"fronts": {"max_replicas": 2}, "one_machine": one_machine, "unprotected": True}

    with pytest.raises(ConfigError, match=named):
        build(ClusterArgs.model_validate(args))
    assert build(ClusterArgs(unprotected=True))


def test_address_with_a_password_is_refused_in_a_config() -> None:
    from sightline.cluster import build
    from sightline.cluster.arguments import ClusterArgs

    with pytest.raises(ConfigError, match="SIGHTLINE_DATABASE") as refusal:
        build(ClusterArgs(settings={"database": "postgresql://me:secret@here/x"}, unprotected=True))

    assert "secret" not in str(refusal.value)
