"""Whoever holds no `admin` gives nobody a permission that nobody who acted had, whatever they do.

People with random roles of random permissions do everything that the administration lets them, by
the same services as its routes. After each act, every user has only permissions that they had at
the beginning, that everybody has who signs up, or that somebody had when they acted.

Another mailbox is another owner. So whoever changes the address of a user could have everything
that the user has, and must have had it.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gatelodge.accounts.permissions import (
    ROLES_WRITE,
    SESSIONS_END,
    USERS_DELETE,
    USERS_IMPERSONATE,
    USERS_WRITE,
)
from gatelodge.accounts.roles import ADMIN, BUILT_IN, MODERATOR, SEEDED_ROLES, USER
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import Rights, Role
from gatelodge.admin.authority import Administrator
from gatelodge.admin.roles import RoleChange
from gatelodge.admin.users import BULK_ACTS, BulkAct, UserChanges
from gatelodge.app import House, build
from gatelodge.audit import COMMAND, Actor, Origin
from gatelodge.errors import Refusal
from gatelodge.ids import UserId
from gatelodge.settings import Settings
from tests.contracts.builders import an_event
from tests.model.machines import play
from tests.model.test_acts import NO_LIMITS
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered, set_mail, token_of
from tests.support.people import PASSWORD
from tests.support.settings import CHEAP_HASH

EXAMPLES = {"sqlite": 60, "mongodb": 15}
STEPS = 30

T = TypeVar("T")

PERMISSIONS = (
    USERS_WRITE,
    ROLES_WRITE,
    USERS_DELETE,
    SESSIONS_END,
    USERS_IMPERSONATE,
    *("pages:edit", "pages:hide", "money:spend"),
)
OF_ALL = frozenset(next(role for role in SEEDED_ROLES if role.name == USER).permissions)
"""What everybody may do who signs up."""

MADE = tuple(f"made{number}" for number in range(4))
"""The names of the roles of an example; acts make more of them, or delete them."""

ROLES = st.sampled_from((*MADE, MODERATOR, ADMIN, USER))
SOME_ROLES = st.lists(ROLES, max_size=2)
PEOPLE = st.integers(0, 7)
SOME_PERMISSIONS = st.lists(st.sampled_from(PERMISSIONS), max_size=4, unique=True)
HELPS = st.lists(st.sampled_from(PERMISSIONS), max_size=4, unique=True).map(
    lambda some: [*dict.fromkeys((USERS_WRITE, ROLES_WRITE, *OF_ALL, *some))]
)
"""The permissions of a role whose holder can do a lot."""


@dataclass
class Office:
    """A house whose services the rules of the model use.

    Attributes:
        house: the house.
        mailbox: where its letters go.
        runner: the event loop that everything runs in.
        numbers: numbers that were not used yet, for names.
    """

    house: House
    mailbox: Mailbox
    runner: asyncio.Runner
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and return its result."""
        return self.runner.run(work)


@pytest.fixture
def office(address: str, tmp_path: Path) -> Iterator[Office]:
    """Yield a house over an empty database of each kind."""
    made = Settings(data_dir=tmp_path, database=address)
    house = build(made.model_copy(update={**CHEAP_HASH, **NO_LIMITS}), FakeClock())
    house.stores.database.migrate()
    mailbox = Mailbox()
    with asyncio.Runner() as runner:
        set_mail(house, mailbox)
        opened = house.open()
        runner.run(opened.__aenter__())
        try:
            yield Office(house, mailbox, runner)
        finally:
            runner.run(opened.__aexit__(None, None, None))


def test_nobody_gets_what_nobody_had_who_acted(
    office: Office, request: pytest.FixtureRequest
) -> None:
    """Grants, roles, invitations, new users, edits and acts on many, in any order."""
    play(lambda: Privileges(office), request, EXAMPLES, STEPS)


