"""How a fleet is rolled over: waves, capacity, budgets."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator

from apollo.domain.base import Duration, FileModel, Share, ShareOf


class Wave(FileModel):
    """A growing share of the fleet (cumulative), followed by a bake."""

    share: ShareOf
    of: str | None = None
    bake: Duration = timedelta(0)
    approval: bool = False


def _wave(value: Any) -> Any:
    return {"share": value} if isinstance(value, int | str | Share) else value


class Strategy(FileModel):
    """Waves, capacity and budgets of an environment, with the defaults of the design."""

    waves: tuple[Annotated[Wave, BeforeValidator(_wave)], ...] = (
        Wave(share=Share(count=1)),
        Wave(share=Share(percent=100)),
    )
    order: tuple[str, ...] = ()
    max_unavailable: ShareOf = Share(percent=25)
    spread: Literal["stripe", "one_location_at_a_time"] = "stripe"
    max_failures: ShareOf | None = None
    max_unreachable: ShareOf = Share(percent=10)
    on_failure: Literal["rollback", "halt"] = "rollback"
    rollback_max_unavailable: ShareOf = Share(percent=33)
    progress_deadline: Duration | None = None

    @field_validator("waves")
    @classmethod
    def _reach_everyone(cls, waves: tuple[Wave, ...]) -> tuple[Wave, ...]:
        if not waves:
            raise ValueError("expected at least one wave")
        if waves[-1].of is not None or waves[-1].share.percent != 100:
            raise ValueError("the last wave must be 100%")
        return waves

    def failures_allowed(self, hosts: int) -> int:
        """How many hosts may fail: `max_failures`, by default 2 %, and none below 50 hosts."""
        if self.max_failures is not None:
            return self.max_failures.down(hosts)
        return Share(percent=2).down(hosts) if hosts >= 50 else 0

    def unreachable_allowed(self, hosts: int) -> int:
        """How many hosts may be unreachable."""
        return self.max_unreachable.down(hosts)
