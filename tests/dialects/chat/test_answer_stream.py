"""Reading a stream: what is plain, where usage stands, when it is complete, and how it breaks."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import (
    ContentFiltered,
    FaregateError,
    InvalidRequest,
    UpstreamBroken,
    UpstreamMisconfigured,
    UpstreamOverloaded,
)
from gateway.core.events import Usage
from gateway.dialects.base import Chunk
from gateway.dialects.chat.answer_stream import ChatStream
from gateway.dialects.chat.tables import read_usage
from tests.dialects.support import chunk, event, stream

TOLD = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "cached_tokens": 16,
    "completion_tokens_details": {"reasoning_tokens": 3},
}
USAGE = Usage(20, 7, 16, 3)
TEXTS = [chunk({"role": "assistant", "content": ""})] + [chunk({"content": c}) for c in "Hello"]


class Read:
    """A stream read to its end."""

    def __init__(self, *reads: bytes, choices: int = 1, credential: str | None = None) -> None:
        reader = ChatStream(choices, credential)
        self.chunks: list[tuple[bytes, bool]] = []
        for data in reads:
            if reader.failure is None and not reader.ended:
                self.chunks += [(each.data or b"", each.plain) for each in reader.feed(data)]
        if reader.failure is None and not reader.ended:
            self.chunks += [(each.data or b"", each.plain) for each in reader.finish()]
        self.failure = reader.failure
        self.usage = reader.usage
        self.complete = reader.complete and self.failure is None

    @property
    def result(self) -> tuple[Any, ...]:
        failure = self.failure and (type(self.failure), self.failure.message)
        return self.chunks, failure, self.usage, self.complete

    @property
    def error(self) -> FaregateError:
        assert self.failure is not None
        return self.failure


FINAL = [chunk({}, "stop"), chunk(choices=[], usage=TOLD), "[DONE]"]
IN_CHOICE = [chunk({}, "stop", choice={"usage": TOLD}), "[DONE]"]
ON_FINISH = [chunk({}, "stop", usage=TOLD), "[DONE]"]
BOTH = [chunk({}, "stop", choice={"usage": TOLD}), chunk(choices=[], usage=TOLD), "[DONE]"]


@pytest.mark.parametrize("end", [FINAL, IN_CHOICE, ON_FINISH, BOTH])
def test_usage_is_the_same_in_all_its_places(end: Sequence[Any]) -> None:
    read = Read(stream(*TEXTS, *end))
    assert read.complete
    assert read.usage == USAGE
    plain = [each for _, each in read.chunks]
    assert plain == [True] * len(TEXTS) + [False] * (len(end) - 1)


@pytest.mark.parametrize("spaces", [False, True])
def test_null_members_and_words_in_the_text_leave_a_chunk_plain(spaces: bool) -> None:
    separators = (", ", ": ") if spaces else (",", ":")
    for delta in ({"content": '"usage":1'}, {"content": '\\"finish_reason\\":"stop"'}, {}):
        value = chunk(delta, usage=None, error=None, choice={"usage": None})
        data = json.dumps(value, separators=separators)
        read = Read(event(data), stream(chunk({}, "stop")))
        assert read.chunks[0] == (data.encode(), True)
        assert read.complete


def test_null_never_takes_the_place_of_a_call_s_id_or_name() -> None:
    function = {"name": None, "arguments": "}"}
    more = {"index": 0, "id": None, "type": None, "function": function}
    found = Read(stream(*[chunk({"tool_calls": [more]})] * 3)).chunks
    calls = [json.loads(data)["choices"][0]["delta"]["tool_calls"] for data, _ in found]
    assert calls == [[{"index": 0, "function": {"arguments": "}"}}]] * 3


def test_members_spelled_oddly_are_found_all_the_same() -> None:
    data = json.dumps(chunk({}, "stop", usage=TOLD), separators=(" , ", "  :\t"))
    read = Read(event(data))
    assert read.complete
    assert read.usage == USAGE
    null = json.dumps(chunk({"content": "x"}, usage=None), separators=(",", " : "))
    assert Read(event(null)).chunks == [(null.encode(), True)]


def test_a_missing_done_is_forgiven_and_a_missing_finish_reason_never() -> None:
    assert Read(stream(*TEXTS, chunk({}, "stop"))).complete
    assert not Read(stream(*TEXTS)).complete
    assert not Read(stream(*TEXTS, "[DONE]")).complete
    assert not Read(b"").complete
    assert not Read(stream(*TEXTS, chunk({}, ""))).complete


def test_every_choice_must_have_finished() -> None:
    two = [chunk({"content": "a"}), chunk({"content": "b"}, index=1)]
    first, second = chunk({}, "stop"), chunk({}, "length", index=1)
    assert not Read(stream(*two, first, "[DONE]"), choices=2).complete
    assert not Read(stream(*two, first, first), choices=2).complete
    assert Read(stream(*two, first, second), choices=2).complete


def test_how_many_choices_there_are_is_the_upstreams_to_give() -> None:
    first, second = chunk({"content": "a"}), chunk({"content": "b"}, index=1)
    end, second_end = chunk({}, "stop"), chunk({}, "stop", index=1)
    assert Read(stream(first, end, "[DONE]"), choices=2).complete
    assert Read(stream(second, second_end, "[DONE]"), choices=2).complete
    assert Read(stream(first, second, second_end, end), choices=5).complete
    assert not Read(stream(first, end, second, "[DONE]"), choices=5).complete
    assert not Read(stream("[DONE]"), choices=2).complete


def test_choices_above_those_asked_for_are_left_out() -> None:
    texts = [chunk({"content": text}, index=index) for index, text in enumerate("abc")]
    ends = [chunk({}, "stop", index=index) for index in range(3)]
    for asked in (1, 2):
        read = Read(stream(*texts, *ends), choices=asked)
        kept = [
            choice["index"] for data, _ in read.chunks for choice in json.loads(data)["choices"]
        ]
        assert (kept, read.complete) == ([*range(asked)] * 2, True)
        assert not Read(stream(*texts, *ends[asked:]), choices=asked).complete
    alone = Read(stream(texts[1], ends[1], "[DONE]"))
    assert [json.loads(data)["choices"][0]["index"] for data, _ in alone.chunks] == [0, 0]
    assert alone.complete


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
@pytest.mark.parametrize("choices", [1, 2])
def test_a_finish_reason_that_states_failure_breaks_the_stream(reason: str, choices: int) -> None:
    read = Read(stream(*TEXTS, chunk({}, reason), "[DONE]"), choices=choices)
    assert type(read.error) is UpstreamBroken
    assert reason in read.error.message
    assert len(read.chunks) == len(TEXTS)


@pytest.mark.parametrize("is_whole", [False, True])
def test_an_error_in_a_choice_is_read(is_whole: bool) -> None:
    """As OpenRouter has it."""
    why = {"error": {"code": 429, "message": "Rate limited upstream"}}
    if is_whole:
        failed = {"index": 0, "finish_reason": "error", "message": {"content": ""}, **why}
        with pytest.raises(UpstreamOverloaded):
            ChatStream(1, None).answer(json.dumps({"choices": [failed]}).encode())
        return
    failed = chunk({"content": ""}, "error", choice=why)
    assert type(Read(stream(failed)).error) is UpstreamOverloaded
    broken = Read(stream(*TEXTS, failed)).error
    assert type(broken) is UpstreamBroken
    assert "Rate limited upstream" in broken.message


def test_a_chunk_without_an_id_has_that_of_the_others() -> None:
    """Azure's chunks about its filter have none, before the first text and between others."""
    bare = {"id": "", "object": "", "created": 0, "model": ""}
    filtered = {**bare, "choices": [{"index": 0, "finish_reason": None, "content_filter": {}}]}
    read = Read(stream({**bare, "choices": []}, *TEXTS, filtered, chunk({}, "stop"), "[DONE]"))
    found = [json.loads(data) for data, _ in read.chunks]
    assert found[0]["id"]
    assert {(one["id"], one["created"]) for one in found[1:]} == {
        (TEXTS[0]["id"], TEXTS[0]["created"])
    }


