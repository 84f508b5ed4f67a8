"""With a key, nothing can be read in a history but ids, names and search attributes."""

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect
from temporalio.common import HeaderCodecBehavior
from temporalio.worker import Replayer, Worker

from apollo import names
from apollo.activities.hosts import HostActivities
from apollo.activities.lease import LeaseKeeper
from apollo.codec import EncryptionCodec, KeyRing, data_converter, new_key
from apollo.codec.server import CodecServer
from apollo.domain.environment import Webhook
from apollo.domain.fleet import Fleet
from apollo.domain.rollout import LeaseInput
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed, NotFound, Refused, Undecryptable
from apollo.settings import Settings
from apollo.testing.ports import ReservedPort
from apollo.wiring import connect_temporal
from apollo.workers.worker import WORKFLOWS, activities_of
from tests.support.browser import temporal_ui
from tests.support.promotions import pipeline, promote
from tests.support.readable import Dump, dumps
from tests.support.receiver import receiving
from tests.support.stage import Running, Stage, connected, failures, open_stage, until

WORDS = (
    "wombat",  # why somebody did something
    "expected 0",  # what a failed hook said
    "played",  # why a host could not be reached
    "10.0.0.",  # addresses of hosts
    "/srv/shop",  # where they keep releases
    "numbat",  # what a hook prints
    "site-packages",  # stack traces
    '"phase"',  # names of the fields of Apollo's own messages
    "webhook 1",  # summaries
    "validate, number, plan",
)
KEY = new_key()
ROOT = Path(__file__).parents[2]
DULL = re.compile(
    r"-?[\d.:]+s?|[A-Z][A-Z_]+|\d{4}-\d\d-\d\dT[\d:.]+Z"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/request)?|[0-9a-f]{32}"
)
"""Numbers, durations, times, words of Temporal's enumerations, UUIDs and digests."""
READABLE = {
    "workflowId": "ids of workflows",
    "activityId": "ids of activities",
    "requestId": "ids of requests",
    "name": "names of workflows, activities, updates and task queues",
    "workflowTypeName": "names of workflows, activities, updates and task queues",
    "normalName": "names of workflows, activities, updates and task queues",
    "taskQueue": "names of workflows, activities, updates and task queues",
    "signalName": "names of signals",
    "namespace": "the namespace",
    "parentWorkflowNamespace": "the namespace",
    "identity": "process id and machine",
    "lastWorkerIdentity": "process id and machine",
    "type": "the kind of an error",
    "message": "`Encoded failure`",
    "markerName": "changes of Apollo's own code",
    "data": "changes of Apollo's own code",
    "encoding": "how a payload is encoded",
    "sdkName": "the SDK and its version",
    **dict.fromkeys(
        (
            *(key.name for key in names.SEARCH_ATTRIBUTES),
            *("TemporalChangeVersion", "BuildIds"),
            *("TemporalScheduledById", "TemporalScheduledStartTime"),
        ),
        "search attributes",
    ),
}
"""Field of Temporal's → what the page calls it."""


@pytest.fixture(scope="module")
def codec_port() -> Iterator[int]:
    """Where browsers look for the codec server."""
    port = ReservedPort()
    yield port.number
    port.release()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sealed(tmp_path_factory: pytest.TempPathFactory, codec_port: int) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("sealed")
    endpoint = f"http://127.0.0.1:{codec_port}"
    async with open_stage(folder, encryption_key=KEY, codec_endpoint=endpoint) as stage:
        yield stage


@pytest.fixture(scope="module")
async def kept(sealed: Stage) -> list[Dump]:
    """What Temporal keeps of all that was done, with a key."""
    return await everything(sealed)


