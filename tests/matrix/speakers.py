"""A conversation as a client of each dialect writes it.

Owns spelling only: a case of the matrix is written once, in these words, for all dialects.
"""

import json
from typing import Any, Protocol

Object = dict[str, Any]

#: a call of a tool: id, name and arguments as text
Call = tuple[str, str, str]
Turns = list[Object]


class Speaker(Protocol):
    """One dialect. Every verb gives the turns that it adds."""

    name: str

    def system(self, text: str) -> Turns: ...

    def user(self, *parts: Object) -> Turns: ...

    def model(self, *parts: Object, calls: tuple[Call, ...] = ()) -> Turns: ...

    def result(self, call_id: str, *parts: Object) -> Turns: ...

    def text(self, text: str) -> Object: ...

    def image(self, url: str) -> Object: ...

    def tool(self, name: str, schema: Any) -> Object: ...

    def choice(self, mode: str) -> Any:
        """`auto`, `none`, `required`, or a tool by its name."""

    def format(self, schema: Object) -> Object:
        """The members that ask for an answer of this schema."""

    def reasoning(self, on: bool) -> Object:
        """The members that switch reasoning."""

    def body(self, turns: Turns, **members: Any) -> Object: ...


class _Chat:
    name = "chat"

    def system(self, text: str) -> Turns:
        return [{"role": "system", "content": text}]

    def user(self, *parts: Object) -> Turns:
        return [{"role": "user", "content": list(parts)}]

    def model(self, *parts: Object, calls: tuple[Call, ...] = ()) -> Turns:
        message: Object = {"role": "assistant", "content": list(parts) or None}
        if calls:
            message["tool_calls"] = [
                {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for id, name, arguments in calls
            ]
        return [message]

    def result(self, call_id: str, *parts: Object) -> Turns:
        return [{"role": "tool", "tool_call_id": call_id, "content": list(parts)}]

    def text(self, text: str) -> Object:
        return {"type": "text", "text": text}

    def image(self, url: str) -> Object:
        return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}

    def tool(self, name: str, schema: Any) -> Object:
        function = {"name": name, "description": "A tool."}
        if schema is not None:
            function["parameters"] = schema
        return {"type": "function", "function": function}

    def choice(self, mode: str) -> Any:
        if mode in ("auto", "none", "required"):
            return mode
        return {"type": "function", "function": {"name": mode}}

    def format(self, schema: Object) -> Object:
        named = {"name": "answer", "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}

    def reasoning(self, on: bool) -> Object:
        return {"reasoning_effort": "high" if on else "none"}

    def body(self, turns: Turns, **members: Any) -> Object:
        return {"messages": turns, **members}


class _Messages:
    name = "messages"

    def system(self, text: str) -> Turns:
        return [{"role": "system", "content": [self.text(text)]}]

    def user(self, *parts: Object) -> Turns:
        return [{"role": "user", "content": list(parts)}]

    def model(self, *parts: Object, calls: tuple[Call, ...] = ()) -> Turns:
        called = [
            {"type": "tool_use", "id": id, "name": name, "input": _read(arguments)}
            for id, name, arguments in calls
        ]
        return [{"role": "assistant", "content": [*parts, *called]}]

    def result(self, call_id: str, *parts: Object) -> Turns:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": list(parts)}
        return [{"role": "user", "content": [block]}]

    def text(self, text: str) -> Object:
        return {"type": "text", "text": text}

    def image(self, url: str) -> Object:
        if not url.lower().startswith("data:"):
            return {"type": "image", "source": {"type": "url", "url": url}}
        head, _, data = url.partition(",")
        media_type = head.removeprefix("data:").partition(";")[0]
        return {
            "type": "image",
            "source": {"type": "base64", "media_type": media_type, "data": data},
        }

    def tool(self, name: str, schema: Any) -> Object:
        return {"name": name, "description": "A tool.", "input_schema": schema or {}}

    def choice(self, mode: str) -> Any:
        if mode in ("auto", "none"):
            return {"type": mode}
        return {"type": "any"} if mode == "required" else {"type": "tool", "name": mode}

    def format(self, schema: Object) -> Object:
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}

    def reasoning(self, on: bool) -> Object:
        return {"thinking": {"type": "adaptive" if on else "disabled"}}

    def body(self, turns: Turns, **members: Any) -> Object:
        return {"max_tokens": 4096, "messages": turns, **members}


class _Responses:
    name = "responses"

    def system(self, text: str) -> Turns:
        return [{"role": "developer", "content": text}]

    def user(self, *parts: Object) -> Turns:
        return [{"type": "message", "role": "user", "content": list(parts)}]

    def model(self, *parts: Object, calls: tuple[Call, ...] = ()) -> Turns:
        texts = [{**part, "type": "output_text"} if "text" in part else part for part in parts]
        message = [{"type": "message", "role": "assistant", "content": texts}] if parts else []
        return message + [
            {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}
            for id, name, arguments in calls
        ]

    def result(self, call_id: str, *parts: Object) -> Turns:
        return [{"type": "function_call_output", "call_id": call_id, "output": list(parts)}]

    def text(self, text: str) -> Object:
        return {"type": "input_text", "text": text}

    def image(self, url: str) -> Object:
        return {"type": "input_image", "image_url": url, "detail": "low"}

    def tool(self, name: str, schema: Any) -> Object:
        function = {"type": "function", "name": name, "description": "A tool."}
        return function if schema is None else {**function, "parameters": schema}

    def choice(self, mode: str) -> Any:
        if mode in ("auto", "none", "required"):
            return mode
        return {"type": "function", "name": mode}

    def format(self, schema: Object) -> Object:
        return {"text": {"format": {"type": "json_schema", "name": "answer", "schema": schema}}}

    def reasoning(self, on: bool) -> Object:
        return {"reasoning": {"effort": "high" if on else "none"}}

    def body(self, turns: Turns, **members: Any) -> Object:
        return {"input": turns, "store": False, **members}


def _read(arguments: str) -> Any:
    """Arguments as an object, where they are one; clients of Messages hold no text."""
    try:
        read = json.loads(arguments or "{}")
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {"broken": arguments}


SPEAKERS: dict[str, Speaker] = {each.name: each for each in (_Chat(), _Messages(), _Responses())}
