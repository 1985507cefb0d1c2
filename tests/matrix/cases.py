"""The repairs, each as a conversation that some upstream refuses as it was written.

A case is written once, in the words of a speaker, and checks what is left of it in what an
upstream understands, and what its client must get.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.core.upstream_profiles import ALL_PROFILES
from tests.matrix.crossings import Crossing
from tests.matrix.speakers import Object, Speaker

CLIENTS = ("chat", "messages", "responses")
Build = Callable[[Speaker], Object]
Check = Callable[[Crossing], None]

PIXEL = "R0lGODlhAQABAAAAACw="
INLINE = f"data:image/gif;base64,{PIXEL}"
AWAY = "https://example.com/a.png"
#: the answer, however many steps a history has made
DONE = "Please.\n" + "\n!then\n".join(["!answer Done."] * 4)
CALL = 'Please.\n!tool look {"city": "Bern"}'
CITY: Object = {"type": "object", "properties": {"city": {"type": "string"}}}
LONG_ID = "call_" + "0123456789" * 6


def _anything(crossing: Crossing) -> None:
    """Nothing more than that it is served."""


class Case(Struct, frozen=True):
    """`kind` is the repair's. `refused` are profiles to which the gateway refuses it itself, for a
    good reason; `clients` are those that can write it. The answer is a call of `look`, where it is
    `calls`, or else a text; one that is not `scripted` is looked at by `check` alone."""

    name: str
    kind: str
    build: Build
    check: Check = _anything
    calls: bool = False
    scripted: bool = True
    refused: frozenset[str] = frozenset()
    clients: tuple[str, ...] = CLIENTS


BLIND = frozenset(name for name, profile in ALL_PROFILES.items() if not profile.sees_images)
EVERYONE = frozenset(ALL_PROFILES)


def _turns_of(crossing: Crossing, role: str) -> list[Object]:
    return [each for each in crossing.asked["messages"] if each["role"] == role]


def _text_of(message: Object) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "<image>") for part in content)
    return content or ""


def _results(crossing: Crossing) -> list[str]:
    return [_text_of(each) for each in _turns_of(crossing, "tool")]


# ---- schemas of tools


def _tool(schema: Any) -> Build:
    def build(say: Speaker) -> Object:
        turns = say.user(say.text(CALL))
        return say.body(turns, tools=[say.tool("look", schema)])

    return build


def _keeps(*names: str) -> Check:
    def check(crossing: Crossing) -> None:
        (tool,) = crossing.asked["tools"]
        schema = tool["function"]["parameters"]
        assert [name for name in names if f"'{name}'" not in str(schema)] == []

    return check


_SCHEMAS: dict[str, tuple[Any, Check]] = {
    "none": (None, _anything),
    "empty": ({}, _anything),
    "type alone": ({"type": "object"}, _anything),
    "properties alone": ({"properties": {"city": {"type": "string"}}}, _keeps("city")),
    "null properties": ({"type": "object", "properties": None}, _anything),
    "a property without type": (
        {"type": "object", "properties": {"city": {"description": "where"}}}, _keeps("city")),
    "a reference": (
        {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}},
         "$defs": {"City": {"type": "string", "description": "where"}}}, _keeps("city")),
    "a reference with words beside it": (
        {"type": "object", "$defs": {"City": {"type": "string"}},
         "properties": {"city": {"$ref": "#/$defs/City", "description": "where"}}}, _keeps("city")),
    "definitions of old": (
        {"type": "object", "properties": {"city": {"$ref": "#/definitions/City"}},
         "definitions": {"City": {"type": "string"}}}, _keeps("city")),
    "recursion": (
        {"type": "object", "properties": {"node": {"$ref": "#/$defs/Node"}},
         "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}},
        _keeps("node")),
    "a union at the root": (
        {"allOf": [CITY, {"type": "object", "properties": {"day": {"type": "string"}}}]},
        _keeps("city", "day")),
    "a choice at the root": (
        {"type": "object", "oneOf": [
            {"properties": {"city": {"type": "string"}}, "required": ["city"]},
            {"properties": {"place": {"type": "string"}}, "required": ["place"]}]}, _anything),
    "conditions beside properties": (
        {**CITY, "anyOf": [{"required": ["city"]}, {"required": []}]}, _keeps("city")),
    "a type and a choice": (
        {"type": "object", "properties": {
            "city": {"type": "string", "anyOf": [{"maxLength": 5}, {"enum": ["Bern"]}]}}},
        _keeps("city")),
    "two types": (
        {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}, _keeps("city")),
    "a constant": (
        {"type": "object", "properties": {"city": {"const": "Bern"}}}, _keeps("city")),
    "mixed values": (
        {"type": "object", "properties": {"city": {"enum": ["Bern", 1, None]}}}, _keeps("city")),
    "a tuple": (
        {"type": "object", "properties": {"city": {"type": "array", "items": [
            {"type": "string"}, {"type": "number"}]}}}, _keeps("city")),
    "an array of anything": (
        {"type": "object", "properties": {"city": {"type": "array"}}}, _keeps("city")),
    "true for a property": ({"type": "object", "properties": {"city": True}}, _keeps("city")),
    "required without its property": (
        {"type": "object", "properties": {"city": {"type": "string"}},
         "required": ["city", "day"]}, _keeps("city")),
    "patterns of names": (
        {"type": "object", "patternProperties": {"^x": {"type": "string"}}}, _anything),
    "a draft": (
        {"$schema": "http://json-schema.org/draft-07/schema#", **CITY, "default": {},
         "examples": [{}]}, _keeps("city")),
}  # fmt: skip

# ---- images


def _look(*images: str) -> Build:
    """Images some turns ago."""

    def build(say: Speaker) -> Object:
        parts = [say.image(url) for url in images]
        turns = say.user(say.text("See."), *parts) + say.model(say.text("I do."))
        return say.body(turns + say.user(say.text(DONE)))

    return build


def _look_now(url: str) -> Build:
    return lambda say: say.body(say.user(say.text(DONE), say.image(url)))


def _look_in_a_result(url: str) -> Build:
    def build(say: Speaker) -> Object:
        turns = say.user(say.text(DONE)) + say.model(calls=(("c1", "look", "{}"),))
        turns += say.result("c1", say.text("Seen."), say.image(url))
        return say.body(turns, tools=[say.tool("look", CITY)])

    return build


def _has_image(crossing: Crossing) -> None:
    assert PIXEL in crossing.sent or "image" in crossing.degraded


def _names_image(crossing: Crossing) -> None:
    assert "example.com" not in str(crossing.asked["messages"])
    assert "image" in crossing.degraded


_IMAGES = (
    Case("an image", "images", _look(INLINE), _has_image),
    Case("an image now", "images", _look_now(INLINE), _has_image, refused=BLIND),
    Case("an image with parameters", "images",
         _look(f"data:image/gif;charset=utf-8;base64,{PIXEL}"), _has_image),
    Case("an image in capitals", "images", _look(f"data:IMAGE/GIF;BASE64,{PIXEL}"), _has_image,
         clients=("chat", "responses")),
    Case("an image from elsewhere", "images", _look(AWAY), _names_image),
    Case("an image from elsewhere, now", "images", _look_now(AWAY), refused=EVERYONE),
    Case("an image in a result", "images", _look_in_a_result(INLINE), _has_image),
    Case("an image from elsewhere in a result", "images", _look_in_a_result(AWAY), _names_image),
)  # fmt: skip

# ---- parts that nobody knows


def _unknown(kind: str) -> Build:
    def build(say: Speaker) -> Object:
        odd = {"type": kind, kind: {"url": AWAY}}
        turns = say.user(say.text("See."), odd) + say.model(say.text("I do."))
        return say.body(turns + say.user(say.text(DONE)))

    return build


def _unknown_of_the_model(say: Speaker) -> Object:
    odd = {"type": "made_up", "made_up": {"url": AWAY}}
    turns = say.user(say.text("See.")) + say.model(say.text("I do."), odd)
    return say.body(turns + say.user(say.text(DONE)))


def _names_it(crossing: Crossing) -> None:
    assert "example.com" not in str(crossing.asked["messages"])
    assert crossing.degraded


_UNKNOWN = (
    *(Case(f"{kind} earlier", "unknown parts", _unknown(kind), _names_it)
      for kind in ("video_url", "input_audio", "made_up")),
    Case("an odd part of the model's", "unknown parts", _unknown_of_the_model, _names_it),
)  # fmt: skip

# ---- tool choice


def _choose(mode: str, *, tools: int = 2, prompt: str = CALL) -> Build:
    def build(say: Speaker) -> Object:
        offered = [say.tool("look", CITY), say.tool("see", CITY)][:tools]
        members = {"tools": offered} if offered else {}
        return say.body(say.user(say.text(prompt)), tool_choice=say.choice(mode), **members)

    return build


def _offers_look(crossing: Crossing) -> None:
    names = [tool["function"]["name"] for tool in crossing.asked.get("tools", ())]
    assert "look" in names
    if names == ["look", "see"] and crossing.asked.get("tool_choice") in (None, "auto"):
        assert "look" in str(crossing.asked["messages"][-1]["content"]) or crossing.degraded


_CHOICES = (
    Case("a tool is required", "tool choice", _choose("required"), _offers_look, calls=True),
    Case("a named tool", "tool choice", _choose("look"), _offers_look, calls=True),
    Case("no tool", "tool choice", _choose("none", prompt=DONE)),
    Case("any tool", "tool choice", _choose("auto"), calls=True),
    Case("auto without tools", "tool choice", _choose("auto", tools=0, prompt=DONE),
         clients=("chat", "responses")),
    Case("none without tools", "tool choice", _choose("none", tools=0, prompt=DONE),
         clients=("chat", "responses")),
    Case("a named tool that is not there", "tool choice", _choose("hear"), refused=EVERYONE),
    Case("required without tools", "tool choice", _choose("required", tools=0), refused=EVERYONE),
)  # fmt: skip

# ---- names and ids


def _calls_back(name: str) -> Case:
    """A history with a call of a tool, which then has to be called again."""

    def build(say: Speaker) -> Object:
        turns = say.user(say.text("Go.")) + say.model(calls=(("c1", name, "{}"),))
        turns += say.result("c1", say.text("Sun.")) + say.user(say.text("Again."))
        return say.body(turns, tools=[say.tool(name, CITY)], tool_choice=say.choice(name))

    def check(crossing: Crossing) -> None:
        (tool,) = crossing.asked["tools"]
        calls = [
            call for each in _turns_of(crossing, "assistant") for call in each.get("tool_calls", ())
        ]
        assert [call["function"]["name"] for call in calls] == [tool["function"]["name"]]
        # where a tool cannot be forced, the model is asked in words, and this one does not listen
        assert [called for called, _ in crossing.calls] in ([name], [])

    return Case(f"a tool named {name[:24]}", "names", build, check, scripted=False)


def _names(*names: str) -> Build:
    def build(say: Speaker) -> Object:
        tools = [say.tool(name, CITY) for name in names]
        return say.body(say.user(say.text(CALL)), tools=tools)

    return build


def _ids(*ids: str) -> Build:
    """A history with a step for each id, and then one in which all are called at once."""

    def build(say: Speaker) -> Object:
        turns = say.user(say.text(DONE))
        for call_id in ids:
            turns += say.model(calls=((call_id, "look", '{"city": "Bern"}'),))
            turns += say.result(call_id, say.text(f"Sun for {call_id}."))
        return say.body(turns, tools=[say.tool("look", CITY)])

    return build


def _has_results(*texts: str) -> Check:
    def check(crossing: Crossing) -> None:
        assert _results(crossing) == list(texts)

    return check


def _has_one_result(crossing: Crossing) -> None:
    assert len(_results(crossing)) == 1


def _parallel(*ids: str) -> Build:
    def build(say: Speaker) -> Object:
        turns = say.user(say.text(DONE))
        turns += say.model(calls=tuple((call_id, "look", "{}") for call_id in ids))
        for number, call_id in enumerate(ids):
            turns += say.result(call_id, say.text(f"Sun {number}."))
        return say.body(turns, tools=[say.tool("look", CITY)])

    return build


_EACH_ID = {
    "a long id": LONG_ID,
    "an id with signs": "functions.look:0",
    "a short id": "1",
    "an id of Mistral's": "D681PevKs",
    "an id of Anthropic's": "toolu_01A09q90qw90lq917835lq9",
    "an id of words": "call of a tool ü",
}
_IDS = (
    *(Case(name, "ids", _ids(one), _has_results(f"Sun for {one}.")) for name, one in
      _EACH_ID.items()),
    Case("one id in every step", "ids", _ids("c1", "c1"),
         _has_results("Sun for c1.", "Sun for c1.")),
    Case("ids that differ in their ends", "ids", _parallel(LONG_ID + "a", LONG_ID + "b"),
         _has_results("Sun 0.", "Sun 1.")),
    Case("two calls with one id", "ids", _parallel("c1", "c1"), _has_results("Sun 0.", "Sun 1.")),
    *map(_calls_back, ("look", "n" * 85, "mcp.server/look", "schauen_für_alle", "1st-look")),
    Case("two tools of one name", "names", _names("look", "look"), refused=EVERYONE,
         clients=("chat", "responses")),
    Case("the later of two tools", "names", _names("look", "look"), _offers_look, calls=True,
         clients=("messages",)),
)  # fmt: skip

# ---- histories


def _history(*turns: Callable[[Speaker], list[Object]]) -> Build:
    """The turns, with a tool."""

    def build(say: Speaker) -> Object:
        messages = [each for turn in turns for each in turn(say)]
        return say.body(messages, tools=[say.tool("look", CITY)])

    return build


def _user(text: str) -> Callable[[Speaker], list[Object]]:
    return lambda say: say.user(say.text(text))


def _model(text: str, *calls: str, arguments: str = "{}") -> Callable[[Speaker], list[Object]]:
    def turn(say: Speaker) -> list[Object]:
        parts = [say.text(text)] if text else []
        return say.model(*parts, calls=tuple((one, "look", arguments) for one in calls))

    return turn


def _result(call_id: str, text: str) -> Callable[[Speaker], list[Object]]:
    return lambda say: say.result(call_id, *([say.text(text)] if text else []))


def _system(text: str) -> Callable[[Speaker], list[Object]]:
    return lambda say: say.system(text)


def _mentions(*texts: str) -> Check:
    def check(crossing: Crossing) -> None:
        messages = str(crossing.asked["messages"])
        assert [text for text in texts if text not in messages] == []

    return check


_HISTORIES = {
    "a call without its result": (
        (_user("Go."), _model("", "c1"), _user(DONE)), _mentions("interrupted")),
    "one of two results": (
        (_user("Go."), _model("", "c1", "c2"), _result("c2", "Sun."), _user(DONE)),
        _mentions("interrupted", "Sun.")),
    "results in another order": (
        (_user(DONE), _model("", "c1", "c2"), _result("c2", "Two."), _result("c1", "One.")),
        _mentions("One.", "Two.")),
    "a result without its call": (
        (_user("Go."), _result("c9", "Sun."), _user(DONE)), _mentions("Sun.")),
    "words between a call and its result": (
        (_user("Go."), _model("", "c1"), _user("Hurry."), _result("c1", "Sun."), _user(DONE)),
        _mentions("Hurry.", "Sun.")),
    "words behind a result": (
        (_user("Go."), _model("", "c1"), _result("c1", "Sun."), _user(DONE)), _mentions("Sun.")),
    "an empty result": (
        (_user(DONE), _model("", "c1"), _result("c1", "")), _has_one_result),
    "a result of spaces": (
        (_user(DONE), _model("", "c1"), _result("c1", " \n ")), _anything),
    "a call without reasoning, words before it": (
        (_user(DONE), _model("I look.", "c1"), _result("c1", "Sun.")), _mentions("I look.")),
    "an empty answer": ((_user("Go."), _model(""), _user(DONE)), _mentions("Go.")),
    "an answer of spaces": ((_user("Go."), _model(" "), _user(DONE)), _mentions("Go.")),
    "an empty question": ((_user(""), _user(DONE)), _anything),
    "a question of spaces": ((_user(" "), _model("Well?"), _user(DONE)), _mentions("Well?")),
    "two questions": ((_user("Go."), _user(DONE)), _mentions("Go.")),
    "two answers": (
        (_user("Go."), _model("I go."), _model("I went."), _user(DONE)),
        _mentions("I go.", "I went.")),
    "the model begins": ((_model("Welcome."), _user(DONE)), _mentions("Welcome.")),
    "a call begins": (
        (_model("", "c1"), _result("c1", "Sun."), _user(DONE)), _mentions("Sun.")),
    "instructions at the beginning": (
        (_system("Be brief."), _user(DONE)), _mentions("Be brief.")),
    "instructions twice": (
        (_system("Be brief."), _system("Be kind."), _user(DONE)),
        _mentions("Be brief.", "Be kind.")),
    "instructions in the middle": (
        (_user("Go."), _model("I go."), _system("Be brief."), _user(DONE)),
        _mentions("Be brief.")),
    "instructions behind a result": (
        (_user(DONE), _model("", "c1"), _result("c1", "Sun."), _system("Be brief.")),
        _mentions("Be brief.", "Sun.")),
    "instructions between a call and its result": (
        (_user(DONE), _model("", "c1"), _system("Be brief."), _result("c1", "Sun.")),
        _mentions("Be brief.", "Sun.")),
    "a long loop": (
        (_user(DONE), _model("", "c1"), _result("c1", "Sun."), _model("", "c2"),
         _result("c2", "Rain."), _model("So.", "c3"), _result("c3", "Snow.")),
        _has_results("Sun.", "Rain.", "Snow.")),
    "arguments of nothing": (
        (_user(DONE), _model("", "c1", arguments=""), _result("c1", "Sun.")),
        _has_results("Sun.")),
    "broken arguments": (
        (_user(DONE), _model("", "c1", arguments='{"city": "Be'), _result("c1", "Sun.")),
        _has_results("Sun.")),
    "a list for arguments": (
        (_user(DONE), _model("", "c1", arguments='["Bern"]'), _result("c1", "Sun.")),
        _has_results("Sun.")),
}  # fmt: skip


def _no_tools_any_more(say: Speaker) -> Object:
    """Calls in the history of a request that offers no tools."""
    turns = say.user(say.text("Go.")) + say.model(calls=(("c1", "look", "{}"),))
    turns += say.result("c1", say.text("Sun."))
    return say.body(turns + say.user(say.text(DONE)))


#: OpenAI refuses them in Responses, and so does the gateway: there clients repair them themselves
_OPENAIS_REFUSALS = {"a call without its result", "one of two results", "a result without its call"}

CASES = (
    *(Case(f"schema: {name}", "schema", _tool(schema), check, calls=True)
      for name, (schema, check) in _SCHEMAS.items()),
    *_IMAGES,
    *_UNKNOWN,
    *_CHOICES,
    *_IDS,
    *(Case(name, "histories", _history(*turns), check,
           clients=("chat", "messages") if name in _OPENAIS_REFUSALS else CLIENTS)
      for name, (turns, check) in _HISTORIES.items()),
    *(Case(f"{name}, refused", "histories", _history(*_HISTORIES[name][0]), refused=EVERYONE,
           clients=("responses",)) for name in sorted(_OPENAIS_REFUSALS)),
    Case("calls without tools", "histories", _no_tools_any_more, _mentions("Sun.")),
)  # fmt: skip
