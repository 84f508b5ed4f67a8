"""What is known of a schedule: what it starts, when, and how that went."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from apollo.domain.base import Wire, format_duration

SHORTEST = timedelta(seconds=10)
SYNC = "sync-"
"""How the names of an application's schedules of syncs begin."""


class ScheduleRun(Wire):
    """Something that a schedule has started."""

    workflow_id: str
    scheduled_at: datetime
    started_at: datetime
    state: str
    """`running`, how its deployment or promotion ended, or how its workflow did."""


class ScheduleStatus(Wire):
    """A schedule of an application, as Temporal knows it."""

    id: str
    application: str
    name: str
    kind: Literal["promotion", "sync"]
    from_: str = Field(default="", serialization_alias="from")
    to: str
    """The last stage of a promotion; the environment of a sync."""
    cron: str = ""
    every: timedelta | None = None
    timezone: str = "UTC"
    paused: bool = False
    note: str = ""
    by: str = ""
    reason: str = ""
    next: tuple[datetime, ...] = ()
    """The next times; what they would be, while it is paused."""
    runs: tuple[ScheduleRun, ...] = ()
    """The newest first."""
    skipped: int = 0
    """Times at which what had been started before still ran."""
    missed: int = 0
    """Times that had passed for too long when Temporal was back."""

    @property
    def label(self) -> str:
        """`shop/weekly`."""
        return f"{self.application}/{self.name}"

    @property
    def times(self) -> str:
        """`0 10 * * 2`, or `every 5m`."""
        return f"every {format_duration(self.every)}" if self.every else self.cron

    @property
    def change(self) -> str:
        """`promote staging -> prod`, or `sync prod`."""
        return f"sync {self.to}" if self.kind == "sync" else f"promote {self.from_} -> {self.to}"
