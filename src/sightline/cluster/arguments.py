"""What a Ray Serve config may say under `args`, and whether these settings can run on several machines."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sightline.errors import ConfigError
from sightline.settings import Settings, merge_settings

Count = Annotated[int, Field(ge=1)]
Delay = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Replicas(BaseModel):
    """How many replicas of a deployment there are, and when there are more or fewer.

    `target_ongoing_requests` is how many requests each should run or have waiting; None is half of what it may run.
    `num_cpus` and `num_gpus` are what Ray reserves for one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_replicas: Count = 1
    max_replicas: Count = 1
    target_ongoing_requests: Annotated[float, Field(gt=0)] | None = None
    upscale_delay_s: Delay = 10.0
    downscale_delay_s: Delay = 300.0
    look_back_period_s: Annotated[float, Field(gt=0)] = 30.0
    num_cpus: Annotated[float, Field(ge=0)] = 1.0
    num_gpus: Annotated[float, Field(ge=0)] = 0.0

    def autoscaling(self, most_ongoing: int) -> dict[str, Any]:
        """As Ray Serve has it; `most_ongoing` is what one replica may run at once."""
        target = self.target_ongoing_requests or max(1.0, most_ongoing / 2)
        return self.model_dump(exclude={"num_cpus", "num_gpus"}) | {"target_ongoing_requests": target}

    def resources(self) -> dict[str, Any]:
        """What Ray reserves for a replica."""
        return {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}


class Fronts(Replicas):
    """Replicas that wait for engines most of the time."""

    num_cpus: Annotated[float, Field(ge=0)] = 0.5


class ClusterArgs(BaseModel):
    """`settings` are those of a settings file, as a tree; `fronts` and `engines` scale the two kinds of deployment.

    With `one_machine` front replicas may share the database file in `data`. With `unprotected` the cluster may be one
    without Ray's token login: whoever reaches it can run code on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: dict[str, Any] = {}
    fronts: Fronts = Fronts()
    engines: Replicas = Replicas()
    one_machine: bool = False
    unprotected: bool = False


def cluster_settings(args: ClusterArgs) -> Settings:
    """The settings of this process: those of `args`, and this machine's environment over them.

    Raises:
        ConfigError: they cannot be used, or hold an address that may carry a password, which Ray would show.
    """
    if named := {"database", "redis"} & args.settings.keys():
        names = " and ".join(f"SIGHTLINE_{name.upper()}" for name in sorted(named))
        raise ConfigError(f"Ray shows a config to whoever may see its dashboard; put {names} into the environment.")
    return merge_settings(args.settings, {})


def check_shared(settings: Settings, fronts: int, *, one_machine: bool) -> None:
    """Refuse settings with which `fronts` front replicas would each have keys, a ledger or limits of their own.

    Raises:
        ConfigError: every one of them, one a line.
    """
    if fronts < 2:
        return
    problems = []
    if not settings.database and not one_machine:
        problems.append(
            f"{fronts} front replicas share keys and ledger: set SIGHTLINE_DATABASE to a Postgres, "
            "or one_machine where all of them run on one."
        )
    if not settings.redis:
        problems.append(f"{fronts} front replicas count limits together: set SIGHTLINE_REDIS.")
    if problems:
        raise ConfigError("\n".join(problems))
