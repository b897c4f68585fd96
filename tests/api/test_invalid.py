"""What is said of a body or a parameter that is not valid: sentences of our own, not Pydantic's."""

import re
from datetime import datetime
from enum import Enum
from typing import Any, Literal

import httpx2
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core.core_schema import ErrorType

from gatelodge.app import House
from gatelodge.web.invalid import invalid_request
from tests.support.people import signed_in

PYDANTIC = re.compile(
    r"should|[Ii]nput|permitted|Field required|Value error|Assertion|dictionary|string|instance|"
    r"object to extract|boolean|integer|parse|item|https?:"
)
"""Words of Pydantic's sentences; ours have none of them."""

SIGN_IN = {"username": "ann", "password": "correct horse battery"}
SIGN_UP = SIGN_IN | {"email": "ann@example.com"}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    depth: int


class Everything(BaseModel):
    """A field of each kind that a body of ours has, or may come to have."""

    model_config = ConfigDict(strict=True, extra="forbid")

    text: str | None = Field(default=None, min_length=2, max_length=4, pattern="^[a-z]*$")
    whole: int | None = Field(default=None, ge=1, le=200)
    number: float | None = Field(default=None, gt=0, lt=10, allow_inf_nan=False)
    truth: bool | None = None
    names: list[str] | None = Field(default=None, min_length=1, max_length=2)
    pairs: dict[str, int] | None = None
    word: Literal["bearer", "cookie"] | None = None
    colour: Colour | None = Field(default=None, strict=False)
    inner: Inner | None = None
    instant: datetime | None = None
    zoned: AwareDatetime | None = None


