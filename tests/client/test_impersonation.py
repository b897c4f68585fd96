"""Applications beside the server learn who acts in a user's place, with and without asking."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.client import NotSignedIn, Verifier
from gatelodge.client.me import read_me
from gatelodge.ids import SessionId, UserId
from gatelodge.sessions.service import SignedIn
from gatelodge.tokens.claims import Claims
from gatelodge.tokens.refusals import InvalidToken
from tests.api.test_impersonation import SUPPORT, WHY, make_support
from tests.client.conftest import Key
from tests.support.clock import FakeClock
from tests.support.issuer import LittleServer
from tests.support.people import HERE, new_user


async def viewed(house: House) -> tuple[str, SignedIn]:
    """Return Eve's id, and the session in which she sees what Bob sees."""
    await make_support(house)
    eve = await new_user(house, "eve", SUPPORT)
    own = await house.sessions.open(eve, ("pwd",), "bearer", HERE)
    bob = await new_user(house, "bob")
    return eve.id, await house.sessions.impersonate(bob, own.session, WHY, HERE)


@pytest.mark.parametrize("freshness", [timedelta(seconds=1), timedelta(0), None])
async def test_a_verifier_says_who_acts(
    house: House, clock: FakeClock, freshness: timedelta | None
) -> None:
    """Offline it reads `act`; else it asks. Nobody has proved to be Bob, at no time."""
    eve, opened = await viewed(house)
    token = opened.tokens.access_token
    transport = httpx2.ASGITransport(app=create_app(house))
    issuer = house.settings.public_origin
    async with Verifier(issuer, freshness=freshness, transport=transport, clock=clock) as verifier:
        for _ in range(2):
            user = await verifier.check(token)
            assert (user.subject, user.impersonator) == (opened.user.id, eve)
            assert (user.authenticated_at, user.methods, user.aal) == (None, frozenset(), 1)
            assert user.expires_at <= opened.session.expires_at
        await house.sessions.end(opened.session, opened.session.actor(HERE))
        clock.advance(timedelta(seconds=1))
        if freshness is not None:
            with pytest.raises(NotSignedIn):
                await verifier.check(token)
        clock.advance(timedelta(minutes=30))
        with pytest.raises(NotSignedIn):
            await verifier.check(token)


async def test_the_users_own_session_says_that_nobody_else_acts(
    house: House, clock: FakeClock
) -> None:
    bob = await new_user(house, "bob")
    opened = await house.sessions.open(bob, ("pwd",), "bearer", HERE)
    for freshness in (timedelta(seconds=1), None):
        transport = httpx2.ASGITransport(app=create_app(house))
        issuer = house.settings.public_origin
        async with Verifier(
            issuer, freshness=freshness, transport=transport, clock=clock
        ) as verifier:
            user = await verifier.check(opened.tokens.access_token)
            assert user.impersonator is None
            assert user.authenticated_at is not None


@pytest.mark.parametrize(
    "act", [None, "usr_eve", [], {}, {"sub": ""}, {"sub": 7}, {"sub": None}, {"sub": ["usr_eve"]}]
)
async def test_an_actor_that_is_none_makes_a_token_invalid(
    verifier: Verifier, issuer: LittleServer, clock: FakeClock, key: Key, act: object
) -> None:
    """It must not count as the token of the user alone."""
    issuer.publish(key.jwk)
    good = key.sign(issuer.address, clock, act={"sub": "usr_eve"})
    assert (await verifier.check(good)).impersonator == "usr_eve"
    with pytest.raises(InvalidToken):
        await verifier.check(key.sign(issuer.address, clock, act=act))


def test_the_answer_of_a_server_of_before_names_nobody() -> None:
    claims = Claims(UserId("usr_bob"), SessionId("ses_1"), (), 0, 9, "x", "x", "x", "x", "x")
    me = (
        b'{"id": "usr_bob", "username": "bob", "name": "", "email": null, "emailVerified": false, '
        b'"roles": [], "permissions": [], "session": {"id": "ses_1", "expiresAt": '
        b'"2026-01-31T12:00:00Z"}%s}'
    )
    assert read_me(me % b"", claims).impersonator is None
    assert read_me(me % b', "impersonator": null', claims).impersonator is None
    assert read_me(me % b', "impersonator": "usr_eve"', claims).impersonator == "usr_eve"
    with pytest.raises(ValueError, match="text"):
        read_me(me % b', "impersonator": 7', claims)
