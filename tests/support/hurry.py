"""Windows whose clocks run sixty times as fast, for what cannot skip time: a batch under way."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from apollo.activities import deployments
from apollo.domain.windows import Standing, Window, change_text, standing

SPEED = 60
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""A Tuesday."""


@contextmanager
def hurried_windows() -> Iterator[None]:
    """From the first look on, at noon, a minute on the windows' clocks takes a second."""
    clock = _Clock()
    with (
        patch.object(deployments, "standing", clock.standing),
        patch.object(deployments, "change_text", clock.change_text),
    ):
        yield


class _Clock:
    """Workflows' timers are real; what they are told of the windows is hurried."""

    began: datetime | None = None

    def standing(
        self, windows: Sequence[Window], moment: datetime, calendars: Iterable[str]
    ) -> Standing:
        self.began = self.began or moment
        found = standing(windows, self._shown(moment), calendars)
        until = found.until and self.began + (found.until - NOON) / SPEED
        return Standing(found.open, until)

    def change_text(self, windows: Sequence[Window], found: Standing) -> str:
        return change_text(windows, Standing(found.open, found.until and self._shown(found.until)))

    def _shown(self, moment: datetime) -> datetime:
        assert self.began
        return NOON + timedelta(seconds=round((moment - self.began).total_seconds() * SPEED))