class Privileges(RuleBasedStateMachine):
    """People who may do something, and one administrator, who does nothing."""

    def __init__(self, office: Office) -> None:
        """Use this house."""
        super().__init__()
        self.office = office
        self.house = office.house
        self.people: list[UserId] = []
        self.at_first: dict[UserId, frozenset[str]] = {}
        self.had: frozenset[str] = OF_ALL
        self.invited: list[str] = []

    # What there is at first

    @initialize(
        roles=st.tuples(HELPS, SOME_PERMISSIONS, SOME_PERMISSIONS, st.just(())),
        held=st.tuples(SOME_ROLES, SOME_ROLES, SOME_ROLES),
    )
    def begin(self, roles: Sequence[Sequence[str]], held: Sequence[Sequence[str]]) -> None:
        """Make roles, and people who hold some of them."""
        self.office.run(self._begin(roles, held))

    async def _begin(self, roles: Sequence[Sequence[str]], held: Sequence[Sequence[str]]) -> None:
        for name, permissions in zip(MADE, roles, strict=True):
            await self.house.roles.create(name, "", permissions, COMMAND)
        someone = [[each for each in some if each != ADMIN] for some in held]
        for some in ([USER, ADMIN], [USER, MADE[0]], [MADE[0], *someone[0]], *someone[1:]):
            await self._add(some)
        for each in self.people:
            self.at_first[each] = (await self._rights(each)).permissions

    async def _add(self, roles: Sequence[str]) -> None:
        number = next(self.office.numbers)
        wanted = NewUser(f"one{number}", f"one{number}@example.com", PASSWORD, roles)
        self.people.append((await self.house.accounts.create(wanted, COMMAND)).id)

    # What people do

    @rule(by=PEOPLE, whom=PEOPLE, role=ROLES)
    def grant(self, by: int, whom: int, role: str) -> None:
        """Give a role to somebody."""
        self._try(by, USERS_WRITE, lambda who: self._users.grant(self._one(whom), role, who))

    @rule(by=PEOPLE, whom=PEOPLE, role=ROLES)
    def withdraw(self, by: int, whom: int, role: str) -> None:
        """Take a role from somebody."""
        self._try(by, USERS_WRITE, lambda who: self._users.withdraw(self._one(whom), role, who))

    @rule(by=PEOPLE, name=st.sampled_from(MADE), permissions=SOME_PERMISSIONS)
    def create_role(self, by: int, name: str, permissions: list[str]) -> None:
        """Make a role, if there is none of this name."""
        self._try(by, ROLES_WRITE, lambda who: self._roles.create(name, "", permissions, who))

    @rule(by=PEOPLE, role=ROLES, permission=st.sampled_from(PERMISSIONS), permits=st.booleans())
    def change_role(self, by: int, role: str, permission: str, permits: bool) -> None:
        """Give a permission to a role, or take it."""
        change = RoleChange(role, permission, permits)
        self._try(by, ROLES_WRITE, lambda who: self._roles.change(change, who))

    @rule(by=PEOPLE, role=ROLES, taking=st.booleans())
    def delete_role(self, by: int, role: str, taking: bool) -> None:
        """Delete a role that nobody holds, or take it from everybody."""
        delete = self._roles.delete_and_take if taking else self._roles.delete
        self._try(by, ROLES_WRITE, lambda who: delete(role, who))

    @rule(by=PEOPLE, roles=SOME_ROLES)
    def create_user(self, by: int, roles: list[str]) -> None:
        """Make a user with roles."""
        name = f"one{next(self.office.numbers)}"
        wanted = NewUser(name, f"{name}@example.com", PASSWORD, roles)
        made = self._try(by, USERS_WRITE, lambda who: self._users.create(wanted, who))
        if made is not None:
            self.people.append(made.id)

    @rule(by=PEOPLE, roles=SOME_ROLES)
    def invite(self, by: int, roles: list[str]) -> None:
        """Invite somebody with roles, who accepts later."""
        email = f"one{next(self.office.numbers)}@example.com"
        made = self._try(by, USERS_WRITE, lambda who: self._users.invite(email, roles, who))
        if made is not None:
            self.office.run(delivered(self.house))
            self.invited.append(self._newest_invitation())

    def _newest_invitation(self) -> str:
        """Return the secret in it; other letters have links too."""
        mailbox = self.office.mailbox
        kinds = [kind for _, kind in mailbox.kinds()]
        return token_of(mailbox.values(len(kinds) - 1 - kinds[::-1].index("invitation")))

    @precondition(lambda self: self.invited)
    @rule()
    def accept(self) -> None:
        """Accept the oldest invitation, whatever its roles are by now."""
        form = NewUser(f"one{next(self.office.numbers)}", "", PASSWORD)
        accepting = self.house.invitations.accept(self.invited.pop(0), form, Origin())
        self.people.append(self.office.run(accepting).id)

    @rule(by=PEOPLE, whom=PEOPLE, email=st.booleans())
    def edit(self, by: int, whom: int, email: bool) -> None:
        """Give somebody another username or another mailbox."""
        name, target = f"one{next(self.office.numbers)}", self._one(whom)
        changes = UserChanges(username=name, email=f"{name}@example.com" if email else None)
        rights = self.office.run(self._rights(target))
        who: list[Administrator] = []

        def act(actor: Administrator) -> Any:
            who.append(actor)
            return self._users.edit(target, changes, actor)

        if self._try(by, USERS_WRITE, act) and email and target != who[0].actor.name:
            assert rights.permissions <= who[0].rights.permissions
            assert self.office.run(self._worthless(rights)) <= set(who[0].rights.roles)

    @rule(
        by=PEOPLE,
        act=st.sampled_from(tuple(BULK_ACTS)),
        whom=st.lists(PEOPLE, max_size=3),
        role=ROLES,
    )
    def act_on_many(self, by: int, act: BulkAct, whom: list[int], role: str) -> None:
        """Do something with several people."""
        ids = [self._one(each) for each in whom]
        self._try(by, None, lambda who: self._users.act_on_many(act, ids, who, role=role))

    # What holds

    @invariant()
    def nobody_has_what_nobody_had_who_acted(self) -> None:
        """Look at everybody."""
        for each in self.people:
            rights = self.office.run(self._rights(each))
            known = self.at_first.get(each, frozenset()) | self.had
            assert rights.permissions <= known, rights.permissions - known
            assert ADMIN not in rights.roles or each == self.people[0]

    def teardown(self) -> None:
        """Leave a database as it was, but for what happened."""
        self.office.run(self._clear())

    async def _clear(self) -> None:
        for each in self.people:
            await self.house.stores.users.remove(each, an_event())
        for role in await self.house.stores.roles.list_roles():
            if role.name not in BUILT_IN:
                await self.house.stores.roles.remove(role.name, an_event())
        for role in SEEDED_ROLES:
            await self._restore(role)

    async def _restore(self, role: Role) -> None:
        """Let a role have what it had; somebody may have changed it."""
        roles = self.house.stores.roles
        now = await roles.find(role.name)
        assert now is not None
        for each in set(now.permissions) - set(role.permissions):
            await roles.forbid(role.name, each, an_event())
        for each in role.permissions:
            await roles.permit(role.name, each, an_event(), limit=256)

    # Help

    @property
    def _users(self) -> Any:
        return self.house.user_administration

    @property
    def _roles(self) -> Any:
        return self.house.role_administration

    def _one(self, number: int) -> UserId:
        return self.people[number % len(self.people)]

    def _try(self, number: int, permission: str | None, act: Callable[[Administrator], Any]) -> Any:
        """Let somebody act with the rights of now, if the route lets them in.

        What they had when they acted is remembered. Return what came of it; None: it was refused.
        """
        user_id = self.people[1:][number % (len(self.people) - 1)]  # never the administrator
        rights, enabled = self.office.run(self._state(user_id))
        if not enabled or (permission is not None and permission not in rights.permissions):
            return None
        self.had |= rights.permissions
        try:
            return self.office.run(act(Administrator(Actor(user_id), rights)))
        except Refusal as refusal:
            event(refusal.code)
            return None

    async def _rights(self, user_id: UserId) -> Rights:
        """Return what a user may do; a disabled one, once they are enabled again."""
        return (await self._state(user_id))[0]

    async def _state(self, user_id: UserId) -> tuple[Rights, bool]:
        """Return what a user may do, and whether they may do it now."""
        user = await self.house.stores.users.find(user_id)
        if user is None:
            return Rights(), False
        rights = Rights.of(user.roles, await self.house.stores.roles.list_roles())
        return rights, user.disabled_at is None

    async def _worthless(self, rights: Rights) -> set[str]:
        """Return the roles that permit nothing: an application knows what they are worth."""
        roles = await self.house.stores.roles.list_roles()
        return {role.name for role in roles if role.name in rights.roles and not role.permissions}
