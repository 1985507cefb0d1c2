"""Input items to internal messages.

    (reasoning* message? call*)  one assistant message, then the results of its calls in their order
    message                      a user's or a system message, in its place

Results are looked up by the id of their call, first come, first served, so it does not matter what
stands between a call and its result. A further result of the same call adds to the one before:
agents report on a running call that way. Owns what becomes of each kind of item. Must never refuse
a kind it does not know: those are hosted tools' histories, which a client cannot take back; they
are left out and named. Source: OpenAI API reference, "Create a model response", `input`.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    Message,
    Part,
    SignedReasoning,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.core.seal import Sealer
from gateway.dialects.inline import newest_user_message, shown_kind
from gateway.dialects.json import convert
from gateway.dialects.responses.calls import CALLS, OUTPUTS, wrap
from gateway.dialects.responses.content import PartContext, read_output, read_parts, read_text
from gateway.dialects.responses.tools import flat_name
from gateway.dialects.responses.types import (
    CallItem,
    CallOutputItem,
    MessageItem,
    Object,
    ReasoningItem,
)


class History(Struct):
    """The content of the items; `tools` are lists of further tools, each with its path.

    `signed_blocks` are those that the items hold sealed, by the sealed text.
    """

    messages: list[Message]
    tools: list[tuple[str, list[Object]]]
    degraded: list[str]
    signed_blocks: dict[str, SignedReasoning]


def kind_of(item: Object) -> str | None:
    """An item's type; a message may leave it out, and so may a reference."""
    kind = item.get("type")
    if isinstance(kind, str):
        return kind
    if "role" in item:
        return "message"
    return "item_reference" if isinstance(item.get("id"), str) else None


def read_items(items: Sequence[Object], given: int, sealer: Sealer, account_id: int) -> History:
    """Read a whole context, of which the last `given` items are the request's own.

    Raises `InvalidRequest`; its `param` counts the request's own items from 0.
    """
    reader = _ItemReader(items, len(items) - given, sealer, account_id)
    for index, item in enumerate(items):
        reader.read(index, item)
    return reader.finish()


class _CallResult(Struct):
    """The result of one call, as far as it was given."""

    parts: list[Part]
    is_error: bool = False


