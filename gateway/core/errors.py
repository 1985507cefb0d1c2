"""Every failure the gateway can answer with, as one tree; the two envelopes are rendered from it.

    FaregateError
    ├── RequestError                    the caller can repair it; nothing is charged
    │   ├── InvalidRequest          400
    │   │   ├── UnsupportedParameter
    │   │   ├── ContextOverflow
    │   │   ├── ContentFiltered
    │   │   └── UnknownReference        a previous response or item that this account does not have
    │   ├── InvalidCredential       401
    │   ├── CreditsExhausted        402
    │   ├── PermissionDenied        403
    │   ├── NotFound                404
    │   │   └── ModelNotFound
    │   ├── MethodNotAllowed        405
    │   │   └── UpgradeRefused      426
    │   ├── StateConflict                409
    │   ├── RequestTooLarge         413
    │   └── RateLimited             429
    │       └── CreditLimitReached
    ├── GatewayError                    ours; refunded if it was charged
    │   ├── InternalError           500
    │   ├── DatabaseUnavailable     503
    │   │   ├── DatabaseBusy            it answers, but others are in the way
    │   │   ├── DataRefused             it answers, but refuses a row's data
    │   │   └── ChargeUnknown           the commit's outcome is not known
    │   ├── Overloaded              503
    │   └── Draining                503
    └── UpstreamError                   the provider's; refunded
        ├── UpstreamUnreachable     502
        ├── UpstreamBroken          502  cut, an error event, or no end
        ├── UpstreamMisconfigured   502  it refuses our credential, our quota or our model
        ├── UpstreamTimeout         504
        └── UpstreamOverloaded      503  529 in the Anthropic family

`status` is an HTTP status; `code` and `openai_type` are those of the OpenAI error object, and
`anthropic_type` of the Anthropic one (protocols: OpenAI "Error codes", Anthropic "Errors").
`retryable` is True if the same request may succeed later; it becomes `x-should-retry`.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, TypedDict, Unpack

from gateway.core.sentences import Sentence

#: the kind of an upstream's failure, as `faregate_upstream_errors_total` counts it
Failure = Literal[
    "unreachable", "timeout", "overloaded", "failed", "misconfigured", "refused", "broken"
]

#: the possible causes of a failure: its upstream alone, a client too, or its client alone
Blame = Literal["upstream", "either", "client"]


class Facts(TypedDict, total=False):
    """Facts of one error, beside its message."""

    #: the field that is wrong
    param: str | None
    retry_after_seconds: float | None
    #: members that a client reads inside the error object, such as `error_code`
    details: dict[str, object] | None


class Repairable(Exception):
    """An administrator can repair it: a command prints the message, which explains how, alone."""


class FaregateError(Exception):
    """Base of the tree. `message` is shown to the caller, so it never holds a secret.

    Made of a `Sentence`, the console shows it in the language of its reader.
    """

    status: ClassVar[int] = 500
    anthropic_status: ClassVar[int | None] = None
    code: ClassVar[str | None] = None
    openai_type: ClassVar[str] = "server_error"
    anthropic_type: ClassVar[str] = "api_error"
    retryable: ClassVar[bool] = False
    #: whose fault it is, for the metrics
    origin: ClassVar[str] = "gateway"
    sentence: Sentence | None = None

    def __init__(self, message: str | Sentence, **facts: Unpack[Facts]) -> None:
        if not isinstance(message, str):
            self.sentence, message = message, str(message)
        super().__init__(message)
        self.message = message
        self.param = facts.get("param")
        self.retry_after_seconds = facts.get("retry_after_seconds")
        self.details = facts.get("details")


class RequestError(FaregateError):
    """The caller can repair it; refused before anything was charged, or refunded."""

    status = 400
    openai_type = "invalid_request_error"
    anthropic_type = "invalid_request_error"
    origin = "client"


class InvalidRequest(RequestError):
    """The body is not what the dialect allows; `param` names the field."""


class UnsupportedParameter(InvalidRequest):
    """A field or tool that nobody behind this gateway can serve."""

    code = "unsupported_parameter"


class ContextOverflow(InvalidRequest):
    """The input is longer than the model's context window."""

    code = "context_length_exceeded"


class ContentFiltered(InvalidRequest):
    """The upstream blocked the input."""

    code = "content_filter"


class UnknownReference(InvalidRequest):
    """A stored response or item that this account does not have."""

    code = "previous_response_not_found"


