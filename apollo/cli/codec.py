"""`apollo codec`."""

import asyncio
import ipaddress
import signal
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from apollo.cli.misuse import Misused
from apollo.cli.render.terminal import show, talk
from apollo.cli.settings import read_settings
from apollo.codec.encryption import EncryptionCodec
from apollo.codec.keys import KeyRing, new_key
from apollo.codec.server import CodecServer
from apollo.errors import Refused
from apollo.links import ui_address

Port = Annotated[int, Parameter(help="Where it listens.", show_default=True)]
Host = Annotated[str, Parameter(help="On which address.", show_default=True)]
Origin = Annotated[
    list[str] | None,
    Parameter(help="Whose pages may ask: the Temporal UI's address. By default that of APOLLO_UI."),
]


async def key() -> int:
    """Print a new key for APOLLO_ENCRYPTION_KEY."""
    made = new_key()
    show([made])
    talk(f"Its id is {KeyRing.parse(made).ids[0]}. What is lost with a key cannot be read again.")
    return 0


async def serve(*, port: Port = 8081, host: Host = "127.0.0.1", origin: Origin = None) -> int:
    """Decrypt for Temporal's UI and its program, until Ctrl-C."""
    settings = read_settings()
    keys = KeyRing.parse(settings.encryption_key)
    if not keys.ids:
        raise Refused(
            "APOLLO_ENCRYPTION_KEY is not set: there is nothing to decrypt with",
            hint="apollo codec key prints a key; the workers and this server need the same",
        )
    if not _is_loopback(host) and not settings.codec_token:
        raise Refused(
            f"{host} can be reached by others, who could decrypt everything",
            hint="set APOLLO_CODEC_TOKEN, or stay on loopback and put a proxy that knows your "
            "people before it",
        )
    origins = frozenset(map(_origin, origin or filter(None, [ui_address(settings)])))
    server = CodecServer(EncryptionCodec(keys), origins, settings.codec_token)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with server.serving(host, port) as listening:
            at = f"[{host}]" if ":" in host else host
            show([f"http://{at}:{listening}"])
            talk(f"Keys    {', '.join(keys.ids)}")
            talk(f"Pages   {', '.join(sorted(origins)) or 'of nobody: see --origin'}")
            await stop.wait()
    except OSError as error:
        raise Refused(f"{host}:{port}: {error.strerror}", hint="see --port and --host") from error
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(address: str) -> str:
    """The origin of an address, as browsers write it."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Misused(f"--origin {address}: expected an address", hint="write http://host:8080")
    return f"{parts.scheme}://{parts.netloc}".lower()
