"""Letters to users, and users as they were when a letter was written."""

from collections.abc import Mapping
from datetime import timedelta

from gatelodge.accounts.refusals import UserDisabled
from gatelodge.accounts.store import User
from gatelodge.audit import Actor, AuditLog
from gatelodge.credentials.one_time_tokens import OneTimeToken
from gatelodge.letters.service import LetterService

DONE_WITHIN = timedelta(seconds=15)
"""How long a letter waits that is asked for before what it tells of is done.

By then it is stored, or was refused, and the letter is dropped.
"""


async def ask_for_user(
    letters: LetterService,
    kind: str,
    user: User,
    values: Mapping[str, str] | None = None,
    *,
    after: timedelta = timedelta(0),
    about: str | None = None,
) -> None:
    """Ask for a letter about a user, to the user's address and in the user's language.

    Args:
        letters: sends it.
        kind: what it is about.
        user: the user.
        values: as for `LetterService.ask`.
        after: how long it waits at least.
        about: what causes it, as for `LetterService.ask`.

    Raises:
        NoMail: there is no mail server.
    """
    await letters.ask(
        kind,
        user.email,
        user.email_key,
        values,
        language=user.language,
        subject=user.id,
        after=after,
        about=about,
    )


async def send_for_password(
    letters: LetterService,
    audit: AuditLog,
    kind: str,
    user: User,
    by: Actor,
    values: Mapping[str, str] | None = None,
) -> None:
    """Have a letter sent to a user with which they set a password, for an administrator.

    Args:
        letters: sends it.
        audit: records that it was asked for.
        kind: what it is about.
        user: the user.
        by: the administrator.
        values: as for `LetterService.ask`.

    Raises:
        UserDisabled: a letter would be of no use.
        NoMail: the server sends no letters.
        OutcomeUnknown: the letter may have been stored.
    """
    if user.disabled_at is not None:
        raise UserDisabled
    event = audit.event("password.letter_sent", by, target=user.id)
    await ask_for_user(letters, kind, user, values)
    await audit.record(event)


def facts_of(user: User) -> dict[str, str]:
    """Return what a user must still be like when the link or code of a letter is used."""
    return {"email": user.email_key, "epoch": str(user.epoch)}


def is_as_then(user: User, token: OneTimeToken) -> bool:
    """Say whether a user may use a token with `facts_of` the user.

    That is so if the user is not disabled, has the address of then, and was not signed out
    everywhere since.
    """
    as_then = all(token.facts[name] == value for name, value in facts_of(user).items())
    return as_then and user.disabled_at is None
