"""What the catalog answers with."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from apollo.domain.base import Wire
from apollo.domain.environment import Environment
from apollo.domain.pipeline import Stage, names_of
from apollo.domain.plan import HostState, PlannedHost
from apollo.domain.promotion import PromotionState, StageProgress
from apollo.domain.release import Release
from apollo.domain.rollout import Phase
from apollo.domain.signature import Signature, signature
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import TurnRecord


class AppliedEnvironment(Wire):
    """An environment as it was applied; the stages are the application's, as they are now."""

    environment: Environment
    revision: int
    stages: tuple[Stage, ...] = ()
    applied_at: datetime
    applied_by: str
    reason: str = ""

    @property
    def pipeline(self) -> tuple[str, ...]:
        """The names of the pipeline's environments."""
        return names_of(self.stages)


class StoredRelease(Wire):
    """A release, and who made it when."""

    release: Release
    created_at: datetime
    created_by: str


class ReleaseReach(Wire):
    """How far a release has come in one environment."""

    environment: str
    reached_at: datetime | None = None
    """When its first deployment of the whole fleet had succeeded."""
    number: int | None = None
    """The number of that deployment."""
    in_part_at: datetime | None = None
    """When the first deployment had ended that brought it to some hosts at least."""
    in_part: int | None = None
    """The number of that deployment."""
    hosts: int = 0
    """How many hosts run it now."""


class NewDeployment(Wire):
    """What a deployment is when it is opened."""

    workflow_id: str
    run_id: str
    application: str
    environment: str
    release: str = ""
    previous_release: str = ""
    revision: int = 0
    kind: str = "deploy"
    whole_fleet: bool = True
    """Whether its release becomes the environment's when it ends well."""
    by: str = ""
    reason: str = ""
    request: dict[str, Any] = Field(default_factory=dict)


class StoredDeployment(NewDeployment):
    """A deployment as the catalog knows it."""

    uuid: str
    number: int
    state: DeploymentState
    detail: str = ""
    """Why it is in this state, or how it ended."""
    plan: dict[str, Any] | None = None
    """What the plan says beside its hosts; none: it has no plan yet."""
    hosts: int = 0
    granted_ms: int = 0
    opened_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def label(self) -> str:
        """`shop/prod#42`."""
        return f"{self.application}/{self.environment}#{self.number}"


class NewPromotion(Wire):
    """What a promotion is when it is opened."""

    workflow_id: str
    run_id: str
    application: str
    release: str
    stages: tuple[StageProgress, ...]
    by: str = ""
    reason: str = ""
    request: dict[str, Any] = Field(default_factory=dict)


class StoredPromotion(NewPromotion):
    """A promotion as the catalog knows it."""

    uuid: str
    stage: str
    at_gate: bool = False
    superseded_by: str = ""
    held: bool = False
    state: PromotionState
    detail: str = ""
    opened_at: datetime
    since: datetime
    ended_at: datetime | None = None

    @property
    def label(self) -> str:
        """`shop 1.4.2`."""
        return f"{self.application} {self.release}"


class HostRow(PlannedHost):
    """A host in a phase of a deployment: its place in the plan, and how its last turn ended."""

    deployment: str
    phase: Phase
    manifest: str | None = None
    """Digest of what it shall run; none in a rollback: stop the host and report it."""
    check_only: bool = False
    previous_manifest: str | None = None
    previous_release: str | None = None
    """What the catalog knew it to run before the deployment."""
    turns: int = 0
    """The number of its last turn that is recorded, in either phase."""
    again: int = 0
    """The number of the last turn when somebody asked for another one."""
    outcome: Outcome | None = None
    ran: str | None = None
    """Digest of what it ran when that turn had ended."""
    step: str = ""
    error: str = ""
    message: str = ""
    attached: tuple[str, ...] = ()
    record: TurnRecord | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def pending(self) -> bool:
        """Whether it is due: it has had no turn, or somebody has asked for another one."""
        return self.outcome is None or 0 < self.turns == self.again

    @property
    def tried_again(self) -> bool:
        """Whether it has had another turn because it could not be reached, as each has once."""
        return self.turns > self.again + 1

    @property
    def signature(self) -> Signature:
        """What its error says, without what is the host's own."""
        steps = self.record.steps if self.record else ()
        own = (self.host, self.location)
        return signature(self.error, self.step, self.message, own=own, steps=steps)

    @property
    def next_turn(self) -> int:
        """The number that its next turn has."""
        return self.turns + 1


class StoredOutput(Wire):
    """What a step of a host's turn has printed: the end of it."""

    deployment: str
    host: str
    turn: int
    step: str
    exit: int | None = None
    seconds: float | None = None
    text: str = ""
    cut: int = 0
    """How many bytes came before this text, and were not kept."""


class HostEnd(Wire):
    """How a host came out of a deployment, both phases taken together."""

    host: str
    location: str
    outcome: Outcome | None
    """None: its turn has not come yet."""
    error: str = ""


class LastGood(Wire):
    """What a host ran at the end of the last succeeded deployment that it took part in."""

    manifest: str
    release: str
    number: int


class KnownHost(HostState):
    """What the catalog knows of a host, now or at a past moment."""

    host: str
    since: datetime
    deployment: str = ""
    """The uuid of the deployment that made it so; empty: a person did."""
    disabled_reason: str | None = None


class HostKey(Wire):
    """A host key that is trusted."""

    host: str
    line: str
    added_at: datetime
    added_by: str
    reason: str = ""


class Lease(Wire):
    """Who may change the hosts of an environment."""

    application: str
    environment: str
    workflow_id: str
    run_id: str
    number: int
    granted_ms: int


class AuditEntry(Wire):
    """Who did what, when and why."""

    id: int
    at: datetime
    identity: str
    identity_kind: Literal["declared", "verified"] = "declared"
    application: str = ""
    environment: str = ""
    deployment: str = ""
    action: str
    reason: str = ""
    detail: dict[str, Any] = Field(default_factory=dict)
    control: str | None = None
    number: int | None = None
    """The deployment's number, when it was about one."""
    release: str | None = None
    """That deployment's release."""

    @property
    def label(self) -> str:
        """What it was about: `shop/prod#42`, `shop/prod`, `shop` or nothing."""
        place = "/".join(filter(None, (self.application, self.environment)))
        return f"{place}#{self.number}" if self.number is not None else place


def final_outcome(
    forward: Outcome | None, back: Outcome | None, *, check_only: bool = False
) -> Outcome | None:
    """What a host's turns forward and back come to.

    A rollback that did not get to a host, or only looked at it, leaves it as it was.
    """
    if back is None or back in (Outcome.NOT_STARTED, Outcome.SKIPPED):
        return forward
    if back.good or back is Outcome.ROLLED_BACK:
        return forward if check_only else Outcome.ROLLED_BACK
    return back
