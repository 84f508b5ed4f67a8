"""`apollo cluster`."""

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.misuse import Misused
from apollo.cli.options import Json
from apollo.cli.render.terminal import show, show_json
from apollo.cli.session import read_settings
from apollo.cluster import Cluster, set_up
from apollo.domain.base import parse_duration
from apollo.names import SEARCH_ATTRIBUTES

Namespace = Annotated[str, Parameter(help="By default what TEMPORAL_NAMESPACE says.")]
Retention = Annotated[
    str, Parameter(help="How long a new namespace keeps what has ended.", show_default=True)
]
Wait = Annotated[str, Parameter(help="How long the server may take.", show_default=True)]
_SHORTEST = timedelta(days=1)


async def setup(
    *,
    namespace: Namespace = "",
    retention: Retention = "30d",
    wait: Wait = "2m",
    json: Json = False,
) -> int:
    """Make the namespace and search attributes in Temporal."""
    kept = _duration("--retention", retention)
    if kept < _SHORTEST:
        raise Misused(f"--retention {retention}: Temporal keeps a day at least", hint="write 30d")
    found = await set_up(read_settings(), kept, _duration("--wait", wait), namespace or None)
    if json:
        show_json(_document(found))
        return 0
    days = f"{found.retention / timedelta(days=1):g} days"
    made = "made" if found.namespace_made else "there already"
    show([f"✔ namespace {found.namespace}: {made}, keeps what has ended for {days}"])
    show(
        f"✔ search attribute {key.name}: {'made' if key.name in found.made else 'there already'}"
        for key in SEARCH_ATTRIBUTES
    )
    return 0


def _document(found: Cluster) -> dict[str, object]:
    return {
        "namespace": found.namespace,
        "namespace_made": found.namespace_made,
        "retention_seconds": int(found.retention.total_seconds()),
        "search_attributes": [key.name for key in SEARCH_ATTRIBUTES],
        "search_attributes_made": list(found.made),
    }


def _duration(flag: str, text: str) -> timedelta:
    try:
        found: timedelta = parse_duration(text)
    except ValueError as error:
        raise Misused(f"{flag} {text}: {error}", hint="write 30d, 12h or 2m") from error
    return found
