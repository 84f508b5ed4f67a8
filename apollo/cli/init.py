"""`apollo init`."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.misuse import Misused
from apollo.cli.options import Json
from apollo.cli.render.terminal import show, show_json, talk
from apollo.domain.base import Name
from apollo.errors import Refused
from apollo.files.phrases import pattern_of
from apollo.files.project import FILE

Folder = Annotated[Path, Parameter(help="Where; the folder is made when it is missing.")]
Application = Annotated[str, Parameter(help="Its name; by default that of the folder.")]

_NAME = re.compile(pattern_of(Name))
_PROJECT = """\
# What Apollo deploys, how one host is upgraded, and where it runs.
# `apollo check` finds mistakes; docs/files.md explains every key.
application: {application}

release:
  # build: make dist              # run before packing
  artifact: {artifact}{pad}# what goes on the hosts: a folder, a file or an archive
  exclude: ["*.pyc", ".venv", "node_modules"]

setup:
  root: /srv/{application}        # on the host; the login user must be able to write there
  variables: {{PORT: "8080"}}
  hooks:                          # run on the host, in the release's folder
    # install: bin/setup          # before the host is drained
    stop: bin/stop
    start: bin/start
  health:                         # when a host counts as healthy
    http: {{port: "{{PORT}}", path: /health}}
    healthy_for: 5s
    deadline: 1m

environments:
  dev:
    fleet:
      user: deploy                # who logs in by SSH
      hosts:
        dev1: 10.0.0.9            # write your own host's address here
  # prod:
  #   fleet: {{inventory: fleets/prod.yaml}}
  #   strategy: {{waves: [1, 10%, 100%], max_unavailable: 20%}}
  #   approval: required

pipeline: [dev]
"""
_START = """\
#!/bin/sh
# Starts the application on a host and returns; $PORT and the other variables are set.
# Let systemd keep it (sudo -n systemctl start {application}), or detach it:
#   setsid ./server </dev/null >"$APOLLO_ROOT/{application}.log" 2>&1 &
echo "bin/start does not say yet how {application} is started" >&2
exit 1
"""
_STOP = """\
#!/bin/sh
# Stops the application on a host, and succeeds when it does not run.
exit 0
"""


def init(
    folder: Folder = Path("."), /, *, application: Application = "", json: Json = False
) -> int:
    """Write an apollo.yaml to begin with, and its hooks."""
    name = application or _name_of(folder)
    if not _NAME.fullmatch(name):
        raise Misused(
            f"{name!r} names no application",
            hint="write lower-case letters, digits and '-': --application shop",
        )
    for other in (FILE, "apollo.yml"):
        if (folder / other).exists():
            raise Refused(f"{folder / other} is there already", hint="see it with apollo check")
    artifact = "dist/" if (folder / "dist").is_dir() else "./"
    project = _PROJECT.format(application=name, artifact=artifact, pad=" " * (22 - len(artifact)))
    written = [_write(folder / FILE, project)]
    for hook, text in (("bin/start", _START), ("bin/stop", _STOP)):
        path = folder / artifact / hook
        if not path.exists():
            written.append(_write(path, text.format(application=name), mode=0o755))
    _tell(name, written, json=json)
    return 0


def _tell(name: str, written: list[Path], *, json: bool) -> None:
    if json:
        show_json({"application": name, "written": [str(path) for path in written]})
        return
    show(f"+ {path}" for path in written)
    talk("", "Next: write the address of a host, and how it starts; then apollo check.")


def _name_of(folder: Path) -> str:
    """The folder's name as that of an application: `My Shop_2` is `my-shop-2`."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return words[:63].rstrip("-") or "app"


def _write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write a new file; one that is there meanwhile is left alone.

    Raises:
        Refused: It is there, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        path.chmod(mode)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", hint="nothing was overwritten") from error
    return path
