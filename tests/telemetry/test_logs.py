"""Log lines of a real gateway: whole JSON objects, and single requests only where that is asked."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.core.log_lines import CHARACTERS_MAX, TextLines
from tests.harness.dialects import PATHS
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
)
from tests.harness.raw import RawConnection, request_head

Make = Callable[..., GatewayProcess]


@pytest.fixture
def make(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., GatewayProcess]]:
    made: list[GatewayProcess] = []

    def make(**settings: str) -> GatewayProcess:
        environment = {f"FAREGATE_{name}": value for name, value in settings.items()}
        process = GatewayProcess(
            tmp_path_factory.mktemp("logs"),
            [fleet(simulated.url), api_key("alice"), credit_grant("alice")],
            environment=environment,
        )
        made.append(process.start())
        return process

    yield make
    for process in made:
        process.kill()


def ask(gateway: GatewayProcess, text: str, **more: Any) -> int:
    body = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": text}], **more}
    headers = {"x-api-key": gateway.key("alice")}
    return gateway.http.post(PATHS["chat"], headers=headers, json=body).status_code


def lines(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """The logged lines; the banner is for people, and not a log line."""
    text = gateway.log_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def of_requests(gateway: GatewayProcess) -> list[dict[str, Any]]:
    return [line for line in lines(gateway) if "request_id" in line]


def test_a_request_shows_who_asked_for_what_and_what_it_cost(make: Make) -> None:
    gateway = make(ACCESS_LOG="1")
    assert ask(gateway, "!answer four") == 200
    assert ask(gateway, "!answer four", model="nobodys") == 404
    assert gateway.stop() == 0
    served, refused = of_requests(gateway)
    assert served["time"].endswith("+00:00")
    assert (served["level"], served["message"]) == ("info", "200 chat")
    assert served["request_id"].startswith("req_")
    assert served["key"] == f"{NAMESPACE}/alice"
    assert served["account"] == f"{NAMESPACE}/alice"
    assert not served["key_id"].startswith("sk-")
    assert (served["model"], served["route"], served["credits"]) == ("kimi-k2.5", "chat", 2)
    assert served["input_tokens"] > 0
    assert served["upstream"]
    assert 0 < served["first_byte_seconds"] <= served["duration_seconds"]
    assert (refused["status"], refused["credits"]) == (404, 0)
    assert "model" not in refused, "what a client made up is no model"


def test_free_requests_are_reported_too(make: Make) -> None:
    gateway = make(ACCESS_LOG="1")
    gateway.account(gateway.key("alice"))
    assert gateway.stop() == 0
    (given,) = of_requests(gateway)
    assert (given["status"], given["route"], given["key"]) == (200, "free", f"{NAMESPACE}/alice")


def test_nothing_is_reported_of_requests_unless_it_is_asked_for(make: Make) -> None:
    gateway = make()
    assert ask(gateway, "!answer four") == 200
    assert ask(gateway, "!error 500") == 502
    assert gateway.stop() == 0
    assert of_requests(gateway) == []
    assert lines(gateway)[0].keys() == {"time", "level", "logger", "message"}


def test_of_a_small_share_every_failure_is_reported(make: Make) -> None:
    gateway = make(ACCESS_LOG="0.000001")
    for _ in range(20):
        assert ask(gateway, "!answer four") == 200
    assert ask(gateway, "!error 500") == 502
    assert gateway.stop() == 0
    assert [line["status"] for line in of_requests(gateway)] == [502]


def test_text_is_for_people(make: Make) -> None:
    gateway = make(LOG_FORMAT="text")
    assert gateway.stop() == 0
    assert lines(gateway) == []
    assert "INFO gateway.process.assembly: ready" in gateway.log_text()


LONG_PATH = "/api/v1/" + "x" * 50_000


def test_a_line_is_bounded_whatever_a_client_sends(make: Make) -> None:
    gateway = make(ACCESS_LOG="1")
    with RawConnection(gateway.port) as connection:
        connection.send(request_head("GET", LONG_PATH))
        answer = connection.receive("GET")
    assert answer is not None
    assert answer.status == 404
    assert gateway.stop() == 0
    (line,) = of_requests(gateway)
    assert line["path"].startswith("/api/v1/xxx")
    assert len(json.dumps(line)) < 2 * CHARACTERS_MAX


def test_a_message_is_one_line_of_printable_text() -> None:
    message = "a\nb\x1b[2Jc\u2028d\u202ee é 中 " + "x" * CHARACTERS_MAX
    record = logging.LogRecord("n", logging.INFO, "", 0, message, None, None)
    line = TextLines("%(message)s").format(record)
    assert line.startswith(r"a\nb\x1b[2Jc\u2028d\u202ee é 中 xxx")
    assert len(line) < 2 * CHARACTERS_MAX


def test_a_share_is_a_number_from_0_to_1(make: Make) -> None:
    with pytest.raises(AssertionError, match="FAREGATE_ACCESS_LOG is 2"):
        make(ACCESS_LOG="2")
