"""`local_user`: the user's row in the application's own database, as a dependency."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Depends, params
from fastapi.concurrency import run_in_threadpool

from gatelodge.embedded.user import User
from gatelodge.fastapi.dependencies import current_user
from gatelodge.local_users import LocalUsers, is_async

WHO = Depends(current_user)


def local_user(
    model: type[Any],
    *,
    session: Callable[..., Any] | params.Depends,
    key: str = "id",
    fill: Callable[[User], Mapping[str, object]] | None = None,
    user: Any = WHO,
) -> Any:
    """Return a dependency that gives the user's row in a table of the application.

    The row is made when the user comes for the first time, and updated when what it copies has
    changed::

        LocalUser = Annotated[
            Account,
            local_user(Account, session=get_session, fill=lambda user: {"name": user.username}),
        ]

    The session is the one that the route gets too. `LocalUsers` says whose transaction it is.

    Args:
        model: the class of the rows, of SQLAlchemy or SQLModel.
        session: the application's dependency that gives a `Session` or an `AsyncSession`.
        key: the attribute that holds `user.uuid` or `user.subject`, by the type of its column.
        fill: returns what is copied of the user, by attribute.
        user: the dependency that gives the user, such as `require(role="editor")`.

    Raises:
        TypeError: the class is not mapped, or the key is neither a UUID nor a text.
        ValueError: there is no column of this name, it is not unique, or it is too short.
    """
    users: LocalUsers[Any, User] = LocalUsers(model, key=key, fill=fill)
    opened = session if isinstance(session, params.Depends) else Depends(session)

    async def find_local_user(user: User = user, session: Any = opened) -> Any:
        if is_async(session):
            return await users.keep_async(session, user)
        return await run_in_threadpool(users.keep, session, user)

    return Depends(find_local_user)