def test_nothing_is_read_after_done() -> None:
    read = Read(stream(chunk({}, "stop"), "[DONE]", {"error": {"message": "late"}}))
    assert read.complete
    assert len(read.chunks) == 1


def test_a_last_event_without_its_blank_line_counts_if_it_is_whole() -> None:
    whole = event(chunk({}, "stop"))[:-2]
    assert Read(stream(*TEXTS), whole).complete
    assert len(Read(stream(*TEXTS), whole).chunks) == len(TEXTS) + 1
    cut = Read(stream(*TEXTS), whole[:-3])
    assert not cut.complete
    assert len(cut.chunks) == len(TEXTS)
    assert Read(stream(*TEXTS, chunk({}, "stop")), b"data: [DONE]").complete


def test_what_is_no_chunk_breaks_the_stream_after_the_chunks_before_it() -> None:
    for nonsense in ("nonsense", "<html>", '"text"', '{"choices":[{"finish_reason":'):
        read = Read(stream(*TEXTS, nonsense, chunk({}, "stop")))
        assert type(read.error) is UpstreamBroken
        assert len(read.chunks) == len(TEXTS)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "boom", "type": "server_error"}, UpstreamBroken),
        ("boom", UpstreamBroken),
        ({"message": "busy", "type": "engine_overloaded_error"}, UpstreamOverloaded),
        ({"message": "busy", "code": 429}, UpstreamOverloaded),
        ({"message": "no", "type": "content_filter"}, ContentFiltered),
        ({"message": "bad", "code": 400}, InvalidRequest),
        ({"message": "no money", "type": "exceeded_current_quota_error"}, UpstreamMisconfigured),
        ({"message": "odd", "code": True}, UpstreamBroken),
    ],
)
def test_an_error_object_is_what_its_status_would_be_until_the_answer_began(
    error: Any, kind: type[FaregateError]
) -> None:
    assert type(Read(stream({"error": error})).error) is kind
    begun = Read(stream(*TEXTS, {"error": error}, "[DONE]"))
    assert type(begun.error) is UpstreamBroken
    assert len(begun.chunks) == len(TEXTS)
    assert not begun.complete
    message = error["message"] if isinstance(error, dict) else error
    assert message in begun.error.message


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ([{"error": {"message": "Too many", "code": 429}}], UpstreamOverloaded),
        ([{"error": "Too many"}], UpstreamBroken),
        ("Too many", UpstreamBroken),
        ('"Too many"', UpstreamBroken),
        ("Insufficient balance: Too many", UpstreamMisconfigured),
        ({"choices": None, "error_code": 429, "error_msg": "Too many"}, UpstreamOverloaded),
        (
            {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "Too many"}},
            UpstreamOverloaded,
        ),
        ({"error": {"code": 429}, "message": "Too many"}, UpstreamOverloaded),
        ({"error": "Too many", "code": 429}, UpstreamOverloaded),
        ({"error": True, "message": "Too many"}, UpstreamBroken),
        ({"success": False, "errors": [{"message": "Too many", "code": 429}]}, UpstreamOverloaded),
    ],
    ids=str,
)
def test_an_error_in_another_form_keeps_its_words(event: Any, kind: type[FaregateError]) -> None:
    assert type(Read(stream(event)).error) is kind
    begun = Read(stream(*TEXTS, event, "[DONE]"))
    assert type(begun.error) is UpstreamBroken
    assert len(begun.chunks) == len(TEXTS)
    assert "Too many" in begun.error.message


