"""Web hooks beside receivers that never end, beside each other, and with messages that wait."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Library
from standardwebhooks.webhooks import WebhookVerificationError

from gateway.core.spec import parse_document
from gateway.core.webhooks import read_signing_keys
from gateway.process.settings import ProxySettings
from gateway.process.webhooks import Webhook, open_webhook
from gateway.store.database import Database
from gateway.store.ledger import End, Ledger
from gateway.store.notices import end_notice, take_notices, write_notices
from gateway.telemetry.metrics import Metrics
from gateway.upstream.http_client import HttpClient
from tests.harness.books import INSTALLATION, Books
from tests.harness.gateway import fleet
from tests.store.test_charges import with_ledger
from tests.store.test_groups import write
from tests.store.test_notices import OTHER_SECRET, SECRET

FLEET = "team/fleet"
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"

Answer = Callable[[], AsyncIterator[bytes]]


def begun(start: bytes, piece: bytes = b"", pause: float = 0) -> Answer:
    """An answer that begins so, and then has the same piece forever, or no more at all."""

    async def answer() -> AsyncIterator[bytes]:
        yield start
        while piece:
            yield piece
            await asyncio.sleep(pause)

    return answer


def together(messages: int) -> Answer:
    """Messages are taken, the first as soon as so many are there at once."""
    awaited = iter(range(messages - 1))
    are_there = asyncio.Event()

    async def answer() -> AsyncIterator[bytes]:
        if next(awaited, None) is None:
            are_there.set()
        await are_there.wait()
        yield TAKEN

    return answer


class Receiver:
    """Answers all messages alike, and waits for the gateway to hang up."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        #: headers and body
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.open = 0

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                pairs = (line.partition(": ") for line in head.split("\r\n")[1:-2])
                headers = {name: value for name, _, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                self.received.append((headers, body))
                async for piece in self.answer():
                    writer.write(piece)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway has hung up
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def hook(
    url: str,
    database: Database,
    metrics: Metrics,
    secret: str = SECRET,
    silence_seconds: float = 15,
) -> AsyncIterator[Webhook]:
    """The web hook of one gateway."""
    client = HttpClient(
        url, {}, connect_seconds=5, silence_seconds=silence_seconds, connections_max=16
    )
    keys = read_signing_keys(secret)
    try:
        yield Webhook(client, keys, database, INSTALLATION, FLEET, metrics)
    finally:
        client.close()


def spend(books: Books, keys: int = 1) -> None:
    """So many keys use all of two limits, and their account half of its credits."""
    books.grant(credits=20 * keys)
    limits = {"creditsPerDay": 10, "credits": 10}
    issued = [books.issue(f"key-{number}", limits=limits)[0] for number in range(keys)]

    async def act(ledger: Ledger) -> None:
        for key in issued:
            charge = books.charge(key, 10)
            assert (await ledger.charge(charge)).outcome == "charged"
            ledger.end(End(charge.request_id, None))

    with_ledger(books.database, act)


def results(metrics: Metrics) -> dict[str, float]:
    """Messages by their result."""
    [family] = (one for one in metrics.collect() if one.name == "faregate_webhook_messages")
    return {one.labels["result"]: one.value for one in family.samples if one.value}


async def all_cut(receiver: Receiver) -> None:
    async with asyncio.timeout(10):
        while receiver.open:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (begun(b""), "failed"),
        (begun(b"", EARLY * 100), "failed"),
        (begun(b"", EARLY, 0.02), "failed"),
        (begun(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 100), "failed"),
        (begun(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n", b"x" * 65_536), "delivered"),
        (begun(b"HTTP/1.1 500 No\r\ncontent-type: text/html\r\n\r\n", b"x" * 65_536), "failed"),
        (begun(b"220 mail.example.com ESMTP\r\n"), "failed"),
    ],
    ids=["hangs", "early-hints", "slow-hints", "headers", "body", "error-body", "mail"],
)
def test_a_receiver_that_never_ends_is_left(
    books: Books, answer: Answer, result: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of its answer the status counts; where there is none, the message is sent again."""
    spend(books)
    metrics = Metrics()
    receiver = Receiver(answer)

    async def act() -> None:
        async with (
            receiver.listening() as url,
            hook(url, books.database, metrics, silence_seconds=0.3) as webhook,
        ):
            await webhook.look()
            await webhook.send_due()
            await all_cut(receiver)

    asyncio.run(act())
    assert results(metrics) == {result: 2}
    waiting = books.scalar("SELECT count(*) FROM notice WHERE next_attempt_at > created_at")
    assert waiting == (2 if result == "failed" else 0)
    assert ("did not take" in caplog.text) == (result == "failed")


def test_gateways_that_send_at_once_send_each_message_once(books: Books) -> None:
    """Each takes ten of the 24 messages before any is answered."""
    spend(books, keys=12)
    metrics = [Metrics(), Metrics()]
    receiver = Receiver(together(20))

    async def act() -> None:
        url = books.database.url
        with closing(Database(url)) as first, closing(Database(url)) as second:
            async with (
                receiver.listening() as at,
                hook(at, first, metrics[0]) as one,
                hook(at, second, metrics[1]) as other,
            ):
                await asyncio.gather(one.look(), other.look())
                await asyncio.gather(one.send_due(), other.send_due())

    asyncio.run(act())
    assert len(receiver.ids) == len(set(receiver.ids)) == 2 * 12
    assert len({body for _, body in receiver.received}) == 2 * 12
    assert sum(results(each)["delivered"] for each in metrics) == 2 * 12


def test_a_message_that_waits_is_signed_by_the_secret_of_now(books: Books) -> None:
    spend(books)
    receiver = Receiver(begun(REFUSED))

    async def send(secret: str) -> None:
        write(books, "UPDATE notice SET next_attempt_at = created_at")
        async with (
            receiver.listening() as url,
            hook(url, books.database, Metrics(), secret) as webhook,
        ):
            await webhook.look()
            await webhook.send_due()

    asyncio.run(send(SECRET))
    receiver.answer = begun(TAKEN)
    asyncio.run(send(OTHER_SECRET))
    before, after = receiver.received[:2], receiver.received[2:]
    assert len(before) == 2
    assert sorted(receiver.ids[:2]) == sorted(receiver.ids[2:])
    for secret, messages in ((SECRET, before), (OTHER_SECRET, after)):
        assert all(Library(secret).verify(body, headers) for headers, body in messages)
    for headers, body in after:
        with pytest.raises(WebhookVerificationError):
            Library(SECRET).verify(body, headers)


def test_what_waits_for_a_web_hook_that_is_taken_away_is_never_sent(books: Books) -> None:
    spend(books)
    for receiver in (FLEET, "other/fleet"):
        assert write_notices(books.database, INSTALLATION, receiver) == 2
    under_way, _ = take_notices(books.database, FLEET)
    document: Any = parse_document(fleet("http://127.0.0.1:9"))

    async def start() -> None:
        async with AsyncExitStack() as stack:
            given = (None, books.database, INSTALLATION, Metrics(), ProxySettings())
            assert open_webhook(stack, document, *given) is None

    asyncio.run(start())
    assert end_notice(books.database, under_way, was_taken=False) is False
    waits = "SELECT count(*) FROM notice WHERE receiver = :receiver AND next_attempt_at IS NOT NULL"
    assert books.scalar(waits, receiver=FLEET) == 0
    assert write_notices(books.database, INSTALLATION, FLEET) == 0, "it may be given again"
    assert len(take_notices(books.database, "other/fleet")) == 2
