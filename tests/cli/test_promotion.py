"""`promote` and what is said to promotions: by the catalog alone, and on a stage with Temporal."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from apollo.catalog import Catalog
from apollo.catalog.records import NewPromotion, StoredPromotion
from apollo.domain.promotion import PromotionState, StageProgress
from tests.cli.conftest import Shop
from tests.support.stage import Stage, open_stage, until
from tests.support.typing_desk import Desk

PROJECT = """\
application: APPLICATION
release: {artifact: dist/}
setup: {root: /srv/shop, hooks: {start: bin/start}}
environments:
  dev:
    fleet: {hosts: {dev1: 10.0.0.1}}
  prod:
    fleet: {hosts: {prod1: 10.0.0.2, prod2: 10.0.0.3}}
    approval: required
    strategy: {waves: [1, {share: 100%, approval: true}], max_unavailable: 1}
pipeline: [dev, prod]
"""


def promoted(shop: Shop, state: PromotionState, detail: str = "", held: bool = False) -> None:
    """shop 1.0 is being promoted, or has been: it is at prod."""

    async def play(catalog: Catalog) -> None:
        stages = (
            StageProgress(environment="dev", state="succeeded", deployment="shop/dev#1"),
            StageProgress(environment="prod", state=str(state)),
        )
        stored: StoredPromotion = await catalog.promotions.open(
            NewPromotion(
                workflow_id="promotion/shop/1.0",
                run_id="r",
                application="shop",
                release="1.0",
                stages=stages,
            )
        )
        await catalog.promotions.arrive(stored.uuid, "prod")
        if state.ended:
            await catalog.promotions.end(stored.uuid, state, detail, stages)
        else:
            await catalog.promotions.show(stored.uuid, state, detail, stages, held=held)

    shop.in_catalog(play)


def test_status_shows_promotions_and_the_next_command(applied: Shop) -> None:
    assert json.loads(applied.good("status", "--json").out)["promotions"] == []
    promoted(applied, PromotionState.AWAITING, "prod waits for approval")
    said = applied.good("status")
    assert "Temporal does not answer: promotions are as they were last seen." in said.err
    lines = said.out.splitlines()
    assert lines[-2].split() == ["PROMOTION", "STAGE", "STATE", "SINCE", "NEXT"]
    row = lines[-1].split()
    assert row[:6] == ["shop", "1.0", "prod", "?", "awaiting", "approval"]
    assert row[-3:] == ["apollo", "approve", "prod"]
    assert "apollo approve prod" in applied.good("status", "prod").out
    assert "PROMOTION" not in applied.good("status", "dev").out

    (found,) = json.loads(applied.good("status", "--json").out)["promotions"]
    assert (found["label"], found["state"], found["exit_code"]) == ("shop 1.0", "awaiting", None)
    assert found["next"] == ["apollo approve prod", "apollo reject prod"]


def test_one_that_stopped_says_how_to_go_on(applied: Shop) -> None:
    promoted(applied, PromotionState.STOPPED, "shop/prod#1 ended rolled_back")
    assert "apollo promote 1.0 --from dev" in applied.good("status").out

    said = applied("watch", "shop")
    assert said.code == 3
    assert said.out.startswith("shop 1.0  ✘ stopped\n  shop/prod#1 ended rolled_back\n")
    assert "Next: apollo promote 1.0 --from dev" in said.err
    (line,) = applied("watch", "shop", "--json").out.splitlines()
    assert json.loads(line)["exit_code"] == 3


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (PromotionState.SUCCEEDED, 0),
        (PromotionState.ABORTED, 3),
        (PromotionState.REJECTED, 5),
        (PromotionState.SUPERSEDED, 5),
        (PromotionState.LOST, 1),
    ],
)
def test_each_end_has_its_exit_code(applied: Shop, state: PromotionState, code: int) -> None:
    promoted(applied, state)
    assert applied("watch", "shop").code == code


def test_what_cannot_be_promoted_is_said_before_temporal_is_asked(applied: Shop) -> None:
    assert "no application 'bank'" in applied("promote", "bank/1.0").err
    assert applied("promote", "9.9").code == 2
    assert applied("promote", "1.0", "--application", "bank").code == 2
    assert applied("promote", "bank/1.0", "--application", "shop").code == 2
    assert applied("promote", "1.0", "--to", "mars").code == 5
    assert applied("promote", "1.0").code == 1  # it could be, but for Temporal
    nothing = applied.good("promote", "--from", "dev")
    assert nothing.err == "Nothing to promote: no release has succeeded in dev yet.\n"
    document = json.loads(applied.good("promote", "--from", "dev", "--json").out)
    assert document["state"] == "nothing_to_do"


def test_words_to_nothing_are_refused(applied: Shop) -> None:
    for words in (("reject", "prod"), ("hold", "prod"), ("hold", "shop"), ("resume", "shop")):
        said = applied(*words)
        assert (said.code, "no promotion is at shop" in said.err) == (5, True), said
    assert applied("watch", "shop").code == 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def desk(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Desk:
    """A project of an application of its own."""
    name = f"shop-{uuid4().hex[:8]}"
    desk = Desk.of(stage, tmp_path / "shop", monkeypatch, capfd, name)
    (desk.folder / "dist/bin").mkdir(parents=True)
    (desk.folder / "dist/bin/start").write_text("exit 0\n")
    (desk.folder / "apollo.yaml").write_text(PROJECT.replace("APPLICATION", name))
    return desk


async def applied_with_a_release(desk: Desk) -> str:
    """Apply the project and make 1.0; the application."""
    for words in (("apply", "--yes"), ("release", "create", "1.0")):
        assert (await desk.type("apollo", *words)).code == 0
    return (desk.folder / "apollo.yaml").read_text().split()[1]


async def state(stage: Stage, application: str, wanted: str, environment: str) -> None:
    """Wait until the promotion is in this state."""

    async def shown() -> bool:
        found = await stage.catalog.promotions.list(application, limit=1)
        return bool(found) and (found[0].state, found[0].stage) == (wanted, environment)

    await until(shown, f"{application} is {wanted} at {environment}")


async def test_it_is_followed_left_found_again_and_approved(stage: Stage, desk: Desk) -> None:
    name = await applied_with_a_release(desk)
    process = await desk.begin("apollo", "promote", "1.0", "--yes")
    assert process.stdout
    while line := (await process.stdout.readline()).decode():
        if "awaiting approval" in line:
            assert line.endswith(f"{name} 1.0 prod ? awaiting approval: prod waits for approval\n")
            break
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err.decode().splitlines()[-1]) == (
        130,
        f"Detached. {name} 1.0 goes on. Back: apollo watch {name}   Stop: apollo hold {name}",
    )

    again = await desk.type("apollo", "promote", "1.0")
    assert again.code == 5
    assert f"{name} 1.0 is being promoted already: it is at prod (awaiting)" in again.err
    assert f"apollo watch {name}" in again.err
    wrong = await desk.type("apollo", "approve", "dev")
    assert wrong.code == 5

    # Held, it is still the one that waits; then its deployment waits for a wave's approval.
    assert (await desk.type("apollo", "hold", name, "--reason", "lunch")).code == 0
    said = await desk.type("apollo", "approve", "prod", "--reason", "go")
    assert said.err.splitlines()[0] == f"{name} 1.0 at prod  approve accepted; it is held"
    assert (await desk.type("apollo", "resume", "prod")).code == 0

    async def wave() -> bool:
        running = await stage.catalog.deployments.running(name, "prod")
        return [each.detail for each in running] == ["wave 2 waits for approval"]

    await until(wave, "its deployment waits")
    deployment = await desk.type("apollo", "approve", "prod")
    assert deployment.err.startswith(f"{name}/prod#1  approve accepted")
    watched = await desk.type("apollo", "watch", name)
    assert watched.code == 0
    assert f"{name} 1.0  ✔ succeeded" in watched.out
    assert f"{name}/prod#1" in watched.out
    assert "approved by ada" in watched.out


async def test_it_ends_with_the_exit_code_of_its_end(stage: Stage, desk: Desk) -> None:
    name = await applied_with_a_release(desk)
    stage.actors.scripts[name].fail("dev1")
    stopped = await desk.type("apollo", "promote", "--yes", "--json")
    assert stopped.code == 3
    lines = [json.loads(line) for line in stopped.out.splitlines() if line.startswith("{")]
    assert [lines[-1][key] for key in ("state", "exit_code", "ended")] == ["stopped", 3, True]
    assert lines[-1]["stages"][0]["state"] == "rolled_back"

    stage.actors.scripts[name].ends.clear()
    promoting = asyncio.create_task(desk.type("apollo", "promote", "1.0", "--yes"))
    await state(stage, name, "awaiting", "prod")
    promotion = (await stage.catalog.promotions.running(name))[0]
    await (await stage.apollo.promotion(promotion)).reject("no")
    assert (await promoting).code == 5


async def test_status_asks_temporal_whether_it_still_runs(stage: Stage, desk: Desk) -> None:
    name = await applied_with_a_release(desk)
    started = await desk.type("apollo", "promote", "--detach", "--json")
    found = json.loads(started.out[started.out.index("{") :])
    assert found["workflow_id"] == f"promotion/{name}/1.0"
    await state(stage, name, "awaiting", "prod")
    await stage.client.get_workflow_handle(found["workflow_id"]).terminate()
    said = await desk.type("apollo", "status")
    assert "✘ lost" in said.out
    assert "apollo promote 1.0 --from dev" in said.out
