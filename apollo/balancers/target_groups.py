"""Target groups of AWS as a balancer: a host's targets are deregistered and registered again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from apollo.balancers import aws
from apollo.balancers.aws import Target
from apollo.balancers.base import BalancerTarget, shown
from apollo.domain.balancer import AlbBalancer, is_target_group
from apollo.errors import BalancerFailed, BalancerUnavailable

Result = TypeVar("Result")
NO_HEALTH = ("unused", "unavailable")
"""States of targets whose health nobody checks: the group has no balancer, or no health check."""


class _Unexpected(Exception):
    """A group does not show what it was told."""

    def __init__(self, group: str, expected: str, found: str) -> None:
        super().__init__(f"{group}: expected {expected}, found {found}")


class TargetGroups:
    """The host's targets in one or more groups, which may lie in several regions."""

    offline_file: str | None = None
    pause = 3.0
    late = timedelta(seconds=aws.HEARD_WITHIN)

    def __init__(self, given: AlbBalancer, wait: timedelta) -> None:
        self.wait = wait
        self._given = given

    async def find(self, target: BalancerTarget) -> str:
        """The host's registered targets by group, as JSON; none where it is not registered."""
        async with self._reported(target, "drain"):
            groups = self._groups(target)
            registered = await _all(self._registered(group, target) for group in groups)
            found = {
                group: [
                    {"id": each.id, "port": each.port, "zone": each.zone, "state": each.state}
                    for each in targets
                ]
                for group, targets in zip(groups, registered, strict=True)
            }
            return json.dumps(found, sort_keys=True, separators=(",", ":"))

    async def drain(self, target: BalancerTarget) -> None:
        """Deregister what is registered, and see that it is."""
        decided = time.monotonic()
        async with self._reported(target, "drain"):
            await _all(self._take_out(group, target, decided) for group in self._groups(target))

    async def drained(self, target: BalancerTarget) -> bool:
        """Whether no group shows the host any more.

        A group goes on showing it as draining until its deregistration delay is over.
        """
        async with self._reported(target, "drain"):
            left = await _all(self._own(group, target) for group in self._groups(target))
            return not any(left)

    async def hold(self, target: BalancerTarget) -> None:
        """Deregister what somebody has registered again, such as a scaling group."""
        await self.drain(target)

    async def restore(self, target: BalancerTarget, found: str) -> None:
        """Register what was registered, and wait until AWS says that it is healthy."""
        decided = time.monotonic()
        async with self._reported(target, "restore"):
            before = {group: _targets(each) for group, each in json.loads(found or "{}").items()}
            await _all(
                self._put_back(group, target, before[group], decided)
                for group in self._groups(target)
                if before.get(group)
            )

    async def _take_out(self, group: str, target: BalancerTarget, decided: float) -> None:
        if registered := await self._registered(group, target):
            await aws.change(group, "deregister_targets", registered, decided)
            if still := await self._registered(group, target):
                raise _Unexpected(group, "the target to be draining", still[0].state)

    async def _put_back(
        self, group: str, target: BalancerTarget, wanted: Sequence[Target], decided: float
    ) -> None:
        there = {each.key for each in await self._registered(group, target)}
        missing = [each for each in wanted if each.key not in there]
        if missing:
            await aws.change(group, "register_targets", missing, decided)
        await self._until_healthy(group, target, wanted)

    async def _until_healthy(
        self, group: str, target: BalancerTarget, wanted: Sequence[Target]
    ) -> None:
        """Wait for AWS's own checks; a target that was not healthy before need not become so."""
        within = self._given.healthy_within.total_seconds()
        deadline = time.monotonic() + within
        while True:
            states = {each.key: each for each in await self._registered(group, target)}
            ill = [each for each in wanted if not _serves(states.get(each.key))]
            if not ill:
                return
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(min(self.pause, max(0.0, deadline - time.monotonic())))
        if was_well := [each for each in ill if _serves(each)]:
            now = states.get(was_well[0].key)
            found = f"{now.state} {now.reason}".strip() if now else "no target"
            raise _Unexpected(group, f"{was_well[0]} to be healthy within {within:g}s", found)

    async def _registered(self, group: str, target: BalancerTarget) -> list[Target]:
        return [each for each in await self._own(group, target) if each.registered]

    async def _own(self, group: str, target: BalancerTarget) -> list[Target]:
        """The host's targets in a group, at the port that is named or at all."""
        name = target.expand(self._given.target)
        port = self._port(target)
        found = await aws.targets(group)
        return [each for each in found if each.id == name and port in (None, each.port)]

    def _port(self, target: BalancerTarget) -> int | None:
        if self._given.port is None:
            return None
        port = target.expand(self._given.port)
        if not port.isdecimal():
            raise ValueError(f"expected a port, found {port!r}")
        return int(port)

    def _groups(self, target: BalancerTarget) -> list[str]:
        groups = [target.expand(each) for each in self._given.target_groups]
        for group in groups:
            if not is_target_group(group):
                raise ValueError(f"expected the ARN of a target group, found {group!r}")
        return list(dict.fromkeys(groups))

    @asynccontextmanager
    async def _reported(self, target: BalancerTarget, step: str) -> AsyncIterator[None]:
        where: dict[str, str] = {"host": target.host, "step": step}
        name = f"{target.host}: balancer.aws_alb"
        try:
            yield
        except aws.NotInstalled as error:
            raise BalancerUnavailable(
                f"{name}: this worker has no boto3",
                left="nothing was said to the balancer",
                hint='where the worker runs: pip install "apollo-deploy[aws]"',
                **where,
            ) from error
        except aws.NoCredentials as error:
            raise BalancerUnavailable(
                f"{name}: {shown(str(error))}",
                left="nothing was said to the balancer",
                hint="give the worker a role, or AWS_* in its environment",
                **where,
            ) from error
        except (aws.CallFailed, _Unexpected, ValueError, KeyError, TypeError) as error:
            raise BalancerFailed(
                f"{name}: {shown(str(error))}",
                hint="look at the target group in AWS; the turn goes on by itself",
                **where,
            ) from error


def _serves(target: Target | None) -> bool:
    """Whether it gets requests: it is healthy, or nobody checks whether it is."""
    return target is not None and target.registered and target.state in ("healthy", *NO_HEALTH)


def _targets(found: Iterable[dict[str, Any]]) -> list[Target]:
    return [Target(**each) for each in found]


async def _all(works: Iterable[Awaitable[Result]]) -> list[Result]:
    """Everything at once; all are tried, then the first failure is raised."""
    done: list[Result] = []
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
