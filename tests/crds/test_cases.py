"""Each case is taken, or refused for the reason that it states, by a real API server."""

import pytest

from gateway.core.catalog import Catalog
from gateway.core.spec import GatewayFleet, parse_document
from gateway.core.spec_fields import SpecError
from tests.crds.support import Api, Case, Json, cases, complaints

ACCEPTED, REJECTED = cases("accept"), cases("reject")
#: what the configuration file of a standalone gateway refuses as well
REJECTED_ANYWHERE = [case for case in REJECTED if not case.is_only_in_a_cluster]


def name_of(case: Case) -> str:
    return case.name


def read(document: Json) -> object:
    """A document as the gateway reads it."""
    found = parse_document(document)
    if isinstance(found, GatewayFleet):
        Catalog(found.spec)
    return found.spec


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_accepted(api: Api, case: Case) -> None:
    """The gateway reads it too, and the API server's defaults change nothing of what it reads."""
    answer = api.submit(case.documents)
    assert complaints(answer) == []
    stored = api.read(case.documents[-1])
    api.delete(stored)
    assert read(stored) == read(case.documents[-1])


@pytest.mark.parametrize("case", REJECTED, ids=name_of)
def test_rejected(api: Api, case: Case) -> None:
    assert case.expected, "a case says what is to be expected"
    answer = api.submit(case.documents)
    if len(case.documents) > 1:
        api.delete(case.documents[0])
    found = complaints(answer)
    assert len(found) == len(case.expected), found
    for expected in case.expected:
        assert any(expected in complaint for complaint in found), found


@pytest.mark.parametrize("case", REJECTED_ANYWHERE, ids=name_of)
def test_rejected_without_a_cluster_too(case: Case) -> None:
    with pytest.raises(SpecError):
        read(case.documents[-1])
