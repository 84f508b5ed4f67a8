"""What is asked of a promotion, and what its workflow and activities tell each other."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from apollo.domain.base import Request, Wire
from apollo.domain.deployment import Control
from apollo.domain.pipeline import Stage


class PromotionRequest(Request):
    """What starts a promotion: from the command line, a client, a schedule or the Temporal UI.

    Only `application` must be given.
    """

    model_config = ConfigDict(populate_by_name=True)

    application: str = ""
    release: str | None = None
    """By default the newest that succeeded in `from`, or without it the newest that was made."""
    from_: str = Field(default="", alias="from")
    """The stage that the release has passed; by default the first stage is still to come."""
    to: str = ""
    """The last stage; by default the pipeline's last."""
    if_needed: bool = False
    """There is nothing to do where `to` runs it, or a newer one; so it is without `release`."""
    by: str = ""
    reason: str = ""


class StageControl(Control):
    """A word said to a promotion; with `environment` only while it is at that stage."""

    environment: str = ""


class PromotionState(StrEnum):
    """Where a promotion stands."""

    WAITING = "waiting"
    AWAITING = "awaiting"
    BAKING = "baking"
    DEPLOYING = "deploying"
    HELD = "held"
    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    ABORTED = "aborted"
    LOST = "lost"
    """Its workflow was ended from outside."""
    NOTHING_TO_DO = "nothing_to_do"

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return self not in _LIVE


_LIVE = {
    PromotionState.WAITING,
    PromotionState.AWAITING,
    PromotionState.BAKING,
    PromotionState.DEPLOYING,
    PromotionState.HELD,
}


class StageProgress(Wire):
    """How far a promotion is in one stage."""

    environment: str
    state: str = "pending"
    """`pending`, a promotion's state while it is here, then how the deployment ended."""
    workflow_id: str = ""
    """Of its deployment."""
    deployment: str = ""
    """The deployment's label, once it has ended."""
    approved_by: str = ""
    since: datetime | None = None


class PromotionOpen(Wire):
    """Open the promotion that this workflow carries out."""

    request: PromotionRequest
    workflow_id: str
    run_id: str


class PromotionOpened(Wire):
    """A promotion that is in the catalog, or why there is nothing to do."""

    promotion: str = ""
    release: str = ""
    stages: tuple[Stage, ...] = ()
    bake_until: datetime | None = None
    """Until when the stage before the first of these bakes."""
    nothing: str = ""


class GateInput(Wire):
    """Arrive at, or leave, the gate of a stage."""

    promotion: str
    environment: str
    now: datetime


class GateAnswer(Wire):
    """What a gate says."""

    superseded_by: str = ""
    approval: bool = False
    open: bool = True
    until: datetime | None = None
    """When a closed gate is worth another look."""
    why: str = ""


class PromotionShown(Wire):
    """What the catalog shows of a promotion that runs."""

    promotion: str
    state: PromotionState
    held: bool = False
    detail: str = ""
    stages: tuple[StageProgress, ...] = ()


class PromotionWord(Wire):
    """Write who said what to a promotion."""

    promotion: str
    environment: str
    control: str
    action: str
    by: str = ""
    reason: str = ""
    detail: str = ""


class PromotionEnd(PromotionShown):
    """End a promotion."""


class PromotionResult(Wire):
    """How a promotion ended."""

    application: str
    release: str
    state: PromotionState
    detail: str = ""
    stages: tuple[StageProgress, ...] = ()


Stop = Literal["reject", "supersede", "abort"]
ENDS: dict[str, PromotionState] = {
    "reject": PromotionState.REJECTED,
    "supersede": PromotionState.SUPERSEDED,
    "abort": PromotionState.ABORTED,
}
