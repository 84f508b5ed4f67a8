"""The examples and the page about Temporal, run from outside against hosts that play."""

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.stage import Play, Stage, until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "temporal.md"
LINES = re.findall(r"^\$ temporal (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


async def example(play: Play, name: str, release: str) -> tuple[int | None, str]:
    """Run an example as the page says; its exit code and what it prints."""
    stage = play.stage
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, ROOT / "examples" / name, play.application, "prod", release),
        env={
            **os.environ,
            "TEMPORAL_ADDRESS": stage.server.address,
            "APOLLO_HOME": str(stage.apollo.settings.home),
            "APOLLO_IDENTITY": "ada",
            "PYTHONPATH": str(ROOT),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_the_example_of_the_client(stage: Stage) -> None:
    play = await stage.play()
    play.script.seconds = 0.1
    await play.release("1.4.2")
    code, out = await example(play, "client.py", "1.4.2")

    assert code == 0, out
    assert out.startswith("4 hosts in 1 waves\npaused; it is paused\n")
    label = f"{play.application}/prod#1"
    assert f"{label} ended succeeded: {{'updated': 4}}\n" in out
    assert "  h1 in fra1: updated\n" in out
    assert "  ada (declared) said pause: is it lunch already?\n" in out
    assert f"{label} 1.4.2 succeeded by ada\n" in out
    assert re.search(r"^1\.4\.2 reached prod at 20\d\d-.*: 4 hosts$", out, re.MULTILINE)
    assert re.search(r"^h4 serving 1\.4\.2 since \d\d:", out, re.MULTILINE)
    assert "0 hosts were known a month ago\n" in out


async def test_the_example_tells_of_errors_and_failures(stage: Stage) -> None:
    play = await stage.play()
    code, out = await example(play, "client.py", "9.9")
    assert (code, out.splitlines()[-1].partition(":")[0]) == (2, "NotFound")

    play.script.fail("h1")
    await play.release("1.0")
    code, out = await example(play, "client.py", "1.0")
    assert code == 3, out
    assert "  h1 in fra1: reverted HookFailed\n" in out


async def test_the_example_without_apollo(stage: Stage) -> None:
    play = await stage.play()
    play.script.seconds = 0.1
    await play.release("1.4.2")
    code, out = await example(play, "raw_temporal.py", "1.4.2")

    assert code == 0, out
    assert f"{play.application}/prod#1 succeeded {{'updated': 4}}\n" in out
    assert "refused: Refused: it is not paused" in out
    assert f"ApolloDeployment {play.application}/prod#1\n" in out
    assert "ApolloState succeeded\n" in out
    source = (ROOT / "examples" / "raw_temporal.py").read_text(encoding="utf-8")
    assert "apollo" not in re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)


async def test_the_lines_for_the_temporal_program(stage: Stage) -> None:
    play = await stage.play(6, 3)
    play.script.seconds = 0.05
    await play.release("1.4.2")
    said: dict[str, str] = {}
    running = play.running(f"deployment/{play.application}/prod/build-4711")
    for line in LINES:
        words = shlex.split(line.replace("shop", play.application))
        name = " ".join(words[1:3]) if words[1] == "update" else words[1]
        if name == "describe":
            await running.until("paused")
        if name == "list":
            await until(lambda given=words: _listed(play, given), "it is listed")  # type: ignore[misc]
        said[f"{name} {len(said)}"] = await stage.temporal(*words)

    assert len(said) == len(LINES) == 8
    kinds = {name.rpartition(" ")[0]: text for name, text in said.items()}
    assert f"{play.application}/prod#1" in kinds["describe"]
    assert "wave 1 (6 hosts)" in kinds["metadata"]
    assert '"state":"succeeded"' in kinds["result"].replace(" ", "")
    assert running.id in kinds["list"]
    actions = [(entry.action, entry.identity) for entry in await running.audit()]
    assert [action for action, _ in actions] == ["pause", "pace", "resume"]
    assert actions[0][1] == "ci"


async def _listed(play: Play, words: list[str]) -> bool:
    return f"deployment/{play.application}/prod" in await play.stage.temporal(*words)


async def test_a_second_start_is_refused_as_the_page_says(stage: Stage) -> None:
    play = await stage.play()
    await play.release("1.4.2")
    start = shlex.split(LINES[0].replace("shop", play.application))
    await stage.temporal(*start)
    running = play.running(f"deployment/{play.application}/prod/build-4711")
    await running.result()
    first = (await running.describe()).run_id

    rejecting = (*start, "--id-reuse-policy", "RejectDuplicate")
    await stage.temporal(*rejecting)
    with pytest.raises(AssertionError, match="already"):
        await stage.temporal(*rejecting, "--fail-existing")
    assert (await running.describe()).run_id == first
    assert len(play.script.begun()) == 4