def said_of(model: type[BaseModel], value: object, place: str = "body") -> tuple[str, str | None]:
    """Return the message and the field of the refusal of this value."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate(value)
    errors = [each | {"loc": (place, *each["loc"])} for each in map(dict, raised.value.errors())]
    refusal = invalid_request(errors)
    return refusal.message, refusal.field


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("text", 1, 'The field "text" must be a text.'),
        ("text", ["a"], 'The field "text" must be a text.'),
        ("text", "abcde", 'The field "text" must have at most 4 characters.'),
        ("text", "a", 'The field "text" must have at least 2 characters.'),
        ("text", "A1", 'The field "text" does not have the form that is asked for.'),
        ("whole", "1", 'The field "whole" must be a whole number.'),
        ("whole", 1.5, 'The field "whole" must be a whole number.'),
        ("whole", True, 'The field "whole" must be a whole number.'),
        ("whole", 0, 'The field "whole" must be at least 1.'),
        ("whole", 201, 'The field "whole" must be at most 200.'),
        ("number", "x", 'The field "number" must be a number.'),
        ("number", float("inf"), 'The field "number" must be a number.'),
        ("number", 0, 'The field "number" must be more than 0.0.'),
        ("number", 10, 'The field "number" must be less than 10.0.'),
        ("truth", "yes", 'The field "truth" must be true or false.'),
        ("names", "ann", 'The field "names" must be a list.'),
        ("names", {}, 'The field "names" must be a list.'),
        ("names", [], 'The field "names" must have at least 1 entry.'),
        ("names", ["a", "b", "c"], 'The field "names" must have at most 2 entries.'),
        ("names", ["a", None], 'Entry 2 of the field "names" must be a text.'),
        ("pairs", [], 'The field "pairs" must be an object.'),
        ("pairs", {"a": "b"}, '"a" in the field "pairs" must be a whole number.'),
        ("word", "post", "The field \"word\" must be 'bearer' or 'cookie'."),
        ("colour", "green", "The field \"colour\" must be 'red' or 'blue'."),
        ("inner", "deep", 'The field "inner" must be an object.'),
        ("inner", {}, '"depth" in the field "inner" is missing.'),
        ("inner", {"depth": 1, "width": 1}, '"width" in the field "inner" is unknown here.'),
        (
            "instant",
            "soon",
            'The field "instant" must be a date and a time, such as 2026-01-31T12:00:00Z.',
        ),
        (
            "zoned",
            datetime(2026, 1, 31),  # noqa: DTZ001 - that it has no zone is what is refused
            'The field "zoned" must name its time zone, such as Z.',
        ),
        ("other", 1, 'The field "other" is unknown here.'),
        ("o" * 900, 1, f'The field "{"o" * 64}" is unknown here.'),
    ],
)
def test_each_kind_of_mistake_has_its_sentence(name: str, value: object, message: str) -> None:
    assert said_of(Everything, {name: value}) == (message, name[:64])


@pytest.mark.parametrize("value", [None, [], "text", 1, True, [{}]])
def test_a_body_that_is_no_object_has_no_field(value: object) -> None:
    assert said_of(Everything, value) == ("The body must be a JSON object.", None)


def test_no_error_that_pydantic_knows_is_told_in_its_words() -> None:
    """Also of the kinds of fields that no body of ours has yet."""
    kinds = ErrorType.__args__
    assert len(kinds) > 90
    for kind in kinds:
        error = {
            "type": kind,
            "loc": ("body", "limit"),
            "msg": "Input should be otherwise",
            "ctx": Anything(),
        }
        message = invalid_request([error]).message
        assert message.endswith("."), kind
        assert not PYDANTIC.search(message), (kind, message)
        assert kind.startswith("json") or '"limit"' in message, (kind, message)


class Anything(dict[str, Any]):
    """The context of any error: every value in it is 2."""

    def __missing__(self, key: str) -> int:
        return 2


@pytest.mark.parametrize(
    ("path", "body", "message", "field"),
    [
        ("signin", {}, 'The field "username" is missing.', "username"),
        ("signin", {"username": "ann"}, 'The field "password" is missing.', "password"),
        ("signin", SIGN_IN | {"username": 7}, 'The field "username" must be a text.', "username"),
        (
            "signin",
            SIGN_IN | {"password": None},
            'The field "password" must be a text.',
            "password",
        ),
        ("signin", SIGN_IN | {"delivery": "post"}, None, "delivery"),
        (
            "signin",
            SIGN_IN | {"remember": True},
            'The field "remember" is unknown here.',
            "remember",
        ),
        ("signin", [SIGN_IN], "The body must be a JSON object.", None),
        ("signin", "ann", "The body must be a JSON object.", None),
        (
            "signup",
            SIGN_UP | {"username": "a" * 257},
            'The field "username" must have at most 256 characters.',
            "username",
        ),
        ("signup", SIGN_UP | {"roles": "user"}, 'The field "roles" must be a list.', "roles"),
        (
            "signup",
            SIGN_UP | {"roles": ["user"] * 17},
            'The field "roles" must have at most 16 entries.',
            "roles",
        ),
        (
            "signup",
            SIGN_UP | {"roles": ["user", 2]},
            'Entry 2 of the field "roles" must be a text.',
            "roles",
        ),
        (
            "refresh",
            {"refreshToken": 1},
            'The field "refreshToken" must be a text.',
            "refreshToken",
        ),
    ],
)
async def test_a_program_reads_what_is_wrong_with_its_body(
    client: httpx2.AsyncClient, path: str, body: object, message: str | None, field: str | None
) -> None:
    problem = (await client.post(f"/api/auth/{path}", json=body)).json()

    assert problem["code"] == "invalid_request"
    assert problem.get("field") == field
    assert problem["message"] == (message or "The field \"delivery\" must be 'bearer' or 'cookie'.")


async def test_a_body_that_is_missing_is_told_so(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/auth/signin", headers={"Content-Type": "application/json"})

    assert response.json()["message"] == "The body is not JSON."


@pytest.mark.parametrize(
    ("path", "message", "field"),
    [
        ("sessions?limit=x", 'The parameter "limit" must be a whole number.', "limit"),
        ("sessions?limit=0", 'The parameter "limit" must be at least 1.', "limit"),
        ("sessions?limit=201", 'The parameter "limit" must be at most 200.', "limit"),
        (
            f"sessions?cursor={'a' * 257}",
            'The parameter "cursor" must have at most 256 characters.',
            "cursor",
        ),
        ("sessions?cursor=!", 'The parameter "cursor" is not the "next" of an answer.', "cursor"),
        ("verify?roles=admin", 'The parameter "roles" is unknown here.', "roles"),
        ("me?a=1&a=2", 'The query parameter "a" is given twice.', "a"),
    ],
)
async def test_a_program_reads_what_is_wrong_with_its_query(
    client: httpx2.AsyncClient, house: House, path: str, message: str, field: str
) -> None:
    ann = await signed_in(client, house, "ann")

    problem = (await ann.get(f"/api/auth/{path}")).json()

    assert (problem["code"], problem["message"], problem["field"]) == (
        "invalid_request",
        message,
        field,
    )
