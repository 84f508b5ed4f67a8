"""HAProxy as a balancer: drains a host at every Runtime API and in every backend that it has."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from apollo.balancers.base import BalancerTarget
from apollo.balancers.lines import Lines
from apollo.balancers.runtime_api import AdminState, RuntimeApi, Server, UnexpectedAnswer
from apollo.errors import BalancerFailed

Place = tuple[RuntimeApi, Server]
Result = TypeVar("Result")
_AT_ITS_SOCKET = "see that every HAProxy answers at its admin socket, then retry the host"
_THROUGH_SSH = (
    "see that HAProxy answers at its admin socket there, that sshd lets the worker's key in and "
    "forwards (AllowStreamLocalForwarding), and that its host key is in the worker's known_hosts"
)


class Haproxy:
    """One or more HAProxies, each told and asked by its Runtime API."""

    offline_file: str | None = None
    pause = 0.25
    late = timedelta(0)

    def __init__(
        self,
        at: Sequence[str],
        backends: Sequence[str],
        server: str,
        wait: timedelta,
        lines: Lines | None = None,
    ) -> None:
        self.wait = wait
        self._at = at
        self._backends = backends
        self._server = server
        self._lines = lines or Lines()

    async def find(self, target: BalancerTarget) -> str:
        """The state of the host's servers, as JSON."""
        async with self._reported(target, "drain"):
            return json.dumps(await self._states(target), sort_keys=True, separators=(",", ":"))

    async def drain(self, target: BalancerTarget) -> None:
        """Set the host's servers to `drain`; one in maintenance stays there."""
        async with self._reported(target, "drain"):
            await self._each(target, _take_out)

    async def drained(self, target: BalancerTarget) -> bool:
        """Whether the host's servers are out and have no request left."""
        async with self._reported(target, "drain"):
            return all(await self._each(target, _is_idle))

    async def hold(self, target: BalancerTarget) -> None:
        """Set what has become `ready` to `drain` again: HAProxy forgets it when it reloads."""
        await self.drain(target)

    async def restore(self, target: BalancerTarget, found: str) -> None:
        """Give each server the state it was found in; one that was not there becomes `ready`."""
        async with self._reported(target, "restore"):
            states = {key: AdminState(value) for key, value in json.loads(found or "{}").items()}

            async def put_back(api: RuntimeApi, server: Server) -> None:
                await api.set_state(server, states.get(_key(api, server), AdminState.READY))

            await self._each(target, put_back)

    async def _states(self, target: BalancerTarget) -> dict[str, str]:
        async def state(api: RuntimeApi, server: Server) -> tuple[str, str]:
            return _key(api, server), str(await api.admin_state(server))

        return dict(await self._each(target, state))

    async def _each(
        self, target: BalancerTarget, do: Callable[[RuntimeApi, Server], Awaitable[Result]]
    ) -> list[Result]:
        """Do something everywhere at once; all are tried, then the first failure is raised."""
        results = await asyncio.gather(
            *(do(api, server) for api, server in self._places(target)), return_exceptions=True
        )
        done: list[Result] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done.append(result)
        return done

    def _places(self, target: BalancerTarget) -> list[Place]:
        name = target.expand(self._server)
        servers = [Server(target.expand(backend), name) for backend in self._backends]
        return [
            (RuntimeApi(target.expand(at), self._lines), server)
            for at in self._at
            for server in servers
        ]

    @asynccontextmanager
    async def _reported(self, target: BalancerTarget, step: str) -> AsyncIterator[None]:
        try:
            yield
        except (UnexpectedAnswer, ValueError) as error:
            raise BalancerFailed(
                f"HAProxy {error}",
                host=target.host,
                step=step,
                hint=_THROUGH_SSH if " ssh:" in f" {error}" else _AT_ITS_SOCKET,
            ) from error


async def _take_out(api: RuntimeApi, server: Server) -> None:
    if await api.admin_state(server) is AdminState.READY:
        await api.set_state(server, AdminState.DRAIN)


async def _is_idle(api: RuntimeApi, server: Server) -> bool:
    if await api.admin_state(server) is AdminState.READY:
        return False
    return await api.requests(server) == 0


def _key(api: RuntimeApi, server: Server) -> str:
    return f"{api.at} {server}"
