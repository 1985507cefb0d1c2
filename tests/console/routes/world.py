"""The console's application in this process, on a real database, and those who ask it for pages."""

import asyncio
import re
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote_plus

import httpx
import psycopg
from msgspec import Struct
from psycopg import sql

from gateway.console.granting import grant_of, post_grant
from gateway.console.mount import ConsoleMount
from gateway.console.rendering import FORM_TOKEN
from gateway.console.services import ConsoleServices, ConsoleSettings
from gateway.console.site import BASE, site_at
from gateway.core.actor import Actor
from gateway.core.key_policy import KeyPolicy
from gateway.core.keys import InstallationSecret, generate_key, generate_key_id
from gateway.core.principal import Role
from gateway.core.spec import GatewayFleet, parse_document
from gateway.http.routes.free import CountedRoutes
from gateway.store.console_tables import BindingRow
from gateway.store.database import Database
from gateway.store.people import Identity, NamespaceRole
from gateway.store.personal_keys import KeySettings, NewKey, issue_key
from gateway.store.sign_ins import (
    FoundSession,
    SignIn,
    begin_by_key,
    begin_session,
    find_session,
    make_link,
)
from gateway.store.usage_rounds import count_usage
from gateway.telemetry.metrics import Metrics
from tests.console.routes.headers import check_headers
from tests.harness.gateway import PLAINTEXTS, fleet

INSTALLATION = "default"
URL = "https://console.example.com"
#: the headers that a browser sends with a form of the console's own
OWN_FORM = {"sec-fetch-site": "same-origin", "origin": URL}
ACTOR = Actor("the tests")
_CLIENT_SECRET = "a client's secret"
#: keys, codes and cookies
_TOKEN = re.compile(r"[\w-]{20,}")
_SECRET = InstallationSecret("tests only, " + "x" * 32)
_ROLES: dict[str, Role] = {"manager": "manager", "treasurer": "treasurer", "auditor": "auditor"}
#: everybody who asks: nobody is signed in, a key is, a person is in some role, or in none
ASKERS = ("nobody", "key", "member", *_ROLES, "stranger")


class Target(Struct, frozen=True):
    """An account with one of each thing; all texts about it have its `mark`."""

    account: str
    mark: str
    key_id: str
    secret: str
    prefix: str
    grant_id: int
    issuer: str
    person: int
    #: of that person: a row, and the secret of its cookie
    session: int
    cookie: str
    #: of a link that signs in once, and of a form that makes a key
    code: str
    attempt: str


class Asked(Struct, frozen=True):
    """A browser that is signed in, or not."""

    cookie: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"cookie": f"__Host-faregate={self.cookie}"} if self.cookie else {}


