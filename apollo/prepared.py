"""What a plan is made of, whatever is planned."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apollo.domain.environment import Environment
from apollo.domain.fleet import select
from apollo.domain.manifest import Manifest
from apollo.domain.once import OnceOutline
from apollo.domain.plan import HostState, Plan, make_plan, marks
from apollo.domain.release import Release
from apollo.domain.setup import Setup
from apollo.errors import Refused

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made of."""

    environment: Environment
    revision: int
    release: Release
    previous_release: str
    states: dict[str, HostState]
    manifests: dict[str, Manifest]
    digests: dict[str, str]
    plan: Plan
    restart: bool = False
    whole_fleet: bool = True
    """Whether it decides what the environment's current release is."""
    once: tuple[OnceOutline, ...] = ()
    setups: tuple[Setup, ...] = ()
    """Where hosts get what they had, or keep what they have: how that is set up."""

    @property
    def distinct(self) -> dict[str, Manifest]:
        """The manifests by their digests: many hosts share one."""
        return {self.digests[host]: manifest for host, manifest in self.manifests.items()}


def limited(
    environment: Environment,
    limit: str | None,
    states: dict[str, HostState],
    digests: dict[str, str],
) -> list[str] | None:
    """The hosts that an expression names; none without one.

    Raises:
        ValueError: Something in it matches nothing.
    """
    if limit is None:
        return None
    known = marks(environment.fleet, states, digests)
    return [host.name for host in select(environment.fleet.hosts, limit, known)]


def plan_within(
    environment: Environment,
    hosts: Sequence[str],
    limit: str | None,
    states: dict[str, HostState],
    digests: dict[str, str],
    *,
    redeploy: bool = False,
) -> Plan:
    """Plan for those of these hosts that an expression names, if there is one.

    Raises:
        Refused: Something names what there is not.
    """
    try:
        chosen = limited(environment, limit, states, digests)
        return make_plan(
            environment.fleet,
            environment.strategy,
            states,
            digests,
            limit=[name for name in hosts if chosen is None or name in chosen],
            redeploy=redeploy,
        )
    except ValueError as error:
        raise Refused(f"{environment.label}: {error}", hint="mend it and apply again") from error


async def setups_of(
    catalog: "Catalog", application: str, running: Iterable[tuple[str, str]]
) -> tuple[Setup, ...]:
    """How these releases are set up for these roles."""
    found: list[Setup] = []
    for version, role in sorted(set(running)):
        release = (await catalog.releases.get(application, version)).release
        found.append(release.setup.for_role(role))
    return tuple(found)


def most_common(releases: Iterable[str | None]) -> str:
    """The release that most of them name."""
    return Counter(release or "" for release in releases).most_common(1)[0][0]
