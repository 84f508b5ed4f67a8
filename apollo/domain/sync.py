"""Which hosts a sync takes: new ones, returned ones, and those found to run something else."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from apollo.domain.base import Wire
from apollo.domain.fleet import Host
from apollo.domain.plan import HostState
from apollo.domain.status import DeploymentState, Outcome, Serving

PAGE = 50
"""Hosts that one activity looks at."""
CHUNK = 500
"""Hosts that are judged together."""
MOST = 3000
"""Hosts that one sync brings; the next brings the others. Their names are one payload."""
OTHERS = 1000
"""Hosts left for a person, and hosts that are fine, of which a look tells one by one."""
WHY = 160
"""Characters."""
NAMED = 20
"""Hosts that a deployment's detail names."""
LASTING = ("DiskFull", "ForeignRoot", "RootNotWritable", "SecretUnavailable")
"""Why a host that can be reached was left unchanged, and would be again."""

_ENDED_WELL = (DeploymentState.SUCCEEDED, DeploymentState.PARTIAL)
_OPEN = (
    DeploymentState.HALTED,
    DeploymentState.ABORTED,
    DeploymentState.SUPERSEDED,
    DeploymentState.ROLLBACK_FAILED,
)


class Target(Wire):
    """A host to be looked at: what a connection needs, and where its release lies."""

    host: Host
    host_keys: tuple[str, ...] = ()
    root: str


class Sight(Wire):
    """What was seen on a host."""

    host: str
    manifest: str | None = None
    """Digest of what serves there, as the host itself says; none: nothing does."""
    release: str | None = None
    """The release that `current` points to, whatever the host's state is."""
    state: str = "none"
    """The host's own word: `none`, `serving`, `changing` or `broken`."""
    turn_of: str | None = None
    """The uuid of the deployment whose turn has not ended on the host."""
    host_key: str = ""
    """The host key that was accepted though nobody had trusted one (`first_use`)."""
    error: str = ""
    """Why nothing was seen: the error's type."""
    message: str = ""


class PastTurn(Wire):
    """A turn that a host has had since the environment's current release came."""

    host: str
    number: int
    kind: str
    state: DeploymentState
    """That of the deployment."""
    release: str
    """That of the deployment."""
    outcome: Outcome
    wanted: str | None = None
    ran: str | None = None
    error: str = ""


class Finding(StrEnum):
    """What a look at a host comes to."""

    CURRENT = "current"
    NEW = "new"
    MISSED = "missed"
    DRIFTED = "drifted"
    UNREACHABLE = "unreachable"
    OPEN = "open"
    FAILED = "failed"
    DISABLED = "disabled"
    GONE = "gone"

    @property
    def brought(self) -> bool:
        """A sync takes the host."""
        return self in (Finding.NEW, Finding.MISSED, Finding.DRIFTED)

    @property
    def fine(self) -> bool:
        """Nobody needs to do anything."""
        return self in (Finding.CURRENT, Finding.DISABLED, Finding.GONE)


class Found(Wire):
    """A host, what a look at it comes to, and why."""

    host: str
    finding: Finding
    runs: str = ""
    """What was seen: a release, `nothing`, or empty where nobody looked."""
    number: int | None = None
    """The deployment that this goes back to: the open case, or the one that failed."""
    why: str = ""


class Drift(Wire):
    """How an environment's hosts compare with its current release."""

    release: str = ""
    revision: int = 0
    counts: dict[str, int] = {}
    found: tuple[Found, ...] = ()
    """Those that a sync takes (at most `MOST`), then those left for a person and those that are
    fine (at most `OTHERS` of each)."""
    skipped: str = ""
    """Why nobody looked: no current release, or another deployment that runs."""

    @property
    def bring(self) -> tuple[str, ...]:
        """The hosts that a sync takes."""
        return tuple(each.host for each in self.found if each.finding.brought)

    @property
    def fine(self) -> bool:
        """Every host of the fleet runs the current release, or is disabled."""
        return not self.skipped and all(Finding(finding).fine for finding in self.counts)

    def plus(self, more: Sequence[Found]) -> "Drift":
        """With what more hosts came to."""
        counts = Counter(self.counts) + Counter(str(each.finding) for each in more)
        found = [*self.found, *more]
        brought = [each for each in found if each.finding.brought][:MOST]
        others = [each for each in found if not (each.finding.brought or each.finding.fine)]
        fine = [each for each in found if each.finding.fine]
        ordered = (*brought, *others[:OTHERS], *fine[:OTHERS])
        return self.model_copy(update={"counts": dict(counts), "found": ordered})


