"""The door and the store agree: what a schema takes is refused with a sentence, or kept as it is.

Documents are made from the schemas of `crds/`, with all that a schema leaves open: any text, any
number within the bounds, any time of any zone. What the models read is written and read back.
"""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.keys import generate_key
from gateway.core.spec import API_VERSION, ApiKey, CreditGrant, parse_document
from gateway.core.spec_fields import SpecError
from gateway.store.cached_keys import read_changes
from gateway.store.grant_rows import find_grant, grant_identity, list_grants
from gateway.store.grants import apply_grant
from gateway.store.key_rows import find_key, list_keys
from gateway.store.keys import apply_key
from tests.crds.support import Json, schema
from tests.harness.books import INSTALLATION, Books, credential

#: any of Unicode, and what a file can hold beside it: halves of characters, and NUL
TEXT = st.text(st.characters() | st.sampled_from("\0\ud800\udfff\u202e\ufeff\n*"), max_size=256)
_OFFSETS = st.sampled_from(["Z", "+00:00", "-12:00", "+14:00", "+23:59", "-23:59"])
_YEARS = st.sampled_from(["0001", "0099", "1582", "1969", "1970", "2027", "2500", "9999"])
_DAYS = st.sampled_from(["01-01T00:00:00", "06-30T12:30:15", "12-31T23:59:59", "12-31T23:59:59.9"])
MOMENT = st.builds("{}-{}{}".format, _YEARS, _DAYS, _OFFSETS)


def values(part: Json) -> st.SearchStrategy[Any]:
    """A strategy for the values that a part of a schema takes."""
    kind = part.get("type")
    if kind == "object":
        required = set(part.get("required", ()))
        fields = {name: values(inner) for name, inner in part["properties"].items()}
        return st.fixed_dictionaries(
            {name: each for name, each in fields.items() if name in required},
            optional={name: each for name, each in fields.items() if name not in required},
        )
    if kind == "array":
        return st.lists(values(part["items"]), max_size=4, unique=True)
    if kind == "integer":
        bounds = part["minimum"], part["maximum"]
        return st.integers(*bounds) | st.sampled_from(bounds)
    if kind == "boolean":
        return st.booleans()
    if "enum" in part:
        return st.sampled_from(part["enum"])
    if part.get("format") == "date-time":
        return MOMENT
    shape = st.from_regex(part["pattern"], fullmatch=True) if "pattern" in part else TEXT
    shape = shape.map(lambda text: text[: part["maxLength"]])
    return shape.filter(lambda text: len(text) >= part.get("minLength", 0))


def documents(kind: str) -> st.SearchStrategy[Json]:
    return st.builds(
        lambda name, spec: {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": name, "namespace": "team"},
            "spec": spec,
        },
        st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True),
        values(schema(kind)["properties"]["spec"]).map(_with_one_secret),
    )


def _with_one_secret(spec: Json) -> Json:
    """A rule of an ApiKey: where it is generated it is not brought along."""
    return (
        {name: value for name, value in spec.items() if name != "valueFrom"}
        if ("secretName" in spec)
        else spec
    )


def read(document: Json) -> ApiKey | CreditGrant | None:
    """The object, or None for one that is refused with a sentence."""
    try:
        found = parse_document(document)
    except SpecError:
        return None
    assert isinstance(found, ApiKey | CreditGrant)
    return found


_MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_MANY
@given(document=documents("ApiKey"))
def test_a_key_is_refused_or_kept_as_it_is(books: Books, document: Json) -> None:
    key = read(document)
    if not isinstance(key, ApiKey):
        return
    state = apply_key(books.database, INSTALLATION, key, credential(generate_key()))
    assert state.matches(key)
    assert find_key(books.database, INSTALLATION, "team", key.metadata.name) == state
    assert state in list_keys(books.database, INSTALLATION)
    (live,) = (each for each in read_changes(books.database, -1).keys if each.id == state.id)
    spec = key.spec
    assert (live.models, live.suspended) == (tuple(spec.models), spec.suspended)
    assert _microseconds(live.expires_at) == _microseconds(spec.expires_at)
    assert live.credits_per_day == spec.day_limit
    assert live.credits_per_month == spec.limits.credits_per_month
    assert live.credits == spec.limits.credits
    assert live.requests_per_minute == spec.limits.requests_per_minute
    assert live.concurrent_requests == spec.limits.concurrent_requests


@_MANY
@given(document=documents("CreditGrant"))
def test_a_grant_is_refused_or_kept_as_it_is(books: Books, document: Json) -> None:
    grant = read(document)
    if not isinstance(grant, CreditGrant):
        return
    result = apply_grant(books.database, INSTALLATION, grant)
    if result.reason in ("Posted", "AlreadyPosted"):
        state, _ = find_grant(books.database, INSTALLATION, grant)
        assert state is not None
        assert state.credits == grant.spec.credits
        again = apply_grant(books.database, INSTALLATION, grant)
        assert (again.reason, again.entry_id) == ("AlreadyPosted", result.entry_id)
        assert list_grants(books.database, INSTALLATION)[0][grant_identity(grant)] == state
    else:
        assert result.reason in ("Expired", "Scheduled", "Voided", "IdempotencyConflict")


@pytest.mark.parametrize("kind", ["ApiKey", "CreditGrant"])
def test_most_that_is_tried_reaches_the_store(kind: str) -> None:
    """Or the tests above would prove little."""
    taken: list[bool] = []

    @settings(max_examples=100, database=None, derandomize=True)
    @given(document=documents(kind))
    def count(document: Json) -> None:
        taken.append(read(document) is not None)

    count()
    assert len(taken) / 5 < sum(taken) < len(taken)


def _microseconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
