"""The real identity provider of the tests, and a person who signs in at it with a browser."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from tests.console.browser import Browser
from tests.harness.gateway import ROOT, wait_until
from tests.harness.plain import get
from tests.harness.ports import free_port

CLIENT_ID = "console"
CLIENT_SECRET = "a secret of the tests: +%/"
PASSWORD = "a password of the tests"

_FORM = re.compile(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"')


class IdentityProvider:
    """One process of `oidc-provider`; with `certificate`, the folder of its own, it speaks TLS."""

    def __init__(
        self, folder: Path, address: str = "127.0.0.1", certificate: Path | None = None
    ) -> None:
        self.port = free_port()
        scheme = "http" if certificate is None else "https"
        self.origin = f"{scheme}://{address}:{self.port}"
        #: the issuer
        self.url = self.origin
        self.sign_out_url = f"{self.url}/session/end"
        self.log = folder / "issuer.log"
        self._certificate = certificate
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, console_url: str) -> None:
        modules = os.environ["FAREGATE_TEST_NODE_MODULES"]
        script = ROOT / "tests/console/issuer.mjs"
        folder = [] if self._certificate is None else [str(self._certificate)]
        self._launch(["node", str(script), modules, self.url, console_url, *folder])
        self._wait_ready()

    def _launch(
        self, line: list[str], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                line, stdout=log, stderr=log, cwd=cwd, env={**os.environ, **(env or {})},
                start_new_session=True,
            )  # fmt: skip

    def _wait_ready(self, seconds: float = 30) -> None:
        def is_ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            return self._is_ready()

        wait_until(is_ready, "the identity provider", seconds)

    def _is_ready(self) -> bool:
        return "ready" in self.log.read_text()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def set_groups(self, person: str, *names: str) -> None:
        assert get(f"{self.url}/test/groups/{person}?names={','.join(names)}").status_code == 204

    def add(self, person: str) -> None:
        """Know a person without groups: it knows anybody."""


def go_to_issuer(browser: Browser, path: str = "/console/sign-in/start") -> httpx.Response:
    """The console's answer that leads to the identity provider."""
    answer = browser.get(path)
    assert answer.status_code == 303, answer.text
    return answer


def sign_in_there(browser: Browser, answer: httpx.Response, person: str) -> str:
    """Sign in at the identity provider; the path at the console to which it leads back."""
    for _ in range(12):
        if answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(browser.origin):
                parts = urlsplit(target)
                return f"{parts.path}?{parts.query}"
            answer = browser.http.get(target)
            continue
        form = _FORM.search(answer.text)
        assert form, answer.text
        fields = {name: unescape(value) for name, value in _HIDDEN.findall(form[2])}
        for name in ("login", "username"):
            if f'name="{name}"' in form[2]:
                fields |= {name: person, "password": PASSWORD}
        answer = browser.http.post(urljoin(str(answer.url), unescape(form[1])), data=fields)
    raise AssertionError("the identity provider never led back")


def confirm_sign_out(browser: Browser, page: httpx.Response) -> httpx.Response:
    """Answer yes to the provider's question whether to sign out there, if it asks."""
    if page.is_redirect:
        return page
    form = _FORM.search(page.text)
    assert form, page.text
    fields = {name: unescape(value) for name, value in _HIDDEN.findall(form[2])}
    fields |= {"logout": "yes", "confirmLogout": "yes"}
    return browser.http.post(urljoin(str(page.url), unescape(form[1])), data=fields)


def sign_in(browser: Browser, person: str, path: str = "/console/sign-in/start") -> httpx.Response:
    """The console's answer to the way back."""
    return browser.get(sign_in_there(browser, go_to_issuer(browser, path), person))
