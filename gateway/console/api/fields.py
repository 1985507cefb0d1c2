"""The fields that several bodies have, with their bounds."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from gateway.core.principal import is_account
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT


def printable(text: str) -> str:
    """The text. Raises `ValueError` for one that is not shown as it is."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable, without blanks around it")
    return text


def _account(shown: str) -> str:
    if not is_account(shown):
        raise ValueError("must be a namespace and a label, such as team-a/alice")
    return shown


def _as_text(moment: object) -> object:
    """The moment. Raises `ValueError` for a number, which may count seconds or milliseconds."""
    if not isinstance(moment, str) or ":" not in moment:
        raise ValueError("must be a moment with its zone, such as 2099-04-01T00:00:00Z")
    return moment


def _within_years(moment: datetime) -> datetime:
    if not FIRST_MOMENT <= moment <= LAST_MOMENT:
        raise ValueError("must lie between 1970 and 9999, in UTC")
    return moment


ShownAccount = Annotated[str, Field(min_length=3, max_length=127), AfterValidator(_account)]
Expiry = Annotated[AwareDatetime, BeforeValidator(_as_text), AfterValidator(_within_years)]
