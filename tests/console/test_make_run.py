"""The link that `make run` prints, opened by a real browser."""

import re
from pathlib import Path

import httpx
import pytest

from tests.console.chromium import PROGRAM, launched, watched
from tests.console.steps import finish, make_key
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import PLAINTEXTS, wait_until
from tests.harness.make_run import MakeRun

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="Chromium is not installed")


def status(run: MakeRun, secret: str) -> int:
    url = f"http://127.0.0.1:{run.port}{PATHS['chat']}"
    headers = {"authorization": f"Bearer {secret}"}
    asked = body("chat", "Hello")
    return httpx.post(url, json=asked, headers=headers, timeout=30, trust_env=False).status_code


def link(printed: str) -> tuple[str, str]:
    """The origin and the path of the printed link."""
    found = re.search(r"^ +(http://[^/]+)(/console/start/\S+)$", printed, re.MULTILINE)
    assert found is not None, printed
    return found[1], found[2]


def test_its_link_signs_in_and_a_key_made_there_stays(tmp_path: Path) -> None:
    run = MakeRun(tmp_path)
    with launched() as chromium:
        with run.running() as printed:
            origin, path = link(printed)
            with watched(chromium, origin, locale="en-GB") as page:
                page.open(path).page.click("main button")
                page.page.wait_for_url("**/console")
                assert "Treasurer: " in page.open("/console/settings").page.inner_text("main")
                assert "demo/alice" in page.open("/console").page.inner_text("h1")
                secret = make_key(page, "from the link")
                PLAINTEXTS.add(secret)
                finish(page)
                key = page.page.url.removeprefix(origin)
            assert status(run, secret) == 200
        with run.running() as printed:
            assert status(run, secret) == 200
            origin, path = link(printed)
            with watched(chromium, origin, locale="en-GB") as page:
                page.open(path).page.click("main button")
                page.page.wait_for_url("**/console")
                page.open(key).page.click("summary:has-text('Revoke')")
                page.page.fill("#name", "from the link")
                page.page.click("text=Revoke key")
                assert page.message() == "The key is revoked."
            wait_until(lambda: status(run, secret) == 401, "the key to be refused")
