"""The JSON routes for users."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Depends, Query
from pydantic import Field

from gatelodge.accounts.refusals import (
    EmailTaken,
    InvalidEmail,
    InvalidName,
    InvalidReason,
    InvalidUsername,
    LastAdmin,
    NoPassword,
    NoSuchUser,
    RoleNotGrantable,
    UnknownRole,
    UserDisabled,
    UsernameTaken,
)
from gatelodge.accounts.search import UserOrder, UserQuery
from gatelodge.accounts.service import NewUser
from gatelodge.admin.authority import Administrator
from gatelodge.admin.doors import By, ByProved, Number, Proving, number_of
from gatelodge.admin.refusals import NoSuchInvitation, NotYourself, OutOfReach
from gatelodge.admin.rules import DELETE_USERS, END_SESSIONS, READ_USERS, WRITE_MANY, WRITE_USERS
from gatelodge.admin.users import (
    BULK_ACTS,
    BULK_LIMIT,
    BulkAct,
    Done,
    SeenUser,
    UserAdministration,
    UserChanges,
)
from gatelodge.credentials.factors import Factor, second_factors
from gatelodge.credentials.refusals import (
    HashingBusy,
    ReauthenticationRequired,
    RejectedPassword,
)
from gatelodge.errors import InvalidRequest
from gatelodge.gate.refusals import Forbidden
from gatelodge.letters.refusals import NoMail
from gatelodge.proofs.invitations import Invitation
from gatelodge.proofs.refusals import InvitationInUse
from gatelodge.turns import in_turns
from gatelodge.web.bodies import Answer, Identifier, Request
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.instants import Instant
from gatelodge.web.paging import Limit, LongCursor, from_cursor, to_cursor
from gatelodge.web.refusals import UriTooLong
from gatelodge.web.services import Provided

door = Door("/api/admin/users", tag="admin")

FactorAsked: TypeAlias = Literal["totp", "passkey", "recovery_codes", "any", "none"]

Service = Annotated[UserAdministration, Provided(UserAdministration)]

_ID = "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gg"
_OF_ACTS = (NoSuchUser, OutOfReach)


class FactorSeen(Answer):
    """One factor of a user. Secrets and keys are never shown."""

    id: str
    kind: str = Field(description="`totp`, `passkey`, `recovery_codes` or `browser`.")
    name: str
    created_at: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = Field(
        default=None, description="Of a browser: until when it is remembered."
    )
    left: int | None = Field(
        default=None, description="Of recovery codes: how many were not used yet."
    )
    synced: bool | None = Field(
        default=None,
        description="Of a passkey: whether it is copied to other devices of its owner.",
    )


class UserInList(Answer):
    """A user, in a list."""

    id: str
    username: str
    name: str
    email: str
    email_verified: bool
    roles: list[str]
    created_at: datetime
    last_sign_in_at: datetime | None = None
    enabled: bool
    second_factors: list[str] = Field(description="The kinds: `totp`, `passkey`.")
    reached: bool = Field(description="Whether the caller may act on this user.")


class UserSeen(UserInList):
    """Everything that an administrator may see of a user."""

    email_verified_at: datetime | None = None
    language: str | None = None
    permissions: list[str] = Field(description="What the roles permit, as they are now.")
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    must: list[str] = Field(
        description="What the user has to do at the next sign-in, such as `set_password`."
    )
    factors: list[FactorSeen]
    has_password: bool


class UsersAnswer(Answer):
    """A page of users."""

    items: list[UserInList]
    next: str | None = None
    count: Number | None = Field(
        default=None,
        description="How many users match; on the first page, and wherever it is asked for.",
    )


class NewUserRequest(Request):
    """The values for a new user."""

    username: Identifier = Field(max_length=256, examples=["ann"])
    email: Identifier = Field(max_length=320, examples=["ann@example.com"])
    name: Identifier = Field(default="", max_length=400)
    roles: list[str] = Field(
        default_factory=list, max_length=64, description="None at all means `user`."
    )
    password: str | None = Field(default=None, max_length=1024)
    invite: bool = Field(
        default=False,
        description="In place of a password: a letter to the user, in which they set it.",
    )
    email_verified: bool = Field(
        default=False, description="Whether you know that the address is theirs."
    )


class InvitationRequest(Request):
    """Whom to invite."""

    email: Identifier = Field(max_length=320, examples=["ann@example.com"])
    roles: list[str] = Field(
        default_factory=list, max_length=64, description="None at all means `user`."
    )


class InvitationSeen(Answer):
    """An invitation that can be accepted."""

    id: str
    email: str
    roles: list[str]
    by: str = Field(description="Who invited, as events name it.")
    expires_at: datetime | None = Field(
        default=None, description="Null: its letter was not sent yet."
    )


class InvitationsAnswer(Answer):
    """All open invitations, in order of address."""

    items: list[InvitationSeen]


class EditRequest(Request):
    """What changes of a user; what is left out stays as it is."""

    name: Identifier | None = Field(default=None, max_length=400, examples=["Ann Lee"])
    username: Identifier | None = Field(default=None, max_length=256)
    email: Identifier | None = Field(default=None, max_length=320)
    email_verified: bool | None = Field(
        default=None, description="Left out: another address is not verified."
    )


class RoleRequest(Request):
    """The role to grant."""

    role: str = Field(max_length=64, examples=["moderator"])


class DisableRequest(Request):
    """Why the user is disabled."""

    reason: str = Field(default="", max_length=1024, examples=["Sends spam."])


class BulkRequest(Request):
    """What to do with several users."""

    ids: list[str] = Field(max_length=BULK_LIMIT, examples=[[_ID]])
    act: BulkAct = Field(examples=["disable"])
    role: str | None = Field(
        default=None, max_length=64, description="Of `grant` and `withdraw`: the role."
    )
    reason: str | None = Field(default=None, max_length=1024, description="Of `disable`: why.")


class ChangedAnswer(Answer):
    """Whether something was changed, and the user after that."""

    changed: bool = Field(description="False: it was so already.")
    user: UserSeen


class IdAnswer(Answer):
    """The id of what the act was done to."""

    id: str


class DoneAnswer(Answer):
    """What became of one of several users."""

    id: str
    done: bool
    changed: bool = Field(description="False: it was so already, or nothing was done.")
    code: str | None = Field(default=None, description="Why nothing was done, for programs.")
    message: str | None = Field(default=None, description="Why nothing was done, for people.")


class BulkAnswer(Answer):
    """What became of each user, in the order in which they were named."""

    items: list[DoneAnswer]


_LISTED = {
    "id": _ID,
    "username": "ann",
    "name": "Ann Lee",
    "email": "ann@example.com",
    "emailVerified": True,
    "roles": ["user"],
    "createdAt": "2026-01-31T12:00:00Z",
    "lastSignInAt": "2026-01-31T12:00:00Z",
    "enabled": True,
    "secondFactors": ["totp"],
    "reached": True,
}
_SEEN = {
    **_LISTED,
    "emailVerifiedAt": "2026-01-31T12:00:00Z",
    "language": "en",
    "permissions": ["account:manage"],
    "disabledAt": None,
    "disabledReason": None,
    "must": [],
    "factors": [
        {
            "id": "fac_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
            "kind": "totp",
            "name": "Phone",
            "createdAt": "2026-01-31T12:00:00Z",
            "lastUsedAt": "2026-01-31T12:00:00Z",
            "expiresAt": None,
            "left": None,
            "synced": None,
        }
    ],
    "hasPassword": True,
}
_CHANGED = {"changed": True, "user": _SEEN}
_INVITATION = {
    "id": "2f0c…",
    "email": "ann@example.com",
    "roles": ["user"],
    "by": _ID,
    "expiresAt": None,
}


async def _query(  # noqa: PLR0917 - the parameters of the query
    text: Annotated[
        str, Query(max_length=320, description="The start of a username, an address or a name.")
    ] = "",
    role: Annotated[str | None, Query(max_length=64, description="A role that they hold.")] = None,
    enabled: Annotated[bool | None, Query(description="False: only disabled users.")] = None,
    verified: Annotated[
        bool | None, Query(description="Whether the e-mail address is verified.")
    ] = None,
    factor: Annotated[
        FactorAsked | None,
        Query(description="A factor that they have; `any` or `none` second factor at all."),
    ] = None,
    created_from: Annotated[
        Instant | None, Query(alias="createdFrom", description="Created at this instant or later.")
    ] = None,
    created_before: Annotated[
        Instant | None, Query(alias="createdBefore", description="Created before this instant.")
    ] = None,
    signed_in_from: Annotated[
        Instant | None,
        Query(alias="signedInFrom", description="Last signed in at this instant or later."),
    ] = None,
    signed_in_before: Annotated[
        Instant | None,
        Query(
            alias="signedInBefore",
            description="Last signed in before this instant; not those who never did.",
        ),
    ] = None,
    order: Annotated[
        UserOrder, Query(description="With `text`, what matched is the order instead.")
    ] = "created",
    descending: Annotated[
        bool | None,
        Query(description="By default usernames ascend, and what is newest comes first."),
    ] = None,
) -> UserQuery:
    if "\0" in text or "\0" in (role or ""):  # no name has it, and no database looks for it
        raise InvalidRequest("A text cannot contain the character U+0000.", field="text")
    return UserQuery(
        text=text.strip(),
        role=role,
        enabled=enabled,
        verified=verified,
        factor=factor,
        created_from=created_from,
        created_before=created_before,
        signed_in_from=signed_in_from,
        signed_in_before=signed_in_before,
        order=order,
        descending=order != "username" if descending is None else descending,
    )


Querying = Annotated[UserQuery, Depends(_query)]
"""Dependency: which users are asked for."""


@door.get(
    "",
    rule=READ_USERS,
    told=Description(
        "List users",
        gives={"items": [_LISTED], "next": None, "count": {"number": 1, "exact": True}},
    ),
    refuses=(UriTooLong,),  # by what the parameters allow, an address may be too long
)
async def list_users(
    by: By,
    service: Service,
    query: Querying,
    count: Annotated[
        bool, Query(description="Whether to count on later pages too, not on the first only.")
    ] = False,
    limit: Limit = 50,
    cursor: LongCursor = None,
) -> UsersAnswer:
    """List users that match all conditions.

    A page may have fewer items than `limit`, or none, although there are more: follow `next` until
    it is null. Users who are out of the caller's reach are shown too, with `reached` false.
    """
    page = await service.search(query, by, after=from_cursor(cursor), limit=limit)
    counted = await service.count(query) if count or cursor is None else None
    return UsersAnswer(
        items=await in_turns(lambda each: UserInList(**_listed(each)), page.users),
        next=to_cursor(page.after) if page.after else None,
        count=number_of(counted) if counted else None,
    )


@door.post(
    "",
    rule=WRITE_USERS,
    told=Description(
        "Create a user",
        takes={"username": "ann", "email": "ann@example.com", "invite": True},
        gives=_SEEN,
    ),
    refuses=(
        ReauthenticationRequired,
        InvalidUsername,
        InvalidEmail,
        InvalidName,
        RejectedPassword,
        UsernameTaken,
        EmailTaken,
        UnknownRole,
        RoleNotGrantable,
        NoMail,
        HashingBusy,
    ),
)
async def create_user(body: NewUserRequest, by: ByProved, service: Service) -> UserSeen:
    """Create a user, with a password or with a letter in which they set one (`invite`).

    Only roles whose permissions the caller has can be given. Only holders of `admin` may choose
    reserved usernames.
    """
    if body.invite == (body.password is not None):
        raise InvalidRequest('Send either "password", or "invite": true.', field="password")
    wanted = NewUser(
        body.username,
        body.email,
        body.password or "",
        body.roles,
        email_verified=body.email_verified,
        name=body.name,
    )
    made = await service.create(wanted, by, invite=body.invite)
    return await _user(made.id, by, service)


@door.get(
    "/invitations",
    rule=READ_USERS,
    told=Description("List invitations", gives={"items": [_INVITATION]}),
)
async def list_invitations(service: Service) -> InvitationsAnswer:
    """List the invitations that were not accepted yet, in order of address; at most 1,000."""
    found = await service.list_invitations()
    return InvitationsAnswer(items=[_invitation(each) for each in found])


@door.post(
    "/invitations",
    rule=WRITE_USERS,
    told=Description(
        "Invite somebody",
        takes={"email": "ann@example.com", "roles": ["user"]},
        gives=_INVITATION,
    ),
    refuses=(
        ReauthenticationRequired,
        InvalidEmail,
        EmailTaken,
        UnknownRole,
        RoleNotGrantable,
        NoMail,
    ),
)
async def invite(body: InvitationRequest, by: ByProved, service: Service) -> InvitationSeen:
    """Have a letter sent whose reader makes an account with these roles, within 7 days.

    An earlier invitation of the same address is void.
    """
    return _invitation(await service.invite(body.email, body.roles, by))


@door.delete(
    "/invitations/{invitation_id}",
    rule=WRITE_USERS,
    told=Description("Withdraw an invitation", gives={"id": "2f0c…"}),
    refuses=(NoSuchInvitation, RoleNotGrantable, InvitationInUse),
)
async def withdraw_invitation(invitation_id: str, by: By, service: Service) -> IdAnswer:
    """Make an invitation void."""
    found = await service.withdraw_invitation(invitation_id, by)
    return IdAnswer(id=found.id)


@door.post(
    "/bulk",
    rule=WRITE_MANY,
    told=Description(
        "Act on several users",
        takes={"ids": [_ID], "act": "disable", "reason": "Sends spam."},
        gives={
            "items": [{"id": _ID, "done": True, "changed": True, "code": None, "message": None}]
        },
    ),
    refuses=(Forbidden, ReauthenticationRequired),
)
async def act_on_many(body: BulkRequest, prove: Proving, service: Service) -> BulkAnswer:
    """Do the same with up to 200 users, and report what became of each.

    The caller needs the permission of the act, and a proof where the act on one user does. One
    refusal does not stop the others. Users who are named twice are acted on once.
    """
    _check_values(body)
    by = await prove(needed=BULK_ACTS[body.act].proved)
    report = await service.act_on_many(
        body.act, body.ids, by, role=body.role or "", reason=body.reason or ""
    )
    return BulkAnswer(items=[_done(each) for each in report])


@door.get(
    "/{user_id:usr}",
    rule=READ_USERS,
    told=Description("Show a user", gives=_SEEN),
    refuses=(NoSuchUser,),
)
async def show_user(user_id: str, by: By, service: Service) -> UserSeen:
    """Return everything that an administrator may see of a user."""
    return await _user(user_id, by, service)


@door.patch(
    "/{user_id:usr}",
    rule=WRITE_USERS,
    told=Description("Edit a user", takes={"name": "Ann Lee"}, gives=_SEEN),
    refuses=(
        ReauthenticationRequired,
        *_OF_ACTS,
        InvalidName,
        InvalidUsername,
        InvalidEmail,
        UsernameTaken,
        EmailTaken,
    ),
)
async def edit_user(user_id: str, body: EditRequest, prove: Proving, service: Service) -> UserSeen:
    """Change the name, the username or the e-mail address of a user, of a disabled one too.

    All but the name needs a proof of at most 5 minutes. Another address is told to both mailboxes,
    and voids what letters to the former one could do.
    """
    changes = UserChanges(body.name, body.username, body.email, body.email_verified)
    if changes == UserChanges():
        raise InvalidRequest("There is nothing to change.")
    by = await prove(needed=changes.needs_proof)
    await service.edit(user_id, changes, by)
    return await _user(user_id, by, service)


@door.delete(
    "/{user_id:usr}",
    rule=DELETE_USERS,
    told=Description("Delete a user", gives={"id": _ID}),
    refuses=(ReauthenticationRequired, *_OF_ACTS, NotYourself, LastAdmin),
)
async def delete_user(user_id: str, by: ByProved, service: Service) -> IdAnswer:
    """Delete a user for ever. The username and the e-mail address become free."""
    if not await service.delete(user_id, by):
        raise NoSuchUser
    return IdAnswer(id=user_id)


@door.post(
    "/{user_id:usr}/roles",
    rule=WRITE_USERS,
    told=Description("Grant a role", takes={"role": "moderator"}, gives=_CHANGED),
    refuses=(ReauthenticationRequired, *_OF_ACTS, UnknownRole, RoleNotGrantable),
)
async def grant(user_id: str, body: RoleRequest, by: ByProved, service: Service) -> ChangedAnswer:
    """Give a role to a user, from their next request on."""
    return await _changed(await service.grant(user_id, body.role, by), user_id, by, service)


@door.delete(
    "/{user_id:usr}/roles/{role}",
    rule=WRITE_USERS,
    told=Description("Take a role", gives=_CHANGED),
    refuses=(ReauthenticationRequired, *_OF_ACTS, UnknownRole, RoleNotGrantable, LastAdmin),
)
async def withdraw(user_id: str, role: str, by: ByProved, service: Service) -> ChangedAnswer:
    """Take a role from a user, from their next request on."""
    return await _changed(await service.withdraw(user_id, role, by), user_id, by, service)


@door.post(
    "/{user_id:usr}/disable",
    rule=WRITE_USERS,
    told=Description("Disable a user", takes={"reason": "Sends spam."}, gives=_CHANGED),
    refuses=(*_OF_ACTS, NotYourself, InvalidReason, LastAdmin),
)
async def disable(
    user_id: str, by: By, service: Service, body: DisableRequest | None = None
) -> ChangedAnswer:
    """Let a user neither sign in nor do anything else, from their next request on."""
    reason = body.reason if body else ""
    return await _changed(await service.disable(user_id, reason, by), user_id, by, service)


@door.post(
    "/{user_id:usr}/enable",
    rule=WRITE_USERS,
    told=Description("Enable a user", gives=_CHANGED),
    refuses=_OF_ACTS,
)
async def enable(user_id: str, by: By, service: Service) -> ChangedAnswer:
    """Let a disabled user sign in again."""
    return await _changed(await service.enable(user_id, by), user_id, by, service)


@door.post(
    "/{user_id:usr}/sign-out",
    rule=END_SESSIONS,
    told=Description("End all sessions of a user", gives={"id": _ID}),
    refuses=_OF_ACTS,
)
async def sign_out(user_id: str, by: By, service: Service) -> IdAnswer:
    """End every session of a user. Their tokens are refused from the next request on."""
    if not await service.sign_out(user_id, by):
        raise NoSuchUser
    return IdAnswer(id=user_id)


@door.post(
    "/{user_id:usr}/reset-factors",
    rule=WRITE_USERS,
    told=Description("Remove a user's factors", gives=_CHANGED),
    refuses=(ReauthenticationRequired, *_OF_ACTS),
)
async def reset_factors(user_id: str, by: ByProved, service: Service) -> ChangedAnswer:
    """Remove all factors of a user who has lost them, and end every session of theirs.

    First make sure that it is the user who asks.
    """
    return await _changed(await service.reset_factors(user_id, by), user_id, by, service)


@door.post(
    "/{user_id:usr}/password-letter",
    rule=WRITE_USERS,
    told=Description("Send a letter for a new password", gives={"id": _ID}),
    refuses=(*_OF_ACTS, UserDisabled, NoMail),
)
async def send_password_letter(user_id: str, by: By, service: Service) -> IdAnswer:
    """Have a letter sent to a user, with which they set a new password within 10 minutes."""
    await service.send_password_letter(user_id, by)
    return IdAnswer(id=user_id)


@door.post(
    "/{user_id:usr}/require-new-password",
    rule=WRITE_USERS,
    told=Description("Require a new password", gives=_CHANGED),
    refuses=(ReauthenticationRequired, *_OF_ACTS, NoPassword),
)
async def require_new_password(user_id: str, by: ByProved, service: Service) -> ChangedAnswer:
    """End every session of a user, and let nobody sign in as them before there is a new password.

    The next sign-in, by whatever proves who they are, answers 401 `password_must_change`, and leads
    to a new password as a breached one does.
    """
    changed = await service.require_new_password(user_id, by)
    return await _changed(changed, user_id, by, service)


async def _user(user_id: str, by: Administrator, service: UserAdministration) -> UserSeen:
    return _shown(await service.get(user_id, by))


async def _changed(
    changed: bool,
    user_id: str,
    by: Administrator,
    service: UserAdministration,
) -> ChangedAnswer:
    return ChangedAnswer(changed=changed, user=await _user(user_id, by, service))


def _check_values(body: BulkRequest) -> None:
    """Refuse an act that lacks what it needs, or comes with what it does not know.

    Raises:
        InvalidRequest: it does.
    """
    if (body.role is None) == (body.act in {"grant", "withdraw"}):
        raise InvalidRequest(
            '"grant" and "withdraw" need "role"; nothing else takes it.', field="role"
        )
    if body.reason is not None and body.act != "disable":
        raise InvalidRequest('Only "disable" takes a "reason".', field="reason")


def _listed(seen: SeenUser) -> dict[str, Any]:
    user = seen.user
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "email_verified": user.email_verified_at is not None,
        "roles": list(user.roles),
        "created_at": user.created_at,
        "last_sign_in_at": user.last_sign_in_at,
        "enabled": user.disabled_at is None,
        "second_factors": list(dict.fromkeys(each.kind for each in second_factors(user.factors))),
        "reached": seen.reached,
    }


def _shown(seen: SeenUser) -> UserSeen:
    user = seen.user
    return UserSeen(
        **_listed(seen),
        email_verified_at=user.email_verified_at,
        language=user.language,
        permissions=sorted(seen.rights.permissions),
        disabled_at=user.disabled_at,
        disabled_reason=user.disabled_reason,
        must=list(user.must),
        factors=[_factor(each) for each in seen.factors],
        has_password=user.password_hash is not None,
    )


def _factor(factor: Factor) -> FactorSeen:
    return FactorSeen(
        id=factor.id,
        kind=factor.kind,
        name=factor.name,
        created_at=factor.created_at,
        last_used_at=factor.last_used_at,
        expires_at=factor.expires_at,
        left=len(factor.digests) if factor.kind == "recovery_codes" else None,
        synced=factor.synced if factor.kind == "passkey" else None,
    )


def _invitation(invitation: Invitation) -> InvitationSeen:
    return InvitationSeen(
        id=invitation.id,
        email=invitation.email,
        roles=list(invitation.roles),
        by=invitation.by,
        expires_at=invitation.expires_at,
    )


def _done(each: Done) -> DoneAnswer:
    refusal = each.refusal
    return DoneAnswer(
        id=each.user_id,
        done=refusal is None,
        changed=each.changed,
        code=None if refusal is None else refusal.code,
        message=None if refusal is None else refusal.message,
    )
