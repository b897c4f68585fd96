"""The base of every body that a door reads or writes."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Request(BaseModel):
    """A body that comes in: exact types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class Answer(BaseModel):
    """A body that goes out; tokens are spelled as the tutorial's clients read them."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, alias_generator=to_camel, extra="forbid"
    )


class Message(Answer):
    """A sentence for people."""

    message: str
