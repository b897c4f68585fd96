"""The base of every body that a door reads or writes."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from gatelodge import strict_json
from gatelodge.errors import InvalidRequest


class Request(BaseModel):
    """A body that comes in: exact types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class Answer(BaseModel):
    """A body that goes out; tokens are spelled as the tutorial's clients read them."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, alias_generator=to_camel, extra="forbid"
    )


def read_json(body: bytes) -> Any:
    """Return the value of a JSON body.

    Raises:
        InvalidRequest: it is not JSON as `strict_json.py` allows it; the message says why.
    """
    try:
        return strict_json.parse(body)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


class Message(Answer):
    """A sentence for people."""

    message: str
