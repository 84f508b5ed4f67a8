"""The workflows as they are now go through the histories of past versions without a difference.

What a release has recorded lies in a folder that has its version's name and is never changed: the
workers of this version can carry on whatever the released ones have begun.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from apollo.codec import data_converter, new_key
from apollo.workers.worker import WORKFLOWS, versioned

FOLDER = Path(__file__).parent / "histories"
HISTORIES = sorted(FOLDER.rglob("*.json"))
CHANGES = Path(__file__).parents[2] / "CHANGELOG.md"


def read(path: Path, **replaced: str) -> WorkflowHistory:
    text = path.read_text(encoding="utf-8")
    for old, new in replaced.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    kept = json.loads(text)
    return WorkflowHistory.from_json(kept["workflow_id"], kept["history"])


def replayer(encryption_key: str = "", workflows: Sequence[type] = WORKFLOWS) -> Replayer:
    return Replayer(workflows=workflows, data_converter=data_converter(encryption_key))


def name(path: Path) -> str:
    return str(path.relative_to(FOLDER).with_suffix(""))


def unrecorded(changes: str, folder: Path) -> list[str]:
    """The versions that were released without their histories."""
    released = re.findall(r"^## (\d\S*)(?! \(unreleased\))(?:\s|$)", changes, re.MULTILINE)
    return [version for version in released if not list((folder / version).glob("*.json"))]


@pytest.mark.parametrize("path", HISTORIES, ids=name)
async def test_a_recorded_history_is_replayed(path: Path) -> None:
    await replayer().replay_workflow(read(path))


@pytest.mark.parametrize(
    "path", [path for path in HISTORIES if ".promotion" in path.name], ids=name
)
async def test_a_promotion_moves_on_to_a_build(path: Path) -> None:
    """One that workers without builds, or of an earlier build, have begun."""
    await replayer(workflows=versioned(WORKFLOWS)).replay_workflow(read(path))


def test_each_release_has_recorded_its_histories() -> None:
    assert unrecorded(CHANGES.read_text(encoding="utf-8"), FOLDER) == []


def test_a_release_that_has_not_is_noticed(tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "1.0.0" / "some.batch.json").write_text("{}")
    changes = "# Changes\n\n## 1.2.0 (unreleased)\n\n## 1.1.0 (2026-12-01)\n\n## 1.0.0\n"

    assert unrecorded(changes, tmp_path) == ["1.1.0"]
    assert unrecorded(changes.replace("1.2.0 (unreleased)", "1.2.0"), tmp_path) == [
        "1.2.0",
        "1.1.0",
    ]


@pytest.mark.parametrize("path", HISTORIES, ids=name)
def test_a_history_is_small(path: Path) -> None:
    assert path.stat().st_size < 300_000


async def test_histories_of_before_there_was_a_key_are_replayed_with_one() -> None:
    """One of each workflow: what is not encrypted passes the codec."""
    kinds = {path.stem.partition(".")[2]: path for path in HISTORIES}
    assert len(kinds) > 3
    for path in kinds.values():
        await replayer(new_key()).replay_workflow(read(path))


async def test_a_history_that_differs_is_noticed() -> None:
    """The control: a batch that never loaded its hosts is not what the code does."""
    path = next(path for path in HISTORIES if path.stem.endswith(".batch"))
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(read(path, load_batch="load_something"))


def test_there_are_histories() -> None:
    assert len(HISTORIES) >= 27