async def everything(stage: Stage) -> list[Dump]:
    """Workflows of all kinds that end in several ways; what Temporal keeps of them."""
    async with receiving() as receiver:
        hook = Webhook(webhook=receiver.url("/hook"), on=("paused", "rolled_back"))
        play = await stage.play(notify=[hook], alarms=["errors"], max_unreachable="100%")
        play.setup = {"hooks": {"install": "bin/i"}, "once": {"before": {"run": "bin/migrate"}}}
        await play.deploy("1.0")
        play.script.ends |= {"h1": [ConnectFailed], "h2": [Outcome.REVERTED]}
        play.script.hold("h2")
        play.script.prints["h2"] = "numbat"
        running = await play.start("1.1", reason="wombat: deploy")
        await play.began("h2")
        while_it_runs = await beating(stage, running.batch())
        read = stage.apollo.follow_logs(play.application, "prod", "h2", wait=False)
        assert [part.text async for _, part in read] == ["numbat"]
        await running.said.pause("wombat: pause")
        with pytest.raises(Refused, match="nothing waits"):
            await running.said.approve("wombat: approve")
        await running.said.resume("wombat: resume")
        play.script.let_go()
        assert (await running.result()).state == "rolled_back"
        assert set(await play.look()) == {"h1", "h2", "h3", "h4"}
        await until(lambda: "rolled_back" in receiver.states("/hook"), "the webhook is told")
    await promoted(stage)
    unknown = await stage.apollo.deploy(play.application, "prod", "9.9", reason="wombat: unknown")
    with pytest.raises(NotFound):
        await unknown.result()
    return [while_it_runs, *await dumps(stage.client)]


async def promoted(stage: Stage) -> None:
    """A promotion with an approval, and another that a schedule starts."""
    play = await pipeline(stage, approval=True)
    started = await promote(play, reason="wombat: promote")
    await started.until("awaiting", "prod")
    await started.said.approve("wombat: go", environment="prod")
    assert (await started.result()).state == "succeeded"
    await stage.apollo.schedules.create_promotion(
        play.application,
        "nightly",
        from_="dev",
        to="staging",
        cron="0 10 1 1 *",
        reason="wombat: schedule",
    )
    run = await stage.apollo.schedules.trigger(play.application, "nightly")
    await stage.client.get_workflow_handle(run.workflow_id).result()


async def beating(stage: Stage, workflow_id: str) -> Dump:
    """What Temporal keeps of a workflow once an activity of it has given a sign of life."""
    found: list[Dump] = []

    async def beats() -> bool:
        found[:] = await dumps(stage.client, f"WorkflowId = '{workflow_id}'")
        return bool(found) and "heartbeatDetails" in found[0].exported

    await until(beats, "a turn gives a sign of life")
    return found[0]


# What is left to read.


async def test_none_of_the_words_is_in_any_history(kept: list[Dump], stage: Stage) -> None:
    plain = await everything(stage)

    assert {word for word in WORDS if not any(dump.holds(word) for dump in plain)} == set()
    assert {(word, dump.id) for word in WORDS for dump in kept if dump.holds(word)} == set()
    kinds = {"Deployment", "Batch", "Promotion", "Notification", "Look", "Logs", "StageAhead"}
    assert kinds <= {text for dump in kept for path, text in dump.readable() if "ype.name" in path}


async def test_what_can_be_read_are_ids_names_and_search_attributes(kept: list[Dump]) -> None:
    """Not words that somebody thought of: each text in each history and description."""
    found: dict[str, set[str]] = {}
    for path, text in {each for dump in kept for each in dump.readable()}:
        leaf = path.rpartition(".")[2]
        if ".indexedFields." in path:  # Name.data, Name.metadata.type
            leaf = path.partition(".indexedFields.")[2].partition(".")[0]
        if not DULL.fullmatch(text):
            found.setdefault(leaf, set()).add(text)

    assert found.keys() - set(READABLE) == set()
    assert found["message"] == {"Encoded failure"}
    patches = {json.loads(base64.b64decode(text))["id"] for text in found["data"]}
    assert patches == {
        "a batch is told at its start",
        "record by size",
        "record by size alone",
        "record in rounds",
        "words count to the end",
    }
    assert {text.split(":")[0] for text in found["activityId"]} == {"turn"}


