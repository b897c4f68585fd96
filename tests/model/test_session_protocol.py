"""The refresh protocol: the service follows its rules, whatever owners, thieves and clocks do."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from gatelodge.accounts.store import User
from gatelodge.audit import Actor, Origin
from gatelodge.errors import Refusal
from gatelodge.methods import BY_PASSWORD
from gatelodge.sessions.refusals import InvalidRefreshToken, NoSuchSession, RefreshTokenReused
from gatelodge.sessions.service import SignedIn
from gatelodge.sessions.store import Session
from gatelodge.tokens.pair import Delivery
from gatelodge.tokens.refusals import InvalidToken
from tests.contracts.builders import a_user, an_event
from tests.model.devices import REUSED, SIGNED_OUT, Device, Outcome, Person
from tests.model.lodge import GRACE, IDLE, Lodge, open_lodge
from tests.model.machines import play
from tests.support.events import newest

EXAMPLES = {"sqlite": 50, "mongodb": 15}
STEPS = 30

ORIGIN = Origin("192.0.2.7", "Browser/1.0", "req_1")
MILLISECOND = timedelta(milliseconds=1)
LONG = timedelta(days=36500)

NAMES = ("phone", "laptop", "tablet")
DEVICES = st.sampled_from(NAMES)
DELIVERIES = st.sampled_from(["bearer", "cookie"])
AGES = st.integers(0, 3)
ENDS = st.sampled_from([-MILLISECOND, timedelta(0)])
MOMENTS = st.none() | ENDS
ENDINGS = st.sampled_from(
    ["sign out", "sign out amid a refresh", "from a list", "everywhere", "disable"]
)


@pytest.fixture
def lodge(address: str) -> Iterator[Lodge]:
    """Yield the service over an empty database."""
    with open_lodge(address) as lodge:
        yield lodge


def test_the_service_keeps_the_refresh_protocol(
    lodge: Lodge, request: pytest.FixtureRequest
) -> None:
    """Sign-ins, refreshes, thefts, endings and waits come in any order, on both databases."""
    play(lambda: RefreshProtocol(lodge), request, EXAMPLES, STEPS)


class RefreshProtocol(RuleBasedStateMachine):
    """Ann with her phone and her laptop, Bob with his tablet, a thief, and a clock."""

    def __init__(self, lodge: Lodge) -> None:
        """Use this service."""
        super().__init__()
        self.lodge = lodge
        self.devices: dict[str, Device] = {}
        self.opened: list[Device] = []

    @initialize(deliveries=st.tuples(DELIVERIES, DELIVERIES, DELIVERIES))
    def begin(self, deliveries: tuple[Delivery, Delivery, Delivery]) -> None:
        """Two people sign up, and sign in on every device."""
        ann, bob = self._sign_up(), self._sign_up()
        for name, person, delivery in zip(NAMES, (ann, ann, bob), deliveries, strict=True):
            self._sign_in(name, person, delivery)

    @rule(name=DEVICES, delivery=DELIVERIES)
    def sign_in(self, name: str, delivery: Delivery) -> None:
        """A user opens another session on a device, and no longer uses the one before."""
        person = self.devices[name].person
        if not person.disabled:
            self._sign_in(name, person, delivery)

    @rule(name=DEVICES, moment=MOMENTS, times=st.integers(1, 3))
    def refresh(self, name: str, moment: timedelta | None, times: int) -> None:
        """The owner trades the token and keeps the new one, perhaps several times."""
        self._wait_for_grace(self.devices[name], self.devices[name].owned, moment)
        for _ in range(times):
            self._keep(name, self._present_as_owner(name))

    @rule(name=DEVICES, retry=MOMENTS)
    def refresh_with_a_lost_reply(self, name: str, retry: timedelta | None) -> None:
        """The owner trades the token, gets no answer, and may ask again."""
        self._present_as_owner(name)
        if retry is not None:
            self.refresh(name, retry, times=1)

    @rule(name=DEVICES, tabs=st.integers(2, 5), moment=MOMENTS)
    def refresh_in_parallel_tabs(self, name: str, tabs: int, moment: timedelta | None) -> None:
        """Several tabs trade one token in one instant, and all get the same new token."""
        self._wait_for_grace(self.devices[name], self.devices[name].owned, moment)
        self._keep(name, self._present_as_owner(name, times=tabs))

    @rule(name=DEVICES, age=AGES, moment=MOMENTS, times=st.integers(1, 3))
    def refresh_as_thief(self, name: str, age: int, moment: timedelta | None, times: int) -> None:
        """A thief trades a copy of a token. If it is too old, the session ends for both."""
        device = self.devices[name]
        token = device.token_before(age)
        self._wait_for_grace(device, token, moment)
        lived, forgiven = device.lives(self.now), device.is_forgiven(token, self.now)
        device.lawful = False
        outcome = self._present(device, token, times=times)
        if lived and not forgiven:
            assert outcome is RefreshTokenReused
            assert self._record(device).revoked_why == REUSED

    @rule(name=DEVICES)
    def refresh_parent_and_child_at_once(self, name: str) -> None:
        """A late tab sends the token before the current one, while another trades the current."""
        device = self.devices[name]
        if not device.traded_at or not device.lives(self.now):
            return
        (parent, child), grandchild = device.tokens[-2:], device.next_token
        forgiven = device.is_forgiven(parent, self.now)
        device.lawful = False
        outcomes = self._trade(device, parent, child)
        assert outcomes in (
            *([[child, grandchild]] if forgiven else []),
            [RefreshTokenReused, grandchild],
            [RefreshTokenReused, InvalidRefreshToken],
        )
        for outcome in reversed(outcomes):
            device.follow(outcome, self.now)

    @rule(name=DEVICES)
    def refresh_with_a_token_from_the_future(self, name: str) -> None:
        """The database was put back to an older state.

        A newer token is refused, and does not count as stolen.
        """
        device = self.devices[name]
        refusal = device.refusal(self.now) or InvalidRefreshToken
        assert self._trade(device, device.next_token) == [refusal]

    @rule(name=DEVICES)
    def renew_access(self, name: str) -> None:
        """The tutorial's refresh rotates nothing, and accepts every token of a live session."""
        device = self.devices[name]
        refusal = device.refusal(self.now)
        for token in (device.tokens[0], *device.tokens[-2:]):
            if refusal is not None:
                with pytest.raises(refusal):
                    self._renewed(device, token)
            else:
                assert self._renewed(device, token) == token
                device.used_at = self.now

    @rule(name=DEVICES, way=ENDINGS)
    def end(self, name: str, way: str) -> None:
        """One session of a user ends, or all of them."""
        device = self.devices[name]
        match way:
            case "sign out":
                self.lodge.run(self._signed_out(device))
                device.ended_why = device.ended_why or SIGNED_OUT
            case "sign out amid a refresh":
                self._sign_out_amid_a_refresh(device)
            case "from a list":
                self._end_from_lists(device)
            case "everywhere":
                self._sign_out_everywhere(device.person)
            case "disable":
                self._disable(device.person)

    @rule(name=DEVICES)
    def change_password(self, name: str) -> None:
        """All other sessions end. A browser gets a new session, another client keeps its own."""
        device = self.devices[name]
        if not device.lives(self.now):
            return
        signed_in = self.lodge.run(self._change_password(device))
        if device.opened.delivery == "cookie":
            self.devices[name] = self._opened(device.person, signed_in)
        else:
            assert signed_in.tokens.refresh_token == device.tokens[-1]
            self._keep(name, signed_in.tokens.refresh_token)

    @rule(by=st.sampled_from([MILLISECOND, GRACE / 2, IDLE / 3]))
    def wait(self, by: timedelta) -> None:
        """Time passes."""
        self.lodge.clock.advance(by)

    @rule(name=DEVICES, off=ENDS)
    def leave_unused(self, name: str, off: timedelta) -> None:
        """A device is not used until it is idle for too long, or until just before."""
        self._wait_until(self.devices[name].used_at + IDLE + off)

    @rule(name=DEVICES, off=ENDS)
    def use_to_the_end(self, name: str, off: timedelta) -> None:
        """A device is used until its session is too old, or until just before."""
        device = self.devices[name]
        end = device.expires_at + off
        while device.lives(self.now) and device.used_at + IDLE <= end:
            self._wait_until(device.used_at + IDLE - MILLISECOND)
            self._keep(name, self._present_as_owner(name))
        self._wait_until(end)

    @invariant()
    def records_are_as_the_rules_say(self) -> None:
        """Every session's record has the generation, the times and the end of the model."""
        for device in self.opened:
            record = self._record(device)
            assert (record.revoked_at is None) == (device.ended_why is None)
            assert record == replace(
                device.opened,
                epoch=device.epoch,
                generation=len(device.traded_at),
                rotated_at=device.traded_at[-1] if device.traded_at else None,
                last_used_at=device.used_at,
                revoked_at=record.revoked_at,
                revoked_why=device.ended_why,
            )

    def teardown(self) -> None:
        """Check the end: one token at most can be traded, each theft has one event.

        Nothing else is kept.
        """
        self._check_lists()
        self.lodge.run(self._check_events())
        for device in self.opened:
            self.lodge.run(self._check_one_heir(device))
        kept = self.lodge.run(self.lodge.stores.sessions.remove_ended(self.now + LONG))
        assert kept == len(self.opened), "a session leaves one record however often it is traded"

    @property
    def now(self) -> datetime:
        """The time."""
        return self.lodge.clock.now()

    @property
    def _people(self) -> set[Person]:
        return {device.person for device in self.opened}

    def _sign_up(self) -> Person:
        user = a_user(created_at=self.now)
        self.lodge.run(self.lodge.stores.users.add(user, an_event()))
        return Person(user.id, user.password_hash or "")

    def _sign_in(self, name: str, person: Person, delivery: Delivery) -> None:
        signed_in = self.lodge.run(
            self.lodge.service.open(self._user(person), BY_PASSWORD, delivery, ORIGIN)
        )
        self.devices[name] = self._opened(person, signed_in)

    def _opened(self, person: Person, signed_in: SignedIn) -> Device:
        session = signed_in.session
        device = Device(
            session, person, self.lodge.service.refresh_tokens, session.epoch, used_at=self.now
        )
        assert signed_in.tokens.refresh_token == device.owned
        assert session.id not in {other.opened.id for other in self.opened}
        self.opened.append(device)
        return device

    def _present_as_owner(self, name: str, *, times: int = 1) -> Outcome:
        """Trade the owner's token. An owner who follows the rules is never taken for a thief."""
        device = self.devices[name]
        device.lawful = device.lawful and device.is_forgiven(device.owned, self.now)
        lived = device.lives(self.now)
        outcome = self._present(device, device.owned, times=times)
        if device.lawful and lived:
            assert isinstance(outcome, str)
            assert device.lives(self.now)
        return outcome

    def _present(self, device: Device, token: str, *, times: int = 1) -> Outcome:
        """Trade a token, perhaps several times at once, and check the result."""
        expected = device.outcome(token, self.now)
        outcomes = set(self._trade(device, *[token] * times))
        if expected is RefreshTokenReused:
            outcomes.discard(InvalidRefreshToken)  # another trade has ended it already
        assert outcomes == {expected}
        device.follow(expected, self.now)
        return expected

    def _trade(self, device: Device, *tokens: str) -> list[Outcome]:
        async def together() -> list[Outcome]:
            return await asyncio.gather(*(self._refreshed(device, token) for token in tokens))

        return self.lodge.run(together())

    async def _refreshed(self, device: Device, token: str) -> Outcome:
        try:
            signed_in = await self.lodge.service.refresh(token, ORIGIN)
        except Refusal as refusal:
            return type(refusal)
        await self._check_access(device, signed_in)
        return signed_in.tokens.refresh_token

    async def _check_access(self, device: Device, signed_in: SignedIn) -> None:
        claims = await self.lodge.service.access_tokens.verify(signed_in.tokens.access_token)
        assert (claims.subject, claims.session_id) == (device.person.id, device.opened.id)

    def _sign_out_amid_a_refresh(self, device: Device) -> None:
        """Sign out during a refresh. The session is over, whatever the refresh answers."""
        expected = device.outcome(device.owned, self.now)
        if not isinstance(expected, str):
            return

        async def together() -> Outcome:
            outcome, _ = await asyncio.gather(
                self._refreshed(device, device.owned), self._signed_out(device)
            )
            return outcome

        outcome = self.lodge.run(together())
        assert outcome in (expected, InvalidRefreshToken)
        device.follow(outcome, self.now)
        device.ended_why = SIGNED_OUT

    async def _signed_out(self, device: Device) -> None:
        await self.lodge.service.sign_out(device.opened.id, Actor(device.person.id, ORIGIN))

    def _end_from_lists(self, device: Device) -> None:
        """Only the owner can end a device, and only a live one."""
        for person in self._people:
            user, stands = self._user(person), device.is_live(self.now)
            ending = self.lodge.service.end_own(user, device.opened.id, ORIGIN)
            if person is device.person and stands:
                self.lodge.run(ending)
                device.ended_why = SIGNED_OUT
            else:
                with pytest.raises(NoSuchSession):
                    self.lodge.run(ending)

    def _sign_out_everywhere(self, person: Person) -> None:
        """Every session of one person ends, also one that was being opened at that moment."""
        user = self._user(person)
        self.lodge.run(self.lodge.service.sign_out_everywhere(person.id, Actor(person.id, ORIGIN)))
        person.end_sessions()
        with pytest.raises(InvalidToken):
            self.lodge.run(self.lodge.service.open(user, BY_PASSWORD, "bearer", ORIGIN))

    def _disable(self, person: Person) -> None:
        """An operator disables a user, and all their sessions end."""
        changed = self.lodge.run(self.lodge.stores.users.disable(person.id, self.now, an_event()))
        assert changed is not person.disabled
        if changed:
            person.end_sessions()
        person.disabled = True

    def _enable(self, person: Person) -> None:
        """An operator enables a user again. Ended sessions stay ended."""
        assert self.lodge.run(self.lodge.stores.users.enable(person.id, an_event()))
        person.disabled = False

    def _user(self, person: Person) -> User:
        return self.lodge.run(self._found_user(person))

    async def _found_user(self, person: Person) -> User:
        user = await self.lodge.stores.users.find(person.id)
        assert user is not None
        return user

    def _keep(self, name: str, outcome: Outcome) -> None:
        """Keep the new token. An owner who is refused signs in again, or is enabled again."""
        device = self.devices[name]
        if isinstance(outcome, str):
            device.owned = outcome
        elif device.person.disabled:
            self._enable(device.person)
        else:
            self._sign_in(name, device.person, device.opened.delivery)

    def _renewed(self, device: Device, token: str) -> str:
        signed_in = self.lodge.run(self.lodge.service.renew_access(token, ORIGIN))
        self.lodge.run(self._check_access(device, signed_in))
        return signed_in.tokens.refresh_token

    async def _change_password(self, device: Device) -> SignedIn:
        person, user = device.person, await self._found_user(device.person)
        new = f"$argon2id${person.epoch + 1}"
        prepared = await self.lodge.service.prepare_to_continue(user, device.opened.id, ORIGIN)
        changed = await self.lodge.stores.users.change_password(
            user, new, an_event(), continued=prepared.session.id
        )
        assert changed is not None
        person.end_sessions()
        person.continued = prepared.session.id
        return prepared

    def _wait_for_grace(self, device: Device, token: str, moment: timedelta | None) -> None:
        """Wait until just before or after the end of the token's grace, or do not wait."""
        traded_at = device.when_traded(token)
        if traded_at is not None and moment is not None:
            self._wait_until(traded_at + GRACE + moment)

    def _wait_until(self, instant: datetime) -> None:
        self.lodge.clock.instant = max(instant, self.now)

    def _record(self, device: Device) -> Session:
        return self.lodge.run(self._found(device))

    async def _found(self, device: Device) -> Session:
        session = await self.lodge.stores.sessions.find(device.opened.id)
        assert session is not None
        return session

    def _check_lists(self) -> None:
        """Check that users see their own devices that are still signed in, and no others."""
        for person in self._people:
            user = self._user(person)
            assert (user.epoch, user.disabled_at is not None) == (person.epoch, person.disabled)
            own = [device for device in self.opened if device.person is person]
            listed = self.lodge.run(self.lodge.service.list_own(user, before=None, limit=200))
            if not person.disabled:
                going_on = {device.opened.id for device in own if device.lives(self.now)}
                assert {session.id for session in listed} == going_on

    async def _check_events(self) -> None:
        events = await newest(self.lodge.stores.events, 200)
        suspected = [event.target for event in events if event.name == "refresh_token.reused"]
        for device in self.opened:
            assert suspected.count(device.opened.id) == (device.ended_why == REUSED)

    async def _check_one_heir(self, device: Device) -> None:
        """Check that only the current generation can rotate, and none after the end."""
        sessions, last = self.lodge.stores.sessions, len(device.traded_at)
        moved = await asyncio.gather(
            *(sessions.rotate(device.opened.id, g, lambda: self.now) for g in range(last + 1))
        )
        assert moved == [False] * last + [device.ended_why is None]
