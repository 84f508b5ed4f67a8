"""Hooks as users write them: one, or several that run one after the other."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.release import Artifact
from apollo.domain.setup import Health, Hooks, Setup
from apollo.domain.turn import CONTACT_MARGIN, TurnInput, longest_turn
from apollo.hosts.job import Hook, Step, Switch
from apollo.hosts.jobs import Side, activate_job, revert_job, stage_job

OLD = {"run": "bin/start", "timeout": None, "retries": 0, "user": None}
"""How a hook was stored before there were lists."""


def manifest(**hooks: object) -> Manifest:
    artifact = Artifact(sha256="a" * 64, size=1)
    return Manifest(
        application="shop",
        environment="prod",
        release="1",
        artifact=artifact,
        root="/srv/shop",
        hooks=Hooks.model_validate(hooks),
    )


def turn() -> TurnInput:
    return TurnInput(
        deployment="u",
        label="shop/prod#1",
        owner="o",
        application="shop",
        environment="prod",
        release="1",
        granted_ms=1,
        host=Host(name="h1", location="fra1", address="10.0.0.1"),
    )


@pytest.mark.parametrize("written", ["bin/start", {"run": "bin/start"}, ["bin/start"]])
def test_one_hook_is_stored_as_it_always_was(written: object) -> None:
    """So a manifest of before has the digest that it had."""
    stored = json.loads(manifest(start=written).canonical())["hooks"]

    assert stored == {"install": None, "start": OLD, "stop": None, "validate": None}
    assert Manifest.model_validate(json.loads(manifest(start=OLD).canonical())) == manifest(
        start=written
    )


def test_several_hooks_come_back_as_they_were_written() -> None:
    found = manifest(start=["a", {"run": "b", "timeout": "5s", "retries": 2, "user": "app"}])

    assert Manifest.model_validate_json(found.canonical()) == found
    assert [hook.run for hook in found.hooks.of("start")] == ["a", "b"]
    assert [hook.timeout for hook in found.hooks.of("start")] == [
        timedelta(minutes=2),
        timedelta(seconds=5),
    ]


def test_each_is_a_step_of_its_own() -> None:
    new = Side("new", manifest(install=["i", "j"], stop="s", start=["a", "b", "c"]), {})
    old = Side("old", manifest(stop=["x", "y"], start="z", validate=["v", "w"]), {})

    assert stage_job(turn(), new, b"").names == ("install", "install.2")
    activate = activate_job(turn(), new, old)
    assert activate.names == ("stop", "stop.2", "switch", "start", "start.2", "start.3")
    assert [step.folder for step in activate.steps if isinstance(step, Hook)] == [
        *("old", "old"),
        *("new", "new", "new"),
    ]
    assert revert_job(turn(), new, old, started=True).names == (
        *("undo-stop", "kill", "undo-switch"),
        *("undo-start", "undo-validate", "undo-validate.2"),
    )


def stopping(stop: str) -> list[Step]:
    new = Side("new", manifest(stop="n"), {})
    old = Side("old", manifest(stop=["x", "y"]), {})
    steps = activate_job(turn().model_copy(update={"stop": stop}), new, old).steps
    assert steps[-1] == Switch("switch", "new")
    return list(steps[:-1])


def hooks_of(stop: str) -> list[Hook]:
    return [step for step in stopping(stop) if isinstance(step, Hook)]


def test_whose_stop_is_used() -> None:
    assert [(each.step, each.run, each.folder) for each in hooks_of("running")] == [
        ("stop", "x", "old"),
        ("stop.2", "y", "old"),
    ]
    (new,) = hooks_of("new")
    assert (new.step, new.run, new.folder, new.scope) == ("stop", "n", "new", "new")
    assert [each.ignored for each in hooks_of("ignore")] == [True, True]


def test_each_has_its_time() -> None:
    setup = Setup(root="/srv", hooks=Hooks.model_validate({"start": ["a", "b"]}))

    assert longest_turn(setup, None) == CONTACT_MARGIN + 4 * timedelta(minutes=2)


def as_written(setup: Setup) -> Setup:
    return setup


def from_the_catalog(setup: Setup) -> Setup:
    """There, what nobody has said is written down as nothing."""
    return Setup.model_validate(setup.model_dump(mode="json", by_alias=True))


@pytest.mark.parametrize("kept", [as_written, from_the_catalog])
def test_a_role_has_its_own_list_or_inherits(kept: Callable[[Setup], Setup]) -> None:
    written = Setup.model_validate(
        {
            "root": "/srv",
            "hooks": {"start": ["a", "b"], "stop": "s"},
            "roles": {"worker": {"hooks": {"start": "w"}}},
        }
    )
    setup = kept(written).for_role("worker")

    assert [hook.run for hook in setup.hooks.of("start")] == ["w"]
    assert [hook.run for hook in setup.hooks.of("stop")] == ["s"]


@pytest.mark.parametrize(
    ("old", "new", "stop", "waits"),
    [
        ({"stop": "bin/stop"}, {}, "running", True),
        ({}, {"stop": "bin/stop"}, "running", False),
        ({}, {"stop": "bin/stop"}, "new", True),
        ({}, {}, "running", False),
    ],
)
def test_the_port_must_fall_silent_when_something_was_stopped(
    old: dict[str, str], new: dict[str, str], stop: str, waits: bool
) -> None:
    """A web server that nobody stops goes on answering; it is not waited for."""
    health = Health.model_validate({"tcp": {"port": "80"}})
    before, after = (
        Side(folder, manifest(**hooks).model_copy(update={"health": health}), {})
        for folder, hooks in (("old", old), ("new", new))
    )
    given = turn().model_copy(update={"stop": stop})

    assert ("silent" in activate_job(given, after, before).names) is waits
    back = revert_job(given, after, before, started=True)
    assert ("undo-silent" in back.names) is bool(new)


@pytest.mark.parametrize(
    ("old", "new", "gone", "gone_back"),
    [
        ("env", "env", None, None),
        ("env", None, "env", None),
        (None, "env", None, "env"),
        ("env", "conf/env", "env", "conf/env"),
        (None, None, None, None),
    ],
)
def test_no_environment_file_of_the_other_release_stays(
    old: str | None, new: str | None, gone: str | None, gone_back: str | None
) -> None:
    """It holds secrets that nothing reads any more."""
    before, after = (
        Side(folder, manifest().model_copy(update={"env_file": name}), {})
        for folder, name in (("old", old), ("new", new))
    )

    assert activate_job(turn(), after, before).env_gone == gone
    assert revert_job(turn(), after, before, started=True).env_gone == gone_back
    assert revert_job(turn(), after, None, started=True).env_gone is None
