"""The page `docs/temporal-ui.md`, followed in Chromium by somebody who has only the Temporal UI.

With `APOLLO_PICTURES=1` its pictures are taken anew.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo import names
from apollo.cluster import present
from apollo.files.environment import resolve
from apollo.files.project import load_project
from tests.support.browser import PICTURES, TemporalUi, inputs, temporal_ui
from tests.support.gate import WAVE, gated_release, open_gate
from tests.support.scene import eventually
from tests.support.witness import versions
from tests.support.world import APPLICATION, World

PAGE = (Path(__file__).parents[2] / "docs" / "temporal-ui.md").read_text(encoding="utf-8")
TYPED = inputs(PAGE)
FLEET = {"dev1": 1, "fra1": 2, "ams1": 2, "lhr1": 2}
ENVIRONMENTS = """
  dev: {fleet: {inventory: fleet.yaml, select: dev1}, strategy: {waves: [100%]}}
  prod:
    fleet: {inventory: fleet.yaml, select: "!dev1"}
    strategy: {waves: [3, 100%], max_unavailable: 1}
    approval: required
pipeline: [dev, prod]
"""
PAUSED = TYPED["query"].replace("running", "paused")


class Shop(World):
    """An application with `dev`, and `prod` in three locations, which asks for approval."""

    async def apply(self, environment: str) -> None:
        """Apply both environments."""
        head = APPLICATION.format(hook_log=self.hook_log, environment="").split("environments:")[0]
        (self.folder / "fleet.yaml").write_text(self.fleet.inventory_yaml())
        (self.folder / "apollo.yaml").write_text(f"{head}environments:{ENVIRONMENTS}")
        self.project = load_project(self.folder)
        for stage in self.project.stages:
            resolved = resolve(self.project, stage.environment)
            await self.apollo.catalog.environments.apply(resolved, self.project.stages, "tester")

    async def works(self) -> bool:
        """Whether the worker polls for workflows."""
        return await present(await self.apollo.temporal(), names.CONTROL_QUEUE) > 0


@dataclass(frozen=True)
class Tour:
    """A deployed application, and a person with a browser."""

    shop: Shop
    ui: TemporalUi

    async def runs(self) -> set[str]:
        """The versions that the hosts of `prod` serve."""
        found = await versions(self.shop.fleet)
        return {version for host, version in found.items() if not host.startswith("dev1")}


@pytest.fixture(scope="module")
async def tour(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> AsyncIterator[Tour]:
    chromium = program("chromium")
    async with (
        Shop(tmp_path_factory.mktemp("tour"), FLEET) as shop,
        temporal_ui(chromium, shop.temporal.ui_url) as ui,
    ):
        shop.start_worker()
        await eventually(shop.works)
        yield Tour(shop, ui)


async def test_a_deployment_is_started_from_the_start_page(tour: Tour) -> None:
    await tour.shop.release("1.4.1")
    ui, name = tour.ui, "deployment/shop/prod/monday"
    slip = TYPED["start"].replace('"environment"', '"enviroment"')
    await ui.start(f"{name}-slip", "Deployment", slip)
    await ui.status("Failed")
    body = ui.page.get_by_role("main")
    await ui.reads(body, "enviroment is no field: did you mean environment?")

    await ui.start(name, "Deployment", TYPED["start"], picture="start")
    await ui.details_that(lambda text: "the deployment waits for approval" in text)
    await ui.say("Send an Update", "approve", TYPED["approve"])
    await ui.details_that(lambda text: "succeeded" in text)
    await ui.open(name)
    await ui.status("Completed")
    assert await tour.runs() == {"1.4.1"}


async def test_a_deployment_is_found_paused_and_resumed(tour: Tour) -> None:
    ui, shop = tour.ui, tour.shop
    await gated_release(shop, "1.4.2", each=WAVE)
    open_gate(shop, "1")
    temporal = await shop.apollo.temporal()
    asked = {"application": "shop", "environment": "prod", "release": "1.4.2", "approved": "bob"}
    name = "deployment/shop/prod/tuesday"
    await temporal.start_workflow(
        "Deployment", asked, id=name, task_queue=names.CONTROL_QUEUE, static_summary="shop 1.4.2"
    )
    running = await ui.find(TYPED["query"], rows=1)
    await ui.picture("find")
    await running.get_by_role("link", name=name).first.click()
    await ui.details_that(lambda text: "1 ended" in text)

    await ui.say("Send a Signal", "pause", TYPED["pause"])
    await ui.details_that(lambda text: "paused: latency is up (ada)" in text)
    await ui.open(name)
    body = await ui.details_that(lambda text: "paused: latency is up (ada)" in text)
    await ui.picture("details")
    table = await ui.table(body)
    assert [row[""] for row in table] == ["wave 1 (3 hosts)", "wave 2 (3 hosts)"]
    ended = [[row[place] for place in ("fra1", "ams1", "lhr1")] for row in table]
    assert ended == [["1 ended"] * 3, ["·"] * 3]
    (status,) = json.loads(await shop.said("status", "prod", "--json"))["environments"]
    (told,) = status["running"]
    assert (told["state"], told["detail"]) == ("paused", "paused: latency is up (ada)")
    assert told["outcomes"] == {"updated": 3, "pending": 3}

    await ui.say("Send a Signal", "pause")
    await ui.details_that(lambda text: "pause was ignored: it is paused already" in text)
    said = await ui.refused("pace", TYPED["a wrong pace"], picture="refused")
    assert said == (
        "max_unavailable: expected a count such as 3 or a percentage such as 20%; "
        'found \'fast\'; try {"max_unavailable": "20%"}'
    )
    said = await ui.refused("pace", '"fast"')
    assert said.startswith('the input: expected a JSON object, found "fast"; an example: {')

    await ui.find(PAUSED, rows=1)
    await ui.open(name)
    await ui.say("Send an Update", "pace", TYPED["pace"])
    await ui.say("Send an Update", "resume")
    await ui.details_that(lambda text: "1.4.2: running" in text)
    open_gate(shop, "2")
    await ui.details_that(lambda text: "1.4.2: succeeded" in text)
    await ui.find(PAUSED, rows=0)
    assert await tour.runs() == {"1.4.2"}


async def test_a_promotion_is_approved(tour: Tour) -> None:
    ui, shop = tour.ui, tour.shop
    await shop.release("1.4.3")
    await ui.start("promotion/shop/1.4.3", "Promotion", TYPED["promote"])
    await ui.details_that(lambda text: "prod waits for approval" in text)
    await ui.open("promotion/shop/1.4.3")
    body = await ui.details_that(lambda text: "prod waits for approval" in text)
    dev, prod = await ui.table(body)
    assert (dev["state"], prod["state"], prod["deployment"]) == ("succeeded", "awaiting", "·")
    await ui.picture("promotion")
    assert await ui.refused("approve", '{"environment": "dev"}') == "it is at prod, not at dev"
    assert "1.4.3" not in await tour.runs()

    await ui.say("Send an Update", "approve", TYPED["approve"])
    body = await ui.details_that(lambda text: "1.4.3: succeeded" in text)
    dev, prod = await ui.table(body)
    assert (prod["state"], prod["deployment"]) == ("succeeded, approved by ada", "shop/prod#3")
    assert await tour.runs() == {"1.4.3"}
    async with ui.page.expect_popup() as opened:
        await body.get_by_role("link", name="shop/prod#3").click()
    assert re.search(r"deployment%2Fshop%2Fprod%2F", (await opened.value).url)


def test_the_pictures_of_the_page_are_there_and_small() -> None:
    shown = re.findall(r"!\[.+?\]\(pictures/(.+?)\)", PAGE)
    assert sorted(shown) == sorted(path.name for path in PICTURES.iterdir())
    assert all((PICTURES / name).stat().st_size < 150_000 for name in shown)
