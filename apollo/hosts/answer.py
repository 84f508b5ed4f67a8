"""Reads what the host script answers."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

from apollo.domain.manifest import KEPT

SHORT = 500
"""Characters of a line that tells of a step, up to which it is read only once: every answer in a
turn repeats what the ones before have said."""
STEPS = 2000
"""Of so many the lines are known: those of some hundred turns at a time."""
Outcome = Literal["pending", "running", "done", "failed"]


class StepStatus(StrEnum):
    """What is known of a step that began."""

    ENDED = "ended"
    RUNNING = "running"
    LOST = "lost"
    DOWN = "down"


class Status(StrEnum):
    """What a host is known to be doing."""

    NONE = "none"
    SERVING = "serving"
    CHANGING = "changing"
    BROKEN = "broken"


class Verdict(StrEnum):
    """How a turn ended on its host."""

    VERIFIED = "verified"
    REVERTED = "reverted"
    BROKEN = "broken"


class Truncated(Exception):
    """The answer does not reach its closing mark: the connection was cut, nothing is known."""


@dataclass(frozen=True)
class HostError:
    """Why the host refused: the error's name, and what it found there."""

    code: str
    found: str = ""


@dataclass(frozen=True)
class StepRecord:
    """What the journal knows of one step.

    `lost`: its runner vanished though the host stayed up. `down`: the host went down in the middle;
    it will run again.
    """

    name: str
    status: StepStatus
    exit: int | None = None
    start: float | None = None
    end: float | None = None
    attempts: int = 0
    timed_out: bool = False
    cut: int = 0
    """How many bytes of the output were trimmed away."""
    size: int = 0
    """How many bytes of it are there still; `output` is their end."""
    output: bytes = field(default=b"", repr=False)

    @property
    def left_out(self) -> int:
        """How many bytes came before `output`."""
        return self.cut + max(0, self.size - len(self.output))

    @property
    def succeeded(self) -> bool:
        """Whether it is known to have ended well."""
        return self.status == "ended" and self.exit == 0

    @property
    def failed(self) -> bool:
        """Whether it will not be run again in this turn, and did not end well."""
        return self.status == "lost" or (self.status == "ended" and self.exit != 0)


@dataclass(frozen=True)
class HostState:
    """Which release served last, and which turn last touched the host."""

    status: Status = Status.NONE
    folder: str | None = None
    manifest_digest: str | None = None
    deployment: str | None = None
    turn: int | None = None
    since: float = 0.0


@dataclass(frozen=True)
class ByHand:
    """A turn was put back on the host itself, by a person."""

    at: float
    who: str
    before: bool
    """Not this turn: the one that it found on the host."""


@dataclass(frozen=True)
class Part:
    """The file into which an attempt brings the artifact: its name in the cache, and its size."""

    name: str
    size: int


@dataclass  # not frozen: that takes five times as long to make, and each turn has some of them
class Answer:
    """A host's answer. What a command does not say keeps its default."""

    error: HostError | None = None
    need_script: bool = False
    need_artifact: bool = False
    same: bool = False
    """The manifest already serves here; nothing was staged."""
    now: float = 0.0
    boot: str = ""
    free_kb: int = 0
    current: str | None = None
    state: HostState = field(default_factory=HostState)
    manifest: bytes | None = None
    """The manifest of the release that `current` points to."""
    folder: str | None = None
    """The release of this turn."""
    staged: bool = False
    cached: bool = False
    part: Part | None = None
    pull_failed: str | None = None
    """Why the host could not pull the artifact in this turn."""
    previous: str | None = None
    """The release that is put back when the turn fails."""
    previous_manifest: bytes | None = None
    turn: int | None = None
    """The turn whose outputs these are; only where outputs are read."""
    new_manifest: bytes | None = None
    """The manifest of this turn's release; only there, too."""
    journal_lost: bool = False
    """A hook has removed this turn's journal. The host is put back if it is `reverting`."""
    verdict: Verdict | None = None
    reverting: bool = False
    balancer: str | None = None
    """The balancer's state as this turn found it."""
    balancer_before: str | None = None
    """As found by an unfinished turn before this one: what must be restored in the end."""
    balancer_last: str | None = None
    """As found by the turn before this one, which has ended on the host; what it was given back."""
    running: str | None = None
    """The phase of this turn that is at work, or `other`."""
    attached: str | None = None
    """The phase that was already at work when the command arrived."""
    by_hand: ByHand | None = None
    steps: dict[str, StepRecord] = field(default_factory=dict)

    def outcome(self, names: Sequence[str]) -> Outcome:
        """What has become of a phase with these steps."""
        records = [self.steps.get(name) for name in names]
        if self.running and self.running != "other":
            return "running"
        if any(record and record.failed for record in records):
            return "failed"
        done = all(record and record.succeeded for record in records)
        return "done" if done else "pending"

    def failure(self, names: Sequence[str]) -> StepRecord | None:
        """The step of these that failed."""
        records = (self.steps.get(name) for name in names)
        return next((record for record in records if record and record.failed), None)


