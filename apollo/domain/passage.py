"""The way of a promotion through its stages, and which of two promotions gives way."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from apollo.domain.pipeline import Stage
from apollo.domain.promotion import PromotionState, StageProgress, Stop

WORDS = ("approve", "reject", "hold", "resume")


class Passage:
    """Where a promotion stands and what people have said to it; the workflow acts on it."""

    def __init__(self) -> None:
        self.base = PromotionState.WAITING
        self.stages: tuple[StageProgress, ...] = ()
        self.index = 0
        self.held = ""
        """Who holds it and why; empty: nobody does."""
        self.looks = 0
        """How often something called for another look at the gate."""
        self.stop: Stop | None = None
        self.detail = ""

    def open(self, stages: Sequence[Stage]) -> None:
        """Which stages there are."""
        self.stages = tuple(StageProgress(environment=stage.environment) for stage in stages)

    @property
    def stage(self) -> StageProgress:
        """The stage that it is at."""
        if not self.stages:
            return StageProgress(environment="")
        return self.stages[self.index]

    @property
    def state(self) -> PromotionState:
        """What it shows: held hides what it would wait for otherwise."""
        resting = not self.base.ended and self.base is not PromotionState.DEPLOYING
        return PromotionState.HELD if self.held and resting and not self.stop else self.base

    @property
    def told(self) -> str:
        """Why it is in this state."""
        return "; ".join(part for part in (self.detail, self.held) if part)

    def go(self, state: PromotionState, detail: str, now: datetime) -> None:
        """The stage is now in this state."""
        self.detail = detail
        if (self.base, self.stage.state) != (state, str(state)):
            self.base = state
            self.update(state=str(state), since=now)

    def update(self, **values: object) -> None:
        """Change what is known of the stage."""
        stages = list(self.stages)
        if stages:
            stages[self.index] = stages[self.index].model_copy(update=values)
        self.stages = tuple(stages)

    def refusal(self, word: str, environment: str = "") -> str | None:
        """Why the word makes no sense now, and what does; none if it does."""
        here = self.stage.environment
        if self.base.ended:
            return f"the promotion has ended: {self.base}"
        if self.stop is not None:
            return f"the promotion is already ending: {self.stop} was asked for"
        if environment and environment != here:
            return f"it is at {here or 'no stage yet'}, not at {environment}"
        deploying = self.base is PromotionState.DEPLOYING
        return {
            "approve": self._no_approval(),
            "reject": f"{here} is being deployed: abort that deployment" if deploying else None,
            "hold": "it is held already; resume goes on" if self.held else None,
            "resume": None if self.held else f"it is not held: it is {self.state}",
        }.get(word)

    def approve(self, by: str) -> None:
        """Open the gate that is waited at."""
        self.update(approved_by=by or "somebody")

    def hold(self, why: str) -> None:
        """Begin nothing new."""
        self.held = f"held: {why}" if why else "held"

    def resume(self) -> None:
        """Go on, and look at the gate again."""
        self.held = ""
        self.looks += 1

    def end(self, stop: Stop, why: str) -> None:
        """Go no further."""
        self.stop, self.held = stop, ""
        self.detail = f"{stop}: {why}" if why else stop

    def _no_approval(self) -> str | None:
        if self.base is PromotionState.AWAITING:
            return None
        return f"nothing waits for approval: {self.stage.environment or 'it'} is {self.state}"


class Rival(NamedTuple):
    """A release in or at an environment; `made` orders releases, the newest last."""

    release: str
    made: tuple[datetime, str]
    since: datetime | None = None
    """When a deployment of it succeeded there; none: it waits or deploys there now."""


def superseded_by(mine: Rival, opened: datetime, others: Iterable[Rival]) -> str | None:
    """The newest release that makes mine give way: it is there, or got there since I opened."""
    newer = [
        other
        for other in others
        if other.made > mine.made and (other.since is None or other.since >= opened)
    ]
    return max(newer, key=lambda rival: rival.made).release if newer else None
