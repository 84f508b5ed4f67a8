"""Promotions in the catalog: kept once, one at a time, and never an older one past a newer."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.catalog import Catalog
from apollo.catalog.records import NewPromotion, StoredPromotion
from apollo.domain.pipeline import Stage, read_pipeline
from apollo.domain.promotion import PromotionState, StageProgress
from apollo.errors import NotFound, Refused
from tests.support.catalogs import StandingClock, environment, new_catalog, release

STAGES = ("dev", "prod")
RELEASES = ("1", "2", "3")


async def shop(catalog: Catalog, clock: StandingClock) -> None:
    """shop with two stages and three releases, the newest last."""
    for name in STAGES:
        await catalog.environments.apply(environment(name=name), STAGES, "anna")
    for version in RELEASES:
        clock.move(60)
        await catalog.releases.add(release(version), "anna")


async def opened(catalog: Catalog, version: str = "1", run: str = "r") -> StoredPromotion:
    return await catalog.promotions.open(
        NewPromotion(
            workflow_id=f"promotion/shop/{version}",
            run_id=run,
            application="shop",
            release=version,
            stages=tuple(StageProgress(environment=name) for name in STAGES),
        )
    )


async def test_a_promotion_is_opened_once_and_keeps_its_first_end(tmp_path: Path) -> None:
    clock = StandingClock()
    async with new_catalog(tmp_path, clock) as catalog:
        await shop(catalog, clock)
        first = await opened(catalog)
        assert await opened(catalog) == first
        with pytest.raises(Refused, match="shop 1 is being promoted already"):
            await opened(catalog, run="another")

        promotions = catalog.promotions
        then = clock.move(60)
        await promotions.show(first.uuid, PromotionState.AWAITING, "waits", first.stages, held=True)
        clock.move(60)
        await promotions.show(first.uuid, PromotionState.AWAITING, "waits", first.stages)
        shown = await promotions.get(first.uuid)
        assert (shown.state, shown.since, shown.held) == ("awaiting", then, False)

        ended = await promotions.end(first.uuid, PromotionState.REJECTED, "no", first.stages)
        assert await promotions.end(first.uuid, PromotionState.LOST, "", ()) == ended
        await promotions.show(first.uuid, PromotionState.BAKING, "", ())
        assert await promotions.get(first.uuid) == ended
        with pytest.raises(Refused, match="has ended"):
            await promotions.leave(first.uuid)
        again = await opened(catalog, run="another")
        assert again.uuid != first.uuid
        assert await promotions.running("shop") == [again]
        assert [each.uuid for each in await promotions.list("shop")] == [again.uuid, first.uuid]


async def test_lost_promotions_end_when_another_is_opened(tmp_path: Path) -> None:
    clock = StandingClock()
    async with new_catalog(tmp_path, clock) as catalog:
        await shop(catalog, clock)
        first = await opened(catalog)
        new = NewPromotion.model_validate(first.model_dump() | {"run_id": "another"})
        await catalog.promotions.open(new, [first.uuid])
        assert (await catalog.promotions.get(first.uuid)).state == "lost"
        with pytest.raises(NotFound):
            await catalog.promotions.get("nobody")


async def test_arriving_twice_tells_the_same_older_ones_again(tmp_path: Path) -> None:
    clock = StandingClock()
    async with new_catalog(tmp_path, clock) as catalog:
        await shop(catalog, clock)
        old = await opened(catalog, "1")
        assert await catalog.promotions.arrive(old.uuid, "dev") == ("", [])
        new = await opened(catalog, "2")
        for _ in range(2):
            by, older = await catalog.promotions.arrive(new.uuid, "dev")
            assert (by, [each.uuid for each in older]) == ("", [old.uuid])
        assert await catalog.promotions.leave(old.uuid) == "2"
        assert await catalog.promotions.arrive(old.uuid, "dev") == ("2", [])
        assert await catalog.promotions.leave(new.uuid) == ""


STEPS = st.lists(
    st.tuples(st.sampled_from(RELEASES), st.sampled_from(["arrive", "leave", "end"])), max_size=14
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_release_passes_a_newer_one_at_a_gate(steps: list[tuple[str, str]]) -> None:
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, str]]) -> None:
    """Against a model: a set of who waits, a set of who is beyond, a set of who gave way."""
    waits, beyond, gone = set[str](), set[str](), dict[str, str]()
    clock = StandingClock()
    with tempfile.TemporaryDirectory() as folder:
        async with new_catalog(Path(folder), clock) as catalog:
            await shop(catalog, clock)
            rows = {version: (await opened(catalog, version)).uuid for version in RELEASES}
            # They are at the gate of dev from the start, but wait only at that of prod.
            for version, word in steps:
                if version not in rows:
                    continue
                uuid = rows[version]
                if word == "arrive":
                    newer = {each for each in waits | beyond if each > version}
                    expected = gone.get(version) or (max(newer) if newer else "")
                    by, _ = await catalog.promotions.arrive(uuid, "prod")
                    assert by == expected
                    if by:
                        gone[version] = by
                        continue
                    overtaken = {each for each in waits if each < version}
                    gone |= {e: version for e in overtaken if gone.get(e, version) == version}
                    beyond.discard(version)
                    waits.add(version)
                elif word == "leave" and version in waits | beyond:
                    assert await catalog.promotions.leave(uuid) == gone.get(version, "")
                    if version not in gone:
                        waits.discard(version)
                        beyond.add(version)
                elif word == "end":
                    await catalog.promotions.end(uuid, PromotionState.REJECTED, "", ())
                    del rows[version]
                    waits.discard(version)
                    beyond.discard(version)


async def test_a_pipeline_with_a_bake_is_kept_and_old_ones_are_read(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        pipeline = read_pipeline(["dev", {"environment": "prod", "bake": "1h"}])
        await catalog.environments.apply(environment(), pipeline, "anna")
        assert await catalog.environments.stages("shop") == pipeline
        applied = await catalog.environments.get("shop", "prod")
        assert (applied.stages, applied.pipeline) == (pipeline, ("dev", "prod"))
        await catalog.environments.apply(environment(), ["prod"], "anna")
        assert await catalog.environments.stages("shop") == (Stage(environment="prod"),)
        with pytest.raises(NotFound, match="no application 'bank'"):
            await catalog.environments.stages("bank")
