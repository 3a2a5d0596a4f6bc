"""A real browser, Debian's Chromium, that opens a page of a given size and keeps what went wrong on it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
DEADLINE_MS = 60_000.0
"""Long, for the machine may be busy; only a test that fails waits for so long."""
LOOPBACK = re.compile(r"(https?|wss?)://(localhost|127\.0\.0\.1|\[::1\])[:/]|(data|blob|about):")
# No name is resolved but this machine's own.
ARGUMENTS = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",)


@dataclass(frozen=True)
class Tab:
    """A page that is open in the browser."""

    page: Page
    """Playwright's page; its waits have `DEADLINE_MS`."""
    errors: list[str] = field(default_factory=list)
    """Uncaught exceptions, the console's errors, and requests for what is not on this machine, as they come."""


@contextmanager
def browser_tab(width: int, height: int, *, colours: Literal["light", "dark"] = "light") -> Iterator[Tab]:
    """Start the browser and open an empty page of that size in CSS pixels; end the browser when left.

    Inside, this thread runs an event loop of playwright's: `asyncio.run` belongs into another thread.
    """
    with tempfile.TemporaryDirectory(prefix="affectd-browser-") as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, env={**os.environ, "HOME": home, "TMPDIR": home}
        )
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=colours)
        page.set_default_timeout(DEADLINE_MS)
        tab = Tab(page)
        page.on("pageerror", lambda error: tab.errors.append(str(error)))
        page.on("console", lambda message: tab.errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: _note_foreign(request.url, tab.errors))
        page.on("websocket", lambda socket: _note_foreign(socket.url, tab.errors))
        try:
            yield tab
        finally:
            browser.close()


def _note_foreign(url: str, errors: list[str]) -> None:
    if LOOPBACK.match(url) is None:
        errors.append(f"not on this machine: {url}")
