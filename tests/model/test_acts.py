"""What users and operators do at the same moment, while writes fail and callers give up.

Two houses use one database, as two workers or nodes do. In each round several acts on a few users
run at once, some of them are cut off, and some writes fail. Then the records are compared with the
events and with what the acts answered:

- each change has exactly one event, and each event its change;
- no session lives that an answer said was ended, and none was ended that nobody wanted to end;
- whoever has an authenticator app has recovery codes too, and nobody else has;
- a device that got no answer to a refresh gets one when it asks again;
- somebody who can administer is left.

`GATELODGE_ROUNDS` sets how many rounds there are.
"""

import asyncio
import base64
import contextlib
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND, Actor, Event, Origin
from gatelodge.credentials.factors import of_kind
from gatelodge.credentials.refusals import WrongPassword
from gatelodge.credentials.totp import code_of, step_at
from gatelodge.errors import OutcomeUnknown, Refusal, StoreUnavailable
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SignedIn
from gatelodge.sessions.store import Session
from gatelodge.sign_in.challenges import Challenge
from gatelodge.sign_in.opening import SignInContext
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.tokens.pair import Delivery
from tests.contracts.failpoints import failing
from tests.gate.houses import houses
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.mongod import observed
from tests.support.settings import CHEAP_HASH

ROUNDS = int(os.environ.get("GATELODGE_ROUNDS", "25"))
AT_ONCE = 6
PEOPLE = 4
_NEWEST = 300
ORIGIN = Origin("192.0.2.7", "Browser/1.0", "req_1")
PASSWORD = "correct horse battery"
TABLES = ("users", "user_roles", "sessions", "events")

NO_LIMITS = {
    f"sign_{limit}": 0
    for limit in ("in_tries_per_account", "in_tries_per_address", "in_tries_in_all")
} | {"sign_ups_per_address": 0}

ENDS_ALL = frozenset({"everywhere", "disable", "delete"})
DECIDING = ENDS_ALL | {"change password", "refresh", "sign in", "sign out"}
DECIDING |= {"add app", "remove app", "prove by app", "prove by recovery code"}
UNDONE = (StoreUnavailable, OutcomeUnknown, asyncio.CancelledError)


@dataclass(eq=False)
class Device:
    """A session, and the newest refresh token that its owner was given."""

    id: SessionId
    token: str


@dataclass(eq=False)
class Person:
    """A user, the passwords and apps that the user may have by now, and the devices."""

    id: UserId
    name: str
    roles: frozenset[str]
    passwords: list[str] = field(default_factory=lambda: [PASSWORD])
    devices: list[Device] = field(default_factory=list)
    secrets: list[bytes] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


@dataclass
class Round:
    """What was tried in a round, and what was acknowledged; see the acts for the words."""

    tried: Counter[tuple[str, object]] = field(default_factory=Counter)
    done: Counter[tuple[str, object]] = field(default_factory=Counter)

    @contextlib.asynccontextmanager
    async def trying(self, act: str, of: object) -> AsyncIterator[None]:
        """Note that an act is tried, and whether it is acknowledged."""
        self.tried[act, of] += 1
        with contextlib.suppress(*UNDONE, Refusal):
            yield
            self.done[act, of] += 1


