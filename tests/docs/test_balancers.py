"""The balancers of the page are balancers, and its list of settings is read."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from apollo.domain.balancer import BalancerSpec
from apollo.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```yaml\n(balancer:.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"haproxy", "file", "aws_alb", "command"}


@pytest.mark.parametrize("page", ["balancers.md", "files.md"])
def test_every_balancer_of_a_page_is_one(page: str) -> None:
    yaml = YAML(typ="safe", pure=True)
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    given = [each for block in blocks for each in yaml.load_all(block)]

    assert {BalancerSpec.model_validate(each["balancer"]).kind for each in given} == KINDS


def test_the_allowed_commands_of_the_page_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "balancers.md").read_text(encoding="utf-8")
    (value,) = re.findall(r"APOLLO_ALLOW_COMMANDS='(.*)'", page)
    monkeypatch.setenv("APOLLO_ALLOW_COMMANDS", value)

    assert Settings().allow_commands == json.loads(value)
