"""The matrix of repairs: each request that a client may write, before each kind of upstream.

    repair × client dialect × upstream dialect × profile

In each cell a request goes up that a strict reader of that upstream takes, and an answer comes back
that a strict reader of that client takes. A hole is mended where all dialects share the repair.
"""

import json
from collections import Counter
from typing import Any

import pytest

from gateway.core.errors import FaregateError, InvalidRequest
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.upstream.simulated import errors
from gateway.upstream.simulated.families import find_family
from gateway.upstream.simulated.rules import check_request
from tests.matrix.cases import CASES, Case
from tests.matrix.crossings import ENDPOINTS, Refused, Upstream, cross, model_of, run
from tests.matrix.speakers import SPEAKERS, Object
from tests.matrix.strict_chat import check_chat
from tests.matrix.upstreams import must_reason, upstreams

ROWS = [
    pytest.param(case, client, dialect, turn, id=f"{case.name}-{client}-{dialect}")
    for turn, case in enumerate(CASES)
    for client in case.clients
    for dialect in ENDPOINTS
]
#: every provider of chat takes them as they are: they are there for other dialects, for models that
#: reason, or to stay so
HARMLESS_IN_CHAT = {
    "schema: a reference", "schema: a reference with words beside it", "schema: recursion",
    "schema: two types", "schema: required without its property", "schema: a draft",
    "a tool is required", "a named tool", "no tool", "any tool", "an id of Mistral's",
    "an answer of spaces", "a question of spaces", "two questions", "two answers",
    "the model begins", "instructions at the beginning",
}  # fmt: skip


@pytest.mark.parametrize(("case", "client", "dialect", "turn"), ROWS)
def test_every_upstream_takes_it(case: Case, client: str, dialect: str, turn: int) -> None:
    async def row() -> dict[str, str]:
        cells = enumerate(upstreams(dialect, turn))
        tried = {
            upstream[1]: await _try(case, client, upstream, (turn + place) % 2 == 0)
            for place, upstream in cells
        }
        return {profile: hole for profile, hole in tried.items() if hole is not None}

    assert run(row()) == {}


async def _try(case: Case, client: str, upstream: Upstream, reasons: bool) -> str | None:
    """Make one crossing, streamed where it reasons; return what is wrong with it."""
    reasons = reasons or must_reason(upstream)
    say, profile = SPEAKERS[client], ALL_PROFILES[upstream[1]]
    body = {**case.build(say), **say.reasoning(reasons), "stream": reasons}
    try:
        crossing = await cross(client, upstream, body)
    except InvalidRequest as refusal:
        return None if profile.name in case.refused else f"refused: {refusal}"
    except (Refused, errors.Refused) as refusal:
        return f"refused by the upstream: {refusal}"
    except FaregateError as failure:
        return f"the answer is not read: {failure!r}"
    if profile.name in case.refused:
        return "served, and should be refused"
    try:
        case.check(crossing)
        if not case.scripted:
            return None
        if case.calls:
            assert crossing.calls == [("look", {"city": "Bern"})]
        elif not profile.answers_results:  # there the script ends with a model's word between
            assert crossing.text.strip() == "Done."
    except AssertionError as wrong:
        return f"served otherwise: {wrong} {crossing.sent}"
    return None


def test_the_judges_refuse_what_is_not_repaired() -> None:
    """Each case, as a chat client writes it, is refused by some: else it shows nothing."""
    say = SPEAKERS["chat"]
    taken = {
        case.name
        for case in CASES
        if "chat" in case.clients and not case.refused and not _refusing(case.build(say))
    }
    assert taken == HARMLESS_IN_CHAT


def _refusing(body: Object) -> list[str]:
    """The profiles whose providers refuse a body."""
    refusing = []
    for name, profile in ALL_PROFILES.items():
        family = find_family(model_of(name))
        try:
            check_chat(body, profile, False)
            if family.strict:
                whole = {**body, "model": name}
                check_request(whole, family, thinking=False, prompt_tokens=1)
        except errors.Refused:
            refusing.append(name)
    return refusing


def test_every_kind_of_repair_is_there() -> None:
    kinds = Counter(case.kind for case in CASES)
    assert kinds.keys() == {"schema", "names", "ids", "images", "unknown parts", "tool choice",
                            "histories"}  # fmt: skip


@pytest.mark.parametrize("client", SPEAKERS)
def test_a_speaker_writes_json(client: str) -> None:
    bodies: list[Any] = [case.build(SPEAKERS[client]) for case in CASES if client in case.clients]
    assert json.loads(json.dumps(bodies)) == bodies
