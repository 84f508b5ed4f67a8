"""AWS's calls that concern target groups, in threads; boto3 is the extra `aws`.

A word that changes something is sent at most `SENT_WITHIN` after it was decided, retries included:
boto3 repeats a throttled call by itself, and a thread cannot be stopped when its turn is.
"""

import asyncio
import functools
import math
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

SENT_WITHIN = 5.0
"""Seconds after the decision in which a word that changes something may be sent."""
HEARD_WITHIN = 10.0
"""Seconds after the decision by which it has been heard, or never will be."""
_CONNECT = 3
_ANSWER = 10
_ATTEMPTS = 4
_GONE = ("Target.NotRegistered", "Target.DeregistrationInProgress")
_until: ContextVar[float] = ContextVar("_until", default=math.inf)
_making = threading.Lock()

Change = Literal["register_targets", "deregister_targets"]


class NotInstalled(Exception):
    """boto3 is not there."""


class NoCredentials(Exception):
    """The worker has nothing to sign calls with."""


class CallFailed(Exception):
    """AWS cannot be reached, or refuses a call."""


class _TooLate(Exception):
    """Nobody may say it any more: somebody else may have the host by now."""


@dataclass(frozen=True)
class Target:
    """A target of a group, as AWS names it, and what AWS says of it."""

    id: str
    port: int | None
    zone: str | None
    state: str
    reason: str = ""

    @property
    def registered(self) -> bool:
        """Whether requests may be sent to it, once it is healthy."""
        return self.reason not in _GONE

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells it apart in its group."""
        return self.id, self.port

    def __str__(self) -> str:
        return f"{self.id}:{self.port}" if self.port else self.id

    def description(self) -> dict[str, Any]:
        """As calls name it; a zone is only given where AWS cannot know it."""
        zone = {"AvailabilityZone": self.zone} if self.zone == "all" else {}
        return {"Id": self.id, **({"Port": self.port} if self.port else {}), **zone}


async def targets(group: str) -> list[Target]:
    """All targets of a group, those that are being drained too.

    Raises:
        CallFailed, NotInstalled, NoCredentials: They are not to be had.
    """
    found = await asyncio.to_thread(
        _call, group, "describe_target_health", {"TargetGroupArn": group}, math.inf
    )
    return [
        Target(
            id=each["Target"]["Id"],
            port=each["Target"].get("Port"),
            zone=each["Target"].get("AvailabilityZone"),
            state=each["TargetHealth"]["State"],
            reason=each["TargetHealth"].get("Reason", ""),
        )
        for each in found["TargetHealthDescriptions"]
    ]


async def change(group: str, how: Change, which: Sequence[Target], decided: float) -> None:
    """Register or deregister targets; `decided` is when that was, by the monotonic clock.

    Raises:
        CallFailed, NotInstalled, NoCredentials: It may not have been done.
    """
    given = {"TargetGroupArn": group, "Targets": [each.description() for each in which]}
    await asyncio.to_thread(_call, group, how, given, decided + SENT_WITHIN)


def region_of(group: str) -> str:
    """`eu-west-1`, as the ARN of a target group says."""
    return group.split(":")[3]


def _call(group: str, operation: str, given: Mapping[str, Any], until: float) -> Any:
    _, exceptions = _library()
    _until.set(until)  # of this call's thread alone: `to_thread` copies the context
    try:
        return getattr(_client(region_of(group)), operation)(**given)
    except _TooLate as error:
        text = f"{group}: {operation} could not be sent within {SENT_WITHIN:g}s"
        raise CallFailed(text) from error
    except (exceptions.NoCredentialsError, exceptions.CredentialRetrievalError) as error:
        raise NoCredentials(str(error)) from error
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        raise CallFailed(f"{group}: {error}") from error


def _library() -> tuple[Any, Any]:
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore import exceptions  # type: ignore[import-untyped]
    except ImportError as error:
        raise NotInstalled from error
    return boto3, exceptions


def _client(region: str) -> Any:
    with _making:  # making clients is not for several threads at once, using them is
        return _client_of(region)


@functools.cache
def _client_of(region: str) -> Any:
    from botocore.config import Config  # type: ignore[import-untyped]

    boto3, _ = _library()
    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    config = Config(
        connect_timeout=_CONNECT, read_timeout=_ANSWER, retries=retries, max_pool_connections=50
    )
    client = boto3.Session().client("elbv2", region_name=region, config=config)
    client.meta.events.register("before-send.elastic-load-balancing-v2", _in_time)
    return client


def _in_time(**_: Any) -> None:
    """Asked before each attempt at a call."""
    if time.monotonic() > _until.get():
        raise _TooLate