def test_a_chunk_that_states_success_and_has_no_choices_is_no_error() -> None:
    good = {"choices": None, "base_resp": {"status_code": 0, "status_msg": "success"}}
    assert Read(stream(*TEXTS, good, chunk({}, "stop"), good, "[DONE]")).complete


def test_our_credential_never_shows_in_what_the_upstream_reports() -> None:
    error = {"error": {"message": "key opaque-credential of org-abcdef123 <ak-xyz9876>"}}
    read = Read(stream(*TEXTS, error), credential="opaque-credential")
    assert "opaque" not in read.error.message
    assert "abcdef" not in read.error.message
    assert "xyz9876" not in read.error.message
    words = Read(stream(*TEXTS, "the key opaque-credential"), credential="opaque-credential")
    assert words.error.message.endswith("the key [hidden]")


def test_an_event_beyond_all_bounds_breaks_the_stream() -> None:
    read = Read(*([b"data: {"] + [b"x" * 4_000_000] * 5))
    assert type(read.error) is UpstreamBroken


RECORDED = (
    b"\xef\xbb\xbf: hello\r\n\r\n"
    + event(TEXTS[0], "\r\n")
    + b": comment\n\n"
    + event(chunk({"content": 'a\u20ac "q" \U0001f600'}))
    + event(chunk({"content": "b"}))
    + event(chunk({"content": "c"}), "\r\n")
    + b"event: message\ndata:"
    + json.dumps(chunk({"reasoning_content": "d"})).encode()
    + b"\n\n"
    + event(chunk({}, "stop", choice={"usage": TOLD}))
    + event(chunk(choices=[], usage=TOLD))
    + event("[DONE]")
)


