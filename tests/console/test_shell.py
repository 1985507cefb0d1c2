"""The shell of the console: the link that signs in, sessions, forms, headers."""

import asyncio
import re
import socket
from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col, select

from gateway.console.headers import SecurityHeaders
from gateway.console.mount import AT_ONCE
from gateway.console.site import site_at
from gateway.core.actor import Actor
from gateway.pipeline.connection import Message, Receive, Scope, Send
from gateway.store.console_tables import SessionRow, SignInLinkRow
from gateway.store.database import Database
from gateway.store.people import Identity, NamespaceRole
from gateway.store.sign_ins import (
    SESSIONS_MAX,
    USUAL,
    SignIn,
    begin_by_link,
    begin_session,
    find_session,
    list_sessions,
    make_link,
)
from gateway.store.sign_outs import end_sessions_of
from tests.console.browser import Browser
from tests.console.steps import link
from tests.harness.gateway import GatewayProcess, run_command

INSTALLATION = "default"
SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def begin(database: Database, sign_in: SignIn) -> str:
    begun = begin_session(database, INSTALLATION, sign_in)
    assert begun is not None
    return begun.secret


def cookies_of(response: httpx.Response) -> list[str]:
    return response.headers.get_list("set-cookie")


def test_a_link_signs_in_once_and_only_by_its_button(
    gateway: GatewayProcess, browser: Browser
) -> None:
    code, printed = run_command("console", "link", "--data", str(gateway.data))
    assert code == 0, printed
    path = printed.strip().removeprefix(gateway.url)
    assert re.fullmatch(r"/console/start/[\w-]{27}", path)
    for _ in range(2):  # a preview uses nothing up
        page = browser.get(path)
        assert page.status_code == 200
        assert cookies_of(page) == []
    answer = browser.submit(page, path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    (cookie,) = cookies_of(answer)
    name, *flags = cookie.split("; ")
    assert re.fullmatch(r"faregate=[\w-]{43}", name)
    assert set(flags) == {"HttpOnly", "Path=/", "SameSite=lax"}
    assert "Treasurer: all namespaces" in browser.get("/console/settings").text
    again = Browser(gateway.url)
    assert again.submit(page, path).status_code == 410
    assert again.get("/console").status_code == 303
    again.http.close()
    assert path.rsplit("/")[-1] not in gateway.log_text()


def test_a_link_ends_the_session_that_the_browser_had(
    gateway: GatewayProcess, treasurer: Browser
) -> None:
    before = treasurer.http.cookies["faregate"]
    path = link(gateway)
    treasurer.submit(treasurer.get(path), path)
    assert treasurer.http.cookies["faregate"] != before
    answer = httpx.get(f"{gateway.url}/console", cookies={"faregate": before})
    assert answer.headers["location"].startswith("/console/sign-in")


def test_nobody_else_gets_in(browser: Browser) -> None:
    away = browser.get("/console")
    assert (away.status_code, away.headers["location"]) == (303, "/console/sign-in")
    assert browser.get("/console/sign-in").status_code == 200
    browser.http.cookies.set("faregate", "x" * 43)
    assert browser.get("/console").status_code == 303
    browser.http.cookies.clear()
    odd = {"cookie": b"faregate=" + bytes([0xE9]) * 43}
    assert browser.http.get("/console", headers=odd).status_code == 303  # type: ignore[arg-type]


def test_signing_out_is_real(gateway: GatewayProcess, treasurer: Browser) -> None:
    page = treasurer.get("/console")
    secret = treasurer.http.cookies["faregate"]
    answer = treasurer.submit(page, "/console/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/signed-out")
    assert "clear-site-data" in answer.headers
    assert "faregate" not in treasurer.http.cookies
    treasurer.http.cookies.set("faregate", secret)
    assert treasurer.get("/console").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    ],
    ids=str,
)
def test_a_form_of_another_site_is_refused(
    gateway: GatewayProcess, treasurer: Browser, headers: dict[str, str]
) -> None:
    token = re.search(r'name="form_token" value="(\w+)"', treasurer.get("/console").text)
    assert token
    fields = {"form_token": token[1]}
    assert treasurer.post("/console/sign-out", fields, headers).status_code == 403
    assert treasurer.get("/console").status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_needs_its_session_s_token(treasurer: Browser, token: str) -> None:
    assert treasurer.post("/console/sign-out", {"form_token": token}).status_code == 403
    assert treasurer.get("/console").status_code == 200