class Acts:
    """The acts. Each takes a house, a person and the round."""

    def __init__(self, chance: random.Random) -> None:
        """Choose by this chance."""
        self.chance = chance
        self.passwords = 0

    async def sign_in(self, house: House, person: Person, now: Round) -> None:
        """Sign in with a password that the person may have, the newest first."""
        async with now.trying("sign in", person):
            for password in reversed(person.passwords):
                with contextlib.suppress(InvalidCredentials):
                    await self._sign_in(house, person, password, now)
                    return
            raise WrongPassword

    async def _sign_in(self, house: House, person: Person, password: str, now: Round) -> None:
        delivery: Delivery = self.chance.choice(["bearer", "cookie"])
        outcome = await house.sign_in.sign_in(person.name, password, delivery, ORIGIN)
        if isinstance(outcome, Challenge):
            outcome = await self._prove(house, person, outcome, now)
        _add_device(person, outcome)

    async def _prove(
        self, house: House, person: Person, question: Challenge, now: Round
    ) -> SignedIn:
        """Answer the question for the second factor, by a code of an app or a recovery code."""
        waiting = await house.challenges.find(question.id)
        if person.codes and self.chance.random() < 0.3:
            code = person.codes.pop()
            proved = await house.opening.finish_by_code(
                waiting, "recovery_code", code, SignInContext(ORIGIN)
            )
            now.done["prove by recovery code", person] += 1
            return proved
        code = code_of(self.chance.choice(person.secrets), step_at(house.clock.now()))
        proved = await house.opening.finish_by_code(waiting, "totp", code, SignInContext(ORIGIN))
        now.done["prove by app", person] += 1
        return proved

    async def add_app(self, house: House, person: Person, now: Round) -> None:
        """Add an authenticator app on one device, whose session is replaced."""
        user = await self._found(house, person)
        session = await self._live_session(house, user, person)
        if user is None or session is None:
            return
        caller = Records(user, session)
        now.tried["replace", session.id] += 1
        async with now.trying("add app", person):
            begun = await house.factor_service.begin_totp(caller)
            secret = base64.b32decode(begun.secret)
            person.secrets.append(secret)
            code = code_of(secret, step_at(house.clock.now()))
            added = await house.factor_service.confirm_totp(
                caller, begun.text, code, "", SignInContext(ORIGIN)
            )
            person.codes = added.codes or person.codes
            _add_device(person, added.signed_in)

    async def remove_app(self, house: House, person: Person, now: Round) -> None:
        """Remove an authenticator app on one device."""
        user = await self._found(house, person)
        session = await self._live_session(house, user, person)
        if user is None or session is None or not (apps := of_kind(user.factors, "totp")):
            return
        async with now.trying("remove app", person):
            app = self.chance.choice(apps)
            await house.factor_service.remove(Records(user, session), app.id, ORIGIN)

    async def refresh(self, house: House, person: Person, now: Round) -> None:
        """Trade the token of a device in two tabs."""
        if not person.devices:
            return
        device = self.chance.choice(person.devices)
        token = device.token

        async def tab() -> None:
            async with now.trying("refresh", device):
                device.token = (await house.sessions.refresh(token, ORIGIN)).tokens.refresh_token

        await asyncio.gather(tab(), tab())

    async def change_password(self, house: House, person: Person, now: Round) -> None:
        """Change the password on one device, which stays signed in."""
        user = await self._found(house, person)
        session = await self._live_session(house, user, person)
        if user is None or session is None:
            return
        self.passwords += 1
        new = f"{self.passwords} wild geese at dawn"
        async with now.trying("change password", person):
            for current in reversed(person.passwords):
                with contextlib.suppress(WrongPassword):
                    await self._change(house, Records(user, session), current, new, person, now)
                    return
            raise WrongPassword

    async def _live_session(
        self, house: House, user: User | None, person: Person
    ) -> Session | None:
        for device in self.chance.sample(person.devices, len(person.devices)):
            session = await house.stores.sessions.find(device.id)
            if session and user and session.is_live(user, house.clock.now()):
                return session
        return None

    async def _change(
        self, house: House, caller: Records, current: str, new: str, person: Person, now: Round
    ) -> None:
        if new not in person.passwords:
            person.passwords.append(new)
        changed = await house.sign_in.change_password(caller, current, new, ORIGIN)
        now.done["kept by a change", changed.session.id] += 1
        if changed.session.id not in {each.id for each in person.devices}:
            person.devices.append(Device(changed.session.id, changed.tokens.refresh_token))

    async def sign_out(self, house: House, person: Person, now: Round) -> None:
        """Sign out on one device."""
        if person.devices:
            device = self.chance.choice(person.devices)
            async with now.trying("sign out", device):
                await house.sessions.sign_out(device.id, Actor(person.id, ORIGIN))

    async def everywhere(self, house: House, person: Person, now: Round) -> None:
        """Sign out everywhere."""
        async with now.trying("everywhere", person):
            if not await house.sessions.sign_out_everywhere(person.id, Actor(person.id, ORIGIN)):
                raise StoreUnavailable

    async def disable(self, house: House, person: Person, now: Round) -> None:
        """Disable the user."""
        user = await self._found(house, person)
        async with now.trying("disable", person):
            if user is None or not await house.accounts.disable(user, COMMAND):
                raise StoreUnavailable

    async def enable(self, house: House, person: Person, now: Round) -> None:
        """Enable the user."""
        user = await self._found(house, person)
        async with now.trying("enable", person):
            if user is not None:
                await house.accounts.enable(user, COMMAND)

    async def delete(self, house: House, person: Person, now: Round) -> None:
        """Delete the user."""
        user = await self._found(house, person)
        async with now.trying("delete", person):
            if user is None or not await house.accounts.delete(user, COMMAND):
                raise StoreUnavailable

    async def grant(self, house: House, person: Person, now: Round) -> None:
        """Grant a role."""
        user = await self._found(house, person)
        async with now.trying("grant", person):
            if user is not None:
                await house.accounts.grant(user, self.chance.choice([ADMIN, "moderator"]), COMMAND)

    async def withdraw(self, house: House, person: Person, now: Round) -> None:
        """Take a role."""
        user = await self._found(house, person)
        async with now.trying("withdraw", person):
            if user is not None:
                role = self.chance.choice([ADMIN, "moderator"])
                await house.accounts.withdraw(user, role, COMMAND)

    async def _found(self, house: House, person: Person) -> User | None:
        with contextlib.suppress(StoreUnavailable):
            return await house.stores.users.find(person.id)
        return None


