"""The base classes of the JSON bodies that doors read and write."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from gatelodge import strict_json
from gatelodge.errors import InvalidRequest


class Request(BaseModel):
    """The body of a request: exact types, and no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class Answer(BaseModel):
    """The body of an answer; names are in camel case, as the tutorial's clients read them."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, alias_generator=to_camel, extra="forbid"
    )


Identifier = Annotated[str, AfterValidator(str.strip)]
"""A name or address: white space at both ends is dropped, since phone keyboards add it."""


def read_json(body: bytes) -> Any:
    """Return the value of a JSON body.

    Raises:
        InvalidRequest: `strict_json.py` refuses the body; the message says why.
    """
    try:
        return strict_json.parse(body)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


class Message(Answer):
    """An answer that is one sentence for people."""

    message: str