def parse(nonce: str, output: bytes) -> Answer:
    """Read the answer between the nonce's marks; what stands around them is somebody's banner.

    Raises:
        Truncated: The closing mark is missing, or the answer makes no sense.
    """
    fields: dict[str, Any] = {}
    steps: dict[str, StepRecord] = {}
    try:
        for line in _between_marks(nonce, output):
            key, _, said = line.partition(" ")
            if key == "step":
                record = _short_step(said) if len(said) <= SHORT else _step(said)
                steps[record.name] = record
            elif found := _LINES.get(key):
                name, read = found
                fields[name] = read(said)
        return Answer(**fields, steps=steps)
    except ValueError as error:
        raise Truncated(f"the host's answer makes no sense: {error}") from error


def _between_marks(nonce: str, output: bytes) -> list[str]:
    lines = output.decode("ascii", "replace").replace("\r\n", "\n").split("\n")
    try:
        first = lines.index(f"<<<apollo:{nonce}")
        return lines[first + 1 : lines.index(f"apollo:{nonce}>>>", first)]
    except ValueError:
        raise Truncated("the host's answer was cut off") from None


_STEP = re.compile(
    r"(\S+) (\S+) exit=(\S+) start=(\S+) end=(\S+)"
    r" n=(\d+) late=(yes|no) cut=(\d+) size=(\d+) output=(\S*)"
)


def _step(said: str) -> StepRecord:
    found = _STEP.fullmatch(said)
    if found is None:
        raise ValueError(f"expected a step, found {said[:200]!r}")
    name, status, code, start, end, attempts, late, cut, size, output = found.groups()
    return StepRecord(
        name=name,
        status=StepStatus(status),
        exit=int(code) if code != "-" else None,
        start=float(start) if start != "-" else None,
        end=float(end) if end != "-" else None,
        attempts=int(attempts),
        timed_out=late == "yes",
        cut=int(cut),
        size=int(size),
        output=_decode(output),
    )


_short_step = lru_cache(maxsize=STEPS)(_step)


def _state(said: str) -> HostState:
    status, folder, digest, deployment, turn, since = said.split(" ")
    return HostState(
        status=Status(status),
        folder=_word(folder),
        manifest_digest=_word(digest),
        deployment=_word(deployment),
        turn=_number(turn),
        since=float(since),
    )


def _error(said: str) -> HostError:
    code, found = said.split(" ")
    return HostError(code, _decode(found).decode(errors="replace"))


def _part(said: str) -> Part:
    name, size = said.split(" ")
    return Part(name, int(size))


def _by_hand(said: str) -> ByHand:
    at, who, which = said.split(" ")
    return ByHand(float(at), who, before=which == "before")


def _verdict(said: str) -> Verdict | None:
    return Verdict(said) if _word(said) else None


def _word(said: str) -> str | None:
    return None if said in ("-", "") else said


def _plain(said: str) -> str:
    return _word(said) or ""


def _number(said: str) -> int | None:
    return int(said) if _word(said) else None


def _text(said: str) -> str:
    return _decode(said).decode()


def _decode(said: str) -> bytes:
    return b"" if said == "-" else base64.b64decode(said, validate=True)


_document = lru_cache(maxsize=KEPT)(_decode)


def _yes(_: str) -> bool:
    return True


_LINES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "error": ("error", _error),
    "need-script": ("need_script", _yes),
    "need-artifact": ("need_artifact", _yes),
    "same": ("same", _yes),
    "now": ("now", float),
    "boot": ("boot", _plain),
    "free": ("free_kb", int),
    "current": ("current", _word),
    "state": ("state", _state),
    "manifest": ("manifest", _document),
    "folder": ("folder", _word),
    "staged": ("staged", _yes),
    "cached": ("cached", _yes),
    "part": ("part", _part),
    "pull-failed": ("pull_failed", _text),
    "previous": ("previous", _word),
    "previous-manifest": ("previous_manifest", _document),
    "turn": ("turn", _number),
    "new-manifest": ("new_manifest", _document),
    "journal-lost": ("journal_lost", _yes),
    "verdict": ("verdict", _verdict),
    "reverting": ("reverting", _yes),
    "balancer": ("balancer", _text),
    "balancer-before": ("balancer_before", _text),
    "balancer-last": ("balancer_last", _text),
    "running": ("running", _word),
    "attached": ("attached", _word),
    "by-hand": ("by_hand", _by_hand),
}
"""What a line of an answer begins with → the answer's field, and how the rest is read."""
