"""A web hook beside a gateway that charges: signed, sent again, not redirected."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    wait_until,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Answers the first message with a redirect, and takes all others."""

    def __init__(self) -> None:
        #: path, headers and body
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append((self.path, headers, content))
                self.send_response(302 if len(receiver.received) == 1 else 204)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/limits"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def test_a_limit_that_is_reached_is_a_message(
    simulated: Simulated, receiver: Receiver, tmp_path: Path
) -> None:
    secret = {"name": "hook", "key": "HOOK_SECRET"}
    hooked = fleet(simulated.url, webhook={"url": receiver.url, "secretRef": secret})
    key = api_key("mine", limits={"creditsPerDay": 10})
    documents = [hooked, key, credit_grant("start", credits=1000)]
    gateway = GatewayProcess(tmp_path, documents, environment={"HOOK_SECRET": SECRET}).start()
    headers = {"x-api-key": gateway.key("mine")}
    for _ in range(4):
        answered = gateway.http.post(PATHS["chat"], json=body("chat", "Hi"), headers=headers)
        assert answered.status_code == 200
    delivered = 'faregate_webhook_messages_total{result="delivered"} 1'
    wait_until(lambda: delivered in gateway.metrics(), "the message to be taken", 60)
    assert 'faregate_webhook_messages_total{result="failed"} 1' in gateway.metrics()
    (path, first, content), (_, second, again) = receiver.received
    assert path == "/hooks/limits"
    assert {path for path, _, _ in receiver.received} == {"/hooks/limits"}, "not redirected"
    assert (first["webhook-id"], content) == (second["webhook-id"], again)
    message = Webhook(SECRET).verify(again, second)
    assert message["type"] == "limit.reached"
    data = message["data"]
    assert (data["account"], data["key"]) == ("team/alice", "team/mine")
    assert (data["limit"], data["percent"]) == ("credits_per_day", 80)
    assert (data["used"], data["credits"]) == (8, 10)
    assert json.loads(content) == message
    assert gateway.stop() == 0, gateway.log_text()
    assert SECRET not in gateway.log_text()
    assert "hooks/limits" not in gateway.log_text()


def test_a_wrong_secret_stops_the_start_with_a_sentence(
    simulated: Simulated, tmp_path: Path
) -> None:
    secret = {"name": "hook", "key": "HOOK_SECRET"}
    url = "http://127.0.0.1:9/"
    documents = [fleet(simulated.url, webhook={"url": url, "secretRef": secret})]
    gateway = GatewayProcess(tmp_path, documents, environment={"HOOK_SECRET": "guessed"})
    gateway.spawn(gateway._arguments(apply=True), gateway.environment)
    assert gateway.wait() == 1
    assert "webhook: a secret is whsec_ and 24 to 64 random bytes" in gateway.log_text()
    assert "guessed" not in gateway.log_text()
