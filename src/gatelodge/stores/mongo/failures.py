"""What the driver's errors mean to services: the one place where they are translated.

After a failed read nothing has changed, so it may be asked again. After a failed write the
question is whether it happened, and the honest answer is often that nobody knows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidName,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.errors import ConfigurationError as ConfigurationFailure

from gatelodge.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable

# A replica set with default settings elects a new primary within about twelve seconds.
RETRY_AFTER = 5

# The server gave up for a reason that passes: what it was busy with, not what it was asked.
_PASSING = frozenset(
    {
        43,  # CursorNotFound: its node went away between two pages
        50,  # MaxTimeMSExpired
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        262,  # ExceededTimeLimit
        11601,  # Interrupted
    }
)


@contextmanager
def reading() -> Iterator[None]:
    """Say that the database cannot be read at this moment, where that is what went wrong.

    Raises:
        StoreUnavailable: no answer, or none that may be trusted.
    """
    try:
        yield
    except PyMongoError as error:
        if not _is_passing(error):
            raise
        raise StoreUnavailable(retry_after=RETRY_AFTER) from error


@contextmanager
def writing(*, unique: str = "id") -> Iterator[None]:
    """Say what is known of a write that failed.

    The driver has tried twice by then, where the server supports it (retryable writes), so an
    error that is left tells of an outage, or of an election longer than its patience.

    Args:
        unique: the record's field that is taken when the database finds a duplicate.

    Raises:
        AlreadyExists: the field's value is taken.
        StoreUnavailable: the write was certainly not done.
        OutcomeUnknown: it was perhaps done, or done and not yet safe from a failover.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise AlreadyExists(unique) from error
    except PyMongoError as error:
        if _was_certainly_not_done(error):
            raise StoreUnavailable(retry_after=RETRY_AFTER) from error
        if _was_perhaps_done(error):
            raise OutcomeUnknown from error
        raise


def duplicate_at(error: BulkWriteError) -> int | None:
    """Return the place in an ordered bulk write where a duplicate stopped it, or None."""
    duplicates = [e["index"] for e in error.details["writeErrors"] if e["code"] == _DUPLICATE]
    return duplicates[0] if duplicates else None


_DUPLICATE = 11000


def _was_certainly_not_done(error: PyMongoError) -> bool:
    # The driver raises either of these only when no try can have written: after a first try
    # that may have, it raises that try's error instead. A "not primary" without the label may
    # be the answer to the second try, and then says nothing about the first.
    return isinstance(error, ServerSelectionTimeoutError) or error.has_error_label(
        "NoWritesPerformed"
    )


def _was_perhaps_done(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"])
    return isinstance(error, WriteConcernError) or _is_passing(error)


def _is_passing(error: PyMongoError) -> bool:
    if isinstance(error, OperationFailure):
        return error.timeout or error.code in _PASSING
    return isinstance(error, ConnectionFailure)


def reason_of(error: Exception) -> str:
    """Return one short sentence of why MongoDB cannot be used, without any part of its address."""
    if isinstance(error, ConnectionFailure):
        return "no server answers at the address in GATELODGE_DATABASE, or it has no primary."
    if isinstance(error, OperationFailure):
        return f"it refuses us: {(error.details or {}).get('codeName', error.code)}."
    if isinstance(error, ConfigurationFailure | InvalidName | ValueError):
        return (
            "GATELODGE_DATABASE is no MongoDB address. In a user name or password, write special "
            "characters as %XX."
        )
    return f"{type(error).__name__}."
