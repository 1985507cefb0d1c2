"""The services of the free routes, put together once. Must not import their framework."""

from gateway.dialects.responses.stored_responses import ResponseState
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.token_counting import Counting


class FreeServices(AccountServices, frozen=True, kw_only=True):
    """The parts of a gateway that the free routes use."""

    responses: ResponseState | None
    counting: Counting
