"""The judges find what they look for."""

from pathlib import Path

from apollo.local.caddy import CHECKER, CaddyView
from apollo.local.judge import CapacitySampler, read_hook_log, repeated_hooks

LOCATIONS = {"a1": "a", "a2": "a", "b1": "b"}


def event(host: int, message: str, logger: str = CHECKER) -> str:
    return f'{{"logger": "{logger}", "msg": "{message}", "host": "127.0.0.1:{host}"}}\n'


async def test_what_was_out_between_two_looks_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "events.log"
    log.touch()
    view = CaddyView(log, {"127.0.0.1:1": "a1", "127.0.0.1:2": "a2", "127.0.0.1:3": "b1"})
    async with CapacitySampler(view, LOCATIONS, pause=60) as sampler:
        down, up = "status code out of tolerances", "host is up"
        changes = [event(1, down), event(1, down), event(2, down), event(2, up), event(3, down)]
        changes += [event(1, up), event(2, down, "other"), event(9, down), event(3, up)]
        log.write_text("".join(changes) + '{"logger": "torn', encoding="utf-8")

    capacity = sampler.capacity
    assert (capacity.in_fleet, dict(capacity.by_location)) == (2, {"a": 2, "b": 1})
    assert capacity.ever_out == {"a1", "a2", "b1"}
    assert capacity.out_now == frozenset()


async def test_what_was_out_before_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "events.log"
    log.write_text(event(1, "down") + event(2, "down") + event(2, "host is up"), encoding="utf-8")
    view = CaddyView(log, {"127.0.0.1:1": "a1", "127.0.0.1:2": "a2"})
    async with CapacitySampler(view, LOCATIONS, pause=60) as sampler:
        assert sampler.capacity.out_now == {"a1"}

    assert sampler.capacity.in_fleet == 1


def test_a_hook_that_ran_twice_is_found(tmp_path: Path) -> None:
    log = tmp_path / "hooks.log"
    line = "17.5 a1 1.1 1 start shop/prod#2\n"
    log.write_text(line + line.replace("start", "stop") + line, encoding="utf-8")

    assert repeated_hooks(read_hook_log(log)) == {("shop/prod#2", "a1", "1", "start", "1.1"): 2}
    assert read_hook_log(tmp_path / "none") == []
