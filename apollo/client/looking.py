"""What the client says of the past and the present, and its words about hosts."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio.service import RPCError

from apollo import names
from apollo.catalog.records import (
    AuditEntry,
    KnownHost,
    ReleaseReach,
    StoredDeployment,
    StoredRelease,
)
from apollo.client.connection import Connection
from apollo.domain.fleet import pick
from apollo.errors import NotFound, Refused, Unavailable

_PATIENCE = timedelta(seconds=5)


class Looking(Connection):
    """Words that the catalog alone answers; no Temporal server is needed."""

    async def history(
        self,
        application: str | None = None,
        environment: str | None = None,
        *,
        release: str | None = None,
        since: datetime | None = None,
        limit: int = 20,
    ) -> list[StoredDeployment]:
        """Deployments, the newest first: of an environment, an application, or all.

        Raises:
            NotFound: The environment was never applied.
        """
        await self._check(application, environment)
        return await self.catalog.deployments.list(
            application, environment, release=release, since=since, limit=limit
        )

    async def audit(
        self,
        application: str | None = None,
        environment: str | None = None,
        *,
        since: datetime | None = None,
        limit: int = 20,
    ) -> list[AuditEntry]:
        """Who did what, when and why, the newest first.

        Raises:
            NotFound: The environment was never applied.
        """
        await self._check(application, environment)
        return await self.catalog.audit.list(application, environment, since=since, limit=limit)

    async def releases(self, application: str, *, limit: int = 20) -> list[StoredRelease]:
        """The releases of an application, the newest first."""
        return await self.catalog.releases.list(application, limit=limit)

    async def reach(
        self, application: str, versions: Sequence[str]
    ) -> dict[str, list[ReleaseReach]]:
        """When each release first came to each environment, and how many hosts run it now."""
        return await self.catalog.releases.reach(application, versions)

    async def hosts(
        self, application: str, environment: str, *, at: datetime | None = None
    ) -> dict[str, KnownHost]:
        """What is known of each host, now or at a past moment."""
        if at is None:
            return await self.catalog.hosts.states(application, environment)
        return await self.catalog.hosts.at(application, environment, at)

    async def select(
        self, application: str, environment: str, hosts: str | Sequence[str]
    ) -> list[str]:
        """The hosts that names and expressions stand for, in the order of the inventory.

        Raises:
            NotFound: The environment was never applied, or an expression matches no host.
        """
        applied = await self.catalog.environments.get(application, environment)
        states = await self.catalog.hosts.states(application, environment)
        failed = [name for name, state in states.items() if state.failed_last or state.broken]
        asked = [hosts] if isinstance(hosts, str) else hosts
        try:
            return pick(applied.environment.fleet, states, asked, {"@failed": frozenset(failed)})
        except ValueError as error:
            label = f"{application}/{environment}"
            raise NotFound(f"{label}: {error}", hint=f"see them: apollo hosts {label}") from error

    async def disable(
        self, application: str, environment: str, hosts: str | Sequence[str], reason: str
    ) -> list[str]:
        """Take hosts out of all deployments, until `enable`; those that were not disabled before.

        The deployment that runs is told; a host that is in its turn then ends it.

        Raises:
            NotFound: No such environment or host.
            Refused: There is no reason.
        """
        if not reason.strip():
            raise Refused("a host is disabled for a reason", hint="say which: --reason")
        chosen = await self.select(application, environment, hosts)
        who = self.settings.who
        changed = await self.catalog.hosts.disable(application, environment, chosen, who, reason)
        await self._look_again(application, environment)
        return changed

    async def enable(
        self, application: str, environment: str, hosts: str | Sequence[str], reason: str = ""
    ) -> list[str]:
        """Let hosts take part again; those that were disabled.

        Raises:
            NotFound: No such environment or host.
        """
        chosen = await self.select(application, environment, hosts)
        who = self.settings.who
        changed = await self.catalog.hosts.enable(application, environment, chosen, who, reason)
        await self._look_again(application, environment)
        return changed

    async def forget(
        self, application: str, environment: str, hosts: str | Sequence[str], reason: str = ""
    ) -> list[str]:
        """Know no more of hosts, nor their keys; the history stays. Those that were known.

        Raises:
            NotFound: No such environment or host.
        """
        chosen = await self.select(application, environment, hosts)
        who = self.settings.who
        return await self.catalog.hosts.forget(application, environment, chosen, who, reason)

    async def adopt(
        self, application: str, environment: str, hosts: str | Sequence[str], reason: str
    ) -> list[str]:
        """Let the next turn of each host take its root over, whoever owns it; those it is new for.

        Raises:
            NotFound: No such environment or host.
            Refused: There is no reason.
        """
        if not reason.strip():
            raise Refused("a root is taken over for a reason", hint="say which: --reason")
        chosen = await self.select(application, environment, hosts)
        who = self.settings.who
        return await self.catalog.adoptions.allow(application, environment, chosen, who, reason)

    async def _check(self, application: str | None, environment: str | None) -> None:
        if application and environment:
            await self.catalog.environments.get(application, environment)

    async def _look_again(self, application: str, environment: str) -> None:
        """Tell the deployment that changes hosts now to look which of them are disabled.

        One that cannot be told looks when its next batch begins.
        """
        lease = await self.catalog.leases.holder(application, environment)
        if lease is None:
            return
        with suppress(Unavailable, RPCError):
            handle = (await self.temporal()).get_workflow_handle(lease.workflow_id)
            await handle.signal(names.LOOK, rpc_timeout=_PATIENCE)
