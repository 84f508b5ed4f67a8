"""The jobs of a turn: which steps its phases have, made from the manifests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from apollo.domain import setup
from apollo.domain.manifest import Manifest
from apollo.domain.turn import TurnInput
from apollo.hosts.job import Hook, Job, Kill, ReleaseFile, Scope, Silent, Step, Switch, encode

SILENCE_TIMEOUT = 60
"""Seconds that the old process has to let go of the health check's port after `stop`."""


@dataclass(frozen=True)
class Side:
    """A release on the host: its folder, its manifest, and its values with secrets."""

    folder: str
    manifest: Manifest
    secrets: Mapping[str, str] = field(repr=False)

    def hooks(self, name: str, step: str, scope: Scope) -> list[Step]:
        """The steps that run the hooks of that name: `start`, `start.2`, `start.3`."""
        return [
            hook_step(hook, step if number == 1 else f"{step}.{number}", self.folder, scope)
            for number, hook in enumerate(self.manifest.hooks.of(name), 1)
        ]

    def silent(self, step: str) -> list[Step]:
        """The step that waits until nothing answers on the health check's port."""
        health = self.manifest.health
        check = health and (health.http or health.tcp)
        return [Silent(step, int(check.port), SILENCE_TIMEOUT)] if check else []

    def env_file(self) -> tuple[str, bytes] | None:
        """The file of variables and secrets for systemd's EnvironmentFile=."""
        if self.manifest.env_file is None:
            return None
        values = {**self.manifest.variables, **self.secrets}
        lines = [f"{name}={_quoted(value)}\n" for name, value in sorted(values.items())]
        return self.manifest.env_file, "".join(lines).encode()


def hook_step(hook: setup.Hook, step: str, folder: str, scope: Scope) -> Hook:
    """The step that runs a hook, whose timeout is filled in."""
    assert hook.timeout is not None
    return Hook(
        step=step,
        run=hook.run,
        folder=folder,
        scope=scope,
        timeout=max(1, math.ceil(hook.timeout.total_seconds())),
        retries=hook.retries,
        user=hook.user,
    )


def _quoted(value: str) -> str:
    """As systemd.exec(5) reads values: in double quotes, some characters escaped."""
    for character in '\\"$`':
        value = value.replace(character, f"\\{character}")
    return f'"{value}"'


def stage_job(turn: TurnInput, new: Side, canonical: bytes) -> Job:
    """Unpack the release beside the running one and install it; `canonical` is its manifest."""
    return Job(
        steps=tuple(new.hooks("install", "install", "new")),
        new=environment(turn, new),
        manifest=canonical,
        files=tuple(
            ReleaseFile(path, _fill(file.text, new.secrets).encode(), file.mode)
            for path, file in new.manifest.files.items()
        ),
        shared=new.manifest.shared,
        secrets=tuple(new.secrets.values()),
    )


def activate_job(turn: TurnInput, new: Side, old: Side | None) -> Job:
    """Stop what runs, switch, start, validate.

    What is not stopped need not fall silent: a web server that serves `current` stays up.
    """
    steps = _stop(turn, new, old) if old else []
    if old and steps:
        steps += old.silent("silent")
    steps += _switch(turn, "switch", new, old)
    steps += [*new.hooks("start", "start", "new"), *new.hooks("validate", "validate", "new")]
    return _job(turn, steps, new, old, comes=new, goes=old)


def _stop(turn: TurnInput, new: Side, old: Side) -> list[Step]:
    """By the running release's hook, unless the deployment was told otherwise."""
    if turn.stop == "new":
        return new.hooks("stop", "stop", "new")
    hooks = old.hooks("stop", "stop", "old")
    if turn.stop != "ignore":
        return hooks
    return [replace(each, ignored=True) if isinstance(each, Hook) else each for each in hooks]


def once_job(turn: TurnInput, new: Side) -> Job:
    """A hook that runs once per deployment, in the new release's folder."""
    assert turn.once
    hook = turn.once.hook.with_timeout(turn.once.step)
    return _job(turn, [hook_step(hook, turn.once.step, new.folder, "new")], new, None)


