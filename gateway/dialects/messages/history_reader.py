"""Messages of a conversation, from the wire to the internal ones.

Owns the rules of roles, and the way of reasoning to the client and back. Clear text is kept, signed
or not. A signature that came back alone is opened if the gateway made it for this account.
Reasoning that an upstream signed is opened for that upstream. Must never fail for a block it does
not know. Source: Anthropic API reference, "Messages" and "Extended thinking"; what happens to
results is in `result_pairing`.
"""

from collections.abc import Iterator, Sequence

from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    Message,
    Part,
    SignedReasoning,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.core.seal import Sealer
from gateway.dialects.inline import newest_user_message
from gateway.dialects.messages import types
from gateway.dialects.messages.blocks import (
    BlockContext,
    parts_of,
    read_blocks,
    read_parts,
    read_text,
)
from gateway.dialects.messages.call_ids import WIRE_ID, decode_call_id

#: a line that agent clients put first; it varies by request and would spoil prefix caches
ATTRIBUTION = "x-anthropic-billing-header:"


def read_system(content: types.Content | None) -> str:
    """The system prompt, byte-stable between requests of one conversation."""
    if isinstance(content, str):
        return without_attribution(content)
    texts = (
        without_attribution(block.text)
        for block, _ in read_blocks(content, BlockContext("system", []))
        if isinstance(block, types.TextBlock)
    )
    return "\n\n".join(text for text in texts if text)


def without_attribution(text: str) -> str:
    return text.partition("\n")[2] if text.startswith(ATTRIBUTION) else text


class HistoryReader:
    """Reads the messages of one request, made by one account."""

    def __init__(self, sealer: Sealer, account_id: int, degraded: list[str]) -> None:
        self._sealer = sealer
        self._account_id = account_id
        self._degraded = degraded
        #: places of what an upstream of the same dialect would not take as it is
        self.unknown_blocks: list[str] = []
        #: the reasoning that upstreams signed, by its sealed text in the body
        self.signed_blocks: dict[str, SignedReasoning] = {}

    def read(self, messages: Sequence[types.MessageParam]) -> Iterator[Message]:
        """One wire message becomes none, one or several; empty ones vanish."""
        newest = newest_user_message([message.role for message in messages])
        if messages and messages[0].role != "user":
            self.unknown_blocks.append("messages.0.role")
        for index, message in enumerate(messages):
            path = f"messages.{index}.content"
            place = BlockContext(path, self._degraded, self.unknown_blocks, index == newest)
            if not message.content:
                self.unknown_blocks.append(path)
            match message.role:
                case "user":
                    yield from self._user(message.content, place)
                case "assistant":
                    yield from self._assistant(message.content, place)
                case "system":
                    self.unknown_blocks.append(place.path)
                    text = read_text(message.content, place)
                    if text:
                        yield SystemMessage(text)
                case _:
                    path = f"messages.{index}.role"
                    raise InvalidRequest(
                        f"{path}: Input should be 'user', 'assistant' or 'system'", param=path
                    )

    def _user(self, content: types.Content, place: BlockContext) -> Iterator[Message]:
        if isinstance(content, str):
            if content:
                yield UserMessage((TextPart(content),))
            return
        parts: list[Part] = []
        for block, inner in read_blocks(content, place):
            if isinstance(block, types.ToolResultBlock):
                if parts or not WIRE_ID.fullmatch(block.tool_use_id):
                    self.unknown_blocks.append(inner.path)
                yield ToolMessage(
                    decode_call_id(block.tool_use_id),
                    tuple(read_parts(block.content, inner.inside("content", is_newest=False))),
                    is_error=bool(block.is_error),
                )
            else:
                parts.extend(parts_of(block, inner))
        if parts:
            yield UserMessage(tuple(parts))

    def _assistant(self, content: types.Content, place: BlockContext) -> Iterator[Message]:
        texts: list[str] = []
        reasoning: list[str] = []
        signed_blocks: list[SignedReasoning] = []
        calls: list[ToolCall] = []
        for block, inner in read_blocks(content, place):
            match block:
                case types.TextBlock(text=text):
                    texts.append(text)
                case types.ThinkingBlock(thinking=text, signature=sealed):
                    reasoning.append(self._think(text, sealed or "", signed_blocks))
                case types.RedactedThinkingBlock(data=sealed):
                    reasoning.append(self._think(None, sealed, signed_blocks))
                case types.ToolUseBlock():
                    if not WIRE_ID.fullmatch(block.id):
                        self.unknown_blocks.append(inner.path)
                    calls.append(_call(block, inner))
        if len(calls) > 1 and len({call.id for call in calls}) < len(calls):
            self.unknown_blocks.append(place.path)
        text = "".join(texts)
        thinking = "\n\n".join(piece for piece in reasoning if piece)
        if text or thinking or calls:
            yield AssistantMessage(
                text or None, thinking or None, tuple(calls), signed_blocks=tuple(signed_blocks)
            )

    def _think(self, text: str | None, sealed: str, signed_blocks: list[SignedReasoning]) -> str:
        """The reasoning of a block, in clear; what is signed of it goes to `signed_blocks`."""
        signed_block = self._sealer.open_reasoning(self._account_id, sealed)
        if signed_block is not None:
            self.signed_blocks[sealed] = signed_block
            signed_blocks.append(signed_block)
            return text or signed_block.text
        plain = None if text else self._sealer.open(self._account_id, sealed)
        return text or ("" if plain is None else plain.decode(errors="replace"))


def _call(block: types.ToolUseBlock, place: BlockContext) -> ToolCall:
    """A call; its input is JSON text, as the client spelled it."""
    if not block.name:
        path = f"{place.path}.name"
        raise InvalidRequest(f"{path}: Input should have at least 1 character", param=path)
    try:
        text = bytes(block.input).decode()
    except UnicodeDecodeError:
        text = ""
    if not text.startswith("{"):
        path = f"{place.path}.input"
        raise InvalidRequest(f"{path}: Input should be a valid object", param=path)
    return ToolCall(decode_call_id(block.id), block.name, text)
