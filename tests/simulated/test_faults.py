"""Errors, silences and broken connections, and how the counters distinguish them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.simulated.talk import Talk


@pytest.mark.parametrize(
    ("directive", "status", "type"),
    [
        ("!error 400", 400, "invalid_request_error"),
        ("!error 400 content_filter", 400, "content_filter"),
        ("!error 401", 401, "invalid_authentication_error"),
        ("!error 403", 403, "permission_denied_error"),
        ("!error 404", 404, "resource_not_found_error"),
        ("!error 429", 429, "rate_limit_reached_error"),
        ("!error 429 exceeded_current_quota_error", 429, "exceeded_current_quota_error"),
        ("!error 500", 500, "server_error"),
        ("!error 500 unexpected_output", 500, "unexpected_output"),
        ("!error 503", 503, "server_unavailable"),
    ],
)
def test_errors_have_moonshot_s_envelope(
    talk: Talk, directive: str, status: int, type: str
) -> None:
    for stream in (False, True):
        response = talk.post(directive, stream=stream)
        assert response.status_code == status
        error = response.json()["error"]
        assert set(error) == {"message", "type"}
        assert error["type"] == type
    assert "retry-after" not in response.headers
    assert talk.stats()["failed"] == 2


def test_retry_after_is_sent_where_it_is_given(talk: Talk) -> None:
    response = talk.post("!error 429 engine_overloaded_error 7")
    assert response.headers["retry-after"] == "7"
    assert response.json()["error"]["type"] == "engine_overloaded_error"
    assert talk.post("!error 429 2").headers["retry-after"] == "2"


def test_a_504_is_a_page(talk: Talk) -> None:
    response = talk.post("!error 504")
    assert response.headers["content-type"] == "text/html"
    assert response.text.startswith("<html>")


def test_an_error_may_come_in_the_middle_of_a_stream(talk: Talk) -> None:
    heard = talk.stream("!error-event\n!chunks 9")
    assert len(heard.chunks) == 3
    assert set(heard.chunks[-1]) == {"error"}
    assert not heard.done
    assert not heard.broken
    assert "error" in talk.post("!error-event").json()
    assert talk.stats()["failed"] == 2


def test_a_stream_may_end_early_and_cleanly(talk: Talk) -> None:
    heard = talk.stream("!end-early\n!answer abc")
    assert (heard.text, heard.finish_reasons, heard.done) == ("abc", [], False)
    assert not heard.broken
    assert heard.usage_places() == set()
    assert talk.ask("!end-early")["finish_reason"] is None
    assert talk.stats()["broken"] == 2


def test_done_may_be_missing(talk: Talk) -> None:
    heard = talk.stream("!no-done")
    assert (heard.finish_reasons, heard.done, heard.broken) == (["stop"], False, False)
    assert talk.stats()["completed"] == 1


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_stream_may_be_cut_after_any_chunk(talk: Talk, count: int) -> None:
    heard = talk.stream(f"!cut {count}\n!chunks 9")
    assert (heard.status, heard.broken, len(heard.chunks)) == (200, True, count)
    assert talk.stats()["broken"] == 1


def test_a_cut_beyond_the_end_takes_the_end_away(talk: Talk) -> None:
    heard = talk.stream("!cut 100")
    assert heard.finish_reasons == ["stop"]
    assert heard.broken
    assert not heard.done


def test_a_whole_answer_may_be_cut_too(talk: Talk) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        talk.post("!cut 1")
    assert talk.stats()["broken"] == 1


def test_the_connection_may_close_without_an_answer(talk: Talk) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        talk.post("!hang-up")
    assert talk.ask("still there?")["finish_reason"] == "stop"
    assert talk.stats()["broken"] == 1


def test_nothing_is_sent_during_a_silence(talk: Talk) -> None:
    started = time.monotonic()
    body = talk.body("!silence 0.3\n!error 500")
    with talk.http.stream("POST", "/chat/completions", json=body) as response:
        assert time.monotonic() - started >= 0.3
        assert response.status_code == 500


def test_a_stall_comes_after_headers_and_some_chunks(talk: Talk) -> None:
    body = talk.body("!stall 2 hold\n!chunks 4", stream=True)
    with talk.http.stream("POST", "/chat/completions", json=body) as response:
        writes, before, after = response.iter_raw(), 0, 0
        while before < 2:
            before += next(writes).count(b"data: {")
        talk.wait_for(lambda counters: counters["held"] == 1)
        talk.release()
        for write in writes:
            after += write.count(b"data: {")
    assert (before, after) == (2, 4)


@pytest.mark.parametrize("end", ["!cut 2", "!error-event", "!no-done", "!end-early"])
def test_a_stall_may_come_before_the_end(talk: Talk, end: str) -> None:
    started = time.monotonic()
    heard = talk.stream(f"!stall 99 0.1\n!chunks 3\n{end}")
    assert time.monotonic() - started >= 0.1
    assert heard.broken is end.startswith("!cut")


def test_a_whole_answer_stalls_within_its_body(talk: Talk) -> None:
    with talk.http.stream("POST", "/chat/completions", json=talk.body("!stall 0 hold")) as response:
        talk.wait_for(lambda counters: counters["held"] == 1)
        talk.release()
        assert json.loads(response.read())["choices"]


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_held_goes_on_when_it_is_released(talk: Talk, stream: bool) -> None:
    for script in ("!silence hold\n!answer Late", "!stall 0 hold\n!answer Late"):
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(talk.post, script, stream=stream) for _ in range(2)]
            talk.wait_for(lambda counters: counters["held"] == 2)
            talk.release()
            assert all("Late" in each.result().text for each in asked)
        assert talk.stats()["held"] == 0


def test_chunks_may_have_a_pace_and_a_whole_answer_takes_as_long(talk: Talk) -> None:
    for stream in (True, False):
        started = time.monotonic()
        assert talk.post("!chunks 10 20", stream=stream).status_code == 200
        assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize(
    ("script", "stream"),
    [
        ("!silence hold", True),
        ("!stall 0 hold", False),
        ("!silence 60", True),
        ("!silence 60", False),
        ("!stall 2 60", True),
        ("!stall 0 60", False),
        ("!chunks 1000 60000", True),
        ("!chunks 1000 60000", False),
        ("!chunks 100000 1", True),
    ],
)
def test_a_client_that_leaves_is_noticed_at_once(talk: Talk, script: str, stream: bool) -> None:
    with httpx.Client(base_url=talk.url, timeout=0.2, trust_env=False) as impatient:
        if script.startswith("!silence") or not stream:
            with pytest.raises(httpx.ReadTimeout):
                impatient.post("/chat/completions", json=talk.body(script, stream=stream))
        else:
            body = talk.body(script, stream=stream)
            with impatient.stream("POST", "/chat/completions", json=body, timeout=10) as response:
                writes = response.iter_raw()
                assert next(writes)
                assert talk.stats()["open"] == 1
    talk.wait_for(lambda counters: counters["cancelled"] == 1 and counters["open"] == 0, 1.0)


def test_a_reader_that_leaves_a_fast_stream_is_noticed(talk: Talk) -> None:
    body = talk.body("!chunks 100000", stream=True)
    with talk.http.stream("POST", "/chat/completions", json=body) as response:
        writes = response.iter_raw()
        assert next(writes)
    talk.wait_for(lambda counters: counters["cancelled"] == 1, 2.0)
    assert talk.stats()["chunks_sent"] < 100_000


def test_every_request_is_counted_once(talk: Talk) -> None:
    talk.ask("hi")
    talk.stream("hi", model="kimi-k2.6")
    talk.stream("!cut 1")
    talk.post("!error 500")
    talk.post("hi", model="kimi-k2.6", temperature=0.2)
    counters = talk.stats()
    assert counters["received"] == 5
    assert counters["models"] == {"generic": 3, "kimi-k2.6": 2}
    assert (counters["completed"], counters["failed"], counters["refused"]) == (2, 1, 1)
    assert (counters["broken"], counters["cancelled"], counters["open"]) == (1, 0, 0)
    assert counters["streams_started"] == 2