def test_the_page_says_what_can_be_read() -> None:
    page = (ROOT / "docs" / "encryption.md").read_text(encoding="utf-8")

    assert [words for words in READABLE.values() if words not in page] == []


async def test_the_codec_is_used_for_headers_too(stage: Stage, tmp_path: Path) -> None:
    """Of what other interceptors add: Temporal's own client leaves them as they are."""
    settings = Settings(home=tmp_path, encryption_key=KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", stage.server.address)
        config = (await connect_temporal(settings)).config(active_config=True)

    assert config["header_codec_behavior"] is HeaderCodecBehavior.CODEC
    codec = config["data_converter"].payload_codec
    assert isinstance(codec, EncryptionCodec)
    assert codec.keys.ids == KeyRing.parse(KEY).ids


# Keys that come and go.


async def test_words_that_are_not_encrypted_are_taken(sealed: Stage) -> None:
    """Signals of the `temporal` program and of the UI, and a start by a client without a key."""
    play = await sealed.play(approval=True)
    await play.release("1.0")
    plain = await connected(sealed.server)
    workflow_id = names.deployment_id(play.application, "prod", "by-hand")
    given = {"application": play.application, "environment": "prod", "release": "1.0"}
    await plain.start_workflow("Deployment", given, id=workflow_id, task_queue="apollo")
    running = play.running(workflow_id)
    await running.until("awaiting")
    await running.signal("approve", "--input", '{"by": "eve", "reason": "by hand"}')

    assert (await running.result()).state == "succeeded"
    (entry,) = await running.audit()
    assert (entry.action, entry.identity, entry.reason) == ("approve", "eve", "by hand")
    with pytest.raises(Undecryptable, match="APOLLO_ENCRYPTION_KEY does not hold here"):
        await plain.get_workflow_handle(workflow_id).result()


async def test_a_worker_without_the_key_holds_up_and_fails_nothing(sealed: Stage) -> None:
    play = await sealed.play()
    await play.release("1.0")
    queue = f"elsewhere-{play.application}"
    given = {"application": play.application, "environment": "prod", "release": "1.0"}
    workflow_id = names.deployment_id(play.application, "prod", "x")
    await sealed.client.start_workflow("Deployment", given, id=workflow_id, task_queue=queue)
    running = play.running(workflow_id)
    keyless = await connected(sealed.server)
    async with replace(sealed, client=keyless).worker(queue):
        await until(lambda: failed(running), "a workflow task fails")
    (first, *_) = failures(await running.events())
    failure = first.workflow_task_failed_event_attributes.failure
    assert f"the key {KeyRing.parse(KEY).ids[0]}, which" in failure.message

    async with sealed.worker(queue):
        assert (await running.result()).state == "succeeded"


async def failed(running: Running) -> bool:
    return bool(failures(await running.events()))


async def test_an_activity_whose_worker_lacks_the_key_is_tried_again(sealed: Stage) -> None:
    play = await sealed.play(hosts=1, locations=1)
    await play.deploy("1.0")
    queue = names.hosts_queue("elsewhere")
    host = play.environment.fleet.hosts[0].model_copy(update={"location": "elsewhere"})
    await play.apply(fleet=Fleet(hosts=(host,)), own_workers=("elsewhere",))
    running = await play.start("1.1")
    keyless = await connected(sealed.server)
    actors = activities_of(HostActivities(sealed.actors))
    async with Worker(keyless, task_queue=queue, activities=actors):

        async def tried() -> bool:
            found = await dumps(sealed.client, f"WorkflowId = '{running.batch()}'")
            return any("does not hold here" in dump.exported for dump in found)

        await until(tried, "a worker without the key has tried it")
    assert play.script.begun() == ["h1"], "nothing was done by the worker that could not read it"
    async with Worker(sealed.client, task_queue=queue, activities=actors):
        assert (await running.result()).outcomes == {"updated": 1}


async def test_after_its_key_was_lost_a_deployment_can_be_buried(sealed: Stage) -> None:
    """Whose turns began can be read; an end that cannot be read is none."""
    play = await sealed.play()
    play.script.hold("h2", "h3", "h4")  # one end alone is not recorded at once
    running = await play.start()
    await until(lambda: len(play.script.turns) >= 3, "h1 has ended")
    await running.handle.terminate()
    await sealed.client.get_workflow_handle(running.batch()).terminate()
    stored = await running.stored()
    keeper = LeaseKeeper(sealed.catalog, await connected(sealed.server, new_key()))
    ask = LeaseInput(
        deployment="x",
        application=play.application,
        environment="prod",
        number=2,
        workflow_id="x",
        run_id="x",
    )

    async def granted() -> bool:
        answer = await keeper.ask(ask)
        return answer is not None and answer.granted_ms is not None

    await until(granted, "another takes the lease over")
    ends = {end.host: end for end in await sealed.catalog.turns.ends(stored.uuid)}
    lost = {host for host, end in ends.items() if end.outcome is Outcome.LOST}
    assert lost == set(play.script.begun())
    play.script.let_go()


async def test_histories_are_replayed_with_their_key(sealed: Stage) -> None:
    play = await sealed.play()
    running = await play.start()
    await running.result()
    history = await running.handle.fetch_history()

    def replayer(key: str) -> Replayer:
        return Replayer(workflows=WORKFLOWS, data_converter=data_converter(key))

    await replayer(f"{new_key()},{KEY}").replay_workflow(history)
    with pytest.raises(RuntimeError, match="does not hold here"):
        await replayer("").replay_workflow(history)


# The codec server.


async def test_temporals_own_program_reads_through_the_codec_server(sealed: Stage) -> None:
    play = await sealed.play()
    play.script.fail("h1")
    play.script.hold("h1")
    running = await play.start(reason="wombat")
    await play.began("h1")
    codec = EncryptionCodec(KeyRing.parse(KEY))
    async with CodecServer(codec, token="numbat").serving("127.0.0.1", 0) as port:
        read = ["--codec-endpoint", f"http://127.0.0.1:{port}", "--codec-auth", "Bearer numbat"]

        async def show(*words: str) -> str:
            return await sealed.temporal("workflow", *words, "-w", running.id)

        details = await show("metadata", *read)
        play.script.let_go()
        await running.result()
        events = await show("show", "--output", "json", *read)
        encrypted = await show("show", "--output", "json")

    assert "wave" in details.lower()
    assert Dump(running.id, b"", events).holds("wombat")
    assert not Dump(running.id, b"", encrypted).holds("wombat")


async def test_the_ui_reads_through_the_codec_server(
    sealed: Stage, codec_port: int, program: Callable[[str], str]
) -> None:
    """Request, summary and the table of current details; nothing while it does not run."""
    play = await sealed.play()
    play.script.hold("h1")
    running = await play.start(reason="wombat")
    await play.began("h1")
    codec = CodecServer(EncryptionCodec(KeyRing.parse(KEY)), frozenset({sealed.server.ui_url}))
    async with temporal_ui(program("chromium"), sealed.server.ui_url) as ui:
        await ui.open(running.id)
        cannot = ui.page.get_by_role("button", name="Codec Server could not connect")
        await expect(cannot).to_be_visible()
        assert "wombat" not in await ui.page.inner_text("body")
        async with codec.serving("127.0.0.1", codec_port):
            await ui.open(running.id)
            await ui.reads(ui.page.locator("body"), '"reason": "wombat"')
            await ui.details_that(lambda text: "wave 1 (4 hosts)" in text)
            summary = ui.page.frame_locator("iframe").first.locator("main")
            assert f"{play.application}/prod 1.0" in await summary.inner_text()
    play.script.let_go()
    await running.result()
