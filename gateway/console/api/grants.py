"""`/api/v1/grants`: credits that are granted and voided, by management keys that may."""

from collections.abc import Sequence

import yaml
from fastapi import APIRouter, Depends, Request, Response

from gateway.console.api.bodies import read_body, takes
from gateway.console.api.grant_shapes import Grant, GrantCreation, GrantList, shape
from gateway.console.granting import document_of, grant_of, post_grant, void_grant
from gateway.core.digits import whole_number
from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.principal import AccountSet, Principal
from gateway.http.routes.access import Services
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.parameters import private, read_number, read_parameters
from gateway.http.routes.principals import Managing, require
from gateway.http.routes.text_stream import text_stream
from gateway.store.grant_lots import GrantLot, find_lot, list_lots
from gateway.store.grant_rows import grant_identity

router = APIRouter(tags=["grants"], dependencies=[Depends(private)])

_PAGE_DEFAULT = 50
_PAGE_MAX = 100
_ROW_MAX = 10**18
_YAML_TYPE = "application/yaml; charset=utf-8"


@router.get("/grants", response_model=GrantList)
async def list_grants(
    request: Request, principal: Managing, services: Services
) -> GrantList | Response:
    """Grants, the newest first, of one `account` or of all; as `yaml`, all as CreditGrants."""
    given = read_parameters(request, ("account", "limit", "after", "format"))
    reader = _Reader(services, principal, given.get("account"))
    reader.after = read_number(given, "after", 1, _ROW_MAX)
    form = given.get("format", "json")
    if form == "yaml":
        if "limit" in given:
            raise InvalidRequest("YAML has all grants: leave limit out", param="limit")
        return text_stream(b"", await reader.read_next(), reader.read_next, _documents, _YAML_TYPE)
    if form != "json":
        raise InvalidRequest("format must be json or yaml", param="format")
    found, has_more = await reader.read(read_number(given, "limit", 1, _PAGE_MAX) or _PAGE_DEFAULT)
    last_id = found[-1].id if has_more else None
    return GrantList(data=[shape(lot) for lot in found], has_more=has_more, last_id=last_id)


@router.post("/grants", response_model=Grant, status_code=201, openapi_extra=takes(GrantCreation))
async def grant(
    request: Request, response: Response, principal: Managing, services: Services
) -> Grant:
    """A posted grant. Asked again with the same reference, it is the same one, with 200."""
    asked = await read_body(request, services, principal.holder, GrantCreation)
    require(principal, "grant", asked.account)
    wanted = grant_of(
        asked.account,
        asked.credits,
        asked.reference,
        reason=asked.reason,
        expires_at=asked.expires_at,
    )
    is_new = await services.reads.write(
        principal.holder,
        post_grant,
        services.installation,
        wanted,
        services.console.keys.accounts_per_namespace,
        principal.actor,
    )
    if not is_new:
        response.status_code = 200
    (lot,), _ = await services.reads.read(
        principal.holder,
        list_lots,
        services.installation,
        AccountSet.of(asked.account),
        identity=grant_identity(wanted),
    )
    return shape(lot)


@router.post("/grants/{grant_id}/void", response_model=Grant)
async def void(grant_id: str, principal: Managing, services: Services) -> Grant:
    """A grant that was made here, with what was left of it taken back; again, it is the same."""
    lot = await _find(services, principal, grant_id)
    require(principal, "grant", lot.account)
    await services.reads.write(
        principal.holder, void_grant, services.installation, lot, principal.actor
    )
    return shape(await _find(services, principal, grant_id))


class _Reader:
    """The pages of a list of grants, one after the other."""

    def __init__(
        self, services: AccountServices, principal: Principal, account: str | None
    ) -> None:
        self._services, self._principal, self._account = services, principal, account
        self.after: int | None = None
        self._is_over = False

    async def read(self, limit: int) -> tuple[list[GrantLot], bool]:
        found, has_more = await self._services.reads.read(
            self._principal.holder,
            list_lots,
            self._services.installation,
            self._principal.reach("read"),
            account=self._account,
            after=self.after,
            limit=limit,
        )
        if found:
            self.after = found[-1].id
        return found, has_more

    async def read_next(self) -> list[GrantLot] | None:
        if self._is_over:
            return None
        found, has_more = await self.read(_PAGE_MAX)
        self._is_over = not has_more
        return found


def _documents(lots: Sequence[GrantLot]) -> bytes:
    documents = [document_of(lot) for lot in lots if not lot.is_of_allowance]
    text = yaml.safe_dump_all(documents, explicit_start=True, sort_keys=False, allow_unicode=True)
    return text.encode() if documents else b""


async def _find(services: AccountServices, principal: Principal, grant_id: str) -> GrantLot:
    """A grant of an account that the principal may read. Raises `NotFound`."""
    lot, row_id = None, whole_number(grant_id)
    if row_id is not None:
        lot = await services.reads.read(
            principal.holder, find_lot, services.installation, principal.reach("read"), row_id
        )
    if lot is None:
        raise NotFound(f"there is no grant {grant_id[:64]}", param="grant_id")
    return lot
