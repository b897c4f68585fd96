"""Turns the driver's errors into those of `gatelodge.errors`. This happens nowhere else.

A failed read has changed nothing and can be repeated. After a failed write, it often cannot be
known whether the write was done.
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

# Errors that pass: the server was busy or a node was lost. The command itself was right.
_PASSING = frozenset(
    {
        43,  # CursorNotFound: its node was lost between two pages
        50,  # MaxTimeMSExpired
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        262,  # ExceededTimeLimit
        11601,  # Interrupted
    }
)


@contextmanager
def reading() -> Iterator[None]:
    """Turn a driver error that passes into `StoreUnavailable`, around a read.

    Raises:
        StoreUnavailable: there was no answer, or an error that passes.
    """
    try:
        yield
    except PyMongoError as error:
        if not _is_passing(error):
            raise
        raise StoreUnavailable(retry_after=RETRY_AFTER) from error


@contextmanager
def writing(*, unique: str = "id") -> Iterator[None]:
    """Turn a driver error into what is known about the write, around a write.

    If the server supports retryable writes, the driver has tried twice before it raises. So the
    error means an outage, or an election that takes longer than the driver's timeout.

    Args:
        unique: the field that `AlreadyExists` names if the database finds a duplicate.

    Raises:
        AlreadyExists: another record has this value.
        StoreUnavailable: the write was certainly not done.
        OutcomeUnknown: the write may have been done, or it was done and a failover may undo it.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise AlreadyExists(unique) from error
    except PyMongoError as error:
        if _was_certainly_not_done(error):
            raise StoreUnavailable(retry_after=RETRY_AFTER) from error
        if _was_perhaps_done(error):
            raise OutcomeUnknown(retry_after=RETRY_AFTER) from error
        raise


def duplicate_at(error: BulkWriteError) -> int | None:
    """Return the index of the duplicate that stopped an ordered bulk write, or None."""
    duplicates = [e["index"] for e in error.details["writeErrors"] if e["code"] == _DUPLICATE]
    return duplicates[0] if duplicates else None


_DUPLICATE = 11000


def _was_certainly_not_done(error: PyMongoError) -> bool:
    # The driver raises one of these only if neither try can have written. If the first try may have
    # written, the driver raises the error of the first try instead. A "not primary" error without
    # the label may come from the second try, and then says nothing about the first.
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


def is_of_name_servers(error: Exception) -> bool:
    """Say whether the name of a `mongodb+srv` address could not be looked up."""
    return type(error.__cause__).__module__.startswith("dns.")


def reason_of(error: Exception) -> str:
    """Return in a sentence why MongoDB cannot be used; it contains no part of the address."""
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
