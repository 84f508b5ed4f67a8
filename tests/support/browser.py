"""A real browser, driven through its debugging pipe."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.stage import until

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"),
)
_TEXT = """\
[document, ...Array.from(document.querySelectorAll("iframe")).map(each => each.contentDocument)]
    .map(each => each && each.body ? each.body.innerText : "").join("\\n")
"""


@dataclass
class Page:
    """One page of a browser."""

    reader: asyncio.StreamReader
    pipe: int
    session: str = ""
    sent: int = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Say a word of the DevTools protocol; its answer."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.pipe, json.dumps(message).encode() + b"\0")
        while True:
            said = json.loads((await self.reader.readuntil(b"\0"))[:-1])
            if said.get("id") == self.sent:
                assert "error" not in said, said
                answer: dict[str, Any] = said["result"]
                return answer

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """What a script comes to on the page."""
        said = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return said["result"].get("value")

    async def text(self) -> str:
        """What a person sees, in frames too."""
        return await self.run(_TEXT) or ""

    async def until(self, words: str, patience: float = 60) -> str:
        """Wait until the page shows these words; all that it shows."""
        shown = ""

        async def there() -> bool:
            nonlocal shown
            shown = await self.text()
            return words in shown

        await until(there, f"the page shows {words!r}", patience)
        return shown


@asynccontextmanager
async def browsing(program: str, folder: Path) -> AsyncIterator[Page]:
    """A browser with one page, while the context is open."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    wrapper = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", wrapper, program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"),
        pass_fds=(theirs_in, theirs_out),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    pipe = os.fdopen(ours_in, "rb")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        page = Page(reader, ours_out)
        target = await page.call("Target.createTarget", url="about:blank")
        attached = await page.call("Target.attachToTarget", flatten=True, **target)
        page.session = attached["sessionId"]
        yield page
    finally:
        process.terminate()
        await process.wait()
        transport.close()
        os.close(ours_out)
