"""Shared by the fuzz tests: one rule for every answer, and requests with everything in them.

The rule: never a failure of ours, always the family's envelope, nothing charged except for a 200,
and the strict upstream never refuses what the gateway let through.
"""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, settings

from tests.harness.dialects import PATHS
from tests.harness.gateway import GatewayProcess, Simulated

#: the same examples in every run; what was once found is kept as an explicit example
bounded = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=list(HealthCheck),
)

STATUSES = {200, 400, 401, 402, 403, 404, 405, 413, 429}
STRICT = ("kimi-k2.5", "k3", "coder", "thinker")
MODELS = (*STRICT, "open", "claude-opus-4-6")
#: only the upstream can count tokens, so only it can know that there are too many
_OVERFLOW = ("maximum context length", "prompt is too long")
_PIXEL = "data:image/png;base64,iVBORw0KGgo="
_SCHEMA = {
    "type": "object",
    "properties": {
        "at": {"type": "string", "enum": ["sea", "sky"]},
        "deep": {"$ref": "#/$defs/Deep"},
        "many": {"type": "array", "items": {"anyOf": [{"type": "null"}, {"type": "number"}]}},
    },
    "required": ["at"],
    "$defs": {"Deep": {"type": "object", "properties": {"er": {"const": 1}}}},
}


class Prober:
    """A client that checks every answer against the rule and keeps its own books."""

    def __init__(self, gateway: GatewayProcess, simulated: Simulated) -> None:
        self.gateway = gateway
        self.key = gateway.key("rich")
        self.http = httpx.Client(base_url=gateway.url, timeout=30, trust_env=False)
        #: the same without a credential
        self.anonymous = httpx.Client(base_url=gateway.url, timeout=30, trust_env=False)
        self.http.headers["x-api-key"] = self.key
        self._counters = httpx.Client(
            base_url=f"http://127.0.0.1:{simulated.port}", timeout=30, trust_env=False
        )
        self._balance = gateway.balance(self.key)

    def close(self) -> None:
        """Every credit that is gone must have been reported."""
        assert self.gateway.balance(self.key) == self._balance
        self.http.close()
        self.anonymous.close()
        self._counters.close()

    def post(self, dialect: str, content: bytes, model: str = "kimi-k2.5") -> httpx.Response:
        """Send a body to a charged route."""
        refused = self._refused()
        response = self.http.post(PATHS[dialect], content=content)
        self.check(PATHS[dialect], response)
        if self._refused() > refused and model != "open":
            assert any(phrase in response.text for phrase in _OVERFLOW), response.text
        return response

    def pay(self, credits: int) -> None:
        """Note the cost that an answer stated."""
        self._balance -= credits

    def check(self, path: str, response: httpx.Response) -> None:
        """The rule, as far as an answer shows it."""
        assert response.status_code in STATUSES, (response.status_code, response.text)
        headers = response.headers
        assert headers["x-request-id"].startswith("req_")
        charged = int(headers["x-credits-charged"])
        self.pay(charged)
        if "x-credits-remaining" in headers:
            assert int(headers["x-credits-remaining"]) == self._balance
        if response.status_code == 200:
            return
        assert charged == 0
        if response.request.method != "HEAD":
            check_envelope(path, response.content)

    def _refused(self) -> int:
        return int(self._counters.get("/stats").json()["refused"])


def check_envelope(path: str, content: bytes) -> None:
    """An error in its family's envelope."""
    found = json.loads(content)
    assert isinstance(found["error"]["message"], str)
    if path.startswith("/api/anthropic"):
        assert found.keys() == {"type", "error", "request_id"}
    else:
        assert found.keys() == {"error"}
        assert found["error"].keys() - {"details"} == {"message", "type", "param", "code"}


