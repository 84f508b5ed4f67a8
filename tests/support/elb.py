"""Target groups on a server that speaks AWS's API, with what AWS does in its own time.

moto has neither a draining nor an initial state, and one target per id; here they are.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from moto.elbv2 import models
from moto.elbv2.exceptions import ELBClientError
from moto.server import ThreadedMotoServer

from apollo.balancers import aws

SECRET = "s3cret-access-key"
Key = tuple[str, int]


@dataclass
class Elb:
    """What the server does, and what it was told."""

    said: list[str] = field(default_factory=list)
    """Each change: `deregister 10.0.1.1:80`."""
    looks_draining: int = 0
    """In so many descriptions a target that was deregistered is still there."""
    looks_initial: int = 0
    """In so many descriptions a target that was registered is not healthy yet."""
    well: str = "healthy"
    """What a target is after that."""
    throttled: int = 0
    """So many changes more are refused."""
    tried: int = 0
    _left: dict[tuple[str, Key], tuple[str, int]] = field(default_factory=dict)

    def register(self, group: Any, targets: list[dict[str, Any]]) -> None:
        """In place of moto's: a target for each port."""
        self._throttle()
        for each in targets:
            key = (each["Id"], int(each.get("Port") or group.port))
            group.targets[key] = {"Id": key[0], "Port": key[1]}
            self._left[group.arn, key] = ("initial", self.looks_initial)
            self.said.append(f"register {key[0]}:{key[1]}")

    def deregister(self, group: Any, targets: list[dict[str, Any]]) -> None:
        """In place of moto's: gone after a while."""
        self._throttle()
        for each in targets:
            key = (each["Id"], int(each.get("Port") or group.port))
            if key not in group.targets:
                raise ELBClientError("InvalidTarget", "The specified target does not exist")
            self._left[group.arn, key] = ("draining", self.looks_draining)
            self.said.append(f"deregister {key[0]}:{key[1]}")

    def health(self, backend: Any, target_group_arn: str, targets: Any) -> list[Any]:
        """In place of moto's: all targets, in whichever state they are."""
        if target_group_arn not in backend.target_groups:
            raise ELBClientError("TargetGroupNotFound", "One or more target groups not found")
        group = backend.target_groups[target_group_arn]
        return [found for key in list(group.targets) if (found := self._health(group, key))]

    def _health(self, group: Any, key: Key) -> Any:
        state, left = self._left.get((group.arn, key), ("initial", 0))
        self._left[group.arn, key] = (state, left - 1)
        reasons = {
            "draining": "Target.DeregistrationInProgress",
            "initial": "Elb.InitialHealthChecking",
        }
        if left > 0:
            return models.FakeHealthStatus(*key, "80", state, reasons[state])  # type: ignore[arg-type]
        if state == "draining":
            del group.targets[key]
            return None
        reason = None if self.well == "healthy" else "Target.FailedHealthChecks"
        return models.FakeHealthStatus(*key, "80", self.well, reason)  # type: ignore[arg-type]

    def _throttle(self) -> None:
        self.tried += 1
        if self.throttled:
            self.throttled -= 1
            raise ELBClientError("Throttling", "Rate exceeded")


@contextmanager
def an_elb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elb]:
    """The server, and the environment in which a worker finds it."""
    elb = Elb()
    group = models.FakeTargetGroup
    monkeypatch.setattr(group, "register", lambda self, targets: elb.register(self, targets))
    monkeypatch.setattr(group, "deregister", lambda self, targets: elb.deregister(self, targets))
    monkeypatch.setattr(models.ELBv2Backend, "describe_target_health", elb_health(elb))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    aws._client_of.cache_clear()
    try:
        yield elb
    finally:
        aws._client_of.cache_clear()
        server.stop()
        models.elbv2_backends.reset()


def elb_health(elb: Elb) -> Any:
    """A method for moto's backend."""
    return lambda self, target_group_arn, targets: elb.health(self, target_group_arn, targets)


def client(region: str) -> Any:
    """A person's own client."""
    return boto3.client("elbv2", region_name=region, endpoint_url=os.environ["AWS_ENDPOINT_URL"])


def group(name: str, region: str, *targets: Key) -> str:
    """A new target group with these targets; its ARN."""
    vpc = boto3.client("ec2", region_name=region).create_vpc(CidrBlock="10.0.0.0/16")
    made = client(region).create_target_group(
        Name=name, Protocol="HTTP", Port=80, VpcId=vpc["Vpc"]["VpcId"], TargetType="ip"
    )
    arn: str = made["TargetGroups"][0]["TargetGroupArn"]
    register(arn, *targets)
    return arn


def register(arn: str, *targets: Key) -> None:
    """What a person, or a scaling group, does."""
    if targets:
        described = [{"Id": name, "Port": port} for name, port in targets]
        client(arn.split(":")[3]).register_targets(TargetGroupArn=arn, Targets=described)


def states(arn: str) -> dict[str, str]:
    """The group's targets as AWS shows them."""
    found = client(arn.split(":")[3]).describe_target_health(TargetGroupArn=arn)
    return {
        f"{each['Target']['Id']}:{each['Target']['Port']}": each["TargetHealth"]["State"]
        for each in found["TargetHealthDescriptions"]
    }
