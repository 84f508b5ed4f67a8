"""The page `docs/setup.md`, followed in an empty folder where nothing runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

PAGE = (Path(__file__).parents[2] / "docs" / "setup.md").read_text(encoding="utf-8")


def test_the_commands_do_what_the_page_says(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "APOLLO_HOME": str(tmp_path / "home"),
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    ended = {}
    for command in re.findall(r"^\$ (.*)$", "".join(blocks), re.MULTILINE):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        ended[command] = (done.returncode, done.stdout + done.stderr)

    assert {command: code for command, (code, _) in ended.items()} == {
        "apollo init": 0,
        "apollo check": 0,
        "apollo schema > .apollo.schema.json": 0,
        "apollo schema inventory > .inventory.schema.json": 0,
        "apollo doctor": 1,
    }
    schema = json.loads((folder / ".apollo.schema.json").read_text(encoding="utf-8"))
    data = YAML(typ="safe", pure=True).load((folder / "apollo.yaml").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(data)) == []
    assert not (tmp_path / "home").exists(), "doctor changes nothing"
    told = ended["apollo doctor"][1]
    assert "no Temporal server answers at 127.0.0.1:1" in told
    rows = re.findall(r"^\| ([a-zA-Z, ]+) \| (?!it must)", PAGE, re.MULTILINE)
    shown = [word for row in rows for word in row.split(", ")]
    assert {"settings", "temporal", "catalog", "store"} <= set(shown)
    for name in ("settings", "temporal", "catalog", "store", "programs"):
        assert re.search(rf"^[✔!✘]  {name} ", told, re.MULTILINE), told