def judge(
    sight: Sight,
    state: HostState,
    past: Sequence[PastTurn],
    *,
    wanted: str | None,
    release: str,
) -> Found:
    """What a look at one host comes to.

    | the host | finding |
    |---|---|
    | could not be looked at | `unreachable` |
    | is known to serve, and serves, what is wanted or was last given of the release | `current` |
    | had its last turn in a deployment that somebody must end or mend | `open` |
    | serves what a newer deployment gave it on purpose | `open` |
    | failed with what is wanted | `failed` |
    | is not known to have run anything | `new` |
    | is known to be out, or to serve what it serves, which is not what is wanted | `missed` |
    | serves something else than is known, or nothing | `drifted` |

    Args:
        sight: What was seen.
        state: What the catalog knows.
        past: The host's turns since the current release came, the oldest first.
        wanted: Digest of the current release with the configuration as applied.
        release: The current release.
    """
    runs = "" if sight.error else _runs(sight)
    finding, why, number = _finding(sight, state, past, wanted, release)
    return Found(host=sight.host, finding=finding, runs=runs, number=number, why=why)


Verdict = tuple[Finding, str, int | None]


def _finding(
    sight: Sight, state: HostState, past: Sequence[PastTurn], wanted: str | None, release: str
) -> Verdict:
    if sight.error:
        return Finding.UNREACHABLE, f"{sight.error}: {sight.message}"[:WHY], None
    given, runs = _given(past), sight.manifest
    kept = given if given and runs is not None and given.ran == runs else None
    known = runs is not None and state.serving is Serving.SERVING and state.manifest == runs
    if known and (runs == wanted or (kept and kept.release == release)):
        return Finding.CURRENT, "", None
    if case := _case(past, kept, wanted, release):
        return case
    return _outdated(sight, state), "", None


def _given(past: Sequence[PastTurn]) -> PastTurn | None:
    """The last turn that gave the host something, in a deployment that ended well."""
    kept = [
        turn
        for turn in past
        if turn.outcome.good
        and turn.kind != "restart"
        and (turn.state in _ENDED_WELL or turn.kind == "sync")
    ]
    return kept[-1] if kept else None


def _case(
    past: Sequence[PastTurn], kept: PastTurn | None, wanted: str | None, release: str
) -> Verdict | None:
    """Why the host is somebody's: an open deployment, a failure, or a purpose."""
    turns = [turn for turn in past if not (turn.kind == "restart" and turn.outcome.good)]
    last = turns[-1] if turns else None
    if last and _failed(last, wanted):
        why = f"{last.outcome} with the same manifest: {last.error or 'it failed'}"
        return Finding.FAILED, why, last.number
    if last and last.kind != "sync" and (last.state in _OPEN or not last.state.ended):
        return Finding.OPEN, f"the deployment is {last.state}", last.number
    if kept and kept.release != release:
        return Finding.OPEN, f"it was given {kept.release} on purpose", kept.number
    return None


def _failed(last: PastTurn, wanted: str | None) -> bool:
    """Another sync would only fail again: a person must look."""
    if last.wanted != wanted:
        return False
    if last.outcome in (Outcome.REVERTED, Outcome.BROKEN):
        return True
    lasting = last.outcome is Outcome.UNREACHABLE and last.error in LASTING
    return last.kind == "sync" and (lasting or last.outcome is Outcome.LOST)


def _outdated(sight: Sight, state: HostState) -> Finding:
    if state.serving is Serving.NEW:
        return Finding.NEW
    return Finding.MISSED if state.out or sight.manifest == state.manifest else Finding.DRIFTED