def test_a_stream_cut_in_two_at_any_byte_gives_the_same_chunks() -> None:
    expected = Read(RECORDED).result
    assert expected[3], "the recorded stream is complete"
    for at in range(len(RECORDED)):
        assert Read(RECORDED[:at], RECORDED[at:]).result == expected


@given(st.lists(st.integers(0, len(RECORDED)), max_size=30).map(sorted))
def test_a_stream_cut_anywhere_gives_the_same_chunks(places: list[int]) -> None:
    reads = [RECORDED[a:b] for a, b in zip([0, *places], [*places, len(RECORDED)], strict=True)]
    assert Read(*reads).result == Read(RECORDED).result


#: xAI counts the reasoning in the total alone
BESIDE: dict[str, Any] = {
    "prompt_tokens": 5,
    "completion_tokens": 1,
    "completion_tokens_details": {"reasoning_tokens": 3},
}
#: some gateways count a prompt without what was read from a cache and written to it
APART: dict[str, Any] = {
    "prompt_tokens": 31,
    "completion_tokens": 9,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 4,
}
#: LiteLLM's usage of a Claude model
BY_TIME: dict[str, Any] = {
    "prompt_tokens": 31,
    "prompt_tokens_details": {
        "cache_creation_tokens": 20,
        "cache_creation_token_details": {"ephemeral_1h_input_tokens": 12},
    },
}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TOLD, USAGE),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}, Usage(1, 0, 1, 0)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 4}, Usage(5, 0, 4, 0)),
        ({"prompt_tokens": "5", "completion_tokens": None, "cached_tokens": -1}, Usage(5)),
        ({"prompt_tokens": 2**31, "completion_tokens": 2**80}, Usage(2**31 - 1, 2**31 - 1)),
        ({"prompt_tokens": True, "completion_tokens": 5.0}, Usage(0, 5)),
        ({"prompt_tokens": "0", "completion_tokens_details": []}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": -5, "completion_tokens": True}, None),
        ({**BESIDE, "total_tokens": 9}, Usage(5, 4, 0, 3)),
        ({**BESIDE, "total_tokens": 9.0}, Usage(5, 4, 0, 3)),
        ({**BESIDE, "completion_tokens": 4, "total_tokens": 9}, Usage(5, 4, 0, 3)),
        ({**BESIDE, "total_tokens": 10}, Usage(5, 1, 0, 3)),
        ({**APART, "total_tokens": 40}, Usage(31, 9, 4, cache_write=20)),
        ({**APART, "total_tokens": 64}, Usage(55, 9, 4, cache_write=20)),
        ({**APART, "total_tokens": "64"}, Usage(55, 9, 4, cache_write=20)),
        ({**APART, "prompt_tokens": 7, "total_tokens": 16}, Usage(31, 9, 4, cache_write=20)),
        (BY_TIME, Usage(31, cache_write=20, cache_write_hour=12)),
        ({**BY_TIME, "total_tokens": "31"}, Usage(31, cache_write=20, cache_write_hour=12)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": 3},
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(5, 4, 3, 2),
        ),
        ({"input_tokens": "5", "output_tokens": 4.0}, Usage(5, 4)),
        ({"prompt_tokens_details": None, "completion_tokens_details": []}, None),
        ({"cost": 0}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_read_from_whatever_shape(content: Any, expected: Usage | None) -> None:
    assert read_usage(content) == expected


@pytest.mark.parametrize("later", [{"cost": 0}, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_usage_without_tokens_takes_none_away(later: dict[str, int]) -> None:
    last = chunk(choices=[], usage=later)
    assert Read(stream(chunk({}, "stop", usage=TOLD), last, "[DONE]")).usage == USAGE


@pytest.mark.parametrize("swapped", [False, True])
def test_parts_of_a_prompt_may_stand_in_one_of_two_usages_alone(swapped: bool) -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 4}
    parts = [{**counts, "cached_tokens": 2, "cache_write_tokens": 3}, counts]
    first, last = reversed(parts) if swapped else parts
    chunks = [chunk({}, "stop", usage=first), chunk(choices=[], usage=last)]
    assert Read(stream(*chunks, "[DONE]")).usage == Usage(9, 4, 2, cache_write=3)


@pytest.mark.parametrize("swapped", [False, True])
def test_usage_may_come_in_two_parts(swapped: bool) -> None:
    parts = [{"prompt_tokens": 5, "cached_tokens": 2}, {"completion_tokens": 4}]
    first, last = reversed(parts) if swapped else parts
    chunks = [chunk({}, "stop", usage=first), chunk(choices=[], usage=last)]
    assert Read(stream(*chunks, "[DONE]")).usage == Usage(5, 4, 2)


_ENDS: list[dict[str, Any] | str] = [chunk({}, "stop"), "[DONE]"]
_PIECES = st.sampled_from(
    [event(value, end) for value in (*TEXTS, *_ENDS) for end in ("\n", "\r\n")]
    + [event(chunk({"content": 'a "quoted" word'})), stream(*TEXTS)]
    + [event(chunk({"content": "x"}))[:-3] + b"\n, y}\n\n"]
    + [b": comment\n\n", b"data: {", b"\n", b"\n\n"]
)


@given(st.lists(_PIECES, max_size=12))
def test_what_is_taken_for_ordinary_is_what_reading_it_would_have_given(reads: list[bytes]) -> None:
    ordinary: list[tuple[bytes, bool]] = []

    def pass_on(chunks: Sequence[Chunk]) -> bool:
        ordinary.extend((each.data or b"", each.plain) for each in chunks)
        return True

    reader = ChatStream(1, None)
    for data in reads:
        if reader.failure is not None or reader.ended:
            return
        ordinary.clear()
        is_taken = reader.hand_over(pass_on, data)
        read = [(each.data or b"", each.plain) for each in reader.feed(data)]
        assert is_taken == bool(ordinary)
        if is_taken:
            assert ordinary == read
            assert all(plain for _, plain in read)
            assert reader.failure is None
            assert not reader.ended