def test_a_form_of_ours_whose_origin_is_hidden_is_taken(treasurer: Browser) -> None:
    """Browsers hide it where the policy is to send no referrer."""
    token = re.search('name="form_token" value="([^"]*)"', treasurer.get("/console").text)
    assert token is not None
    hidden = {"sec-fetch-site": "same-origin", "origin": "null"}
    sent = treasurer.post("/console/sign-out", {"form_token": token[1]}, hidden)
    assert sent.status_code == 303


def test_an_older_browser_s_form_is_known_by_its_origin(treasurer: Browser) -> None:
    token = re.search(r'name="form_token" value="(\w+)"', treasurer.get("/console").text)
    assert token
    sent = treasurer.post(
        "/console/sign-out", {"form_token": token[1]}, {"origin": treasurer.origin}
    )
    assert sent.status_code == 303


def test_another_host_s_name_is_refused(gateway: GatewayProcess, browser: Browser) -> None:
    """A page of another site that makes its name lead here gets nothing."""
    host = f"evil.example:{gateway.port}"
    for path in ("/console", "/console/sign-in", link(gateway)):
        answer = browser.http.get(path, headers={"host": host})
        assert answer.status_code == 421
    local = browser.http.get("/console/sign-in", headers={"host": f"localhost:{gateway.port}"})
    assert local.status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console", 200),
        ("/console/sign-in", 303),
        ("/console/signed-out", 200),
        ("/console/start/unknown", 200),
        ("/console/nothing", 404),
        ("/console/static/nothing.css", 404),
        ("/console/", 303),
    ],
)
def test_every_answer_has_the_headers(treasurer: Browser, path: str, status: int) -> None:
    answer = treasurer.get(path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in SAFE_HEADERS} == SAFE_HEADERS
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers  # this one is plain HTTP
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-request-id"]


def test_a_statement_has_the_policy_of_its_own_style_alone(treasurer: Browser) -> None:
    answer = treasurer.http.get("/console/statement")
    assert answer.status_code == 200
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "style-src 'sha256-" in policy
    assert "frame-ancestors 'none'" in policy


def test_an_error_s_page_has_the_request_s_id(browser: Browser) -> None:
    answer = browser.get("/console/nothing")
    assert answer.headers["x-request-id"] in answer.text


