"""The way through all pages, and a picture of each in every form."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tests.console.chromium import Watched, launched, watched
from tests.console.steps import link_for_everything
from tests.harness.gateway import GatewayProcess
from tests.pictures.all import FOLDER
from tests.screenshots.month import count, live_a_month

#: by language, where its browser is
LANGUAGES = {"en": "en-GB", "zh-Hans": "zh-CN"}
_THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
#: heights by width
_SIZES = {1280: 800, 320: 640}
_SHOWN_IN = "en"
#: what the docs show: the upper part of a page, in a theme and width
SHOWN = {
    "console-overview.png": ("overview", "light", 1280),
    "console-key.png": ("key-made", "light", 1280),
    "console-usage.png": ("usage", "light", 1280),
    "console-small.png": ("overview", "dark", 320),
}
#: the pages by the names of their pictures
_PAGES = {
    "overview": "?account=team/research",
    "overview-empty": "?account=team/playground",
    "keys": "/keys?account=team/research",
    "keys-revoked": "/keys?revoked=1&account=team/research",
    "key-new": "/keys/new?account=team/research",
    "usage": "/usage?account=team/research",
    "usage-models": "/usage?by=model&days=7&account=team/research",
    "usage-empty": "/usage?account=team/playground",
    "ledger": "/ledger?account=team/research",
    "usage-year": "/usage?by=route&days=365&account=team/support",
    "ledger-grants": "/ledger?kind=grant&account=team/research",
    "setup": "/setup?account=team/research",
    "setup-codex": "/setup?client=codex&account=team/research",
    "settings": "/settings",
    "accounts": "/accounts",
    "account": "/accounts/team/research",
    "grants": "/grants",
    "grant-new": "/grants/new?account=team/support",
    "people": "/people",
    "events": "/events",
    "not-found": "/nowhere",
}
#: writes other words over those of the page, in texts and fields
_WRITE_OVER = """words => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const over = text => words.reduce((all, [from, to]) => all.replaceAll(from, to), text)
  while (walk.nextNode()) walk.currentNode.data = over(walk.currentNode.data)
  for (const field of document.querySelectorAll("input[readonly]")) field.value = over(field.value)
}"""


class Camera:
    """One browser page, and the folder where its pictures go."""

    def __init__(self, page: Watched, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self.taken = 0

    def take(self, name: str, language: str, *, secret: str = "") -> None:
        """The page as it is now, in every form. No picture holds a whole key."""
        browser = self._page.page
        words = [[self._page.origin, "https://faregate.example.com"]]
        if secret:
            words.append([secret, f"{secret[:9]}…"])
        browser.evaluate(_WRITE_OVER, words)
        for theme in _THEMES:
            browser.emulate_media(color_scheme=theme)
            for width, height in _SIZES.items():
                browser.set_viewport_size({"width": width, "height": height})
                path = self._folder / f"{name}-{language}-{theme}-{width}.png"
                browser.screenshot(path=path, full_page=True)
                if language == _SHOWN_IN:
                    self._keep(name, theme, width)
                self.taken += 1

    def _keep(self, name: str, theme: str, width: int) -> None:
        for shown, place in SHOWN.items():
            if place == (name, theme, width):
                self._page.page.screenshot(path=FOLDER / shown)


def take_all(gateway: GatewayProcess, folder: Path) -> int:
    """The number of pictures."""
    with launched() as browser:
        taken = 0
        for language, locale in LANGUAGES.items():
            with watched(browser, gateway.url, locale=locale) as page:
                camera = Camera(page, folder)
                _signed_out(camera, page, gateway, language)
                if language == _SHOWN_IN:
                    _make_keys(page)
                    live_a_month(gateway)
                count(gateway)
                _signed_in(camera, page, language)
                taken += camera.taken
    return taken


def _signed_out(camera: Camera, page: Watched, gateway: GatewayProcess, language: str) -> None:
    for name in ("sign-in", "signed-out"):
        page.open(f"/console/{name}")
        camera.take(name, language)
    page.open(link_for_everything(gateway))
    camera.take("start", language)
    page.page.click("main button")
    page.page.wait_for_url("**/console")


def _signed_in(camera: Camera, page: Watched, language: str) -> None:
    for name, path in [*_PAGES.items(), *_found(page)]:
        page.open(f"/console{path}")
        camera.take(name, language)
    secret = _make_key(page, "workstation", leave=False)
    camera.take("key-made", language, secret=secret)
    page.page.check("input[data-stored]")
    page.page.click("main form button.primary")
    page.page.set_viewport_size({"width": 320, "height": 640})
    page.open("/console?account=team/research").page.click(".menu-button")
    camera.take("menu", language)


def _found(page: Watched) -> Iterator[tuple[str, str]]:
    """Pages of single things: a person's key, and an object's."""
    page.open("/console/keys?account=team/research")
    for name, words in (("key", "my laptop"), ("key-object", "team/agents")):
        path = page.page.get_attribute(f"th a:has-text('{words}')", "href")
        assert path is not None
        yield name, path.removeprefix("/console")


def _make_keys(page: Watched) -> None:
    for name in ("my laptop", "nightly evaluation", "an old script"):
        _make_key(page, name)
    _revoke(page, name)


def _make_key(page: Watched, name: str, *, leave: bool = True) -> str:
    page.open("/console/keys/new?account=team/research").page.fill("#label", name)
    page.page.click("main form button.primary")
    secret = page.page.input_value("#secret")
    if leave:
        page.page.check("input[data-stored]")
        page.page.click("main form button.primary")
        page.page.wait_for_selector("h1")
    return secret


def _revoke(page: Watched, name: str) -> None:
    page.page.click("details:has(#name) summary")
    page.page.fill("#name", name)
    page.page.click("button.danger")
    page.message()
