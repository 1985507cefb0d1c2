"""`/api/v1/keys`: the keys of accounts, made and changed by management keys and people."""

from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Header, Request

from gateway.console.api.bodies import read_body, takes
from gateway.console.api.key_shapes import (
    OVERLAP_SECONDS,
    Key,
    KeyChange,
    KeyCreation,
    KeyList,
    KeyRotation,
    NewSecret,
    settings_of,
    shape,
)
from gateway.core.errors import InvalidRequest
from gateway.core.key_policy import key_policy_of
from gateway.core.keys import asked_by, generate_key, key_id_of
from gateway.core.principal import Principal, Right
from gateway.http.routes.access import Services
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.parameters import private, read_number, read_parameters
from gateway.http.routes.principals import Managing, Revoking, require
from gateway.store.key_list import (
    PAGE_MAX,
    KeyFilter,
    KeyStatus,
    ShownKey,
    list_shown_keys,
    show_key,
)
from gateway.store.personal_keys import (
    NewKey,
    change_key,
    issue_key,
    revoke_personal_key,
    rotate_key,
)

router = APIRouter(tags=["keys"], dependencies=[Depends(private)])

_PAGE_DEFAULT = 50
_DAYS_MAX = 3650
_IDEMPOTENCY_CHARACTERS_MAX = 255
#: chosen by who asks; asked again with the same one, nothing is done twice
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key")]
#: changes that do not need the right to make keys
_STOPS = frozenset({"suspended"})


@router.get("/keys", response_model=KeyList)
async def list_keys(request: Request, principal: Managing, services: Services) -> KeyList:
    """Keys, the newest first: of `account`, in a `status`, not used for `unused_days`."""
    known = ("account", "status", "unused_days", "limit", "after")
    given = read_parameters(request, known)
    status = given.get("status")
    if status is not None and status not in get_args(KeyStatus):
        raise InvalidRequest(f"status must be one of {get_args(KeyStatus)}", param="status")
    limit = read_number(given, "limit", 1, PAGE_MAX) or _PAGE_DEFAULT
    wanted = KeyFilter(
        account=given.get("account"),
        status=status,  # type: ignore[arg-type]  # it is one of them
        unused_days=read_number(given, "unused_days", 1, _DAYS_MAX),
    )
    page = await services.reads.read(
        principal.holder,
        list_shown_keys,
        services.installation,
        principal.reach("read"),
        wanted,
        limit,
        given.get("after"),
    )
    data = [shape(key) for key in page.keys]
    return KeyList(
        data=data, has_more=page.has_more, last_id=data[-1].id if page.has_more else None
    )


@router.post("/keys", response_model=NewSecret, status_code=201, openapi_extra=takes(KeyCreation))
async def create_key(
    request: Request,
    principal: Managing,
    services: Services,
    idempotency_key: IdempotencyKey = "",
) -> NewSecret:
    """A new key, whose secret is shown this once. Asked again, it is a 409 that names the key."""
    _check_idempotency_key(idempotency_key, 1)
    asked = await read_body(request, services, principal.holder, KeyCreation)
    require(principal, "keys", asked.account)
    namespace, _, account = asked.account.partition("/")
    wanted = NewKey(
        key_id=key_id_of(principal.identity, idempotency_key),
        namespace=namespace,
        account=account,
        settings=settings_of(asked),
        person_id=principal.person_id,
    )
    plaintext = generate_key()
    made = await services.reads.write(
        principal.holder,
        issue_key,
        services.installation,
        wanted,
        services.credential_of(plaintext),
        key_policy_of(services.console, principal, asked.account),
        principal.actor,
    )
    return _with_secret(made, plaintext)


@router.get("/keys/{key_id}", response_model=Key)
async def show(key_id: str, principal: Managing, services: Services) -> Key:
    """One key."""
    return shape(await _find(services, principal, key_id))


@router.patch("/keys/{key_id}", response_model=Key, openapi_extra=takes(KeyChange))
async def change(key_id: str, request: Request, principal: Managing, services: Services) -> Key:
    """A key with other settings; what is left out stays as it is."""
    found = await _find(services, principal, key_id)
    asked = await read_body(request, services, principal.holder, KeyChange)
    right: Right = "stop" if asked.model_fields_set <= _STOPS else "keys"
    require(principal, right, found.account)
    changed = await services.reads.write(
        principal.holder,
        change_key,
        services.installation,
        key_id,
        settings_of(asked),
        key_policy_of(services.console, principal, found.account),
        principal.actor,
    )
    return shape(changed)


@router.post(
    "/keys/{key_id}/rotate",
    response_model=NewSecret,
    status_code=201,
    openapi_extra=takes(KeyRotation),
)
async def rotate(
    key_id: str,
    request: Request,
    principal: Managing,
    services: Services,
    idempotency_key: IdempotencyKey = "",
) -> NewSecret:
    """A new secret for a key; the old one holds for `overlap`, the one before it ends.

    Asked again with the same `Idempotency-Key`, it is a 409.
    """
    _check_idempotency_key(idempotency_key, 0)
    found = await _find(services, principal, key_id)
    require(principal, "keys", found.account)
    asked = await read_body(request, services, principal.holder, KeyRotation)
    plaintext = generate_key()
    rotated = await services.reads.write(
        principal.holder,
        rotate_key,
        services.installation,
        key_id,
        services.credential_of(plaintext),
        OVERLAP_SECONDS[asked.overlap],
        key_policy_of(services.console, principal, found.account),
        principal.actor,
        *([asked.expires_at] if "expires_at" in asked.model_fields_set else []),
        asked=asked_by(principal.identity, idempotency_key) if idempotency_key else None,
    )
    return _with_secret(rotated, plaintext)


@router.post("/keys/{key_id}/revoke", response_model=Key)
async def revoke(key_id: str, principal: Revoking, services: Services) -> Key:
    """A key that is dead for good; a key may do that to itself. Asked again, nothing changes."""
    found = await _find(services, principal, key_id)
    if principal.key_id != key_id:
        require(principal, "stop", found.account)
    revoked = await services.reads.write(
        principal.holder, revoke_personal_key, services.installation, key_id, principal.actor
    )
    return shape(revoked)


def _check_idempotency_key(given: str, characters_min: int) -> None:
    if not characters_min <= len(given) <= _IDEMPOTENCY_CHARACTERS_MAX:
        raise InvalidRequest(
            "send a header Idempotency-Key of your own, 255 characters at most: asked again with"
            " the same one, no second secret is made",
            param="Idempotency-Key",
        )


async def _find(services: AccountServices, principal: Principal, key_id: str) -> ShownKey:
    """A key that the principal may read. Raises `NotFound`."""
    return await services.reads.read(
        principal.holder, show_key, services.installation, principal.reach("read"), key_id
    )


def _with_secret(key: ShownKey, plaintext: str) -> NewSecret:
    return NewSecret(**shape(key).model_dump(), secret=plaintext)
