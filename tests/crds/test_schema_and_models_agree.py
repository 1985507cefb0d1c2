"""The schemas of `crds/` and the models agree, field by field.

Names, types, patterns, bounds, enums, what is required and what is the default. Three differences
are meant. Each has its own sign for the end of a text. Times are whole seconds in a cluster, where
the conventions of the API want no fractions. And the operator, which only sees what the API server
took, leaves bounds of its own part to the schema.
"""

import math
import re
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from gateway.core.spec import (
    AccountSpec,
    ApiKeySpec,
    CreditAllowanceSpec,
    CreditGrantSpec,
    GatewayFleetSpec,
)
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway_operator.resources.fleet import ClusterSpec
from tests.crds.support import Json, schema

MODELS: dict[str, type[msgspec.Struct]] = {
    "Account": AccountSpec,
    "ApiKey": ApiKeySpec,
    "CreditAllowance": CreditAllowanceSpec,
    "CreditGrant": CreditGrantSpec,
    "GatewayFleet": GatewayFleetSpec,
}
#: a list, an object or a text that is not there, to the model
NOTHING: tuple[object, ...] = (None, (), [], {}, "")


_PRESERVED = "x-kubernetes-preserve-unknown-fields"


def spec_of(kind: str) -> Json:
    found = schema(kind)["properties"]["spec"]
    assert isinstance(found, dict)
    return found


def plain(kind: inspect.Type) -> inspect.Type:
    """A type without the None that stands for an absent field."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    inner = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    return inner[0] if len(inner) == 1 else kind


def default_of(field: inspect.Field) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.required else field.default_factory()


def differences(kind: inspect.Type, part: Json, path: str = "") -> Iterator[str]:
    """The differences of a model and its schema, in words."""
    match plain(kind):
        case inspect.StructType() as struct:
            yield from _differing_fields(struct, part, path)
        case inspect.ListType() as many:
            yield from _compare(path, part, type="array", minItems=many.min_length or None,
                                maxItems=many.max_length)  # fmt: skip
            yield from differences(many.item_type, part["items"], f"{path}[]")
        case inspect.StrType() as text:
            enum = sorted(part["enum"]) if "enum" in part else None
            expected = sorted(ALL_PROFILES) if path.endswith(".profile") else None
            pattern = text.pattern and text.pattern.replace(r"\Z", "$")
            yield from _compare(path, {**part, "enum": enum}, type="string", enum=expected,
                                pattern=pattern, minLength=text.min_length,
                                maxLength=text.max_length, format=None)  # fmt: skip
        case inspect.LiteralType() as words:
            enum = sorted(part.get("enum", ()))
            yield from _compare(
                path, {**part, "enum": enum}, type="string", enum=sorted(map(str, words.values))
            )
        case inspect.IntType() as number:
            assert number.gt is None
            assert number.lt is None
            yield from _compare(path, part, type="integer", minimum=number.ge, maximum=number.le)
        case inspect.FloatType() as seconds:
            lowest = seconds.ge if seconds.gt is None else math.floor(seconds.gt) + 1
            assert path.lower().endswith("seconds")
            yield from _compare(path, part, type="integer", minimum=lowest, maximum=seconds.le)
        case inspect.DateTimeType() as moment:
            assert moment.tz is True
            yield from _compare(path, part, type="string", format="date-time")
        case inspect.DictType(value_type=inspect.AnyType()):
            yield from _compare(path, part, type="object", **{_PRESERVED: True})
        case inspect.DictType(value_type=value):
            yield from _compare(path, part, type="object")
            yield from differences(value, part["additionalProperties"], f"{path}.*")
        case inspect.UnionType(types=(inspect.StrType(), inspect.IntType())):
            yield from _compare(path, part, **{"x-kubernetes-int-or-string": True})
        case inspect.BoolType():
            yield from _compare(path, part, type="boolean")
        case other:
            yield f"{path}: nothing is known of {other}"


def _differing_fields(struct: inspect.StructType, part: Json, path: str) -> Iterator[str]:
    yield from _compare(path, part, type="object")
    fields = {field.encode_name: field for field in struct.fields}
    required = {name for name, field in fields.items() if field.required}
    if required != set(part.get("required", ())):
        yield f"{path}: {required} are required here, {part.get('required')} there"
    for name, field in fields.items():
        inner = part["properties"].get(name)
        if inner is None:
            yield f"{path}.{name} is not in the schema"
            continue
        yield from differences(field.type, inner, f"{path}.{name}".lstrip("."))
        yield from _differing_default(field, inner, f"{path}.{name}")


def _differing_default(field: inspect.Field, inner: Json, path: str) -> Iterator[str]:
    here = default_of(field)
    if isinstance(here, msgspec.Struct):
        # Wherever a field inside has a default, the object around it must come into being.
        has_defaults = any("default" in each for each in inner["properties"].values())
        if has_defaults != ("default" in inner):
            yield f"{path}: the defaults inside are not reached"
        elif msgspec.convert(inner.get("default", {}), type(here)) != here:
            yield f"{path}: {here} is the default here, {inner['default']} there"
    elif here in NOTHING:
        if "default" in inner:
            yield f"{path}: no default here, {inner['default']} there"
    elif here != inner.get("default"):
        yield f"{path}: {here} is the default here, {inner.get('default')} there"


def _compare(path: str, part: Json, **expected: object) -> Iterator[str]:
    for name, value in expected.items():
        if part.get(name) != value:
            yield f"{path}: {name} is {value} here, {part.get(name)} there"


def paths(part: Json, path: str = "") -> Iterator[str]:
    for name, inner in part.get("properties", {}).items():
        yield f"{path}.{name}".lstrip(".")
        yield from paths(inner.get("items", inner), f"{path}.{name}")


def model_paths(kind: inspect.Type, path: str = "") -> Iterator[str]:
    found = plain(kind)
    if isinstance(found, inspect.ListType):
        found = found.item_type
    if isinstance(found, inspect.StructType):
        for field in found.fields:
            yield f"{path}.{field.encode_name}".lstrip(".")
            yield from model_paths(field.type, f"{path}.{field.encode_name}")


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_field_of_a_model_is_in_the_schema_as_it_is(kind: str) -> None:
    assert list(differences(inspect.type_info(MODELS[kind]), spec_of(kind))) == []


def test_every_field_of_the_operators_part_too() -> None:
    spec = {**spec_of("GatewayFleet"), "required": []}  # models and upstreams are the gateway's
    found = differences(inspect.type_info(ClusterSpec), spec)
    left_to_the_schema = re.compile(r"(pattern|minLength|maxLength|maxItems) is None here")
    assert [one for one in found if not left_to_the_schema.search(one)] == []


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_field_of_the_schema_is_read(kind: str) -> None:
    read = set(model_paths(inspect.type_info(MODELS[kind])))
    if kind == "GatewayFleet":
        read |= set(model_paths(inspect.type_info(ClusterSpec)))
    assert set(paths(spec_of(kind))) == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "integer"), ("pattern", ".*"), ("maxLength", 64), ("minLength", 0),
        ("default", "alice"),
    ],
)  # fmt: skip
def test_a_difference_is_seen(name: str, value: object) -> None:
    part = spec_of("ApiKey")
    account = {**part["properties"]["account"], name: value}
    changed = {**part, "properties": {**part["properties"], "account": account}}
    (found,) = differences(inspect.type_info(ApiKeySpec), changed)
    assert found.lstrip(".").startswith("account: ")
