"""The JSON body of a request, as its model."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.core.errors import InvalidRequest, RequestTooLarge
from gateway.core.shares import Holder
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.bodies import whole_body

#: the longest list of models fits in
BODY_BYTES_MAX = 128 * 1024

M = TypeVar("M", bound="Body")


class Body(BaseModel):
    """A body. A member that nobody reads is refused: a misspelt limit would be none."""

    model_config = ConfigDict(extra="forbid")


async def read_body(
    request: Request, services: AccountServices, holder: Holder, model: type[M]
) -> M:
    """The body. Raises `InvalidRequest`, `RequestTooLarge` and what reading it raises."""
    async with whole_body(request, services, holder) as body:
        if len(body) > BODY_BYTES_MAX:
            raise RequestTooLarge(f"the body may have {BODY_BYTES_MAX} bytes at most")
        try:
            return model.model_validate_json(body or b"{}")
        except ValidationError as error:
            # All are made, and there may be thousands: without what a body held each costs little.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])[:128]
            words = str(first["msg"]).removeprefix("Value error, ")
            message = f"{where}: {words}" if where else words
            raise InvalidRequest(message, param=where or None) from None


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a route's body."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
