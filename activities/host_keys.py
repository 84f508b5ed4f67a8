"""Host keys: what was accepted at first use is kept."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from apollo.domain.environment import Environment
from apollo.domain.turn import TurnRecord

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog
    from apollo.catalog.records import StoredDeployment

BY = "first_use"
"""Who trusted a key that nobody compared, as the audit has it."""


async def keep_accepted(
    catalog: "Catalog", stored: "StoredDeployment", records: Sequence[TurnRecord]
) -> None:
    """Trust the keys that turns have accepted."""
    accepted = {record.host: record.host_key for record in records if record.host_key}
    if accepted:
        place = stored.application, stored.environment
        applied = await catalog.environments.get(*place, stored.revision)
        await first_use(catalog, applied.environment, accepted, f"seen by {stored.label}")


async def first_use(
    catalog: "Catalog", environment: Environment, accepted: Mapping[str, str], reason: str
) -> None:
    """Trust keys of hosts that have none, where the environment asks for that; it is audited.

    Host workers need no catalog: what they accepted comes with what they report.
    """
    if not (accepted and environment.first_use):
        return
    place = environment.application, environment.name
    lines = {host: [line] for host, line in accepted.items()}
    await catalog.keys.trust(*place, lines, BY, reason, mode="new_only")
