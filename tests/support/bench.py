"""Turns without Temporal: releases of a few lines, and attempts as values or as processes."""

import asyncio
import itertools
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apollo.artifacts.pack import pack
from apollo.artifacts.store import FolderStore
from apollo.domain.balancer import BalancerSpec
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.setup import Health, Hooks
from apollo.domain.turn import TurnInput, TurnRecord
from tests.support.attempt import Told, attempt

START = 1_800_000_000_000
"""When the first lease was granted, in milliseconds: later than any clock here."""


@dataclass
class Bench:
    """A store with releases, and one host that gets them."""

    folder: Path
    host: Host
    host_key: str
    key: Path
    root: str
    balancer: BalancerSpec | None = None
    health: Health | None = None
    hooks: Mapping[str, Any] = field(default_factory=lambda: {"start": "bin/start"})
    commands: list[str] = field(default_factory=list)
    """What the worker allows `command` balancers to run."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def release(self, version: str, **scripts: str) -> str:
        """A release whose hooks are these scripts; the digest of its manifest."""
        dist = self.folder / f"dist-{version}"
        (dist / "bin").mkdir(parents=True)
        (dist / "version").write_text(version)
        for name, text in scripts.items():
            (dist / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (dist / "bin" / name).chmod(0o755)
        file = self.folder / f"{version}.tar.gz"
        artifact = await asyncio.to_thread(pack, dist, file)
        await self.store.put_file(file)
        manifest = Manifest(
            application="shop",
            environment="prod",
            release=version,
            artifact=artifact,
            root=self.root,
            hooks=Hooks.model_validate(self.hooks),
            health=self.health,
        )
        return await self.store.put_bytes(manifest.canonical())

    @property
    def store(self) -> FolderStore:
        """Where releases lie."""
        return FolderStore(self.folder / "store")

    def turn(self, manifest: str, **more: Any) -> TurnInput:
        """A new deployment's turn on the host."""
        number = next(self._numbers)
        given = {
            "deployment": str(uuid.uuid4()),
            "label": f"shop/prod#{number}",
            "owner": "catalog/shop/prod",
            "application": "shop",
            "environment": "prod",
            "release": f"{number}.0",
            "granted_ms": START + number * 1000,
            "host": self.host,
            "host_keys": (self.host_key,),
            "manifest": manifest,
            "folder": f"20300101T0000{number:02d}Z-{number}",
            "balancer": self.balancer,
        }
        return TurnInput(**{**given, **more})

    def told(self, turn: TurnInput, number: int = 1, *, guarded: bool = True) -> Told:
        """The `number`th attempt at a turn."""
        return Told(
            turn=turn,
            attempt_ms=turn.granted_ms + number,
            store=self.folder / "store",
            key=self.key,
            guarded=guarded,
            commands=self.commands,
        )

    async def run(self, turn: TurnInput, number: int = 1) -> TurnRecord:
        """An attempt in this process."""
        return await attempt(self.told(turn, number))

    def process(self, turn: TurnInput, number: int = 1, *, guarded: bool = True) -> "Attempt":
        """An attempt in a process of its own."""
        file = self.folder / f"{turn.deployment}-{turn.turn}-{number}.json"
        file.write_text(self.told(turn, number, guarded=guarded).model_dump_json())
        return Attempt(
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.attempt", str(file)], stdout=subprocess.PIPE
            )
        )


@dataclass
class Attempt:
    """An attempt that runs elsewhere."""

    process: "subprocess.Popen[bytes]"

    async def end(self) -> dict[str, Any]:
        """Its record, or its error."""
        output, _ = await asyncio.to_thread(self.process.communicate)
        found: dict[str, Any] = json.loads(output)
        return found
