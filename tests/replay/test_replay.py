"""The workflows as they are now go through the histories of past versions without a difference."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from apollo.failures import DATA_CONVERTER
from apollo.workers.worker import WORKFLOWS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def read(path: Path, **replaced: str) -> WorkflowHistory:
    text = path.read_text(encoding="utf-8")
    for old, new in replaced.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    kept = json.loads(text)
    return WorkflowHistory.from_json(kept["workflow_id"], kept["history"])


def replayer() -> Replayer:
    return Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_is_replayed(path: Path) -> None:
    await replayer().replay_workflow(read(path))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_is_small(path: Path) -> None:
    assert path.stat().st_size < 300_000


async def test_a_history_that_differs_is_noticed() -> None:
    """The control: a batch that never loaded its hosts is not what the code does."""
    path = next(path for path in HISTORIES if path.stem.endswith(".batch"))
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(read(path, load_batch="load_something"))


def test_there_are_histories() -> None:
    assert len(HISTORIES) >= 27
