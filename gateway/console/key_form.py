"""The form of a key: read with care, and shown again with what is wrong with it."""

from datetime import UTC, datetime
from typing import Any

from msgspec import field
from starlette.datastructures import FormData

from gateway.console.form import Form, end_of_day, read_fields
from gateway.console.language import marked
from gateway.core.key_policy import LABEL_CHARACTERS_MAX, KeyPolicy
from gateway.store.key_list import ShownKey
from gateway.store.personal_keys import KeySettings

_LIMITS = {
    "credits_per_day": 10**15,
    "credits_per_month": 10**15,
    "credits": 10**15,
    "requests_per_minute": 10**9,
    "concurrent_requests": 10**9,
}
_MORE = ("credits", "requests_per_minute", "concurrent_requests")
#: days for which a new key may be asked to live, beside those that are suggested
LIFETIMES = (30, 90, 365)
_NEVER = "never"

_NAME_IT = marked("Give it a name of 1 to 64 characters.")
_WHOLE_NUMBER = marked("This must be a whole number, or empty.")


class KeyForm(Form, kw_only=True):
    """A form with the models that were chosen, and the settings that it means."""

    models: list[str] = field(default_factory=list)
    settings: KeySettings = KeySettings()

    @property
    def has_more(self) -> bool:
        """True if a limit that is folded away is set, or wrong."""
        return any(self.values.get(name) or name in self.errors for name in _MORE)


def empty_form(attempt: str, policy: KeyPolicy) -> KeyForm:
    """The form of a new key; `attempt` makes sure that sending it twice makes one key."""
    values = dict.fromkeys(("label", *_LIMITS), "")
    return KeyForm(values={**values, "expires": _suggested(policy), "attempt": attempt})


def form_of(key: ShownKey) -> KeyForm:
    """The form of a key that there is."""
    values = {"label": key.label, "expires_at": ""}
    if key.expires_at is not None:
        values["expires_at"] = key.expires_at.astimezone(UTC).date().isoformat()
    for name in _LIMITS:
        limit = getattr(key, name)
        values[name] = "" if limit is None else str(limit)
    return KeyForm(values=values, models=list(key.models))


def lifetimes(policy: KeyPolicy) -> list[str]:
    """The lifetimes that are offered for a new key, in days."""
    longest, days = policy.longest_days, {*LIFETIMES, policy.suggested_days}
    if longest is None:
        return [*map(str, sorted(days)), _NEVER]
    return [str(each) for each in sorted(days) if each < longest] + [str(longest)]


def _suggested(policy: KeyPolicy) -> str:
    return str(min(policy.suggested_days, policy.longest_days or policy.suggested_days))


def read_new_key(form: FormData, models: list[str], policy: KeyPolicy) -> KeyForm:
    """The form of a new key, as it was sent."""
    read = _read(form, models, ("label", "expires", "attempt", *_LIMITS))
    expires = read.values["expires"]
    if expires not in lifetimes(policy):
        expires = read.values["expires"] = _suggested(policy)
    expires_at = None if expires == _NEVER else end_of_day(datetime.now(UTC).date(), int(expires))
    if expires_at is not None and (latest := policy.latest_expiry(datetime.now(UTC))) is not None:
        expires_at = min(expires_at, latest)
    read.settings = KeySettings(**_settings(read), expires_at=expires_at)
    return read


def read_changes(form: FormData, models: list[str], key: ShownKey) -> KeyForm:
    """The form of a key that there is, as it was sent; what is as before is not changed."""
    read = _read(form, [*models, *key.models], ("label", "expires_at", *_LIMITS))
    settings = _settings(read)
    before = form_of(key).values["expires_at"]
    if read.values["expires_at"] != before:
        settings["expires_at"] = read.last_day()
    read.settings = KeySettings(**settings)
    return read


def _read(form: FormData, models: list[str], names: tuple[str, ...]) -> KeyForm:
    sent = [str(each) for each in form.getlist("models")]
    chosen = [model for model in dict.fromkeys(models) if model in sent]
    return KeyForm(values=read_fields(form, names, 64), models=chosen)


def _settings(read: KeyForm) -> dict[str, Any]:
    label = read.values["label"]
    settings: dict[str, Any] = {"label": label, "models": read.models}
    if not 1 <= len(label) <= LABEL_CHARACTERS_MAX or not label.isprintable():
        read.errors["label"] = _NAME_IT
    for name, most in _LIMITS.items():
        settings[name] = _read_limit(read, name, most)
    return settings


def _read_limit(read: KeyForm, name: str, most: int) -> int | None:
    if not read.values[name].strip(", "):
        return None
    least = 0 if name.startswith("credits") else 1
    number = read.number(name)
    if number is not None and least <= number <= most:
        return number
    read.errors[name] = _WHOLE_NUMBER
    return None