def _chat() -> dict[str, Any]:
    def call(number: int) -> dict[str, Any]:
        function = {"name": "look", "arguments": '{"at":"sea"}'}
        return {"id": f"functions.look:{number}", "type": "function", "function": function}

    return {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "Hello"},
                    {"type": "image_url", "image_url": {"url": _PIXEL, "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm.",
                "tool_calls": [call(0), call(1)],
            },
            {"role": "tool", "tool_call_id": "functions.look:0", "content": "water"},
            {"role": "tool", "tool_call_id": "functions.look:1", "content": [
                {"type": "text", "text": "air"}
            ]},
            {"role": "assistant", "content": "Both.", "refusal": None},
            {"role": "user", "content": "Go on."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Looks.",
                    "parameters": _SCHEMA,
                    "strict": True,
                },
            },
            {"type": "function", "function": {"name": "leap"}},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "view", "schema": _SCHEMA, "strict": True},
        },
        "max_completion_tokens": 100,
        "temperature": 0.7,
        "top_p": 1,
        "n": 1,
        "stop": ["END"],
        "seed": 1,
        "logit_bias": {"1": 2},
        "reasoning_effort": "low",
        "thinking": {"type": "enabled"},
        "chat_template_kwargs": {"thinking": True},
        "stream": False,
        "stream_options": {"include_usage": True},
        "prompt_cache_key": "c",
        "safety_identifier": "s",
        "metadata": {"a": "b"},
    }  # fmt: skip


def _messages() -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    return {
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hello"},
                    {"type": "image", "source": source},
                    {"type": "document", "source": {"type": "text", "data": "A plan."}},
                ],
            },
            {"role": "system", "content": "A reminder."},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "c2ln"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sea"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "is_error": False,
                        "content": [
                            {"type": "text", "text": "water"},
                            {"type": "image", "source": source},
                            {"type": "tool_reference", "tool_name": "leap"},
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "air"},
                    {"type": "search_result", "source": "s", "title": "t", "content": [
                        {"type": "text", "text": "found"}
                    ]},
                ],
            },
            {"role": "assistant", "content": "Both."},
            {"role": "user", "content": "Go on."},
        ],
        "tools": [
            {"name": "look", "description": "Looks.", "input_schema": _SCHEMA, "strict": True},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
        "output_config": {
            "effort": "low",
            "format": {"type": "json_schema", "schema": _SCHEMA},
        },
        "metadata": {"user_id": '{"session_id":"s"}'},
        "stop_sequences": ["END"],
        "temperature": 0.7,
        "top_k": 5,
        "stream": False,
    }  # fmt: skip


def _response_items() -> list[dict[str, Any]]:
    return [
        {"type": "message", "role": "developer", "content": "Kindly."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hello"},
                {"type": "input_image", "image_url": _PIXEL, "detail": "auto"},
                {
                    "type": "input_file",
                    "filename": "a.txt",
                    "file_data": "data:text/plain;base64,QQ==",
                },
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "c2ln",
        },
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "look",
            "arguments": '{"at":"sea"}',
        },
        {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "x"},
        {
            "type": "local_shell_call",
            "call_id": "call_3",
            "action": {"type": "exec", "command": ["ls"]},
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "water"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": [
            {"type": "input_text", "text": "done"},
            {"type": "input_image", "image_url": _PIXEL},
        ]},
        {"type": "local_shell_call_output", "call_id": "call_3", "output": "a.txt"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "user", "content": "Go on."},
    ]  # fmt: skip


def _responses() -> dict[str, Any]:
    function = {"type": "function", "name": "look", "parameters": _SCHEMA, "strict": True}
    return {
        "instructions": "Be brief.",
        "input": _response_items(),
        "tools": [
            function,
            {"type": "custom", "name": "patch", "format": {"type": "grammar", "definition": "x"}},
            {"type": "namespace", "name": "files", "tools": [function]},
            {"type": "local_shell"},
            {"type": "web_search"},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "text": {
            "format": {"type": "json_schema", "name": "view", "schema": _SCHEMA, "strict": True},
            "verbosity": "low",
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 100,
        "temperature": 0.7,
        "top_p": 1,
        "store": True,
        "stream": False,
        "metadata": {"a": "b"},
        "user": "ann",
        "prompt_cache_key": "c",
        "truncation": "disabled",
    }  # fmt: skip


SKELETONS = {"chat": _chat(), "messages": _messages(), "responses": _responses()}
