"""The page `docs/promotion.md`, followed literally; only the hosts are played."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.stage import open_stage, until
from tests.support.typing_desk import Desk, Typed

PAGE = Path(__file__).parents[2] / "docs" / "promotion.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
EXITS = {"apollo watch shop": (0, 5)}
"""The second time it is rejected."""
WAITS = {"apollo status": "awaiting", "apollo hold shop --reason": "awaiting"}
"""Before these a reader has waited for a moment."""


async def test_the_page_takes_a_release_to_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_stage(tmp_path / "stage") as stage:
        desk = Desk.of(stage, tmp_path / "shop", monkeypatch, capfd)
        said: list[tuple[str, Typed]] = []

        async def waits() -> bool:
            running = await stage.catalog.promotions.running("shop", "prod")
            return [each.state for each in running] == ["awaiting"]

        for kind, title, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
            if title:
                (desk.folder / title).parent.mkdir(parents=True, exist_ok=True)
                (desk.folder / title).write_text(text)
            for line in text.splitlines() if kind == "console" else ():
                if not line.startswith("$ "):
                    shown = said[-1][1].out + said[-1][1].err
                    assert line in shown, f"after {said[-1][0]!r}: {shown}"
                    continue
                command = line.removeprefix("$ ")
                if command.startswith(tuple(WAITS)):
                    await until(waits, "the promotion waits")
                again = sum(known == command for known, _ in said)
                found = await desk.type(*shlex.split(command))
                said.append((command, found))
                assert found.code == EXITS.get(command, (0,))[again], (command, found)

    assert len(said) == 14
