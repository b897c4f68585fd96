"""The kinds of callers that a proof knows, in a temporary house."""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gatelodge.accounts.refusals import RoleNameTaken
from gatelodge.accounts.roles import USER
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.errors import NotFound, Refusal
from gatelodge.methods import BY_PASSWORD, SEVERAL_FACTORS, Methods, together
from gatelodge.routes.access import Access

LONG_AGO = timedelta(hours=1)
"""How much longer ago than any rule allows somebody proved who they are, who was long signed in."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One kind of caller.

    Attributes:
        name: what the caller is called in what is reported.
        user: who it is; None: nobody is signed in.
        roles: the roles that the user holds.
        permissions: what they permit.
        proved: how long ago the user proved who they are.
        methods: how the user proved it.
        held_back: whether the settings ask for a second factor, which the user has not proved.
        ending: what made the token worthless; empty: it is good.
    """

    name: str
    user: User | None = None
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    proved: timedelta = timedelta(0)
    methods: Methods = BY_PASSWORD
    held_back: bool = False
    ending: str = ""

    def is_admitted_by(self, access: Access) -> bool:
        """Say whether a rule admits the caller."""
        if access.public:
            return True
        if self.user is None or self.ending or self.held_back:
            return False
        late = access.fresh is not None and self.proved > access.fresh
        return not late and access.admits(self.roles, self.permissions, self.methods)

    async def token(self, house: House) -> str | None:
        """Return a bearer token of a new session, as this caller would have it."""
        if self.user is None:
            return None
        user = await self._enabled(house, self.user.username)
        proved_at = house.clock.now() - self.proved
        opened = await house.sessions.open(
            user, self.methods, "bearer", COMMAND.origin, authenticated_at=proved_at
        )
        if self.ending == "signed out":
            await house.sessions.sign_out(opened.session.id, COMMAND)
        if self.ending == "disabled":
            await house.accounts.disable(user, COMMAND)
        tokens = opened.tokens
        return tokens.refresh_token if self.ending == "refresh token" else tokens.access_token

    async def _enabled(self, house: House, username: str) -> User:
        """Return the user, as at the beginning: the routes that were called may have changed it."""
        try:
            user = await house.accounts.get_by_username(username)
        except NotFound:
            return await _user(house, username, self.roles)
        if user.disabled_at is not None:
            await house.accounts.enable(user, COMMAND)
            return await house.accounts.get_by_username(username)
        return user


@dataclass(slots=True)
class Cast:
    """All kinds of callers that the rules of an application tell apart.

    Attributes:
        callers: the callers, those first whom most rules refuse.
        impossible: why nobody can hold a role or have a permission that a rule names, by its name.
    """

    callers: list[Caller] = field(default_factory=list)
    impossible: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def of(cls, house: House, accesses: Iterable[Access]) -> "Cast":
        """Make the users and roles of the callers. None has a session yet.

        Args:
            house: an open house with an empty database.
            accesses: the rules of the application.
        """
        every = list(accesses)
        cast = cls()
        await _user(house, "admin", ("admin",))  # else a link to make one would be printed
        roles, granting = await cast._roles(house, every)
        whole = (*roles, *granting)
        cast.callers = [
            Caller("nobody"),
            *[await _caller(house, name, whole, ending) for name, ending in _ENDINGS],
            await _caller(house, "a plain user", ()),
            *[await _caller(house, f"role {role}", (role,)) for role in roles],
            *[await _caller(house, f"permission {granting[role]}", (role,)) for role in granting],
        ]
        everything = await _caller(house, "somebody with every role", whole)
        policy = house.second_factor_policy
        proof = _strongest(every, policy.requires(whole) or policy.requires((USER,)))
        cast.callers = [replace(each, methods=proof) for each in cast.callers]
        everything = replace(everything, methods=proof)
        late = max((each.fresh for each in every if each.fresh is not None), default=None)
        if late is not None:
            name = "somebody signed in long ago"
            cast.callers.append(replace(everything, name=name, proved=late + LONG_AGO))
        if proof != BY_PASSWORD:
            name = "somebody signed in by a password alone"
            cast.callers.append(replace(everything, name=name, methods=BY_PASSWORD))
        cast.callers.append(everything)
        cast.callers = [
            replace(each, held_back=policy.holds_back(each.roles, each.methods))
            for each in cast.callers
        ]
        return cast

    async def _roles(
        self, house: House, accesses: Collection[Access]
    ) -> tuple[list[str], dict[str, str]]:
        """Make a role for each name in the rules, and one for each permission.

        Returns:
            the names of the former, and the permission of each of the latter by its name.
        """
        names = sorted({name for each in accesses for some in each.roles for name in some})
        wanted = sorted({name for each in accesses for some in each.permissions for name in some})
        roles = [
            name for name in names if name != USER and await self._has_role(house, name, name, ())
        ]
        granting = {
            f"prove-{number}": name
            for number, name in enumerate(wanted)
            if await self._has_role(house, name, f"prove-{number}", (name,))
        }
        return roles, granting

    async def _has_role(
        self, house: House, named: str, role: str, permissions: Collection[str]
    ) -> bool:
        """Make a role, unless there is one; note why it cannot be made."""
        try:
            await house.roles.create(role, "", list(permissions), COMMAND)
        except RoleNameTaken:
            return True
        except Refusal as refusal:
            self.impossible[named] = refusal.message
            return False
        return True


_ENDINGS = (
    ("somebody signed out", "signed out"),
    ("somebody disabled", "disabled"),
    ("a refresh token", "refresh token"),
)


def _strongest(accesses: Iterable[Access], required: bool) -> Methods:
    """Return the methods of somebody whom nothing refuses for how they have signed in.

    Args:
        accesses: the rules.
        required: whether the settings ask for a second factor.
    """
    every = list(accesses)
    named = sorted({name for each in every for some in each.methods for name in some})
    several = (SEVERAL_FACTORS,) if required or any(each.aal > 1 for each in every) else ()
    return together(BY_PASSWORD, tuple(named), several)


async def _caller(house: House, name: str, roles: Collection[str], ending: str = "") -> Caller:
    """Return a caller who holds the role of everybody, and these."""
    held = frozenset((USER, *roles))
    permits = {role.name: role.permissions for role in await house.roles.list_roles()}
    permissions = frozenset(each for role in held for each in permits[role])
    user = await _user(house, f"prove-{secrets.token_hex(6)}", sorted(held))
    return Caller(name, user, held, permissions, ending=ending)


async def _user(house: House, username: str, roles: Collection[str]) -> User:
    password = secrets.token_urlsafe(24)
    wanted = NewUser(username, f"{username}@example.com", password, tuple(roles))
    return await house.accounts.create(wanted, COMMAND)
