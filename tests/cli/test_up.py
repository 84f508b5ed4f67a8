"""`apollo up`: Temporal and a worker that are kept alive, once per home."""

import json
import os
import signal
import subprocess
import sys
import time

from apollo.local.up import locked
from apollo.settings import Settings
from tests.cli.conftest import Shop


def test_a_second_up_on_the_same_home_says_so(shop: Shop) -> None:
    told = {"address": "127.0.0.1:7233", "ui": "http://127.0.0.1:8233", "pid": 42}
    with locked(Settings(home=shop.home)):
        (shop.home / "temporal.json").write_text(json.dumps(told), encoding="utf-8")
        said = shop("up")

    assert said.code == 5
    assert f"apollo up runs already in {shop.home}" in said.err
    assert "http://127.0.0.1:8233, process 42" in said.err


def test_the_lock_goes_with_its_holder(shop: Shop) -> None:
    for _ in range(2):
        with locked(Settings(home=shop.home)):
            pass


def test_up_runs_temporal_and_a_worker_and_ends_them(
    shop: Shop,
) -> None:
    command = [sys.executable, "-m", "apollo.cli", "up"]
    environment = {**os.environ, "APOLLO_GRACE": "0", "PYTHONUNBUFFERED": "1"}
    del environment["TEMPORAL_ADDRESS"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("Temporal  127.0.0.1:")
        told = json.loads((shop.home / "temporal.json").read_text(encoding="utf-8"))
        worker = child(process.pid, "apollo.workers")
        os.kill(worker, signal.SIGKILL)
        assert child(process.pid, "apollo.workers", other_than=worker)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)

    assert told["pid"] == process.pid
    assert process.returncode == 0
    assert "apollo deploy ENV" in err
    assert "The worker has ended" in err
    assert err.endswith("Stopped.\n")
    assert not (shop.home / "temporal.json").exists()


def child(parent: int, name: str, other_than: int = 0) -> int:
    """Wait for a process of that name below `parent`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != other_than and _is_child(entry, parent, name):
                return int(entry)
        time.sleep(0.05)
    raise AssertionError(f"no {name} below {parent}")


def _is_child(entry: str, parent: int, name: str) -> bool:
    try:
        with open(f"/proc/{entry}/cmdline", encoding="utf-8") as file:
            command = file.read()
        with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except (OSError, IndexError):
        return False
    return name in command and int(fields[1]) == parent and fields[0] != "Z"
