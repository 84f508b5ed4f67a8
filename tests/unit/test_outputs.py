"""What hooks have printed: packed within a budget, cleaned, and kept in the catalog."""

import base64
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.outputs import FAILED, LARGEST, WELL, StepOutput, pack, unpack
from apollo.domain.rollout import RecordInput
from apollo.domain.status import Outcome
from apollo.domain.turn import Step, TurnRecord
from apollo.hosts.answer import StepRecord, StepStatus
from apollo.hosts.outcome import outputs
from apollo.hosts.secrets import REDACTED, clean, clean_end
from apollo.workflows.batch import RECORD_AT_ONCE
from tests.support.catalogs import opened, shop_catalog

END = 65536
PAYLOAD = 2 * 1024 * 1024
HISTORY = 50 * 1024 * 1024


def log(size: int) -> str:
    """What an application ordinarily prints."""
    lines = (
        f"2026-11-25T22:{n // 60 % 60:02}:{n % 60:02}Z INFO worker-{n % 7} loaded "
        f"config/initializers/{n:05}.rb in {n * 37 % 911} ms\n"
        for n in range(size // 60)
    )
    return "".join(lines)[-size:]


def noise(size: int) -> str:
    """What does not shrink."""
    return base64.b64encode(random.Random(1).randbytes(size)).decode()[:size]


def test_an_ordinary_log_comes_back_wholly() -> None:
    given = [StepOutput(step="start", text="well\n"), StepOutput(step="validate", text=log(END))]

    assert unpack(pack(given, FAILED)) == given


@given(
    st.lists(
        st.builds(
            StepOutput,
            step=st.sampled_from(["stop", "start", "start.2"]),
            text=st.text(max_size=3000),
            cut=st.integers(0, 10**12),
        ),
        max_size=6,
    ),
    st.integers(0, 2000),
)
def test_the_budget_holds_and_ends_are_kept(printed: list[StepOutput], most: int) -> None:
    packed = pack(printed, most)

    assert len(packed) <= most
    found = unpack(packed)
    assert len(found) in (0, sum(bool(each.text) for each in printed))
    whole = [each for each in printed if each.text]
    for kept, before in zip(found, whole, strict=False):
        left_out = before.text.removesuffix(kept.text)
        assert kept.step == before.step
        assert kept.cut == before.cut + len(left_out.encode(errors="replace"))


def test_the_ends_of_a_batch_fit_into_payload_and_history() -> None:
    """500 hosts that all failed with as much as may come of what does not shrink."""
    printed = pack([StepOutput(step=f"start.{n}", text=noise(END)) for n in range(5)], FAILED)
    record = TurnRecord(
        host="h" * 253,
        outcome=Outcome.REVERTED,
        steps=tuple(Step(name=f"start.{n}", exit=1, seconds=1.5) for n in range(20)),
        message="m" * 4000,
        output="☃" * 2000,
        outputs=printed,
    )
    given = RecordInput(deployment="u", phase="forward", records=(record,) * RECORD_AT_ONCE)

    assert FAILED * 3 // 4 < len(printed) <= FAILED
    assert len(given.model_dump_json().encode()) < PAYLOAD
    assert 500 * 2 * len(record.model_dump_json().encode()) < HISTORY


@pytest.mark.parametrize(
    "packed",
    ["", "?", "QUJD", base64.b64encode(zlib.compress(b'{"a": 1}')).decode()],
)
def test_what_was_not_packed_here_is_nothing(packed: str) -> None:
    assert unpack(packed) == []


def test_what_unpacks_to_far_too_much_is_nothing() -> None:
    bomb = base64.b64encode(zlib.compress(b" " * (LARGEST * 50) + b"[]")).decode()

    assert unpack(bomb) == []


def step(name: str, output: bytes, *, size: int = 0, exit_code: int = 1) -> StepRecord:
    size = size or len(output)
    return StepRecord(name, StepStatus.ENDED, exit_code, 1.0, 2.0, 1, size=size, output=output)


SECRET = "hunter2-hunter2"


def test_secrets_and_control_characters_do_not_come_back() -> None:
    printed = f"\x1b[2Jpassword is {SECRET}\r\n\x00".encode()
    (found,) = unpack(outputs([step("start", printed)], [SECRET], well=False))

    assert found.text == f"·[2Jpassword is {REDACTED}·\n·"


@pytest.mark.parametrize("missing", range(1, len(SECRET)))
def test_an_end_does_not_begin_within_a_secret(missing: int) -> None:
    """The control: cleaned as if it were whole, the rest of the secret would be told."""
    end = f"{SECRET}\n{'-' * 40} and more".encode()[missing:]
    (found,) = unpack(outputs([step("start", end, size=99999)], [SECRET], well=False))

    assert not any(SECRET[n:] in found.text for n in range(len(SECRET)) if len(SECRET) - n > 2)
    assert found.text.endswith("and more")
    assert SECRET[missing:] in clean(end, [SECRET])
    assert clean_end(b"abc", []) == "abc"


def test_a_turn_that_went_well_has_less_room() -> None:
    steps = [step(f"start.{n}", noise(4096).encode(), exit_code=0) for n in range(5)]

    assert len(outputs(steps, [], well=True)) <= WELL < len(outputs(steps, [], well=False))


async def test_they_are_kept_with_their_turn_once(tmp_path: Path) -> None:
    """Written with the turn; a record that comes again, or that is older, changes nothing."""
    packed = pack([StepOutput(step="start", text="one\n", cut=7)], WELL)
    steps = (Step(name="stop", exit=0), Step(name="start", exit=3), Step(name="once.x", exit=0))
    record = TurnRecord(host="web1", outcome=Outcome.REVERTED, steps=steps, outputs=packed)
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog)
        for _ in range(2):
            await catalog.turns.record(deployment.uuid, "forward", [record])
        again = record.model_copy(update={"turn": 2, "outputs": ""})
        await catalog.turns.record(deployment.uuid, "forward", [again])
        first = await catalog.outputs.of_turn(deployment.uuid, "web1", 1)
        rows = await catalog.plans.rows(deployment.uuid)
        both = await catalog.outputs.of_turn(deployment.uuid, "web1")

    assert [(each.step, each.exit, each.text, each.cut) for each in first] == [
        ("start", 3, "one\n", 7),
        ("once.x", 0, "", 0),
    ]
    assert [each.turn for each in both] == [1, 1, 2, 2]
    stored = next(row.record for row in rows if row.host == "web1")
    assert stored
    assert stored.outputs == ""
