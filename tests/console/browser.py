"""A browser without a screen: it keeps cookies, sends the headers of one, and posts forms."""

import re
from html import unescape
from types import TracebackType

import httpx

from gateway.console.rendering import FORM_TOKEN
from tests.harness.gateway import PLAINTEXTS
from tests.harness.plain import NO_TLS

_FORM = re.compile(r'<form[^>]*method="post" action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_SESSION = re.compile(r"(?:__Host-)?faregate=([\w-]{40,});")
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')


def token_of(page: httpx.Response) -> dict[str, str]:
    """The token that all forms of the page's session have."""
    return {FORM_TOKEN: dict(_HIDDEN.findall(page.text))[FORM_TOKEN]}


def _note_session(response: httpx.Response) -> None:
    """The canary at the suite's end looks for the secrets of sessions, too."""
    for cookie in response.headers.get_list("set-cookie"):
        if session := _SESSION.match(cookie):
            PLAINTEXTS.add(session[1])


class Browser:
    """One browser at one origin."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = httpx.Client(
            base_url=origin, trust_env=False, verify=NO_TLS, follow_redirects=False, timeout=30,
            event_hooks={"response": [self._trust_loopback, _note_session]},
        )  # fmt: skip

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def _trust_loopback(self, response: httpx.Response) -> None:
        """Send cookies that are for TLS only to the loopback without it, as browsers do."""
        if response.url.host == "127.0.0.1":
            for cookie in self.http.cookies.jar:
                cookie.secure = False

    def keep(self, cookies: dict[str, str]) -> None:
        """Have these cookies again, as the console set them."""
        for name, value in cookies.items():
            self.http.cookies.set(name, value, domain="127.0.0.1", path="/")

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path, headers={"sec-fetch-site": "none"})

    def post(
        self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        sent = {"sec-fetch-site": "same-origin", "origin": self.origin}
        return self.http.post(path, data=fields, headers=sent if headers is None else headers)

    def submit(
        self, page: httpx.Response, action: str, fields: dict[str, str] | None = None
    ) -> httpx.Response:
        """Post the page's form of this action, as the page has it and with these fields."""
        for path, content in _FORM.findall(page.text):
            if unescape(path) == action:
                hidden = {name: unescape(value) for name, value in _HIDDEN.findall(content)}
                return self.post(action, hidden | (fields or {}))
        raise AssertionError(f"no form posts to {action}: {page.text}")
