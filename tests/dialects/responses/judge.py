"""A strict reader of a Responses stream: every rule that some released client depends on.

Rules from the Open Responses specification, the accumulators of the OpenAI SDKs for Python and
JavaScript, Codex' reader and the schema of the Vercel AI SDK.
"""

from typing import Any

from openai.types.responses.response_output_text import AnnotationURLCitation

from tests.dialects.responses.support import read_frames

REQUIRED = frozenset(
    {
        "id", "object", "created_at", "completed_at", "status", "incomplete_details", "model",
        "previous_response_id", "instructions", "output", "error", "tools", "tool_choice",
        "truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty",
        "frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage",
        "max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata",
        "safety_identifier", "prompt_cache_key",
    }
)  # fmt: skip
NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs")
TERMINAL = ("response.completed", "response.incomplete", "response.failed")
MAY_CHANGE = {
    "status", "output", "usage", "completed_at", "error", "incomplete_details", "store",
}  # fmt: skip


def judge_object(response: dict[str, Any]) -> None:
    """One response object, of any status."""
    assert set(response) >= REQUIRED, REQUIRED - set(response)
    assert response["object"] == "response"
    assert response["id"].startswith("resp_")
    assert isinstance(response["created_at"], int)
    assert (response["completed_at"] is not None) == (response["status"] == "completed")
    for name in NUMBERS:
        assert isinstance(response[name], int | float), name
    assert response["service_tier"] == "default"
    assert response["background"] is False
    assert isinstance(response["store"], bool)
    assert response["truncation"] == "disabled"
    assert set(response["reasoning"]) == {"effort", "summary"}
    assert response["text"]["format"]["type"] in ("text", "json_object", "json_schema")
    for tool in response["tools"]:
        if tool["type"] == "function":
            assert {"name", "description", "parameters", "strict"} <= set(tool)
    if response["usage"] is not None:
        usage = response["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert set(usage["input_tokens_details"]) == {"cached_tokens", "cache_write_tokens"}
        assert set(usage["output_tokens_details"]) == {"reasoning_tokens"}
    if response["status"] == "incomplete":
        assert response["incomplete_details"]["reason"] in ("max_output_tokens", "content_filter")
    if response["status"] == "failed":
        assert response["error"]["code"]
        assert response["error"]["message"]
    if response["status"] in ("completed", "incomplete"):
        assert response["output"]
    ids = [item["id"] for item in response["output"]]
    assert len(set(ids)) == len(ids)
    for item in response["output"]:
        judge_item(item)
        is_last = item is response["output"][-1]
        if response["status"] == "incomplete" and is_last:
            assert item["status"] == "incomplete"
        else:
            assert item["status"] == "completed"


def judge_item(item: dict[str, Any]) -> None:
    """One finished output item."""
    match item["type"]:
        case "message":
            assert item["id"].startswith("msg_")
            assert item["role"] == "assistant"
            assert item["content"]
            for part in item["content"]:
                if part["type"] == "output_text":
                    for annotation in part["annotations"]:
                        AnnotationURLCitation.model_validate(annotation, strict=True)
                    assert isinstance(part["logprobs"], list)
                else:
                    assert part["type"] == "refusal"
        case "reasoning":
            assert item["id"].startswith("rs_")
            assert [part["type"] for part in item["summary"]] == ["summary_text"]
            assert item["encrypted_content"]
        case "function_call":
            assert item["id"].startswith("fc_")
            assert 0 < len(item["call_id"]) <= 64
            assert isinstance(item["arguments"], str)
            assert item["name"]
        case "custom_tool_call":
            assert item["id"].startswith("ctc_")
            assert isinstance(item["input"], str)
        case kind:
            assert kind in (
                "local_shell_call",
                "shell_call",
                "apply_patch_call",
                "tool_search_call",
            )


class _Item:
    """The parts of one item that a reader has put together so far."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.item = item
        self.parts: list[str] = []
        self.open_part = False
        self.text = ""
        self.texts: list[str] = []
        #: of each part
        self.annotations: list[list[Any]] = []
        self.is_done = False


class Judge:
    """Reads one stream to its end."""

    def __init__(self, frames: list[bytes]) -> None:
        self.events = read_frames(frames)
        self.items: dict[int, _Item] = {}
        self.response: dict[str, Any] = {}
        failed = any(event["type"] == "response.failed" for event in self.events)
        assert (frames[-1] == b"data: [DONE]\n\n") is not failed
        assert frames.count(b"data: [DONE]\n\n") <= 1

    def judge(self) -> dict[str, Any]:
        """The final response; an AssertionError where the stream is not legal."""
        numbers = [event["sequence_number"] for event in self.events]
        assert numbers == list(range(len(numbers)))
        types = [event["type"] for event in self.events]
        assert types[:2] == ["response.created", "response.in_progress"]
        assert types[-1] in TERMINAL
        assert sum(type in TERMINAL for type in types) == 1
        assert ("error" in types) == (types[-1] == "response.failed")
        for event in self.events:
            self._read(event)
        final = self.events[-1]["response"]
        if final["status"] != "failed":
            assert all(item.is_done for item in self.items.values())
            done = [self.items[index].item for index in sorted(self.items)]
            assert done == final["output"]
        return dict(final)

    def _read(self, event: dict[str, Any]) -> None:
        type = event["type"].removeprefix("response.")
        if "response" in event:
            self._lifecycle(type, event["response"])
        elif type == "output_item.added":
            self._added(event)
        elif type == "output_item.done":
            self._done(event)
        elif type == "error":
            assert event["message"] == event["error"]["message"]
            assert {"code", "param"} <= set(event)
        else:
            item = self.items[event["output_index"]]
            assert item.item["id"] == event["item_id"]
            assert not item.is_done
            self._content(type, event, item)

    def _lifecycle(self, type: str, response: dict[str, Any]) -> None:
        judge_object(response)
        assert response["status"] == ("in_progress" if type == "created" else type)
        if not self.response:
            self.response = response
        for name, value in response.items():
            assert name in MAY_CHANGE or value == self.response[name], name

    def _added(self, event: dict[str, Any]) -> None:
        item = event["item"]
        assert event["output_index"] == len(self.items)
        assert item["status"] == "in_progress"
        if item["type"] == "message":
            assert item["content"] == []
        if item["type"] == "reasoning":
            assert item["summary"] == []
            assert "encrypted_content" not in item
        if item["type"] == "function_call":
            assert item["name"]
            assert item["arguments"] == ""
        self.items[event["output_index"]] = _Item(item)

    def _done(self, event: dict[str, Any]) -> None:
        item = self.items[event["output_index"]]
        done = event["item"]
        for name in ("id", "type", "call_id", "name", "namespace", "role"):
            assert item.item.get(name) == done.get(name)
        assert not item.is_done
        assert not item.open_part
        if done["type"] == "message":
            assert [part.get("text", part.get("refusal")) for part in done["content"]] == item.texts
            cited = [part.get("annotations", []) for part in done["content"]]
            assert cited == item.annotations
        if done["type"] == "reasoning":
            assert [part["text"] for part in done["summary"]] == item.texts
        if done["type"] == "function_call":
            assert [done["arguments"]] == item.texts
        if done["type"] == "custom_tool_call":
            assert [done["input"]] == item.texts
        item.is_done = True
        item.item = done

    def _content(self, type: str, event: dict[str, Any], item: _Item) -> None:
        index = event.get("content_index", event.get("summary_index"))
        match type:
            case "content_part.added" | "reasoning_summary_part.added":
                assert not item.open_part
                assert index == len(item.parts)
                item.parts.append(event["part"]["type"])
                item.annotations.append([])
                item.open_part, item.text = True, ""
            case "content_part.done" | "reasoning_summary_part.done":
                assert item.open_part
                assert event["part"]["type"] == item.parts[-1]
                text = event["part"].get("text", event["part"].get("refusal"))
                assert text == item.text == item.texts[-1]
                assert event["part"].get("annotations", []) == item.annotations[-1]
                item.open_part = False
            case "output_text.annotation.added":
                assert item.open_part
                assert index == len(item.parts) - 1
                assert event["annotation_index"] == len(item.annotations[-1])
                item.annotations[-1].append(event["annotation"])
            case (
                "output_text.delta"
                | "refusal.delta"
                | "reasoning_summary_text.delta"
                | "function_call_arguments.delta"
                | "custom_tool_call_input.delta"
            ):
                assert index is None or (item.open_part and index == len(item.parts) - 1)
                assert (type == "output_text.delta") == ("logprobs" in event)
                item.text += event["delta"]
            case _:
                name = {
                    "output_text.done": "text",
                    "refusal.done": "refusal",
                    "reasoning_summary_text.done": "text",
                    "function_call_arguments.done": "arguments",
                    "custom_tool_call_input.done": "input",
                }[type]
                assert event[name] == item.text
                item.texts.append(item.text)


def judge(frames: list[bytes]) -> dict[str, Any]:
    """The final response of a legal stream."""
    return Judge(frames).judge()
