"""Users in SQLite."""

import time
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from gatelodge.accounts.search import Count, UserQuery
from gatelodge.accounts.store import SET_PASSWORD, User, UserPage, UserStore
from gatelodge.audit import Event
from gatelodge.credentials.factors import credential_ids_of
from gatelodge.errors import AlreadyExists, LastHolder
from gatelodge.ids import SessionId, UserId
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import make, put_event
from gatelodge.stores.sql.lane import Unit
from gatelodge.stores.sql.tables import passkeys, sessions, user_roles, users
from gatelodge.stores.sql.user_search import count_matching, find_page
from gatelodge.stores.user_order import stored_name_key

T = TypeVar("T")

_MANY = 100_000
"""So many users are counted in a few milliseconds."""

_COUNT_HOLDS = 60.0
"""Seconds for which the number of many users is good enough."""


class SqlUsers(UserStore):
    """The users in one SQLite file."""

    def __init__(self, database: SqlDatabase) -> None:
        """Use this database."""
        self._database = database
        self._counted = 0, 0.0

    @override
    async def add(self, user: User, event: Event) -> None:
        def unit(connection: Connection) -> None:
            _add(connection, user)
            put_event(connection, event)

        await self._database.write(unit)

    @override
    async def find(self, user_id: UserId) -> User | None:
        return await self._find_one(_BY_ID, user_id)

    @override
    async def find_many(self, user_ids: Collection[UserId]) -> dict[UserId, User]:
        if not user_ids:
            return {}
        query = select(*USER_COLUMNS).where(users.c.id.in_(list(user_ids)))
        rows = await self._database.scan(lambda connection: connection.execute(query).all())
        found = [user_of(row) for row in rows]
        return {user.id: user for user in found}

    @override
    async def find_by_username(self, username_key: str) -> User | None:
        return await self._find_one(_BY_USERNAME, username_key)

    @override
    async def find_by_email(self, email_key: str) -> User | None:
        return await self._find_one(_BY_EMAIL, email_key)

    @override
    async def list_users(self, *, after: UserId | None, limit: int) -> list[User]:
        values = {"after": after or "", "limit": limit}
        rows = await self._database.scan(
            lambda connection: connection.execute(_AFTER, values).all()
        )
        return [user_of(row) for row in rows]

    @override
    async def replace_password_hash(self, user_id: UserId, old: str, new: str) -> bool:
        return await self._change(
            update(users)
            .where(users.c.id == user_id, users.c.password_hash == old)
            .values(password_hash=new),
            None,
        )

    @override
    async def change_password(
        self, user: User, new: str, event: Event, *, continued: SessionId | None
    ) -> User | None:
        change = (
            update(users)
            .where(users.c.password_hash.is_not_distinct_from(user.password_hash), *_as_read(user))
            .values(
                password_hash=new,
                epoch=users.c.epoch + 1,
                continued=continued,
                must=_NO_PASSWORD_TO_SET,
            )
        )

        def unit(connection: Connection) -> User | None:
            if not make(connection, change, event):
                return None
            return _find(connection, _BY_ID, user.id)

        return await self._database.write(unit)

    @override
    async def set_password(self, user_id: UserId, new: str, event: Event) -> bool:
        change = (
            update(users)
            .where(users.c.id == user_id)
            .values(password_hash=new, must=_NO_PASSWORD_TO_SET, **EVERY_SESSION_ENDS)
        )
        return await self._change(change, event)

    @override
    async def rename(
        self,
        user: User,
        event: Event,
        *,
        name: str,
        username: str,
        username_key: str,
        disabled_too: bool = False,
    ) -> User | None:
        as_read = _as_read(user, disabled_too=disabled_too)
        change = (
            update(users)
            .where(users.c.name == user.name, users.c.username == user.username, *as_read)
            .values(name=name, username=username, username_key=username_key)
        )
        return await self._change_name(
            user, change, event, "username", _BY_USERNAME, username_key, new_name=name
        )

    @override
    async def reset_password(
        self, user: User, new: str | None, event: Event, *, at: datetime
    ) -> User | None:
        since = bindparam("at", at, users.c.created_at.type)
        verified = func.coalesce(
            users.c.email_verified_at, case((users.c.factors.is_(None), since))
        )
        change = (
            update(users)
            .where(users.c.email_key == user.email_key, *_as_read(user))
            .values(password_hash=new, email_verified_at=verified, **EVERY_SESSION_ENDS)
        )
        if new is not None:
            change = change.values(must=_NO_PASSWORD_TO_SET)

        def unit(connection: Connection) -> User | None:
            if not make(connection, change, event):
                return None
            return _find(connection, _BY_ID, user.id)

        return await self._database.write(unit)

    @override
    async def set_email(
        self,
        user: User,
        event: Event,
        *,
        email: str,
        email_key: str,
        verified_at: datetime | None,
        disabled_too: bool = False,
    ) -> User | None:
        change = (
            update(users)
            .where(users.c.email == user.email, *_as_read(user, disabled_too=disabled_too))
            .values(email=email, email_key=email_key, email_verified_at=verified_at)
        )
        return await self._change_name(user, change, event, "email", _BY_EMAIL, email_key)

    @override
    async def grant(self, user_id: UserId, role: str, event: Event) -> bool:
        held_by_somebody = select(users.c.id, bindparam("role", role)).where(users.c.id == user_id)
        return await self._change(
            upsert(user_roles)
            .from_select(["user_id", "role"], held_by_somebody)
            .on_conflict_do_nothing(),
            event,
        )

    @override
    async def withdraw(
        self, user_id: UserId, role: str, event: Event, *, unless_last: str | None = None
    ) -> bool:
        change = delete(user_roles).where(
            user_roles.c.user_id == user_id, user_roles.c.role == role
        )
        return await self._change(change, event, user_id, unless_last)

    @override
    async def disable(
        self,
        user_id: UserId,
        at: datetime,
        event: Event,
        *,
        reason: str | None = None,
        unless_last: str | None = None,
    ) -> bool:
        change = (
            update(users)
            .where(users.c.id == user_id, users.c.disabled_at.is_(None))
            .values(disabled_at=at, disabled_reason=reason, **EVERY_SESSION_ENDS)
        )
        return await self._change(change, event, user_id, unless_last)

    @override
    async def enable(self, user_id: UserId, event: Event) -> bool:
        return await self._change(
            update(users)
            .where(users.c.id == user_id, users.c.disabled_at.is_not(None))
            .values(disabled_at=None, disabled_reason=None),
            event,
        )

    @override
    async def require(self, user_id: UserId, what: str, event: Event) -> bool:
        tasks = func.json_each(users.c.must).table_valued("value")
        has_to = select(tasks.c.value).where(tasks.c.value == what).correlate(users)
        change = (
            update(users)
            .where(users.c.id == user_id, ~exists(has_to))
            .values(must=func.json_insert(users.c.must, "$[#]", what), **EVERY_SESSION_ENDS)
        )
        return await self._change(change, event)

    @override
    async def raise_epoch(self, user_id: UserId, event: Event) -> bool:
        change = update(users).where(users.c.id == user_id).values(**EVERY_SESSION_ENDS)
        return await self._change(change, event)

    @override
    async def remove(
        self, user_id: UserId, event: Event, *, unless_last: str | None = None
    ) -> bool:
        def unit(connection: Connection) -> bool:
            _refuse_last(connection, user_id, unless_last)
            connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
            return make(connection, delete(users).where(users.c.id == user_id), event)

        return await self._database.write(unit)

    @override
    async def anyone_holds(self, role: str) -> bool:
        return await self._database.scan(lambda connection: _is_held(connection, role))

    @override
    async def list_holders(self, role: str, *, limit: int) -> list[UserId]:
        query = select(user_roles.c.user_id).where(user_roles.c.role == role).limit(limit)
        return await self._database.scan(
            lambda connection: [UserId(each) for each in connection.execute(query).scalars()]
        )

    @override
    async def search(self, query: UserQuery, *, after: str | None, limit: int) -> UserPage:
        def unit(connection: Connection) -> UserPage:
            ids, following = find_page(connection, query, after, limit)
            rows = connection.execute(_OF_IDS, {"ids": ids}).all()
            found = {user.id: user for user in map(user_of, rows)}
            return UserPage([found[each] for each in ids], following)

        return await self._database.scan(_at_one_moment(unit))

    @override
    async def count_users(self) -> Count:
        """Count all users; where they are many, at most once a minute."""
        counted, until = self._counted
        if time.monotonic() < until:
            return Count(counted, exact=False)
        number = await self._database.count(_HOW_MANY)
        if number > _MANY:
            self._counted = number, time.monotonic() + _COUNT_HOLDS
        return Count(number)

    @override
    async def count_matching(self, query: UserQuery, *, limit: int) -> Count:
        return await self._database.scan(
            _at_one_moment(lambda connection: count_matching(connection, query, limit))
        )

    @override
    async def count_created(self, bounds: Sequence[datetime]) -> list[int]:
        def unit(connection: Connection) -> list[int]:
            return [
                int(connection.execute(_CREATED, {"first": first, "last": last}).scalar_one())
                for first, last in pairwise(bounds)
            ]

        return await self._database.scan(_at_one_moment(unit))

    async def _change_name(
        self,
        user: User,
        change: Executable,
        event: Event,
        field: Literal["username", "email"],
        by_key: Select[Any],
        key: str,
        *,
        new_name: str | None = None,
    ) -> User | None:
        """Make a change that gives the user another name, which somebody else may have.

        Args:
            user: the user as read before.
            change: the change.
            event: stored with the change.
            field: which name is changed.
            by_key: finds the user who has the key.
            key: the key of the new name.
            new_name: what the change makes the name for display, or None.

        Raises:
            AlreadyExists: another user has it.
        """

        def unit(connection: Connection) -> User | None:
            try:
                changed = connection.execute(change).rowcount == 1
            except IntegrityError as error:
                if connection.execute(by_key, {"value": key}).first() is None:
                    raise
                raise AlreadyExists(field) from error
            if not changed:
                return None
            if new_name is not None:  # after the trigger, which takes away the key of the old name
                connection.execute(NAMED, {"user_id": user.id, "key": stored_name_key(new_name)})
            put_event(connection, event)
            return _find(connection, _BY_ID, user.id)

        return await self._database.write(unit)

    async def _find_one(self, query: Select[Any], value: str) -> User | None:
        return await self._database.read(lambda connection: _find(connection, query, value))

    async def _change(
        self,
        change: Executable,
        event: Event | None,
        user_id: UserId | None = None,
        unless_last: str | None = None,
    ) -> bool:
        def unit(connection: Connection) -> bool:
            if user_id is not None:
                _refuse_last(connection, user_id, unless_last)
            return make(connection, change, event)

        return await self._database.write(unit)


