"""The simulated upstream's refusals: Moonshot's error envelope.

The body is `{"error": {"message", "type"}}`: no `code`, no `param`. One status may have several
types (429 has three), so a reader must look at the type. A 504 is an HTML page, as it comes from
the load balancer in front of the API. The messages are the real ones where they are known; that
of a rate limit names the account, which a gateway must not pass on.
"""

import msgspec

INVALID_REQUEST = "invalid_request_error"

_TYPES = {
    400: INVALID_REQUEST,
    401: "invalid_authentication_error",
    403: "permission_denied_error",
    404: "resource_not_found_error",
    429: "rate_limit_reached_error",
    499: "client_closed_request",
    503: "server_unavailable",
}
_MESSAGES_TYPES = {
    400: INVALID_REQUEST,
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_MESSAGES = {
    "API_KEY_INVALID": "API key not valid. Please pass a valid API key.",
    "content_filter": "The request was rejected because it was considered high risk",
    "engine_overloaded_error": "The engine is currently overloaded, please try again later",
    "exceeded_current_quota_error": (
        "Your account org-simulated <ak-simulated> is not active, organization <org-simulated> "
        "exceeded current quota, please check your plan and billing details"
    ),
    "incorrect_api_key_error": "Incorrect API key provided",
    "invalid_authentication_error": "Invalid Authentication",
    "rate_limit_reached_error": (
        "Your account org-simulated <ak-simulated> request reached organization max concurrency: "
        "1, please try again after 1 seconds"
    ),
    "server_unavailable": "The service is temporarily unavailable",
}
_TIMEOUT_PAGE = (
    b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n"
    b"<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>\r\n"
    b"</body>\r\n</html>\r\n"
)


class Refused(Exception):
    """The request is answered with an error: `status`, `type`, a message, perhaps Retry-After."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID_REQUEST,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.retry_after_seconds = retry_after_seconds

    @property
    def body(self) -> bytes:
        """The answer's body: JSON, except for 504."""
        return _TIMEOUT_PAGE if self.status == 504 else error_object(self.type, self.message)

    @property
    def messages_body(self) -> bytes:
        """The same in the Messages dialect: Anthropic's type for the status, unless one was given.

        A type that is Moonshot's own for a status was not chosen by a script, and is replaced.
        """
        type = self.type
        if type in (*_TYPES.values(), "server_error") or self.status == 401:
            type = _MESSAGES_TYPES.get(self.status, "api_error")
        return _TIMEOUT_PAGE if self.status == 504 else messages_error_object(type, self.message)

    @property
    def content_type(self) -> bytes:
        return b"text/html" if self.status == 504 else b"application/json; charset=utf-8"


def scripted_error(status: int, type: str | None, retry_after_seconds: int | None) -> Refused:
    """The error of an `!error` directive; without a type, the one Moonshot uses for the status."""
    named = type or _TYPES.get(status, "server_error" if status >= 500 else INVALID_REQUEST)
    message = _MESSAGES.get(named, f"Simulated error {status}")
    return Refused(message, status=status, type=named, retry_after_seconds=retry_after_seconds)


def error_object(type: str, message: str) -> bytes:
    """The envelope as JSON; it is also the form of an error in the middle of a stream."""
    return msgspec.json.encode({"error": {"message": message, "type": type}})


def messages_error_object(type: str, message: str) -> bytes:
    """The same in the Messages dialect, whole answer and event alike."""
    return msgspec.json.encode({"type": "error", "error": {"type": type, "message": message}})
