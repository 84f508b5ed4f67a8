"""`init` and `schema`: what they write is right as it is, and nothing is overwritten."""

import json
import subprocess
from pathlib import Path

import pytest

from apollo.files.schema import schema
from tests.cli.conftest import Shop


@pytest.mark.parametrize(
    ("folder", "name"), [("My Shop_2", "my-shop-2"), ("shop", "shop"), ("...", "app")]
)
def test_a_new_project_has_no_mistakes(shop: Shop, folder: str, name: str) -> None:
    where = shop.folder.parent / "new" / folder
    written = json.loads(shop.good("init", str(where), "--json").out)

    assert written["application"] == name
    assert [Path(path).relative_to(where) for path in written["written"]] == [
        Path("apollo.yaml"),
        Path("bin/start"),
        Path("bin/stop"),
    ]
    said = shop.good("check", str(where))
    assert said.out.startswith(f"✔ {name}: no mistakes\n")
    assert said.err == ""


def test_what_it_proposes_in_comments_has_no_mistakes_either(shop: Shop, tmp_path: Path) -> None:
    where = tmp_path / "more"
    shop.good("init", str(where))
    text = (where / "apollo.yaml").read_text(encoding="utf-8")
    for comment in ("# build", "# install", "# prod:", "#   fleet", "#   strategy", "#   approval"):
        assert comment in text
        text = text.replace(comment, comment.removeprefix("# ").replace("#   ", "  "))
    (where / "apollo.yaml").write_text(text, encoding="utf-8")
    (where / "fleets").mkdir()
    (where / "fleets" / "prod.yaml").write_text(
        "locations: {fra1: {hosts: {web1: 10.0.1.1}}}", encoding="utf-8"
    )

    assert "prod  1 host" in shop.good("check", str(where)).out


def test_its_hooks_run_and_say_what_is_missing(shop: Shop, tmp_path: Path) -> None:
    shop.good("init", str(tmp_path / "new"), "--application", "store")

    start = subprocess.run([tmp_path / "new/bin/start"], capture_output=True, text=True)
    assert (start.returncode, start.stderr) == (
        1,
        "bin/start does not say yet how store is started\n",
    )
    assert subprocess.run([tmp_path / "new/bin/stop"]).returncode == 0


def test_nothing_is_overwritten(shop: Shop, tmp_path: Path) -> None:
    before = (shop.folder / "apollo.yaml").read_bytes()
    said = shop("init")
    assert said.code == 5
    assert "apollo.yaml is there already" in said.err
    assert (shop.folder / "apollo.yaml").read_bytes() == before

    (tmp_path / "dist/bin").mkdir(parents=True)
    (tmp_path / "dist/bin/start").write_text("mine", encoding="utf-8")
    out = shop.good("init", str(tmp_path)).out
    assert (tmp_path / "dist/bin/start").read_text(encoding="utf-8") == "mine"
    assert out.splitlines() == [f"+ {tmp_path}/apollo.yaml", f"+ {tmp_path}/dist/bin/stop"]
    assert "artifact: dist/ " in (tmp_path / "apollo.yaml").read_text(encoding="utf-8")


def test_a_name_that_is_none_is_refused(shop: Shop, tmp_path: Path) -> None:
    said = shop("init", str(tmp_path / "new"), "--application", "My Shop")

    assert said.code == 2
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_says_so(shop: Shop) -> None:
    said = shop("init", "apollo.yaml/new")

    assert said.code == 5
    assert "Not a directory" in said.err


def test_the_schema_is_printed(shop: Shop) -> None:
    assert json.loads(shop.good("schema").out) == schema("project")
    assert json.loads(shop.good("schema", "inventory").out) == schema("inventory")
    assert shop("schema", "fleet").code == 2
