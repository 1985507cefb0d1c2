"""One request as a model's profile allows it, before a dialect spells it.

    messages ──▶ repaired, reasoning filled in      tools ──▶ checked, their choice made
    what neither profile nor dialect has ──▶ an instruction, refused, or named as degraded

The roles of messages and their order are decided here for all dialects. Must never reorder tools or
depend on anything but the request: equal requests must be equal bytes, for the upstream's prefix
cache is the biggest lever on cost.
"""

from msgspec import Struct

from gateway.core.catalog import Resolution
from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    Message,
    OutputFormat,
    Request,
    Tool,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.adapt.history import answer_results, fill_reasoning, repair
from gateway.dialects.adapt.tools import fit_choice
from gateway.dialects.inline import newest_user_message
from gateway.dialects.json import encode

_ROLES: dict[type[Message], str] = {UserMessage: "user", AssistantMessage: "assistant"}
#: for a dialect that has no other word for it
FREE_JSON = "Answer with one JSON object, and with nothing else."


class Prepared(Struct):
    """A request that a writer only spells.

    `choice` is None where there is none, or where one of `instructions` stands in for it.
    `degraded` names what the upstream will not see; the writer adds what its dialect lacks.
    """

    messages: list[Message]
    tools: tuple[Tool, ...]
    choice: ToolChoice | None
    instructions: list[str]
    degraded: list[str]


def prepare(request: Request, resolution: Resolution) -> Prepared:
    """Make the request fit; raises `InvalidRequest` for what the profile cannot take."""
    degraded: list[str] = []
    tools, choice, instruction = fit_choice(request, resolution.model.profile, degraded)
    instructions = [] if instruction is None else [instruction]
    messages = fit_messages(request, resolution, degraded)
    return Prepared(messages, tools, choice, instructions, degraded)


def fit_messages(request: Request, resolution: Resolution, degraded: list[str]) -> list[Message]:
    """The messages in an order that every upstream takes; raises `InvalidRequest` where none are
    left, or the user's newest message holds an image and the model sees none."""
    profile = resolution.model.profile
    given = request.read()
    if not profile.sees_images:
        _look_for_images(given, degraded)
    messages = repair(given, profile.sees_images)
    if not messages:
        raise no_content()
    if resolution.reasoning and profile.reasoning_in_history:
        messages = fill_reasoning(messages)
    if profile.answers_results:
        messages = answer_results(messages)
    return messages


def written_format(output: OutputFormat) -> str:
    """The instruction that stands in for an output format."""
    if output.kind == "json_object" or output.schema is None:
        return FREE_JSON
    return f"{FREE_JSON} It has to fit this JSON schema: {encode(output.schema).decode()}"


def _look_for_images(messages: tuple[Message, ...], degraded: list[str]) -> None:
    """Refuse an image that the user has just sent, and name any other as left out."""
    roles = [_ROLES.get(type(message)) for message in messages]
    newest = newest_user_message(roles)
    for index, message in enumerate(messages):
        if not isinstance(message, UserMessage | ToolMessage):
            continue
        if any(isinstance(part, ImagePart) for part in message.parts):
            if index == newest:
                path = f"messages.{index}.content"
                raise InvalidRequest("This model sees no images.", param=path)
            degraded.append("image")


def continues_answer(request: Request) -> bool:
    """True if the last message is the beginning of the answer, in words."""
    last = request.messages[-1] if request.prefill and request.messages else None
    return isinstance(last, AssistantMessage) and bool(last.text) and not last.calls


def no_content() -> InvalidRequest:
    """The refusal of a request without a message."""
    return InvalidRequest("The messages hold no content.", param="messages")


def no_prefill() -> InvalidRequest:
    """The refusal of an answer that is begun already."""
    return InvalidRequest(
        "This model cannot continue an assistant message; the last message must be another.",
        param="messages",
    )


def one_choice_only() -> InvalidRequest:
    """The refusal of several choices."""
    return InvalidRequest("This model gives one choice only; n must be 1.", param="n")
