"""Refusals: every "no" that this project can explain, and the kinds of refusals.

A refusal is an exception class in the room that raises it. The class holds everything about the
refusal: a code for programs, a message, a sentence for pages, and its kind (the base class).
Refusals know no HTTP: `web/responses.py` maps each kind to one HTTP status.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import ClassVar

from gatelodge.marks import N_

NOTHING: Mapping[str, object] = MappingProxyType({})


class Refusal(Exception):
    """A "no" that this project can explain.

    Attributes:
        code: the name of the refusal for programs; it never changes after a release.
        default: the message that is used when the constructor gets no message.
        sentence: the text that pages show instead of the message; empty: pages show the message.
        oauth_error: the error code of RFC 6750, section 3.1; empty: there is none.
        members: additional members of the JSON answer, by name.
        form_field: the form field beside which a page shows the refusal when `field` is None.
        message: the text for people; the tutorial's clients show it unchanged.
        field: the field of the request that was refused, or None.
        retry_after: the number of whole seconds to wait before the next try, or None.
        others: further refusals of the same request, for pages, which show all at once.
    """

    code: ClassVar[str] = "refused"
    default: ClassVar[str] = "The request was refused."
    sentence: ClassVar[str] = ""
    oauth_error: ClassVar[str] = ""
    members: Mapping[str, object] = NOTHING
    form_field: ClassVar[str | None] = None

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Refuse with this message; without one, with the default of the class."""
        self.message = message or self.default
        self.field = field
        self.retry_after = retry_after
        self.others: tuple[Refusal, ...] = ()
        super().__init__(self.message)


# Kinds. The first kind among the base classes of a refusal decides the HTTP status.


class Invalid(Refusal):
    """The request contains something that cannot be accepted."""


class Unauthenticated(Refusal):
    """The request does not prove who makes it."""


class NotPermitted(Refusal):
    """The caller may not do this."""


class NotFound(Refusal):
    """The thing does not exist, or the caller may not see it."""


class Conflict(Refusal):
    """The current state does not allow the change."""


class Gone(Refusal):
    """The thing existed, and does not exist any more."""


class TooMany(Refusal):
    """The caller tried too often, and has to wait."""


class Unavailable(Refusal):
    """The server cannot answer at this moment; a later try may succeed."""


class Failed(Refusal):
    """The server itself failed."""


# Refusals that every room may raise


class InvalidRequest(Invalid):
    """The request is malformed: a field is missing, has the wrong type, or is not allowed."""

    code = "invalid_request"
    default = "The request is not valid."
    sentence = N_("The browser sent something that this page does not understand.")


class NoSuchRoute(NotFound):
    """No route has this path."""

    code = "not_found"
    default = "There is nothing at this address."
    sentence = N_("The address may be misspelt, or the page no longer exists.")


class StoreUnavailable(Unavailable):
    """The database did not answer, and nothing was changed."""

    code = "store_unavailable"
    default = "The database cannot be reached at this moment. Nothing was changed."
    sentence = N_("The database cannot be reached just now. Nothing was changed.")


class OutcomeUnknown(Unavailable):
    """The database did not confirm the change: it may or may not have happened."""

    code = "outcome_unknown"
    default = "The database did not confirm the change: it may or may not have happened."
    sentence = N_(
        "The database did not confirm the change. Please look whether it happened "
        "before you try again."
    )


@contextmanager
def after_a_change() -> Iterator[None]:
    """Turn `StoreUnavailable` into `OutcomeUnknown`, for what follows a change that is stored.

    The message of `StoreUnavailable` says that nothing was changed.

    Raises:
        OutcomeUnknown: the database did not answer in the block.
    """
    try:
        yield
    except StoreUnavailable as error:
        raise OutcomeUnknown(retry_after=error.retry_after) from error


# Exceptions that adapters raise for services


class AlreadyExists(Exception):
    """A value that must be unique is taken.

    Attributes:
        field: the name of the record's field whose value is taken.
    """

    def __init__(self, field: str) -> None:
        """Say which field of the record has the taken value."""
        self.field = field
        super().__init__(f"{field} is taken")


class LastHolder(Exception):
    """No other enabled user holds a role that somebody must hold; nothing was changed."""


class StillHeld(Exception):
    """Somebody holds a role that was to be deleted; nothing was changed."""


class ConfigurationError(Exception):
    """A setting, a file or the database cannot be used; the message tells the operator why."""