def test_files_have_names_of_their_content(browser: Browser) -> None:
    page = browser.get("/console/sign-in").text
    paths = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page)
    assert len(paths) >= 2
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("url", "policy"),
    [
        ("https://a.example", b"no-referrer"),
        ("http://127.0.0.1:8080", b"no-referrer"),
        ("http://a.example", b"same-origin"),
    ],
)
def test_forms_name_their_origin_where_browsers_trust_no_way(url: str, policy: bytes) -> None:
    """Without TLS and beyond loopback, browsers send `Origin` alone, and `no-referrer` hides it."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {}

    asyncio.run(SecurityHeaders(app, site_at(url))({}, receive, send))
    assert dict(sent[0]["headers"])[b"referrer-policy"] == policy


def test_a_large_body_is_refused_before_it_is_read(browser: Browser) -> None:
    answer = browser.post("/console/sign-out", {"form_token": "x" * 70_000})
    assert answer.status_code == 413


def test_forms_that_come_slowly_keep_nobody_waiting(
    gateway: GatewayProcess, browser: Browser
) -> None:
    with ExitStack() as stack:
        for number in range(AT_ONCE):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            slow.sendall(
                b"POST /console/sign-in/key HTTP/1.1\r\n"
                b"host: 127.0.0.1:%d\r\nsec-fetch-site: same-origin\r\ncookie: a=%d\r\n"
                b"content-type: application/x-www-form-urlencoded\r\n"
                b"content-length: 9\r\nexpect: 100-continue\r\n\r\n" % (gateway.port, number)
            )
            assert slow.recv(100).startswith(b"HTTP/1.1 100 ")  # its body is being read
        browser.http.cookies.set("a", "mine")
        assert browser.get("/console/sign-in").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["?account=a%00/b", "/accounts?search=%00", "/ledger?key=%00"],
)
def test_a_text_that_no_database_holds_is_refused(treasurer: Browser, path: str) -> None:
    assert treasurer.get(f"/console{path}").status_code == 400


def test_nor_is_it_taken_from_a_form(treasurer: Browser) -> None:
    page = treasurer.get("/console/grants/new")
    fields = {"account": "team/nul", "credits": "5", "reference": "nul", "reason": "a\0b"}
    assert treasurer.submit(page, "/console/grants", fields).status_code == 400


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https:evil.example", "/console//x", "/x", ""]
)
def test_nobody_is_sent_to_another_host(treasurer: Browser, path: str) -> None:
    answer = treasurer.http.get("/console/sign-in", params={"next": path})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_a_path_of_the_console_s_own_is_gone_on_to(treasurer: Browser) -> None:
    answer = treasurer.http.get("/console/sign-in", params={"next": "/console/keys"})
    assert answer.headers["location"] == "/console/keys"


def test_a_slash_behind_the_address_is_left_out(treasurer: Browser) -> None:
    assert treasurer.http.get("/console/").headers["location"] == "/console"


def test_the_rows_hold_no_secret(gateway: GatewayProcess, treasurer: Browser) -> None:
    secret = treasurer.http.cookies["faregate"].encode()
    files = list(gateway.data.glob("faregate.db*"))
    assert files
    assert not [path for path in files if secret in path.read_bytes()]
    assert secret.decode() not in gateway.log_text()


def test_a_session_ends_when_it_is_idle_and_at_its_end(database: Database) -> None:
    sign_in = SignIn(
        identity=Identity("issuer", "tina", "Tina"), roles=(NamespaceRole("team", "manager"),)
    )
    for moved in (
        {"seen_at": SessionRow.seen_at, "by": USUAL.idle},
        {"ends_at": SessionRow.ends_at, "by": USUAL.longest},
    ):
        secret = begin(database, sign_in)
        found = find_session(database, INSTALLATION, secret)
        assert found is not None
        assert found.roles == (NamespaceRole("team", "manager"),)
        assert find_session(database, "other", secret) is None
        _move(database, found.id, next(iter(moved)), moved["by"])
        assert find_session(database, INSTALLATION, secret) is None
    begin(database, sign_in)
    with database.read() as session:
        assert len(session.exec(select(SessionRow)).all()) == 1, "those that are over are removed"


def _move(database: Database, session_id: int, name: str, by: object) -> None:
    assert isinstance(by, timedelta)
    with database.write() as session:
        row = session.get_one(SessionRow, session_id)
        moved = getattr(row, name) - by
        session.execute(
            update(SessionRow).where(col(SessionRow.id) == session_id).values({name: moved})
        )


def test_the_last_use_is_noted_seldom(database: Database) -> None:
    secret = begin(database, SignIn(identity=Identity("issuer", "tina")))
    found = find_session(database, INSTALLATION, secret)
    assert found is not None
    assert found.person_id is not None
    (line,) = list_sessions(database, found.person_id)
    find_session(database, INSTALLATION, secret)
    assert list_sessions(database, found.person_id) == [line]
    _move(database, found.id, "seen_at", timedelta(minutes=2))
    find_session(database, INSTALLATION, secret)
    (noted,) = list_sessions(database, found.person_id)
    assert noted.seen_at >= line.seen_at


def test_a_person_has_so_many_sessions_and_the_oldest_gives_way(database: Database) -> None:
    sign_in = SignIn(identity=Identity("issuer", "tina"))
    secrets = [begin(database, sign_in) for _ in range(SESSIONS_MAX + 2)]
    other = begin(database, SignIn(identity=Identity("issuer", "tom")))
    found = [find_session(database, INSTALLATION, secret) for secret in secrets]
    assert [each is None for each in found] == [True] * 2 + [False] * SESSIONS_MAX
    last = found[-1]
    assert last is not None
    assert last.person_id is not None
    assert end_sessions_of(database, last.person_id, Actor("tina"), last.id) == 1
    assert end_sessions_of(database, last.person_id, Actor("tina")) == SESSIONS_MAX - 1
    assert find_session(database, INSTALLATION, other) is not None


def test_a_link_is_over_after_its_time(database: Database) -> None:
    code = make_link(database, INSTALLATION, [NamespaceRole("team", "auditor")])
    assert begin_by_link(database, "other", code) is None
    with database.write() as session:
        row = session.exec(select(SignInLinkRow)).one()
        session.execute(update(SignInLinkRow).values(ends_at=row.ends_at - timedelta(minutes=10)))
    assert begin_by_link(database, INSTALLATION, code) is None
    code = make_link(database, INSTALLATION, [NamespaceRole("team", "auditor")])
    begun = begin_by_link(database, INSTALLATION, code)
    assert begun is not None
    found = find_session(database, INSTALLATION, begun.secret)
    assert found is not None
    assert found.roles == (NamespaceRole("team", "auditor"),)
    assert begin_by_link(database, INSTALLATION, code) is None
