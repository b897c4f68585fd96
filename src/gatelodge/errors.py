"""Refusals: every "no" that this project can explain, and the kinds they are of.

A refusal lives in the room that raises it, and says everything of itself: a code for programs, a
message, the sentence of a page, and by its base class the kind. It knows no HTTP:
`web/responses.py` has one status for each kind.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from gatelodge.marks import N_

NOTHING: Mapping[str, object] = MappingProxyType({})


class Refusal(Exception):
    """A "no" that this project can explain.

    Attributes:
        code: for programs; never changes once released.
        default: the message of every refusal of this class that brings none of its own.
        sentence: what a page says in place of the message; nothing: the message.
        oauth_error: the error code of RFC 6750, section 3.1, where there is one.
        members: what an answer to a program says besides, by name.
        form_field: the form's field that a page shows it beside, where it names no field itself.
        message: for people; the tutorial's clients show it as it is.
        field: the request's field that was refused, where there is one.
        retry_after: whole seconds after which asking again makes sense, where known.
    """

    code: ClassVar[str] = "refused"
    default: ClassVar[str] = "The request was refused."
    sentence: ClassVar[str] = ""
    oauth_error: ClassVar[str] = ""
    members: ClassVar[Mapping[str, object]] = NOTHING
    form_field: ClassVar[str | None] = None

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Refuse, with the class's own message unless a better one is given."""
        self.message = message or self.default
        self.field = field
        self.retry_after = retry_after
        super().__init__(self.message)


# Kinds. The status of an answer follows from the first of them among a refusal's base classes.


class Invalid(Refusal):
    """What was sent cannot be taken as it is."""


class Unauthenticated(Refusal):
    """It is not proven who makes the request."""


class NotPermitted(Refusal):
    """The caller may not do this."""


class NotFound(Refusal):
    """What was asked for is not there, or is not the caller's to see."""


class Conflict(Refusal):
    """It cannot be done while things are as they are."""


class Gone(Refusal):
    """What was asked for has been there, and is no more."""


class TooMany(Refusal):
    """It was tried too often; waiting helps."""


class Unavailable(Refusal):
    """It cannot be answered at this moment; asking again helps."""


class Failed(Refusal):
    """The server itself has failed."""


# What every room may refuse


class InvalidRequest(Invalid):
    """The request is malformed: a field is missing, of the wrong type, or not allowed."""

    code = "invalid_request"
    default = "The request is not valid."
    sentence = N_("The browser sent something that this page does not understand.")


class NoSuchRoute(NotFound):
    """Nothing answers at this path."""

    code = "not_found"
    default = "There is nothing at this address."
    sentence = N_("The address may be misspelt, or the page is gone.")


class StoreUnavailable(Unavailable):
    """The database did not answer; nothing was changed."""

    code = "store_unavailable"
    default = "The database cannot be reached at this moment. Nothing was changed."
    sentence = N_("The database cannot be reached just now. Nothing was changed.")


class OutcomeUnknown(Unavailable):
    """The database did not confirm the change; it may or may not have happened."""

    code = "outcome_unknown"
    default = "The database did not confirm the change: it may or may not have happened."
    sentence = N_(
        "The database did not confirm the change. Please look whether it happened "
        "before you try again."
    )


# What adapters say to services


class AlreadyExists(Exception):
    """A unique value is taken.

    Attributes:
        field: the record's field whose value is taken.
    """

    def __init__(self, field: str) -> None:
        """Name the field."""
        self.field = field
        super().__init__(f"{field} is taken")


class ConfigurationError(Exception):
    """A setting, a file or a database is not as it must be; the message tells the operator."""
