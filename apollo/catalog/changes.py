"""What the end of a turn says about a host."""

from apollo.domain.plan import HostState
from apollo.domain.rollout import Phase
from apollo.domain.status import Outcome, Serving
from apollo.domain.turn import TurnRecord

_OUT = {
    Outcome.BROKEN: Serving.BROKEN,
    Outcome.LOST: Serving.LOST,
    Outcome.UNREACHABLE: Serving.UNREACHABLE,
}
_NO_TURN = (Outcome.SKIPPED, Outcome.NOT_STARTED)


def after_turn(known: HostState, record: TurnRecord, phase: Phase) -> HostState:
    """What is known of a host once its turn has ended this way.

    A rollback that succeeds does not make up for a failure: the next deployment still takes the
    host first.
    """
    if record.outcome in _NO_TURN:
        return known
    if record.outcome is Outcome.UNREACHABLE:
        return known.model_copy(update={"serving": Serving.UNREACHABLE})
    runs = _runs(known, record)
    failed = record.outcome.failure or (known.failed_last and phase == "rollback")
    serving = _OUT.get(record.outcome, Serving.SERVING if runs["manifest"] else Serving.NEW)
    return known.model_copy(update={"serving": serving, "failed_last": failed, **runs})


def _runs(known: HostState, record: TurnRecord) -> dict[str, str | None]:
    told = record.manifest is not None
    if record.outcome is Outcome.LOST and not told:
        return {"manifest": known.manifest, "release": known.release}
    if record.outcome is Outcome.REVERTED and not told:
        same = record.previous == known.manifest
        release = known.release if same else record.release
        return {"manifest": record.previous, "release": release}
    return {"manifest": record.manifest, "release": record.release}
