"""In which order users are listed, and the texts that say where a list goes on.

It is the same in every store. A list has one or several *stretches*, one after the other; each is
a range of one key, in the order of that key. By username or by creation there is one stretch. By
the last sign-in there are two: users who never signed in, and the others. A text is looked for in
three: usernames, then addresses, then names; whoever is in an earlier one is not in a later one.

So each user has one place in a list: stretch, key and id. A list may go on after any place, also
that of a user who was deleted, and of one who does not match. No store needs to count how many
users came before it.
"""

import json
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from gatelodge.accounts.names import email_key, username_key
from gatelodge.accounts.search import UserQuery, name_key
from gatelodge.clock import from_milliseconds, to_milliseconds
from gatelodge.ids import UserId

Key: TypeAlias = str | datetime | None
"""The value by which a stretch is sorted. None where all its users are equal."""

Column: TypeAlias = Literal[
    "username_key", "email_key", "name_key", "created_at", "last_sign_in_at"
]

INSTANTS: tuple[Column, ...] = ("created_at", "last_sign_in_at")
"""The fields that are instants; the others are texts."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a list.

    Attributes:
        column: the field by which it is sorted.
        low: the lowest value in it, or None.
        high: the lowest value that is too high for it, or None.
        absent: whether it has the users who have no value in this field, and no others.
        besides: the earlier stretches whose users are not in it.
    """

    column: Column
    low: str | datetime | None = None
    high: str | datetime | None = None
    absent: bool = False
    besides: "tuple[Stretch, ...]" = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a user in a list.

    Attributes:
        stretch: the number of the stretch.
        key: the user's value in it.
        user_id: the user's id.
    """

    stretch: int
    key: Key
    user_id: UserId


def stretches_of(query: UserQuery) -> tuple[Stretch, ...]:
    """Return the stretches of a list, in the order in which they are shown."""
    if query.text.strip():
        return _stretches_of_text(query.text)
    if query.order == "created":
        low, high = rounded_up(query.created_from), rounded_up(query.created_before)
        return (Stretch("created_at", low, high),)
    if query.order == "username":
        return (Stretch("username_key"),)
    low, high = rounded_up(query.signed_in_from), rounded_up(query.signed_in_before)
    signed_in = Stretch("last_sign_in_at", low, high)
    if low or high:
        return (signed_in,)
    both = (Stretch("last_sign_in_at", absent=True), signed_in)
    return both[::-1] if query.descending else both


def is_descending(query: UserQuery) -> bool:
    """Say whether the stretches are shown from their highest value to the lowest."""
    return query.descending and not query.text.strip()


def _stretches_of_text(text: str) -> tuple[Stretch, ...]:
    """Return the stretches of users with a name that begins with a text.

    The text is folded as each kind of name is. A text of which folding leaves nothing is the start
    of no name.
    """
    text = text.strip()[:_LONGEST].encode("utf-8", "replace").decode()
    starts: tuple[tuple[Column, str], ...] = (
        ("username_key", username_key(text)),
        ("email_key", _address_key(text)),
        ("name_key", name_key(text)),
    )
    found: list[Stretch] = []
    for column, start in starts:
        if start:
            found.append(Stretch(column, start, _after_all_with(start), besides=tuple(found)))
    return tuple(found)


def _address_key(text: str) -> str:
    """Return the key with which addresses begin that begin with a text."""
    key = email_key(text)
    return unicodedata.normalize("NFC", text.lower()) if key.startswith(" ") else key


def _after_all_with(start: str) -> str | None:
    """Return the first text after all that begin with `start`, or None if there is none.

    Texts are compared by code points, as both databases compare them.
    """
    kept = start.rstrip(chr(_LAST))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    if following == _FIRST_SURROGATE:  # no text that a database stores has surrogates
        following = _AFTER_SURROGATES
    return kept[:-1] + chr(following)


def rounded_up(instant: datetime | None) -> datetime | None:
    """Return the first instant from this one on that a database can store, in milliseconds.

    A stored instant that is before one of the two is before the other as well.
    """
    beyond = instant.microsecond % 1000 if instant is not None else 0
    if instant is None or not beyond:
        return instant
    try:
        return instant + timedelta(microseconds=1000 - beyond)
    except OverflowError:  # in the year 9999
        return instant


def stored_name_key(name: str) -> str | None:
    """Return the key of a name for display as it is stored, or None if there is no name.

    A name of which folding leaves nothing gets a blank as its key. Without a key, it would count as
    not completed for ever.
    """
    return (name_key(name) or " ") if name else None


def to_cursor(query: UserQuery, place: Place) -> str:
    """Return the text that says that a list goes on after a place."""
    key = to_milliseconds(place.key) if isinstance(place.key, datetime) else place.key
    return json.dumps([_kind_of(query), place.stretch, key, place.user_id], separators=(",", ":"))


def from_cursor(query: UserQuery, cursor: str) -> Place:
    """Return the place in a text that `to_cursor` returned for a list in this order.

    Other conditions may have changed meanwhile.

    Raises:
        ValueError: it is no such text.
    """
    try:
        kind, number, key, user_id = json.loads(cursor)
    except (RecursionError, TypeError) as error:
        raise ValueError("no place in a list of users") from error
    stretches = stretches_of(query)
    if kind != _kind_of(query) or type(number) is not int or not 0 <= number < len(stretches):
        raise ValueError("a place in another list of users")
    if not isinstance(user_id, str) or not user_id.isascii() or len(user_id) > _LONGEST_ID:
        raise ValueError("not the id of a user")
    return Place(number, _key_in(stretches[number], key), UserId(user_id))


def _kind_of(query: UserQuery) -> str:
    """Return what two lists must have in common to have the same places."""
    if query.text.strip():
        return "text"
    bounds = query.signed_in_from or query.signed_in_before
    whole = "" if query.order != "last_sign_in" or bounds is None else ", signed in"
    return f"{query.order}{whole}, {'descending' if query.descending else 'ascending'}"


def _key_in(stretch: Stretch, key: object) -> Key:
    """Return the key in a cursor.

    Raises:
        ValueError: it is no key of this stretch.
    """
    if stretch.absent:
        if key is not None:
            raise ValueError("a value where there is none")
        return None
    if stretch.column in INSTANTS:
        if type(key) is not int or not 0 <= key <= _LAST_INSTANT:
            raise ValueError("not an instant")
        return from_milliseconds(key)
    if not isinstance(key, str):
        raise ValueError("not a name")  # noqa: TRY004 - as every other cursor that is none
    key.encode()  # a surrogate, which no database can store, is a ValueError
    if isinstance(stretch.low, str) and not key.startswith(stretch.low):
        raise ValueError("a name that does not begin with this text")
    return key


_LAST_INSTANT = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_LONGEST = 400
"""Characters of a text that are looked for; names and addresses are shorter."""

_LONGEST_ID = 64
_LAST, _FIRST_SURROGATE, _AFTER_SURROGATES = 0x10FFFF, 0xD800, 0xE000