def revert_job(turn: TurnInput, new: Side, old: Side | None, *, started: bool) -> Job:
    """Stop what this turn began, and start what ran before it."""
    steps: list[Step] = new.hooks("stop", "undo-stop", "new") if started else []
    steps += [Kill("kill")]
    if old:
        steps += new.silent("undo-silent") if new.manifest.hooks.stop else []
        steps += _switch(turn, "undo-switch", old, new)
        steps += old.hooks("start", "undo-start", "old")
        steps += old.hooks("validate", "undo-validate", "old")
    return _job(turn, steps, new, old, comes=old, goes=new if old else None)


def bare_job(turn: TurnInput, new: Side, old: Side | None) -> Job:
    """The whole of putting back, without the values of secrets."""
    bare = replace(old, secrets={}) if old else None
    return revert_job(turn, replace(new, secrets={}), bare, started=True)


def hand_job(turn: TurnInput, new: Side, old: Side, bare: Job, offline: str | None) -> bytes:
    """The job of putting back that stays in the host's journal, for a person without Apollo.

    Of secrets it holds only the names: who types has to give the values. `undo-stop` is left out
    there when the new release's start has not begun.
    """
    kind = turn.balancer.kind if turn.balancer else "-"
    lines = [f"hand {turn.label} {encode(offline or '-')} {kind}"]
    lines += [
        " ".join(("secrets", scope, *sorted(side.secrets)))
        for scope, side in (("new", new), ("old", old))
        if side.secrets
    ]
    if new.secrets or old.secrets:
        lines.append("hide")
    if not turn.restart:
        lines.append("only-begun")
    return "".join(f"{line}\n" for line in lines).encode() + bare.encode()


def _switch(turn: TurnInput, step: str, to: Side, away: Side | None) -> list[Step]:
    """A restart leaves `current` alone, unless a turn before it left it on something else."""
    stays = turn.restart and away is not None and away.folder == to.folder
    return [] if stays else [Switch(step, to.folder)]


def stop_job(turn: TurnInput, running: Side) -> Job:
    """Only stop what runs: there is nothing to put in its place."""
    return _job(turn, running.hooks("stop", "stop", "old"), running, running)


def _job(
    turn: TurnInput,
    steps: list[Step],
    new: Side,
    old: Side | None,
    *,
    comes: Side | None = None,
    goes: Side | None = None,
) -> Job:
    """`comes` and `goes` are the sides whose environment files are written and removed."""
    file = comes.env_file() if comes else None
    stale = goes.manifest.env_file if goes else None
    return Job(
        steps=tuple(steps),
        new=environment(turn, new),
        old=environment(turn, old) if old else {},
        env_file=file,
        env_gone=stale if not file or stale != file[0] else None,
        secrets=(*new.secrets.values(), *(old.secrets.values() if old else ())),
    )


def environment(turn: TurnInput, side: Side) -> dict[str, str]:
    """What a hook finds in its environment, besides PATH, HOME, USER and LANG."""
    return {
        **side.manifest.variables,
        **side.secrets,
        "APOLLO_APPLICATION": turn.application,
        "APOLLO_ENVIRONMENT": turn.environment,
        "APOLLO_DEPLOYMENT": turn.label,
        "APOLLO_RELEASE": side.manifest.release,
        "APOLLO_PREVIOUS_RELEASE": turn.previous_release,
        "APOLLO_HOST": turn.host.name,
        "APOLLO_LOCATION": turn.host.location,
        "APOLLO_ROLE": turn.host.role or "",
        "APOLLO_WAVE": str(turn.wave),
        "APOLLO_ROOT": side.manifest.root,
        "APOLLO_TURN": str(turn.turn),
    }


def _fill(text: str, secrets: Mapping[str, str]) -> str:
    for name, value in secrets.items():
        text = text.replace(f"${{{name}}}", value)
    return text
