"""A project with a home of its own, and the command line in this process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from apollo.catalog import Catalog
from apollo.cli.run import run
from tests.support.catalogs import url
from tests.support.projects import write

T = TypeVar("T")
PROJECT = {
    "apollo.yaml": """\
application: shop
release: {build: "echo built > dist/built", artifact: dist/, exclude: ["*.pyc"]}
setup:
  root: /srv/shop
  variables: {PORT: "8080"}
  hooks: {start: bin/start, stop: bin/stop}
  health: {http: {port: "{PORT}", path: /health}, healthy_for: 5s}
environments:
  dev:
    fleet: {hosts: {dev1: 127.0.0.1}}
  prod:
    fleet: {inventory: fleet.yaml}
    strategy:
      waves: [{share: 1, of: canary=yes, bake: 10m, approval: true}, 100%]
      max_unavailable: 25%
pipeline: [dev, prod]
""",
    "fleet.yaml": """\
locations:
  fra1:
    hosts:
      web1: {address: 10.0.1.1, labels: {canary: "yes"}}
      web2: {address: 10.0.1.2}
  ams1:
    hosts:
      web3: {address: 10.0.2.1}
      web4: {address: 10.0.2.2}
""",
    "dist/bin/start": "exit 0\n",
    "dist/old.pyc": "x",
}


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shop:
    """The project, its home, and the command line beside it."""

    folder: Path
    home: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *tokens: str) -> Said:
        self.capture.readouterr()
        code = run(tokens)
        out, err = self.capture.readouterr()
        return Said(code, out, err)

    def good(self, *tokens: str) -> Said:
        """The same, which must end well."""
        said = self(*tokens)
        assert said.code == 0, said
        return said

    def edit(self, old: str, new: str, file: str = "apollo.yaml") -> None:
        """Change the project."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def in_catalog(self, work: Callable[[Catalog], Awaitable[T]]) -> T:
        """Do something to the catalog that the command line uses."""

        async def opened() -> T:
            async with Catalog.open(url(self.home / "catalog.db")) as catalog:
                await catalog.migrate()
                return await work(catalog)

        return asyncio.run(opened())


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shop:
    """Files of shop with the environments dev and prod; nothing is applied; no Temporal answers."""
    folder = write(tmp_path / "shop", PROJECT)
    home = tmp_path / "home"
    monkeypatch.chdir(folder)
    settings: dict[str, Any] = {
        "APOLLO_HOME": home,
        "APOLLO_IDENTITY": "ada",
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    return Shop(folder, home, capfd)


@pytest.fixture
def applied(shop: Shop) -> Shop:
    """The same, applied, with the release 1.0."""
    shop.good("apply")
    shop.good("release", "create", "1.0")
    return shop
