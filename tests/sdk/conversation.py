"""The material of the cases: pictures, a nested model, a tool, and its answer."""

from enum import Enum
from typing import Literal, Self

from pydantic import BaseModel, Field

#: a PNG of one pixel
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
PNG_URL = f"data:image/png;base64,{PNG}"

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where"}},
    "required": ["city"],
    "additionalProperties": False,
}
#: a first turn that thinks and calls twice, and a second that answers from the results
TWO_CALLS = """!reason Two cities, then.
!tool weather {"city": "Paris"}
!tool weather {"city": "Rome"}
!then
!answer Sunny in both."""


class Means(Enum):
    TRAIN = "train"
    SHIP = "ship"


class Place(BaseModel):
    """A node that is used twice, so that a schema refers to it."""

    city: str
    country: str | None = None
    kind: Literal["inland", "harbour"] = "inland"


class Leg(BaseModel):
    start: Place
    end: Place
    means: Means
    hours: float


class Journey(BaseModel):
    """Nested, with references, an enumeration, a union, a literal and lists."""

    title: str = Field(description="What it is called")
    legs: list[Leg]
    home: Place
    price: int | str
    tags: list[str]

    @classmethod
    def example(cls) -> Self:
        paris = Place(city="Paris", country="France")
        oslo = Place(city="Oslo", kind="harbour")
        legs = [Leg(start=paris, end=oslo, means=Means.SHIP, hours=30.5)]
        return cls(title="North", legs=legs, home=paris, price="dear", tags=["cold", "fish"])


class Weather(BaseModel):
    """The arguments of the tool."""

    city: str