class InvalidCredential(RequestError):
    """No valid API key, or two different ones."""

    status = 401
    code = "invalid_api_key"
    anthropic_type = "authentication_error"


class CreditsExhausted(RequestError):
    """The balance does not cover the price."""

    status = 402
    code = "insufficient_quota"
    openai_type = "insufficient_quota"
    anthropic_type = "billing_error"


class PermissionDenied(RequestError):
    """The key may not do this, for example use this model."""

    status = 403
    code = "permission_denied"
    anthropic_type = "permission_error"


class NotFound(RequestError):
    """No such route or object."""

    status = 404
    code = "not_found"
    anthropic_type = "not_found_error"


class ModelNotFound(NotFound):
    """No model of this name is served."""

    code = "model_not_found"


class MethodNotAllowed(RequestError):
    """The route exists, but not with this method."""

    status = 405
    code = "method_not_allowed"


class UpgradeRefused(MethodNotAllowed):
    """The route is not served over WebSocket (RFC 9110, 15.5.22); agents then ask over HTTP."""

    status = 426
    code = "upgrade_refused"


class StateConflict(RequestError):
    """Something that is there already stands against it; `details["reason"]` names it."""

    status = 409
    code = "conflict"


class RequestTooLarge(RequestError):
    """The body is larger than the limit."""

    status = 413
    code = "request_too_large"
    anthropic_type = "request_too_large"


class RateLimited(RequestError):
    """A limit of the key: requests per minute or concurrent requests."""

    status = 429
    code = "rate_limit_exceeded"
    openai_type = "rate_limit_error"
    anthropic_type = "rate_limit_error"
    retryable = True


class CreditLimitReached(RateLimited):
    """A limit in credits is used up: the key's, or one of its account or of those above it."""

    retryable = False


class GatewayError(FaregateError):
    """Our fault; the charge is refunded."""


class InternalError(GatewayError):
    """A bug. The caller learns nothing of it but the request id."""


class DatabaseUnavailable(GatewayError, Repairable):
    """The database does not answer. `cause` is for logs and conditions; no client reads it."""

    status = 503
    code = "database_unavailable"
    retryable = True

    def __init__(self, message: str, *, cause: str = "", **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.message}: {self.cause}" if self.cause else self.message


class DatabaseBusy(DatabaseUnavailable):
    """The database answers, but others are in the way or it took too long; it is not away."""


class DataRefused(DatabaseUnavailable):
    """The database refused a batch because of the data of one of its rows."""


class ChargeUnknown(DatabaseUnavailable):
    """The charge was sent and its outcome is unknown; the request was not dispatched."""

    code = "charge_unknown"


class Overloaded(GatewayError):
    """This replica holds as much as its settings allow."""

    status = 503
    code = "overloaded"
    anthropic_type = "overloaded_error"
    retryable = True


class Draining(GatewayError):
    """This replica is shutting down and its time to drain is over."""

    status = 503
    code = "draining"
    retryable = True


class UpstreamError(FaregateError):
    """The provider's fault; the charge is refunded."""

    status = 502
    code = "upstream_error"
    retryable = True
    origin = "upstream"
    failure: ClassVar[Failure] = "failed"
    #: the provider's words, for administrators; no client reads them
    upstream_message: str = ""

    def __init__(self, message: str, *, blame: Blame = "either", **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.blame = blame


class UpstreamUnreachable(UpstreamError):
    """No connection to the upstream, or none that lasts until an answer."""

    code = "upstream_unreachable"
    failure = "unreachable"


class UpstreamBroken(UpstreamError):
    """The answer broke after its first byte: cut, an error event, or no end."""

    code = "upstream_broken"
    failure = "broken"


class UpstreamMisconfigured(UpstreamError):
    """The upstream refuses our credential, our quota or our model; the administrator's problem."""

    code = "upstream_misconfigured"
    failure = "misconfigured"
    retryable = False


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"
    failure = "timeout"
    anthropic_type = "timeout_error"


class UpstreamOverloaded(UpstreamError):
    """The upstream is busy or limits our rate."""

    status = 503
    anthropic_status = 529
    code = "upstream_overloaded"
    failure = "overloaded"
    anthropic_type = "overloaded_error"


def tree(root: type[FaregateError] = FaregateError) -> Iterator[type[FaregateError]]:
    """The classes of the tree in the order of its drawing."""
    yield root
    for error in root.__subclasses__():
        yield from tree(error)