def _at_one_moment(query: Unit[T]) -> Unit[T]:
    """Have all statements of a query see the database as it is at its first one."""

    def unit(connection: Connection) -> T:
        connection.exec_driver_sql("BEGIN")
        try:
            return query(connection)
        finally:
            connection.exec_driver_sql("ROLLBACK")

    return unit


def _as_read(user: User, *, disabled_too: bool = False) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a user whose sessions have not ended since, and who is enabled."""
    same = users.c.id == user.id, users.c.epoch == user.epoch
    return same if disabled_too else (*same, users.c.disabled_at.is_(None))


def _add(connection: Connection, user: User) -> None:
    values = {name: getattr(user, name) for name in _COLUMNS}
    values["name_key"] = stored_name_key(user.name)
    try:
        connection.execute(insert(users), values)
    except IntegrityError as error:
        taken = connection.execute(_BY_USERNAME, {"value": user.username_key}).first()
        raise AlreadyExists("username" if taken else "email") from error
    for role in user.roles:
        connection.execute(insert(user_roles), {"user_id": user.id, "role": role})
    claim_passkeys(connection, user.id, credential_ids_of(user.factors))


def claim_passkeys(
    connection: Connection, user_id: UserId, credential_ids: Collection[str]
) -> None:
    """Make passkeys this user's.

    Raises:
        AlreadyExists: some user has one of them (`field` is `credential_id`).
    """
    try:
        for each in credential_ids:
            connection.execute(insert(passkeys), {"credential_id": each, "user_id": user_id})
    except IntegrityError as error:
        raise AlreadyExists("credential_id") from error


def _find(connection: Connection, query: Select[Any], value: str) -> User | None:
    row = connection.execute(query, {"value": value}).first()
    return None if row is None else user_of(row)


def _refuse_last(connection: Connection, user_id: UserId, role: str | None) -> None:
    """Refuse to go on if this user is the last enabled one who holds the role.

    The unit has the write lock, so nobody changes this before the change of the unit.

    Raises:
        LastHolder: nobody else holds it.
    """
    if role is None or not _is_held(connection, role, by=user_id):
        return
    if not _is_held(connection, role, besides=user_id):
        raise LastHolder


def _is_held(
    connection: Connection, role: str, *, by: UserId | None = None, besides: UserId | None = None
) -> bool:
    """Return whether an enabled user holds the role."""
    holders = (
        select(user_roles.c.user_id)
        .join(users, users.c.id == user_roles.c.user_id)
        .where(user_roles.c.role == role, users.c.disabled_at.is_(None))
    )
    if by is not None:
        holders = holders.where(users.c.id == by)
    if besides is not None:
        holders = holders.where(users.c.id != besides)
    return bool(connection.execute(select(exists(holders))).scalar())


def user_of(row: Sequence[Any]) -> User:
    """Return the user in a row of `USER_COLUMNS`."""
    values = dict(zip((*_COLUMNS, "roles"), row, strict=True))
    values["roles"] = tuple(values["roles"].split())
    return User(**values)


EVERY_SESSION_ENDS = {"epoch": users.c.epoch + 1, "continued": None}
"""The values of a change that ends every session of a user."""

_tasks = func.json_each(users.c.must).table_valued("value")
_NO_PASSWORD_TO_SET = (
    select(func.json_group_array(_tasks.c.value))
    .where(_tasks.c.value != SET_PASSWORD)
    .correlate(users)
    .scalar_subquery()
)
"""The value of `must` of a user who has set a new password."""

_COLUMNS = [each.name for each in fields(User) if each.name != "roles"]

_in_order = (
    select(user_roles.c.role)
    .where(user_roles.c.user_id == users.c.id)
    .order_by(user_roles.c.number)
    .correlate(users)
    .subquery()
)
_ROLES = func.coalesce(
    select(func.group_concat(_in_order.c.role, " ")).correlate(users).scalar_subquery(), ""
)
USER_COLUMNS = (*(users.c[name] for name in _COLUMNS), _ROLES)
"""The columns to select for `user_of`."""

_BY_ID = select(*USER_COLUMNS).where(users.c.id == bindparam("value"))
_BY_USERNAME = select(*USER_COLUMNS).where(users.c.username_key == bindparam("value"))
_BY_EMAIL = select(*USER_COLUMNS).where(users.c.email_key == bindparam("value"))
_OF_IDS = select(*USER_COLUMNS).where(users.c.id.in_(bindparam("ids", expanding=True)))
_HOW_MANY = select(func.count()).select_from(users)
_CREATED = (
    select(func.count())
    .select_from(users)
    .where(users.c.created_at >= bindparam("first"), users.c.created_at < bindparam("last"))
)
NAMED = update(users).where(users.c.id == bindparam("user_id")).values(name_key=bindparam("key"))
"""Stores the key of a user's name."""

_AFTER = (
    select(*USER_COLUMNS)
    .where(users.c.id > bindparam("after"))
    .order_by(users.c.id)
    .limit(bindparam("limit"))
)
