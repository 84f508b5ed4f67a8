"""The parts that every environment needs: Temporal, its workers, the catalog, the store."""

import asyncio
import functools
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from temporalio.client import Client

from apollo import names
from apollo.artifacts.objects import SCHEMES
from apollo.catalog.engine import with_driver
from apollo.catalog.migration import revisions
from apollo.cluster import ABSENT, namespace_retention, pollers, search_attributes
from apollo.codec import KeyRing
from apollo.doctor.finding import Finding, bad, good, note
from apollo.errors import ApolloError, BadEncryptionKey
from apollo.local.process import find_program
from apollo.settings import LENT, Settings
from apollo.versions import current_build
from apollo.wiring import connect_temporal

Value = TypeVar("Value")
_PROGRAMS = ("temporal", "caddy")


async def tried(what: str, work: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """The findings of a check; an error of Apollo's is one too."""
    try:
        return await work()
    except ApolloError as error:
        return [bad(what, error.message, "an answer", error.hint)]


async def check_temporal(settings: Settings) -> tuple[list[Finding], Client | None]:
    """Whether the server answers, has the namespace, and knows the search attributes."""
    try:
        client = await connect_temporal(settings)
    except ApolloError as error:
        return [bad("temporal", error.message, "a server that answers", error.hint)], None
    found = [good("temporal", f"answers at {client.service_client.config.target_host}")]
    namespace = await tried("namespace", lambda: _namespace(client))
    if any(each.grade == "bad" for each in namespace):
        return [*found, *namespace], None
    return [*found, *namespace, *await tried("attributes", lambda: _attributes(client))], client


async def _namespace(client: Client) -> list[Finding]:
    kept = await namespace_retention(client)
    if kept is None:
        hint = f"apollo cluster setup --namespace {client.namespace}"
        return [bad("namespace", f"no namespace {client.namespace}", "it to be there", hint)]
    days = f"{kept / timedelta(days=1):g} days"
    return [good("namespace", f"{client.namespace}, keeps what has ended for {days}")]


async def _attributes(client: Client) -> list[Finding]:
    there = await search_attributes(client)
    missing = [key.name for key in names.SEARCH_ATTRIBUTES if key.name not in there]
    if missing:
        found, hint = f"without {', '.join(missing)}", "apollo cluster setup, or start a worker"
        return [bad("attributes", found, "all search attributes", hint)]
    return [good("attributes", f"all {len(names.SEARCH_ATTRIBUTES)} are there")]


def check_encryption(settings: Settings) -> list[Finding]:
    """With which key what Temporal is told is encrypted; nothing when it is not."""
    try:
        ids = KeyRing.parse(settings.encryption_key).ids
    except BadEncryptionKey as error:
        return [bad("encryption", error.message, "keys", error.hint)]
    if not ids:
        return []
    more = f"; {', '.join(ids[1:])} decrypt too" if ids[1:] else ""
    return [good("encryption", f"with the key {ids[0]}{more}")]


async def check_workers(client: Client, locations: Iterable[str] = ()) -> list[Finding]:
    """Who polls the queues: control, hosts, and those of locations with workers of their own."""
    polled = [
        ("control", names.CONTROL_QUEUE, "--role control"),
        ("hosts", names.hosts_queue(), "--role hosts"),
    ]
    for location in locations:
        queue = names.hosts_queue(location)
        polled.append((location, queue, f"--role hosts --locations {location}"))
    build, found = await _build(client)
    for name, queue, flags in polled:
        what = f"workers {name}"
        found += await tried(what, functools.partial(_workers, client, what, queue, flags, build))
    return found


async def _build(client: Client) -> tuple[str, list[Finding]]:
    """The build whose workers count, and what is found of it; nothing where workers have none."""
    try:
        build = await current_build(client)
        without = any(not each.build for each in await pollers(client, names.CONTROL_QUEUE))
    except ApolloError:  # a server that knows no builds is no fault; what else it says comes below
        return "", []
    if build == "" and not without:
        why, hint = "workers have builds, and none is current", "apollo cluster switch BUILD"
        return "", [bad("build", why, "a build on which deployments begin", hint)]
    return build or "", [good("build", f"deployments begin on {build}")] if build else []


async def _workers(client: Client, what: str, queue: str, flags: str, build: str) -> list[Finding]:
    known = [each for each in await pollers(client, queue) if build in ("", each.build)]
    here = [each for each in known if datetime.now(UTC) - each.seen < ABSENT]
    if here:
        return [good(what, f"{len(here)} polling {queue}: {here[0].identity}")]
    last = f"; {known[0].identity} did until {known[0].seen:%H:%M:%S} UTC" if known else ""
    expected = "a worker; one whose slots are all taken is not seen either"
    nobody = f"nobody of build {build}" if build else "nobody"
    command = f"APOLLO_BUILD_ID={build} apollo" if build else "apollo"
    return [bad(what, f"{nobody} polls {queue}{last}", expected, f"{command} worker {flags}")]


async def check_catalog(settings: Settings) -> list[Finding]:
    """Whether the catalog answers and has the tables of this version."""

    async def look() -> list[Finding]:
        found, newest = await asyncio.to_thread(revisions, settings.catalog_url)
        if found == newest:
            return [good("catalog", f"{_shown(settings)}, revision {found}")]
        hint = "start a control worker of this version: it makes them"
        if found and found > newest:
            hint = "use the newest Apollo that has worked with this catalog"
        has = f"has tables of revision {found}" if found else "has no tables"
        return [bad("catalog", f"{_shown(settings)} {has}", f"revision {newest}", hint)]

    return await tried("catalog", look)


def _shown(settings: Settings) -> str:
    return with_driver(settings.catalog_url).render_as_string(hide_password=True)


def check_store(settings: Settings) -> list[Finding]:
    """Whether a file can be made in the store, or the store itself, when it is not there yet."""
    if settings.store == LENT:
        return [note("store", "is lent by the control worker", "for workers of hosts alone")]
    if settings.store.startswith(SCHEMES):
        return [note("store", f"{settings.store} is not asked", "a deployment shows what it says")]
    folder = settings.store_folder.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"apollo")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        found, hint = f"{there}: {error.strerror}", "see APOLLO_STORE, its owner and its disk"
        return [bad("store", found, "a folder that can be written", hint)]
    made = "can be written" if there == folder else "is made when it is first used"
    return [good("store", f"{folder} {made}")]


def check_programs() -> list[Finding]:
    """Whether `apollo up` and `apollo demo` would find what they run; a cluster needs neither."""
    found: dict[str, str] = {}
    for name in _PROGRAMS:
        try:
            found[name] = find_program(name)
        except ApolloError as error:
            why = f"no {name}: apollo up and apollo demo would not run here"
            return [note("programs", why, error.hint)]
    return [good("programs", ", ".join(found.values()))]
