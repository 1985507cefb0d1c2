"""The turns of a Gemini request as the messages of chat.

It refuses unknown members, roles and parts, and empty turns and texts. A turn with calls must
follow the user's turn or results, and results must answer the calls before them. A thought
signature must come back, in the place where it was made. Sources: Gemini API reference, "Content";
Gemini API, "Thought signatures"; the wording is the API's own where it is known.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.messages_thinking import sign

Turn = dict[str, Any]

#: stands for a signature that nobody has
NO_SIGNATURE = "skip_thought_signature_validator"
_DATA = ("text", "inlineData", "functionCall", "functionResponse")
_BESIDE = ("thought", "thoughtSignature")
_MEMBERS = {
    "inlineData": ("mimeType", "data"),
    "functionCall": ("id", "name", "args"),
    "functionResponse": ("id", "name", "response"),
}
_encode = msgspec.json.Encoder(order="sorted").encode


def sign_call(name: str, arguments: Any) -> str:
    """The signature of a part with this call."""
    return sign(f"{name} {_encode(arguments).decode()}")


def read_instruction(content: Any) -> list[Turn]:
    """The system instruction as messages. Raises `Refused`."""
    if content is None:
        return []
    parts = _parts(content, "system_instruction")
    if any("text" not in part for part in parts):
        raise Refused("system_instruction: only text is supported.")
    return [{"role": "system", "content": "\n\n".join(part["text"] for part in parts)}]


def read_contents(contents: Any, *, signs: bool) -> list[Turn]:
    """The messages. With `signs`, calls of the turn under way need signatures. Raises `Refused`."""
    if not isinstance(contents, list) or not contents:
        raise Refused("GenerateContentRequest.contents: contents is not specified")
    reader = _TurnReader()
    for index, content in enumerate(contents):
        path = f"GenerateContentRequest.contents[{index}]"
        role = content.get("role", "user") if isinstance(content, dict) else None
        if role not in ("user", "model"):
            raise Refused("Please use a valid role: user, model.")
        reader.read(role, _parts(content, path))
    if signs:
        _check_signed(contents)
    return reader.messages


def _parts(content: Any, path: str) -> list[Turn]:
    if not isinstance(content, dict) or content.keys() - {"role", "parts"}:
        raise Refused(f"{path}: Cannot find field.")
    parts = content.get("parts")
    if not isinstance(parts, list) or not parts:
        raise Refused(f"{path}.parts: contents.parts must not be empty.")
    for index, part in enumerate(parts):
        _check_part(part, f"{path}.parts[{index}]")
    return parts


def _check_part(part: Any, path: str) -> None:
    if not isinstance(part, dict) or part.keys() - {*_DATA, *_BESIDE}:
        raise Refused(f"{path}: Cannot find field.")
    kinds = [name for name in _DATA if name in part]
    if len(kinds) != 1:
        raise Refused(f"{path}.data: required oneof field 'data' must have one initialized field")
    kind, value = kinds[0], part[kinds[0]]
    if kind == "text":
        if not isinstance(value, str) or not (value or part.get("thoughtSignature")):
            raise Refused(f"{path}.text: must not be empty.")
    elif not isinstance(value, dict) or value.keys() - set(_MEMBERS[kind]):
        raise Refused(f"{path}.{kind}: Cannot find field.")
    signature = part.get("thoughtSignature")
    if signature is not None and signature not in (NO_SIGNATURE, _signature_of(part)):
        raise Refused(f"{path}: Corrupted thought signature.")


def _signature_of(part: Turn) -> str | None:
    """The signature that this part had, if it had one."""
    call = part.get("functionCall")
    if call is not None:
        return sign_call(call.get("name", ""), call.get("args", {}))
    return sign(part["text"]) if "text" in part else None


def _check_signed(contents: list[Turn]) -> None:
    """Each step of the turn under way that calls has a signature at its first call."""
    began = max(
        (
            index
            for index, content in enumerate(contents)
            if content.get("role") != "model"
            and any("functionResponse" not in part for part in content["parts"])
        ),
        default=0,
    )
    for content in contents[began:]:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            raise Refused(
                "Function call is missing a thought_signature in functionCall parts. This is "
                "required for tools to work correctly. Function call "
                f"`default_api:{calls[0]['functionCall'].get('name')}`."
            )


class _TurnReader:
    def __init__(self) -> None:
        self.messages: list[Turn] = []
        #: the calls of the turn before, by id
        self._asked: list[tuple[str, str]] = []
        self._role: str | None = None
        self._made = 0

    def read(self, role: str, parts: list[Turn]) -> None:
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if role == "model" or results or self._asked:
            self._check_results(role, results)
        if role == "model":
            self._read_model_turn(parts)
        else:
            self._read_results(results)
            self._read_user(parts)
        self._role = role

    def _check_results(self, role: str, results: list[Turn]) -> None:
        if len(results) != len(self._asked) or (results and role == "model"):
            raise Refused(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )

    def _read_model_turn(self, parts: list[Turn]) -> None:
        message: Turn = {"role": "assistant", "content": None}
        for part in parts:
            if "functionCall" in part:
                message.setdefault("tool_calls", []).append(self._read_call(part["functionCall"]))
            elif "text" not in part:
                raise Refused("A turn of the model holds texts and function calls.")
            elif not part.get("thought"):
                message["content"] = (message["content"] or "") + part["text"]
        if "tool_calls" in message and self._role != "user":
            raise Refused(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )
        self.messages.append(message)

    def _read_call(self, call: Turn) -> Turn:
        name, arguments = call.get("name"), call.get("args", {})
        if not name or not isinstance(arguments, dict):
            raise Refused("GenerateContentRequest.contents: function_call.name: [REQUIRED]")
        call_id = call.get("id") or f"call-{self._made}"
        self._made += 1
        if any(call_id == other for other, _ in self._asked):
            raise Refused(f"Two function calls have the id {call_id}.")
        self._asked.append((call_id, name))
        function = {"name": name, "arguments": _encode(arguments).decode()}
        return {"id": call_id, "type": "function", "function": function}

    def _read_results(self, results: Iterable[Turn]) -> None:
        asked, self._asked = self._asked, []
        for (call_id, name), result in zip(asked, results, strict=True):
            response = result.get("response")
            if result.get("name") != name or result.get("id", call_id) != call_id:
                raise Refused("A function response has to have name and id of its function call.")
            if not isinstance(response, dict):
                raise Refused("function_response.response: Invalid value, a Struct is required.")
            output = response.get("output")
            text = output if isinstance(output, str) else _encode(response).decode()
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})

    def _read_user(self, parts: list[Turn]) -> None:
        read: list[Turn] = []
        for part in parts:
            if "text" in part:
                read.append({"type": "text", "text": part["text"]})
            elif "inlineData" in part:
                read.append(_read_image(part["inlineData"]))
            elif "functionCall" in part:
                raise Refused("Function calls are the model's.")
        if read:
            self.messages.append({"role": "user", "content": read})


def _read_image(data: Turn) -> Turn:
    media_type, content = data.get("mimeType"), data.get("data")
    if not str(media_type).startswith("image/") or not content:
        raise Refused(f"Unsupported MIME type: {media_type}")
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{content}"}}