def _add_device(person: Person, signed_in: SignedIn) -> None:
    person.devices.append(Device(signed_in.session.id, signed_in.tokens.refresh_token))


FREQUENT = ("sign_in", "refresh", "change_password", "sign_out", "everywhere", "enable", "grant")
SELDOM = ("disable", "disable", "delete", "withdraw", "withdraw", "withdraw")
PROOFS = ("add_app", "add_app", "add_app", "remove_app", "sign_in", "sign_in")
ALL = (*FREQUENT, *FREQUENT, *SELDOM, *PROOFS)


@pytest.mark.usefixtures("lost_sockets")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("faults", ["no faults", "faults"])
@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
async def test_acts_at_once_are_whole(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, store: str, faults: str
) -> None:
    address = "" if store == "sqlite" else str(request.getfixturevalue("mongodb_address"))
    chance = random.Random(f"{store} {faults}")
    async with houses(tmp_path, address, clock, **CHEAP_HASH, **NO_LIMITS) as pair:
        trial = Trial(pair, clock, chance, address or str(pair[0].settings.database_address))
        for _ in range(ROUNDS):
            await trial.round(faults=faults == "faults")
        while (
            not trial.acknowledged.keys() >= DECIDING
        ):  # a few rounds more, if chance left one out
            await trial.round(faults=faults == "faults")
        assert not [each for each in trial.events.values() if each.name == "refresh_token.reused"]


