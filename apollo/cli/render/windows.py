"""How the windows of an environment stand, and what does not keep to them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from apollo.catalog.records import StoredDeployment
from apollo.domain.environment import Environment
from apollo.domain.windows import change_text, standing
from apollo.files.mistakes import one_line


def windows_text(environment: Environment) -> str:
    """`closed; opens 2026-11-24 09:00 Europe/Amsterdam`; nothing without windows."""
    if not environment.timed:
        return ""
    found = standing(environment.windows, datetime.now(UTC), environment.freezes.values())
    return f"{'open' if found.open else 'closed'}; {change_text(environment.windows, found)}"


def windows_json(environment: Environment) -> dict[str, Any]:
    """The windows, whether one is open, and when that changes."""
    found = standing(environment.windows, datetime.now(UTC), environment.freezes.values())
    return {
        "windows": [str(each) for each in environment.windows],
        "freezes": list(environment.freezes),
        "open": found.open,
        "until": found.until.isoformat() if found.until else None,
    }


def override_of(deployment: StoredDeployment) -> str:
    """Why a deployment keeps to no window and waits for no approval; else nothing."""
    return one_line(str(deployment.request.get("override") or ""))


def override_line(deployment: StoredDeployment) -> Iterator[str]:
    """The same, as a line of its own."""
    if why := override_of(deployment):
        yield f"  keeps to no window and waits for no approval: {why}"
