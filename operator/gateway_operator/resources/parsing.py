"""Objects as the API server gives them, read as their models."""

from typing import Any, TypeVar

from gateway.core.spec import AccountObject, ApiKey, CreditAllowance, CreditGrant, parse_document
from gateway.core.spec_fields import SpecError
from gateway_operator.conditions import ConditionState

T = TypeVar("T", AccountObject, ApiKey, CreditAllowance, CreditGrant)

#: a reason of each kind
INVALID_SPEC = "InvalidSpec"


def parse_as(model: type[T], body: dict[str, Any]) -> T | ConditionState:
    """The object as its model, or why it is none."""
    try:
        document = parse_document(body)
    except SpecError as error:
        return ConditionState("stalled", INVALID_SPEC, str(error))
    assert isinstance(document, model), "objects are of the kind that was asked for"
    return document
