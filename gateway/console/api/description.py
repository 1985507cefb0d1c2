"""`/api/v1/openapi.json`: the description of all routes of `/api/v1`, as they are served."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.http.routes.access import AuthenticatedKey

router = APIRouter()


@router.get("/openapi.json", include_in_schema=False)
async def describe(request: Request, key: AuthenticatedKey) -> dict[str, Any]:
    """OpenAPI 3.1, made once; for any key."""
    found: dict[str, Any] = request.app.openapi()
    return found
