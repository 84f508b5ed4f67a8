"""How a turn ended, in words: what failed, what was found, what is left, what to do next."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from apollo.domain.manifest import KEPT
from apollo.domain.outputs import FAILED, WELL, StepOutput, pack
from apollo.domain.status import Outcome
from apollo.domain.turn import Step, TurnInput, TurnRecord
from apollo.errors import NothingRuns
from apollo.hosts.answer import Answer, ByHand, StepRecord
from apollo.hosts.secrets import clean, clean_end

OUTPUT_KEPT = 2000
"""Characters of a failed step's output that travel with the outcome."""


@dataclass(frozen=True)
class Failure:
    """Why a turn did not bring its release."""

    code: str
    step: str
    message: str
    output: str = ""


def failed_step(turn: TurnInput, record: StepRecord, secrets: Iterable[str]) -> Failure:
    """A step that ended badly, ran too long, or whose runner vanished."""
    name, host = record.name, turn.host.name
    output = clean(record.output, secrets).strip()[-OUTPUT_KEPT:]
    if record.timed_out:
        return Failure("HookTimedOut", name, f"{host}: {name} ran past its timeout", output)
    if record.status == "lost":
        text = f"{host}: the runner of {name} vanished while the host stayed up"
        return Failure("HookLost", name, text, output)
    last = f": {output.splitlines()[-1]}" if output else ""
    text = f"{host}: {name} exit {record.exit}, expected 0{last}"
    return Failure("HookFailed", name, text, output)


def outputs(steps: Iterable[StepRecord], secrets: Iterable[str], *, well: bool) -> str:
    """What all steps have printed, packed within the turn's budget; no secrets are in it."""
    values = list(secrets)
    found = [
        StepOutput(
            step=each.name,
            text=(clean_end if each.left_out else clean)(each.output, values),
            cut=each.left_out,
        )
        for each in sorted(steps, key=_begin)
        if each.output
    ]
    return pack(found, WELL if well else FAILED)


def unhealthy(turn: TurnInput, step: str, found: str) -> Failure:
    """The health check did not pass within its deadline."""
    where = "the previous release" if step.startswith("undo") else turn.release
    text = f"{turn.host.name}: {where} did not become healthy within its deadline: {found}"
    return Failure("NotHealthy", "verify", text)


def release_gone(turn: TurnInput, folder: str) -> Failure:
    """A hook has deleted the release that it belongs to."""
    text = f"{turn.host.name}: releases/{folder} is not there any more: a hook has removed it"
    return Failure("HookFailed", "start", text)


def journal_lost(turn: TurnInput) -> Failure:
    """A hook has deleted what tells which hooks have run."""
    text = f"{turn.host.name}: a hook has removed the turn's journal; which hooks ran is not known"
    return Failure("JournalLost", "journal", text)


def nothing_runs(turn: TurnInput) -> NothingRuns:
    """The release that served last has lost its manifest."""
    host = turn.host.name
    return NothingRuns(
        f"{host}: the release that served last has no manifest any more",
        host=host,
        step="begin",
        left="nothing was changed on the host",
        hint=f"apollo deploy {turn.application}/{turn.environment} current --limit {host}",
    )


def updated(turn: TurnInput, answer: Answer) -> TurnRecord:
    """The host runs the manifest, and serves."""
    outcome = Outcome.ROLLED_BACK if turn.phase == "rollback" else Outcome.UPDATED
    return _record(turn, answer, outcome)


def current(turn: TurnInput, answer: Answer) -> TurnRecord:
    """The host ran the manifest before, and was not touched."""
    outcome = Outcome.ROLLED_BACK if turn.phase == "rollback" else Outcome.CURRENT
    return _record(turn, answer, outcome)


def reverted(turn: TurnInput, answer: Answer, failure: Failure | None) -> TurnRecord:
    """The host serves what it served before the turn."""
    before = turn.previous_release or "what it served before"
    how = "started once more" if turn.restart else "put back"
    return _record(
        turn,
        answer,
        Outcome.REVERTED,
        failure,
        left=f"the host was {how} and serves {before}",
        hint=f"apollo show {turn.label}",
    )


def untouched(turn: TurnInput, answer: Answer, failure: Failure) -> TurnRecord:
    """The release could not be staged; the host was never drained."""
    return _record(
        turn,
        answer,
        Outcome.REVERTED,
        failure,
        left="the host was not drained and serves what it served",
        hint=f"apollo show {turn.label}",
    )


def broken(
    turn: TurnInput,
    answer: Answer,
    failure: Failure | None,
    undone: Failure | None,
    *,
    has_old: bool,
) -> TurnRecord:
    """The host is out of service."""
    if failure is None and not has_old:
        text = f"{turn.host.name}: stopped, for it has no earlier release to go back to"
        failure = Failure("NoEarlierRelease", "stop", text)
    if not has_old:
        left = "the host is out of service: it has no earlier release"
    elif undone:
        left = f"the host is out of service: putting it back failed too: {undone.message}"
    else:
        left = "the host is out of service: putting it back failed too"
    name = f"{turn.application}/{turn.environment}"
    again = f"restart {name}" if turn.restart else f"deploy {name} {turn.release}"
    hint = f"mend the host, then: apollo {again} --limit {turn.host.name}"
    return _record(turn, answer, Outcome.BROKEN, failure, left=left, hint=hint)


def _record(
    turn: TurnInput,
    answer: Answer,
    outcome: Outcome,
    failure: Failure | None = None,
    *,
    left: str = "",
    hint: str = "",
) -> TurnRecord:
    runs_new = outcome in (Outcome.UPDATED, Outcome.CURRENT, Outcome.ROLLED_BACK)
    return TurnRecord(
        host=turn.host.name,
        outcome=outcome,
        turn=turn.turn,
        release=_release(answer.manifest),
        manifest=turn.manifest if runs_new else answer.state.manifest_digest,
        steps=tuple(_step(record) for record in sorted(answer.steps.values(), key=_begin)),
        error=failure.code if failure else "",
        step=failure.step if failure else "",
        message=failure.message if failure else "",
        output=failure.output if failure else "",
        left=left,
        hint=hint,
        note=_by_hand(answer.by_hand),
    )


def _by_hand(found: ByHand | None) -> str:
    """What a person did on the host while Apollo was away."""
    if found is None:
        return ""
    when = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    which = "the turn before this one was " if found.before else ""
    return f"{which}put back by hand at {when} by {found.who}"


@lru_cache(maxsize=KEPT)
def _release(manifest: bytes | None) -> str | None:
    """The version in the manifest of what `current` points to."""
    return str(json.loads(manifest)["release"]) if manifest else None


def _begin(record: StepRecord) -> float:
    return record.start if record.start is not None else math.inf


def _step(record: StepRecord) -> Step:
    seconds = record.end - record.start if record.end and record.start else None
    return Step(
        name=record.name,
        exit=record.exit,
        seconds=round(seconds, 3) if seconds is not None else None,
        times=record.attempts,
        began=record.start,
    )
