"""The JSON door of accounts: sign-up, and who am I."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from gatelodge import errors
from gatelodge.accounts.service import AccountService, NewUser
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.sessions.doors import CallerRecords
from gatelodge.web.bodies import Answer, Message, Request
from gatelodge.web.caller import From
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/auth", tag="accounts")

Accounts = Annotated[AccountService, Provided(AccountService)]


class SignUpRequest(Request):
    """Who wants to sign up."""

    username: str = Field(max_length=256, examples=["ann"])
    email: str = Field(max_length=320, examples=["ann@example.com"])
    password: str = Field(max_length=1024, examples=["correct horse battery"])
    roles: list[Annotated[str, Field(max_length=64)]] | None = Field(default=None, max_length=16)


class OwnSession(Answer):
    """The session that this request belongs to."""

    id: str
    created_at: datetime
    expires_at: datetime


class Me(Answer):
    """The caller, as the record stands now."""

    id: str
    username: str
    email: str
    roles: list[str]
    permissions: list[str]
    session: OwnSession


@door.post(
    "/signup",
    rule=ANYBODY,
    refuses=(
        errors.InvalidUsername,
        errors.InvalidEmail,
        errors.RejectedPassword,
        errors.UsernameTaken,
        errors.EmailTaken,
        errors.UnknownRole,
        errors.RoleNotGrantable,
        errors.TooManyAttempts,
        errors.HashingBusy,
    ),
)
async def sign_up(body: SignUpRequest, accounts: Accounts, origin: From) -> Message:
    """Make a user. Nobody gets more than the role `user` this way."""
    wanted = NewUser(body.username, body.email, body.password, body.roles or ())
    await accounts.sign_up(wanted, origin)
    return Message(message="User was registered successfully!")


@door.get("/me", rule=SIGNED_IN)
async def me(caller: CallerRecords, accounts: Accounts) -> Me:
    """Say who the caller is, and what they may do."""
    user, session = caller.user, caller.session
    return Me(
        id=user.id,
        username=user.username,
        email=user.email,
        roles=list(user.roles),
        permissions=await accounts.permissions_of(user),
        session=OwnSession(
            id=session.id, created_at=session.created_at, expires_at=session.expires_at
        ),
    )
