"""Turns records into MongoDB documents, and back."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from gatelodge.turns import Turns

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Document = dict[str, Any]

R = TypeVar("R")


def to_document(record: "DataclassInstance", *, key: str = "id") -> Document:
    """Return the document of a record, with its key as `_id`.

    A field that is None, and whose default is None, is left out. So it takes no space, in the
    document and in sparse indexes.

    Args:
        record: the record, a dataclass.
        key: the name of the field that becomes `_id`.
    """
    document: Document = {"_id": getattr(record, key)}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name != key and not (value is None and field.default is None):
            document[field.name] = _outward(value)
    return document


_Record = TypeVar("_Record", bound="DataclassInstance")


def to_record(kind: type[_Record], document: Mapping[str, Any], *, key: str = "id") -> _Record:
    """Return the record in a document.

    Unknown fields are ignored, and missing fields get their defaults. So two versions can use one
    database during a rolling upgrade.

    Args:
        kind: the class of the record, a dataclass.
        document: the document.
        key: the name of the field that is stored as `_id`.
    """
    names = _names(kind, key)
    return kind(
        **{
            names[stored]: tuple(value) if type(value) is list else value
            for stored, value in document.items()
            if stored in names
        }
    )


async def all_of(found: AsyncIterator[Document], record: Callable[[Document], R]) -> list[R]:
    """Return the records of all documents that a query finds; others go on in between.

    The driver reads a hundred documents or more at once, and waits for nobody until they are used.

    Args:
        found: the documents.
        record: returns the record in a document.
    """
    turns, records = Turns(), []
    async for document in found:
        records.append(record(document))
        await turns.next()
    return records


@lru_cache
def _names(kind: type, key: str) -> dict[str, str]:
    """Return the name of each field by its name in documents."""
    return {"_id" if each.name == key else each.name: each.name for each in fields(kind)}


def _outward(value: object) -> object:
    if isinstance(value, tuple):
        return [_of_list(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _of_list(value: object) -> object:
    """Return a member of a list: a record in it becomes a document."""
    return to_document(value) if is_dataclass(value) and not isinstance(value, type) else value
