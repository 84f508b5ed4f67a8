"""Reads what the host script answers."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

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


@dataclass(frozen=True)
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
    lines = _between_marks(nonce, output)
    values: dict[str, list[str]] = {}
    steps: dict[str, StepRecord] = {}
    try:
        for line in lines:
            key, *words = line.split(" ")
            values[key] = words
            if key == "step":
                record = _step(words)
                steps[record.name] = record
        return _answer(values, steps)
    except (ValueError, IndexError, binascii.Error) as error:
        raise Truncated(f"the host's answer makes no sense: {error}") from error


def _between_marks(nonce: str, output: bytes) -> list[str]:
    lines = output.decode("ascii", "replace").replace("\r\n", "\n").split("\n")
    try:
        first = lines.index(f"<<<apollo:{nonce}")
        return lines[first + 1 : lines.index(f"apollo:{nonce}>>>", first)]
    except ValueError:
        raise Truncated("the host's answer was cut off") from None


def _answer(values: dict[str, list[str]], steps: dict[str, StepRecord]) -> Answer:
    def word(key: str) -> str | None:
        found = values.get(key)
        return None if not found or found[0] in ("-", "") else found[0]

    def text(key: str) -> str | None:
        return None if key not in values else _decode(values[key][0]).decode()

    def data(key: str) -> bytes | None:
        return None if key not in values else _decode(values[key][0])

    error = values.get("error")
    return Answer(
        error=HostError(error[0], _decode(error[1]).decode(errors="replace")) if error else None,
        need_script="need-script" in values,
        need_artifact="need-artifact" in values,
        same="same" in values,
        now=float(word("now") or 0),
        boot=word("boot") or "",
        free_kb=int(word("free") or 0),
        current=word("current"),
        state=_state(values["state"]) if "state" in values else HostState(),
        manifest=data("manifest"),
        folder=word("folder"),
        staged="staged" in values,
        cached="cached" in values,
        pull_failed=text("pull-failed"),
        part=Part(values["part"][0], int(values["part"][1])) if "part" in values else None,
        previous=word("previous"),
        previous_manifest=data("previous-manifest"),
        turn=int(found) if (found := word("turn")) else None,
        new_manifest=data("new-manifest"),
        journal_lost="journal-lost" in values,
        verdict=Verdict(verdict) if (verdict := word("verdict")) else None,
        reverting="reverting" in values,
        balancer=text("balancer"),
        balancer_before=text("balancer-before"),
        balancer_last=text("balancer-last"),
        running=word("running"),
        attached=word("attached"),
        by_hand=_by_hand(values["by-hand"]) if "by-hand" in values else None,
        steps=steps,
    )


def _step(words: list[str]) -> StepRecord:
    name, status, *pairs = words
    given = dict(pair.split("=", 1) for pair in pairs)
    return StepRecord(
        name=name,
        status=StepStatus(status),
        exit=int(given["exit"]) if given["exit"] != "-" else None,
        start=float(given["start"]) if given["start"] != "-" else None,
        end=float(given["end"]) if given["end"] != "-" else None,
        attempts=int(given["n"]),
        timed_out=given["late"] == "yes",
        cut=int(given["cut"]),
        size=int(given["size"]),
        output=_decode(given["output"]),
    )


def _by_hand(words: list[str]) -> ByHand:
    at, who, which = words
    return ByHand(float(at), who, before=which == "before")


def _state(words: list[str]) -> HostState:
    status, folder, digest, deployment, turn, since = words
    return HostState(
        status=Status(status),
        folder=None if folder == "-" else folder,
        manifest_digest=None if digest == "-" else digest,
        deployment=None if deployment == "-" else deployment,
        turn=None if turn == "-" else int(turn),
        since=float(since),
    )


def _decode(text: str) -> bytes:
    return b"" if text == "-" else base64.b64decode(text, validate=True)
