"""Keys in the JSON API: what is sent, and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.console.api.bodies import Body
from gateway.console.api.fields import Expiry, ShownAccount, printable
from gateway.core.key_policy import LABEL_CHARACTERS_MAX
from gateway.core.spec_fields import MODEL_CHARACTERS_MAX
from gateway.store.key_list import KeyStatus, ShownKey
from gateway.store.personal_keys import KeySettings

Label = Annotated[
    str, Field(min_length=1, max_length=LABEL_CHARACTERS_MAX), AfterValidator(printable)
]
ModelPattern = Annotated[
    str, Field(min_length=1, max_length=MODEL_CHARACTERS_MAX), AfterValidator(printable)
]
Models = Annotated[list[ModelPattern], Field(max_length=256)]
Credits = Annotated[int, Field(strict=True, ge=0, le=10**15)]
Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
Overlap = Literal["0s", "1h", "24h"]
OVERLAP_SECONDS: dict[Overlap, int] = {"0s": 0, "1h": 3600, "24h": 86400}


class Limits(Body):
    """Limits of a key; one that is null is no limit, one that is left out stays as it is."""

    credits_per_day: Credits | None = None
    credits_per_month: Credits | None = None
    credits: Credits | None = None
    requests_per_minute: Count | None = None
    concurrent_requests: Count | None = None


class KeyCreation(Body):
    """A key that is asked for. `account` is one of your namespace, such as `team-a/alice`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "nightly build",
                    "account": "team-a/build",
                    "models": ["kimi-*"],
                    "limits": {"credits_per_day": 500},
                }
            ]
        }
    )
    name: Label
    account: ShownAccount
    models: Models = Field(default=[])
    limits: Limits = Limits()
    expires_at: Expiry | None = None


class KeyChange(Body):
    """Changes of a key; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "weekly build", "limits": {"credits": 9000}}]}
    )
    name: Label = ""
    models: Models = Field(default=[])
    limits: Limits = Limits()
    suspended: Annotated[bool, Field(strict=True)] = False
    expires_at: Expiry | None = None


class KeyRotation(Body):
    """A rotation: the old secret holds for `overlap`; `expires_at` moves the key's end with it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap": "1h"}]})
    overlap: Overlap = "24h"
    expires_at: Expiry | None = None


class KeyUse(BaseModel):
    """Credits that were charged to a key, counted where it has a limit of that kind."""

    today: int
    this_month: int
    ever: int


class Key(BaseModel):
    """A key. `source` is its ApiKey, where it is an object's."""

    object: Literal["key"] = "key"
    id: str
    name: str
    origin: str
    source: str | None
    scope: str
    account: str
    prefix: str
    status: KeyStatus
    models: list[str]
    limits: Limits
    used: KeyUse
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    old_secret_until: datetime | None


class NewSecret(Key):
    """A key with its secret, which is shown this once."""

    secret: str


class KeyList(BaseModel):
    """A page of keys, the newest first."""

    object: Literal["list"] = "list"
    data: list[Key]
    has_more: bool
    last_id: str | None


def shape(key: ShownKey) -> Key:
    """A key as it is answered."""
    is_object = key.origin == "object"
    return Key(
        id=key.key_id,
        name=key.label or key.name.partition("/")[2],
        origin=key.origin,
        source=key.name if is_object else None,
        scope=key.scope,
        account=key.account,
        prefix=key.prefix,
        status=key.status,
        models=key.models,
        limits=Limits.model_validate(key, from_attributes=True),
        used=KeyUse(today=key.used_today, this_month=key.used_this_month, ever=key.used_ever),
        expires_at=key.expires_at,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
        old_secret_until=key.old_until,
    )


def settings_of(asked: KeyCreation | KeyChange) -> KeySettings:
    """The settings that are given."""
    given, limits = asked.model_fields_set, asked.limits
    values: dict[str, Any] = {name: getattr(limits, name) for name in limits.model_fields_set}
    for name in given & {"models", "suspended", "expires_at"}:
        values[name] = getattr(asked, name)
    return KeySettings(label=asked.name if "name" in given else UNSET, **values)
