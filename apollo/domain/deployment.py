"""What is asked of a deployment, and what is said to it while it runs."""

from typing import Literal

from pydantic import Field

from apollo.domain.base import Request, Wire
from apollo.domain.turn import Stop


class DeploymentRequest(Request):
    """What starts a deployment: from the command line, a client, a schedule or the Temporal UI.

    Only `application`, `environment` and (but for restart and sync) `release` must be given;
    everything else comes from the catalog.
    """

    application: str = ""
    environment: str = ""
    release: str | None = None
    limit: str | None = None
    redeploy: bool = False
    only: Literal["outdated"] | None = None
    """`outdated`: the sync of new and returned hosts; the release is the current one."""
    restart: bool = False
    """Stop and start what each host runs; no release changes."""
    rollback: bool = False
    """Take back what the last deployment changed; or, with a release, bring that one like a
    rollback: at its pace, and held by no gate."""
    override: str = ""
    """Why windows and approvals are opened for this deployment; empty: they are not."""
    approved: str = ""
    """Who approved it before it started, in a promotion: its first gate is then open."""
    stop: Stop = "running"
    """Whose `stop` hook is used: the running release's, the new one's, or the running one's, which
    may then fail."""
    if_busy: Literal["refuse", "wait", "supersede"] = "refuse"
    by: str = ""
    reason: str = ""
    traceparent: str = ""
    """W3C trace context of whoever asks: the deployment's trace goes on from there."""

    @property
    def overrides(self) -> bool:
        """Whether it keeps to no window and waits for no approval."""
        return bool(self.override.strip())

    @property
    def kind(self) -> Literal["deploy", "restart", "sync", "rollback"]:
        """What it is called in the catalog."""
        if self.only:
            return "sync"
        if self.rollback:
            return "rollback"
        return "restart" if self.restart else "deploy"

    def refusal(self) -> str | None:
        """Why this is no request; none if it is one."""
        if not self.application or not self.environment:
            return "a deployment needs an application and an environment"
        if self.only and self.restart:
            return "a sync brings the current release and a restart brings none: ask for one"
        if self.rollback and (self.only or self.restart):
            return "a rollback is neither a sync nor a restart: ask for one"
        if self.rollback and self.release == "current":
            return "a rollback to what is current changes nothing: name another release"
        if self.kind in ("restart", "sync") and self.release not in (None, "", "current"):
            return f"a {self.kind} brings no other release: leave {self.release!r} out"
        if self.kind != "deploy" and self.stop != "running":
            return f"a {self.kind} stops what runs by its own hook: leave stop {self.stop!r} out"
        return None


class Control(Wire):
    """A word said to a running deployment: every field may be left out."""

    by: str = ""
    reason: str = ""
    id: str = Field(default="", description="tells a repeated control from a new one")


class PaceControl(Control):
    """A new `max_unavailable` for the rest of the deployment: a count or a percentage."""

    max_unavailable: str = Field(default="", coerce_numbers_to_str=True)


class HostsControl(Control):
    """A word about some hosts: those of an expression, of an error group, or of both."""

    hosts: str = ""
    error: str = ""
    """How the group's title begins: `HookFailed start exit 3`."""
