"""What real hosts left in the catalog is proof enough; a row that is changed is found out."""

from pathlib import Path

from apollo.domain.rollout import DeploymentResult
from apollo.proof import Judgement, Verdict
from apollo.testing.artifact import Fault
from tests.support.falsify import Rows
from tests.support.world import World


async def judged(world: World, result: DeploymentResult) -> dict[int, Judgement]:
    number = int(result.label.partition("#")[2])
    handle = await world.apollo.deployment("shop", "prod", number)
    found = {each.rule: each for each in await handle.prove()}
    told = {rule: each for rule, each in found.items() if each.verdict is not Verdict.KEPT}
    assert told == {}
    return found


async def test_real_deployments_kept_the_rules_and_left_the_proof(tmp_path: Path) -> None:
    strategy = "strategy: {waves: [1, 100%], max_unavailable: 1}"
    async with World(tmp_path, {"fra1": 3, "ams1": 2}, strategy) as world:
        world.start_worker()
        for version, faults in (("1", ()), ("2", ()), ("3", (Fault("start", from_wave=2),))):
            await world.release(version, *faults)
        first = await judged(world, await world.deploy("1"))
        assert first[1].found.startswith("0 hosts in service"), "they were new"

        second = await judged(world, await world.deploy("2"))
        assert second[1].found.startswith("5 hosts in service were taken out")
        assert second[9].found == "20 hooks in 5 turns"
        assert "turns left no steps" not in "".join(second[9].untold)

        bad = await world.deploy("3")
        third = await judged(world, bad)
        assert bad.state == "rolled_back"
        assert third[6].found.endswith("reverted")
        assert not third[6].found.endswith(" 0 reverted")
        assert "1 rolled back" not in third[7].found.partition(",")[0]

        catalog = world.apollo.catalog
        rows = Rows(catalog, await catalog.deployments.get("shop", "prod", 2))
        handle = await world.apollo.deployment("shop", "prod", 2)
        one, other = [row for row in await handle.rows() if row.location == "fra1"][1:]
        assert one.started_at
        begin = (one.started_at - rows.base).total_seconds()
        await rows.slowed({one.host: (begin, begin + 90), other.host: (begin + 10, begin + 90)})
        assert f"{other.host}: began its turn while 1 of fra1 were out" in (await rows.broken())[1]
