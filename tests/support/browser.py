"""A person who has only the Temporal UI: what Chromium shows, and what is typed and clicked."""

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.async_api import Locator, Page, Route, async_playwright, expect

from tests.support.scene import eventually

PATIENCE = 60_000
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
NO_GRAPHICS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


class TemporalUi:
    """One tab. Everything is found by what a person reads on the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = f"{url}/namespaces/default/workflows"

    async def find(self, query: str, *, rows: int) -> Locator:
        """Search, and again until so many workflows are listed; their rows."""
        found = self.page.locator("tbody").get_by_role("row")
        await self.page.goto(self._url)
        await self.page.get_by_test_id("toggle-manual-query").click()  # the symbol </>
        await self.page.get_by_role("searchbox", name="Enter a query").fill(query)
        await self.page.get_by_role("button", name="Search").click()
        await expect(self.page.get_by_role("button", name="Clear all")).to_be_visible()

        async def listed() -> bool:
            if await found.count() == rows:
                return True
            await self.page.get_by_role("button", name="Refresh").click()
            return False

        await eventually(listed, pause=0.5)
        return found

    async def open(self, workflow_id: str) -> None:
        """The page of a workflow."""
        await self.page.goto(f"{self._url}/{quote(workflow_id, safe='')}")
        await expect(self.page.get_by_role("heading", name=workflow_id)).to_be_visible()

    async def details_that(self, shows: Callable[[str], bool]) -> Locator:
        """The current details, refreshed by the key that the page names until they show it."""
        tab = self.page.get_by_role("tab", name="User Metadata")
        await tab.click()
        await tab.blur()
        body = self.page.frame_locator("iframe").last.locator("main")

        async def shown() -> bool:
            if shows(await body.inner_text()):
                return True
            await self.page.keyboard.press("r")
            return False

        await eventually(shown, pause=0.5)
        return body

    async def table(self, body: Locator) -> list[dict[str, str]]:
        """The table of the details, by its heads."""
        lines = await body.get_by_role("row").all()
        cells = [await line.locator("th, td").all_inner_texts() for line in lines]
        head, *rows = [[text.strip() for text in line] for line in cells]
        return [dict(zip(head, row, strict=True)) for row in rows]

    @asynccontextmanager
    async def saying(self, what: str, name: str, data: str) -> AsyncIterator[Locator]:
        """The dialog `Send a Signal` or `Send an Update`, after it was submitted."""
        await self.page.get_by_role("button", name="More Actions").click()
        await self.page.get_by_role("menuitem", name=what).click()
        dialog = self.page.get_by_role("dialog", name=what)
        await dialog.get_by_role("button", name=re.compile("^Select a")).click()
        await dialog.get_by_role("option", name=re.compile(f"^{name} ")).click()
        await self._type(dialog, data)
        await dialog.get_by_role("button", name="Submit").click()
        yield dialog

    async def say(self, what: str, name: str, data: str = "") -> None:
        """Send a signal or an update that is accepted: the dialog closes."""
        async with self.saying(what, name, data) as dialog:
            await expect(dialog).to_be_hidden()

    async def refused(self, name: str, data: str, picture: str = "") -> str:
        """Send an update that is refused; what the dialog says, without its frame."""
        async with self.saying("Send an Update", name, data) as dialog:
            words = dialog.get_by_role("alert").get_by_role("paragraph")
            await expect(words).to_be_visible()
            if picture:
                await self.picture(picture)
            said = await dialog.get_by_role("alert").last.inner_text()
            await dialog.get_by_role("button", name="Cancel").last.click()
            await expect(dialog).to_be_hidden()
        return said.strip()

    async def start(self, workflow_id: str, kind: str, data: str, picture: str = "") -> None:
        """Fill the start page in and start; the page of the workflow."""
        page = self.page
        await page.goto(self._url)
        await page.get_by_role("link", name="Start Workflow").click()
        await page.get_by_role("textbox", name="Workflow ID").fill(workflow_id)
        await page.get_by_role("textbox", name="Task Queue").fill("apollo")
        await page.get_by_role("textbox", name="Workflow Type").fill(kind)
        await self._type(page.get_by_role("main"), data)
        if picture:
            await self.picture(picture)
        await page.get_by_role("button", name="Start Workflow").click()
        await page.get_by_role("link", name="Workflow started successfully").click()
        await expect(page.get_by_role("heading", name=workflow_id)).to_be_visible()

    async def status(self, word: str) -> None:
        """Wait until the page shows that the workflow runs, is completed or failed."""
        await expect(self.page.get_by_role("status").get_by_text(word).first).to_be_visible()

    async def reads(self, where: Locator, words: str) -> None:
        """Wait until these words are to be read."""
        await expect(where.get_by_text(words).first).to_be_visible()

    async def picture(self, name: str) -> None:
        """A picture for the documentation, where they are asked for."""
        if os.environ.get("APOLLO_PICTURES"):
            await self.page.mouse.move(0, 0)
            await self.page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")

    async def _type(self, where: Locator, data: str) -> None:
        if data:
            box = where.get_by_role("textbox", name="Data")
            await box.click()
            await self.page.keyboard.press("Control+a")  # what was refused before
            await self.page.keyboard.insert_text(data)
            await box.blur()  # now it is written on several lines, and what is below moves


@asynccontextmanager
async def temporal_ui(chromium: str, url: str) -> AsyncIterator[TemporalUi]:
    """Debian's Chromium, headless, which speaks to this machine only."""
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=NO_GRAPHICS)
        try:
            context = await browser.new_context(
                viewport={"width": 1280, "height": 860}, timezone_id="UTC", locale="en-GB"
            )
            context.set_default_timeout(PATIENCE)
            await context.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), _nowhere)
            yield TemporalUi(await context.new_page(), url)
        finally:
            await browser.close()


async def _nowhere(route: Route) -> None:
    await route.abort()


def inputs(page: str) -> dict[str, str]:
    """What a documentation page has people type, by its titles."""
    blocks = re.findall(r'```(?:json|text) title="(.+?)"\n(.+?)```', page, re.DOTALL)
    return {title: text.strip() for title, text in blocks}