class _ItemReader:
    def __init__(
        self, items: Sequence[Object], inherited: int, sealer: Sealer, account_id: int
    ) -> None:
        self._history = History([], [], [], {})
        self._inherited = inherited
        self._sealer = sealer
        self._account_id = account_id
        self._kinds = [kind_of(item) for item in items]
        self._newest = newest_user_message(
            [
                "assistant" if kind in CALLS else item.get("role")
                for kind, item in zip(self._kinds, items, strict=True)
            ]
        )
        self._outputs: dict[str, deque[_CallResult]] = {}
        self._text: str | None = None
        self._phase: str | None = None
        self._reasoning: list[str] = []
        self._signed_blocks: list[SignedReasoning] = []
        self._calls: list[ToolCall] = []
        self._collect_outputs(items)

    def read(self, index: int, item: Object) -> None:
        kind = self._kinds[index]
        if kind == "message":
            self._message(index, item)
        elif kind == "reasoning":
            self._think(convert(item, ReasoningItem, self._path(index)))
        elif kind in CALLS:
            self._call(index, item)
        elif kind in OUTPUTS:
            self._flush()
        elif kind == "additional_tools":
            self._more_tools(item.get("tools"), index)
        elif kind is None:
            path = f"{self._path(index)}.type"
            raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
        else:
            self._history.degraded.append(f"input.{shown_kind(kind)}")

    def finish(self) -> History:
        self._flush()
        for call_id, left in self._outputs.items():
            if left:
                raise InvalidRequest(
                    f"No tool call found for function call output with call_id {call_id}.",
                    param="input",
                )
        return self._history

    def _path(self, index: int) -> str:
        # Inherited items were fine once, so nobody ever sees their path.
        return f"input.{max(0, index - self._inherited)}"

    def _place(self, index: int, member: str) -> PartContext:
        path = f"{self._path(index)}.{member}"
        return PartContext(path, index == self._newest, self._history.degraded)

    def _message(self, index: int, raw: Object) -> None:
        item = convert(raw, MessageItem, self._path(index))
        place = self._place(index, "content")
        if item.role == "assistant":
            if self._text or self._calls:
                self._flush()
            self._text, self._phase = read_text(item.content, place), item.phase
            return
        self._flush()
        if item.role == "user":
            parts = tuple(read_parts(item.content, place))
            if parts:
                self._history.messages.append(UserMessage(parts))
        elif text := read_text(item.content, place, "\n\n"):
            self._history.messages.append(SystemMessage(text))

    def _think(self, item: ReasoningItem) -> None:
        """Raw reasoning is trusted most, then what we sealed, then the summary.

        Reasoning that an upstream signed is kept for that upstream, beside its text.
        """
        if self._text or self._calls:
            self._flush()
        text = "\n\n".join(piece.text for piece in item.content or () if piece.text)
        sealed = item.encrypted_content or ""
        signed_block = self._sealer.open_reasoning(self._account_id, sealed)
        if signed_block is not None:
            self._signed_blocks.append(signed_block)
            self._history.signed_blocks[sealed] = signed_block
            text = text or signed_block.text
        elif not text and sealed:
            plain = self._sealer.open(self._account_id, sealed)
            text = plain.decode(errors="replace") if plain is not None else ""
        if not text:
            text = "\n\n".join(piece.text for piece in item.summary or () if piece.text)
        if text:
            self._reasoning.append(text)

    def _call(self, index: int, raw: Object) -> None:
        item = convert(raw, CallItem, self._path(index))
        kind = CALLS[raw["type"]]
        if kind == "tool_search" and item.execution == "server":
            return
        call_id = item.call_id or item.id
        name = item.name if kind in ("function", "custom") else kind
        if not call_id or not name:
            path = f"{self._path(index)}.{'name' if call_id else 'call_id'}"
            raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
        self._calls.append(ToolCall(call_id, flat_name(name, item.namespace), wrap(kind, item)))

    def _collect_outputs(self, items: Sequence[Object]) -> None:
        called: dict[str, int] = {}
        for index, (kind, item) in enumerate(zip(self._kinds, items, strict=True)):
            call_id = item.get("call_id") or item.get("id")
            if kind in CALLS and isinstance(call_id, str):
                called[call_id] = called.get(call_id, 0) + 1
            elif kind in OUTPUTS:
                self._collect_output(index, item, called)

    def _collect_output(self, index: int, raw: Object, called: dict[str, int]) -> None:
        item = convert(raw, CallOutputItem, self._path(index))
        if item.tools is not None:
            self._more_tools(item.tools, index)
        call_id = item.call_id or item.id
        if call_id is None or item.execution == "server":
            return
        output = item.output if item.tools is None else _found_tools(item.tools)
        parts = read_output(output, self._place(index, "output"))
        outputs = self._outputs.setdefault(call_id, deque())
        if not 0 < called.get(call_id, 0) <= len(outputs):
            outputs.append(_CallResult([]))
        outputs[-1].parts += parts
        outputs[-1].is_error |= item.status == "failed"

    def _more_tools(self, tools: object, index: int) -> None:
        path = f"{self._path(index)}.tools"
        self._history.tools.append((path, convert(tools or [], list[Object], path)))

    def _flush(self) -> None:
        """Append the assistant message under way with its results.

        Reasoning alone is dropped, except signed reasoning behind an answer: that belongs to it.
        """
        if self._text or self._calls:
            reasoning = "\n\n".join(self._reasoning) or None
            calls, signed_blocks = tuple(self._calls), tuple(self._signed_blocks)
            self._history.messages.append(
                AssistantMessage(
                    self._text or None,
                    reasoning,
                    calls,
                    signed_blocks=signed_blocks,
                    phase=self._phase,
                )
            )
            self._history.messages.extend(self._take_output(call) for call in calls)
        elif self._signed_blocks and self._history.messages:
            last = self._history.messages[-1]
            if isinstance(last, AssistantMessage):
                signed_blocks = (*last.signed_blocks, *self._signed_blocks)
                self._history.messages[-1] = replace(last, signed_blocks=signed_blocks)
        self._text = self._phase = None
        self._reasoning = []
        self._signed_blocks = []
        self._calls = []

    def _take_output(self, call: ToolCall) -> ToolMessage:
        waiting = self._outputs.get(call.id)
        if not waiting:
            raise InvalidRequest(
                f"No tool output found for function call {call.id}.", param="input"
            )
        output = waiting.popleft()
        return ToolMessage(call.id, tuple(output.parts), is_error=output.is_error)


def _found_tools(tools: list[Object]) -> str:
    names = []
    for tool in tools:
        inner = tool.get("tools")
        for one in inner if isinstance(inner, list) else [tool]:
            if isinstance(one, dict) and isinstance(one.get("name"), str):
                names.append(flat_name(one["name"], tool.get("name") if one is not tool else None))
    return "Tools found: " + ", ".join(names) if names else "No tools found."