class World:
    """One console; its loop runs while it is asked."""

    def __init__(self, database_url: str, **console: Any) -> None:
        spec = {"url": URL, "grants": True, "contact": "Ada", **console}
        document = parse_document(fleet("http://127.0.0.1:1", console=spec))
        assert isinstance(document, GatewayFleet)
        settings = ConsoleSettings(
            installation=INSTALLATION,
            fleet=document.spec,
            site=site_at(URL),
            client_secret=_CLIENT_SECRET if "oidc" in console else None,
        )
        self.database = Database(database_url)
        self.services = ConsoleServices(settings, database_url, _SECRET)
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._open())
        self._connection = psycopg.connect(database_url, autocommit=True)
        #: the issuer that vouches for people
        self.issuer = console.get("oidc", {}).get("issuer", "https://people.example")
        #: of keys, of links, of sessions
        self.secrets: set[str] = set()
        self._marks = 0

    async def _open(self) -> httpx.AsyncClient:
        routes = CountedRoutes(ConsoleMount(self.services), Metrics(), None)
        # Each request brings its own cookies.
        none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(routes.serve), base_url=URL, cookies=none, trust_env=False
        )

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self.services.close())
        self._runner.close()
        self._connection.close()
        self.database.close()

    def ask(
        self,
        method: str,
        path: str,
        asked: Asked | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        has_token: bool = True,
    ) -> httpx.Response:
        """The answer to one request; a form has its session's token unless it has another."""
        sent = {"accept-language": "en", **(asked.headers if asked else {})}
        sent |= dict(OWN_FORM if headers is None and method == "POST" else headers or {})
        fields = dict(form or {})
        if asked and asked.cookie and has_token and method == "POST":
            fields = {FORM_TOKEN: self.services.form_token(asked.cookie), **fields}
        data = fields if method == "POST" else None
        path = BASE + path
        answer = self._runner.run(self._client.request(method, path, data=data, headers=sent))
        check_headers(answer)
        self._check_canary(answer)
        return answer

    def _check_canary(self, answer: httpx.Response) -> None:
        """Refuse an answer with a secret that its request has not sent, but in its cookie."""
        shown = f"{answer.text}\n{answer.headers}"
        sent = unquote_plus(
            f"{answer.request.url.raw_path.decode()}\n{answer.request.content.decode()}"
        )
        found = self.secrets & set(_TOKEN.findall(shown))
        assert found - set(_TOKEN.findall(sent)) == set(), f"{answer.request.url} shows a secret"
        assert _CLIENT_SECRET not in shown

    def sign_in(self, asker: str, target: Target) -> Asked:
        """One who asks: members and keys are of the target's account, others of its namespace."""
        namespace, _, account = target.account.partition("/")
        if asker == "nobody":
            return Asked()
        if asker == "key":
            _, secret = self.make_key(target.account, target.mark)
            hashes = [self.services.hash_of_key(secret)]
            begun = begin_by_key(self.database, INSTALLATION, hashes)
            assert begun is not None
            self.secrets.add(begun.secret)
            return Asked(begun.secret)
        roles: dict[str, tuple[NamespaceRole, ...]] = {
            "member": (NamespaceRole(namespace, "member", account),),
            "stranger": (),
        }
        given = roles[asker] if asker in roles else (NamespaceRole(namespace, _ROLES[asker]),)
        who = Identity(self.issuer, f"{asker} {target.person}", asker)
        return Asked(self.begin(SignIn(identity=who, roles=given))[0])

    def make_key(self, account: str, mark: str, person: int | None = None) -> tuple[str, str]:
        """The id and the secret of a new key."""
        namespace, _, name = account.partition("/")
        key_id, secret = generate_key_id(), generate_key()
        PLAINTEXTS.add(secret)
        self.secrets.add(secret)
        wanted = NewKey(
            key_id=key_id,
            namespace=namespace,
            account=name,
            settings=KeySettings(label=mark),
            person_id=person,
        )
        policy = KeyPolicy(live_max=10**6, hourly_max=10**6)
        credential = self.services.credential_of(secret)
        issue_key(self.database, INSTALLATION, wanted, credential, policy, ACTOR)
        return key_id, secret

    def make_target(self, account: str) -> Target:
        """New things of an account, with a mark of their own."""
        self._marks += 1
        mark = f"mark {self._marks} of {account}"
        namespace = account.partition("/")[0]
        grant = grant_of(account, 7, mark, reason=mark)
        post_grant(self.database, INSTALLATION, grant, 10**6, ACTOR)
        who = Identity(self.issuer, mark, mark, f"{self._marks}@example.com")
        cookie, found = self.begin(SignIn(identity=who))
        assert found.person_id is not None
        self.bind(found.person_id, account)
        key_id, secret = self.make_key(account, mark, found.person_id)
        code = make_link(self.database, INSTALLATION, [NamespaceRole(namespace, "auditor")])
        self.secrets.add(code)
        return Target(
            account=account,
            mark=mark,
            key_id=key_id,
            secret=secret,
            prefix=str(self.value("SELECT prefix FROM api_key WHERE key_id = %s", key_id)),
            grant_id=int(self.value("SELECT id FROM credit_grant WHERE reason = %s", mark)),
            issuer=self.issuer,
            person=found.person_id,
            session=found.id,
            cookie=cookie,
            code=code,
            attempt=generate_key_id(),
        )

    def bind(self, person: int, account: str) -> None:
        """Make a person a member of an account that is there."""
        namespace, _, name = account.partition("/")
        with self.database.write() as session:
            row = BindingRow(
                person_id=person,
                namespace=namespace,
                account=name,
                role="member",
                made_at=self.database.now(session),
                made_by="ada",
            )
            session.add(row)

    def sign_in_again(self, target: Target) -> Asked:
        """Another browser of the target's person."""
        return Asked(
            self.begin(SignIn(identity=Identity(self.issuer, target.mark, target.mark)))[0]
        )

    def charge(self, target: Target, credits: int, model: str = "kimi-k2.5", **more: Any) -> str:
        """The id of a request for which the target's key has paid, counted as usage.

        `more`: its `tags`, as JSON, and its `idempotency_key`.
        """
        self._marks += 1
        request_id, run = f"req_{self._marks}", self._connection.execute
        keys = "SELECT account_id, id FROM api_key WHERE key_id = %s"
        (account, key) = run(keys, (target.key_id,)).fetchone() or (0, 0)
        run(
            "INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route,"
            " idempotency_key) VALUES (%s, 'charge', %s, %s, %s, %s, 'chat', %s)",
            (account, -credits, request_id, key, model, more.get("idempotency_key")),
        )
        run("UPDATE account SET balance = balance - %s WHERE id = %s", (credits, account))
        if "tags" in more:
            run("INSERT INTO request_tags VALUES (%s, %s)", (request_id, more["tags"]))
        while not count_usage(self.database, INSTALLATION).is_complete:
            pass
        return request_id

    def begin(self, sign_in: SignIn) -> tuple[str, FoundSession]:
        """The secret and the row of a new session."""
        begun = begin_session(self.database, INSTALLATION, sign_in)
        assert begun is not None
        self.secrets.add(begun.secret)
        found = find_session(self.database, INSTALLATION, begun.secret)
        assert found is not None
        return begun.secret, found

    def run(self, statement: str, *values: Any) -> None:
        """Run a statement on the database."""
        self._connection.execute(statement.encode(), values)

    def value(self, statement: str, *values: Any) -> Any:
        """The one value that a statement finds."""
        row = self._connection.execute(statement.encode(), values).fetchone()
        assert row is not None
        return row[0]

    def dump(self) -> list[tuple[str, str]]:
        """Every row of every table, with the table's name.

        Left out are the last use of a session, and the events of sign-ins that were refused.
        """
        run = self._connection.execute
        names = run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        each = sql.SQL("SELECT {}, (to_jsonb(t) - 'seen_at')::text FROM {} t")
        rows = [each.format(sql.Literal(name), sql.Identifier(name)) for (name,) in names]
        found = run(sql.SQL(" UNION ALL ").join(rows)).fetchall()
        return sorted(row for row in found if '"kind": "session.refused"' not in row[1])
