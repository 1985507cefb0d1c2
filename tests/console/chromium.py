"""A real browser: Debian's Chromium, with everything it complains about noted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

PROGRAM = Path("/usr/bin/chromium")
_AXE = Path(os.environ.get("FAREGATE_TEST_NODE_MODULES", "/nowhere")) / "axe-core/axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_TAB_PRESSES_MAX = 80


class Watched:
    """One page of the browser. It notes errors, violations of the policy, and other hosts."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.origin = origin
        self.faults: list[str] = []
        #: what paths to open may name, by the names there
        self.names: dict[str, str] = {}
        self.page.on("console", self._on_message)
        self.page.on("pageerror", lambda error: self.faults.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._on_request)

    def _on_message(self, message: ConsoleMessage) -> None:
        # A status that a test asks for is no fault of the page.
        is_status = "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not is_status:
            self.faults.append(f"{self.page.url}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.faults.append(f"{self.page.url}: asks {request.url}")

    def open(self, path: str) -> "Watched":
        answer = self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.status < 500, path
        return self

    def violations(self) -> list[str]:
        """The findings of axe about the page as it is now."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_AXE.read_text(encoding="utf-8"))
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        options["runOnly"] = _RULES
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{self.page.url}: {one['id']}: {node['html'][:150]}: {node['failureSummary'][:300]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def is_too_wide(self) -> bool:
        """True if the page can be scrolled sideways."""
        wide: bool = self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def tab_to(self, words: str) -> None:
        """Press Tab until something with these words, or of this label, has the focus."""
        for _ in range(_TAB_PRESSES_MAX):
            self.page.keyboard.press("Tab")
            shown: str = self.page.evaluate(
                "(e => e.labels?.[0]?.textContent || e.textContent || '')(document.activeElement)"
            )
            if shown.strip() == words:
                return
        raise AssertionError(f"no way to {words!r} by Tab on {self.page.url}")

    def message(self) -> str:
        """The message after a form was sent; it has the focus."""
        self.page.wait_for_function("document.activeElement.role === 'status'")
        return self.page.inner_text("[role=status]:focus").strip()


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, origin: str, **options: Any) -> Iterator[Watched]:
    """A page in a profile of its own; nothing may be wrong with it in the end."""
    context = browser.new_context(**options)
    try:
        page = Watched(context, origin)
        yield page
        assert page.faults == [], page.faults
    finally:
        context.close()