class Trial:
    """The people, and what happens to them."""

    def __init__(
        self, pair: list[House], clock: FakeClock, chance: random.Random, address: str
    ) -> None:
        """Begin without people."""
        self.pair = pair
        self.clock = clock
        self.chance = chance
        self.address = address
        self.acts = Acts(chance)
        self.people: list[Person] = []
        self.gone: list[Person] = []
        self.acknowledged: Counter[str] = Counter()
        self.events: dict[str, Event] = {}
        self.happened: Counter[tuple[str | None, str, str | None]] = Counter()

    async def round(self, *, faults: bool) -> None:
        """Let several acts run at once, then check the records. Apps show a new code each time."""
        self.clock.advance(timedelta(seconds=30))
        await self._fill_up()
        before = {
            person: await self._live(person, [each.id for each in person.devices])
            for person in self.people
        }
        now = Round()
        with self._failing() if faults else contextlib.nullcontext():
            tasks = [asyncio.create_task(self._one(now)) for _ in range(AT_ONCE)]
            for task in self.chance.sample(tasks, 1 if faults else 0):
                delay = self.chance.random() * 0.02
                asyncio.get_running_loop().call_later(delay, task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._settle()
        await self._ask_again(now)
        self.acknowledged.update(act for act, _ in now.done.elements())
        await self._hear()
        assert await self.pair[1].accounts.has_admin()
        for person in self.people:
            await self._check_events(person)
        for person in self.people:
            await self._check_sessions(person, now, before[person])
        await self._part()

    async def _ask_again(self, now: Round) -> None:
        """Let each device whose refresh got no answer ask again, within the grace.

        Its session may have gone on to a next token, which it does not know.
        """
        unanswered = now.tried - now.done
        for person in self.people:
            waiting = [each for each in person.devices if unanswered["refresh", each]]
            live = await self._live(person, [each.id for each in waiting])
            for device in waiting:
                if device.id in live:
                    answered = await self.pair[1].sessions.refresh(device.token, ORIGIN)
                    device.token = answered.tokens.refresh_token

    async def _hear(self) -> None:
        """Read the newest events: all of this round, and some of those before."""
        for each in await newest(self.pair[0].stores.events, _NEWEST):
            if self.events.setdefault(each.id, each) is each:
                self.happened[each.target, each.name, each.detail.get("role")] += 1

    async def _one(self, now: Round) -> None:
        act = getattr(self.acts, self.chance.choice(ALL))
        await act(self.chance.choice(self.pair), self.chance.choice(self.people), now)

    async def _fill_up(self) -> None:
        """Make new people for those who are gone, half of them administrators.

        Let one of the people sign in again, enabled if need be.
        """
        while len(self.people) < PEOPLE:
            number = len(self.people) + len(self.gone)
            roles = ("user", ADMIN) if number % 2 == 0 else ("user",)
            wanted = NewUser(f"user{number}", f"user{number}@example.com", PASSWORD, roles)
            user = await self.pair[0].accounts.create(wanted, COMMAND)
            person = Person(user.id, user.username, frozenset(roles))
            self.people.append(person)
            for house in self.pair:
                await self.acts.sign_in(house, person, Round())
        for person in self.chance.sample(self.people, 1):
            await self.acts.enable(self.pair[0], person, Round())
            await self.acts.sign_in(self.pair[1], person, Round())

    async def _part(self) -> None:
        """Part with those who are deleted."""
        for person in list(self.people):
            if await self.pair[0].stores.users.find(person.id) is None:
                self.people.remove(person)
                self.gone.append(person)

    async def _live(self, person: Person, among: Iterable[SessionId]) -> set[SessionId]:
        """Return those of these sessions that sign the user in."""
        user = await self.pair[0].stores.users.find(person.id)
        live = set()
        for each in among:
            session = await self.pair[0].stores.sessions.find(each)
            if user is not None and session is not None and session.is_live(user, self.clock.now()):
                live.add(each)
        return live

    async def _settle(self) -> None:
        """Return when the database has done what it was asked for, and the chores are done."""
        users: Any = self.pair[0].stores.users
        roles: Any = self.pair[0].stores.roles
        if self.address.startswith("mongodb"):
            await asyncio.to_thread(self._wait_until_idle)
            for chore in (users.sweep_names, roles.sweep, users.outbox.sweep):
                await chore()
        for house in self.pair:  # a write after all others, of cancelled callers too
            await house.audit.record(house.audit.event("round.over", COMMAND))

    def _wait_until_idle(self) -> None:
        """Wait until no command of ours runs on the server, then until all is confirmed."""
        database = observed(self.address)
        running = {"op": {"$in": ["insert", "update", "remove", "command"]}, "active": True}
        ours = {"ns": {"$regex": f"^{database.name}[.](users|sessions|names|events|queues)"}}
        asked = [{"$currentOp": {"allUsers": True}}, {"$match": running | ours}]
        while list(database.client.admin.aggregate(asked)):
            pass
        database.observed.insert_one({})

    async def _check_events(self, person: Person) -> None:
        """Check that the user's record is what the events say, each counted once."""

        def times(name: str, role: str | None = None) -> int:
            return self.happened[person.id, name, role]

        user = await self.pair[0].stores.users.find(person.id)
        assert times("user.deleted") == (user is None)
        if user is None:
            return
        ended = ("password.changed", "user.disabled", "session.ended_everywhere")
        assert user.epoch == sum(times(name) for name in ended)
        disabled = times("user.disabled") - times("user.enabled")
        assert disabled == (user.disabled_at is not None)
        apps = of_kind(user.factors, "totp")
        assert len(apps) == times("factor.added") - times("factor.removed")
        assert bool(apps) == bool(of_kind(user.factors, "recovery_codes"))
        for role in (ADMIN, "moderator"):
            changes = times("role.granted", role) - times("role.withdrawn", role)
            assert (role in person.roles) + changes == (role in user.roles)

    async def _check_sessions(self, person: Person, now: Round, before: set[SessionId]) -> None:
        """Check that what was ended is over, and that nothing else is."""
        live = await self._live(person, before)
        kept = {each for act, each in now.done if act == "kept by a change"}
        devices = {device.id: device for device in person.devices}
        if any(now.done[act, person] for act in ENDS_ALL):
            assert not live
        if now.done["change password", person]:
            assert live <= kept
        for each in before:
            if now.done["sign out", devices[each]]:
                assert each not in live
            wanted = any(now.tried[act, person] for act in (*ENDS_ALL, "change password"))
            wanted |= bool(now.tried["replace", each])
            if not wanted and not now.tried["sign out", devices[each]]:
                assert each in live

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Have one write in about ten fail."""
        if self.address.startswith("mongodb"):
            how = self.chance.choice(
                [{"closeConnection": True}, {"writeConcernError": {"code": 64, "errmsg": "lost"}}]
            )
            commands = ("insert", "update", "delete", "findAndModify")
            mode = {"activationProbability": 0.1}
            with failing(self.address, *commands, mode=mode, **how):
                yield
            return
        with closing(sqlite3.connect(self.address, timeout=10)) as connection:
            connection.executescript("".join(_trigger(*each) for each in _failing_writes()))
            yield
            connection.executescript(
                "".join(f"DROP TRIGGER {_name(*each)};" for each in _failing_writes())
            )


def _failing_writes() -> list[tuple[str, str]]:
    return [(table, verb) for table in TABLES for verb in ("INSERT", "UPDATE", "DELETE")]


def _name(table: str, verb: str) -> str:
    return f"fail_{verb}_{table}"


def _trigger(table: str, verb: str) -> str:
    return (
        f"CREATE TRIGGER {_name(table, verb)} BEFORE {verb} ON {table} "
        "WHEN abs(random()) % 12 = 0 BEGIN SELECT raise(ABORT, 'no'); END;"
    )