def _runs(sight: Sight) -> str:
    if sight.manifest is not None:
        return sight.release or "something unknown"
    return "nothing" if sight.state in ("none", "serving") else f"nothing ({sight.state})"


def summary(drift: Drift, label: str) -> str:
    """One line: how many hosts are current, and which are left for a person."""
    if drift.skipped:
        return f"nothing to do: {drift.skipped}"
    current = drift.counts.get(Finding.CURRENT, 0)
    parts = [f"{_hosts(current)} run{'s' if current == 1 else ''} {drift.release}"]
    if not drift.bring:
        parts[0] = f"nothing to do: {parts[0]}"
    return "; ".join([*parts, *left_for_a_person(drift, label)])


def left_for_a_person(drift: Drift, label: str) -> list[str]:
    """The hosts that a sync does not take, though they are not current."""
    words: list[str] = []
    for finding in (Finding.UNREACHABLE, Finding.OPEN, Finding.FAILED):
        hosts = [each for each in drift.found if each.finding is finding]
        if hosts:
            named = ", ".join(_named(each, label) for each in hosts[:NAMED])
            left = drift.counts[finding] - NAMED
            more = f" and {left} more" if left > 0 else ""
            words.append(f"{_WORDS[finding]}: {named}{more}")
    return words


_WORDS: Mapping[Finding, str] = {
    Finding.UNREACHABLE: "unreachable",
    Finding.OPEN: "left to an open deployment",
    Finding.FAILED: "left for a person, for it failed before",
}


def _named(found: Found, label: str) -> str:
    return f"{found.host} ({label}#{found.number})" if found.number else found.host


def _hosts(count: int) -> str:
    return f"{count} host{'' if count == 1 else 's'}"


class Page(Wire):
    """The hosts that one activity looks at."""

    location: str = ""
    """The location whose own workers look; empty: all others do."""
    targets: tuple[Target, ...]


def pages(targets: Iterable[Target], own_workers: Sequence[str], size: int = PAGE) -> list[Page]:
    """Targets by queue: locations with workers of their own are by themselves."""
    rows: dict[str, list[Target]] = {}
    for target in targets:
        location = target.host.location
        rows.setdefault(location if location in own_workers else "", []).append(target)
    return [
        Page(location=location, targets=tuple(row[first : first + size]))
        for location, row in rows.items()
        for first in range(0, len(row), size)
    ]


class LookRequest(Wire):
    """What starts `Look`: how do an environment's hosts compare with its current release?"""

    application: str = ""
    environment: str = ""
    limit: str | None = None
    check: bool = True
    """Look while a deployment runs, too, and name hosts that the inventory has no more."""
    first: int = 0
    """Where to begin: a look at a large fleet goes on in another run."""
    revision: int | None = None
    so_far: Drift | None = None


class SurveyInput(Wire):
    """Which hosts are to be looked at, from the `first` on."""

    application: str
    environment: str
    limit: str | None = None
    check: bool = True
    first: int = 0
    revision: int | None = None


class Survey(Wire):
    """Hosts to be looked at, and those about which nothing need be asked."""

    release: str = ""
    number: int = 0
    """The deployment that brought the release."""
    revision: int = 0
    targets: tuple[Target, ...] = ()
    found: tuple[Found, ...] = ()
    own_workers: tuple[str, ...] = ()
    first_use: bool = False
    next: int | None = None
    """Where the next hosts begin."""
    skipped: str = ""


class LookInput(Wire):
    """A page of hosts to be looked at."""

    application: str
    environment: str
    first_use: bool = False
    targets: tuple[Target, ...]


class Looked(Wire):
    """What was seen."""

    sights: tuple[Sight, ...]


class JudgeInput(Wire):
    """What was seen on some hosts; the rest is in the catalog."""

    application: str
    environment: str
    release: str
    number: int
    revision: int
    sights: tuple[Sight, ...]


class Judged(Wire):
    """What it comes to."""

    found: tuple[Found, ...]
