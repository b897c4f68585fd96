"""Whoever must have a second factor, and has not proved it: nobody to applications beside."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.client import NotSignedIn, Refusal, Verifier
from gatelodge.methods import BY_PASSWORD
from gatelodge.tokens.claims import audience_of_held_back
from tests.client.conftest import Key
from tests.support.clock import FakeClock
from tests.support.factors import add_app
from tests.support.issuer import ME, LittleServer
from tests.support.people import HERE, signed_in

ENROL = "second_factor_enrolment_required"
PROVE = "insufficient_user_authentication"
FRESHNESS = (timedelta(seconds=1), timedelta(0))
SECOND = timedelta(seconds=1)

Beside = Callable[[timedelta | None], Verifier]

for_admins = pytest.mark.parametrize(
    "settings", [{"second_factor_required_for": "admin"}], indirect=True
)


@pytest.fixture
async def beside(house: House, clock: FakeClock) -> AsyncIterator[Beside]:
    """Return a function that opens a verifier beside the real application."""
    opened: list[Verifier] = []

    def open_verifier(freshness: timedelta | None) -> Verifier:
        transport = httpx2.ASGITransport(app=create_app(house))
        issuer = house.settings.public_origin
        opened.append(Verifier(issuer, freshness=freshness, transport=transport, clock=clock))
        return opened[-1]

    yield open_verifier
    for verifier in opened:
        await verifier.aclose()


async def refusal_of(verifier: Verifier, token: str) -> Refusal:
    """Return why a token is refused: applications that know nothing of this catch it, too."""
    with pytest.raises(NotSignedIn) as found:
        await verifier.check(token)
    return found.value


@for_admins
@pytest.mark.parametrize("freshness", FRESHNESS)
async def test_a_verifier_says_what_the_server_says_now(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, beside: Beside, freshness: timedelta
) -> None:
    """A role that is granted counts for tokens of before it, within the freshness."""
    verifier = beside(freshness)
    await signed_in(client, house, "keeper", "admin")
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    assert (await verifier.check(ann.token)).username == "ann"

    await house.accounts.grant(user, "admin", COMMAND)
    clock.advance(SECOND)
    for _ in range(2):
        assert (await refusal_of(verifier, ann.token)).code == ENROL
        assert verifier.recall(ann.token) is None
    opened = await house.sessions.open(
        await house.accounts.get_by_username("ann"), BY_PASSWORD, "bearer", HERE
    )
    new = opened.tokens.access_token
    assert (await refusal_of(verifier, new)).code == ENROL

    old = ann.token
    await add_app(ann, clock)
    clock.advance(SECOND)
    prove = await refusal_of(verifier, new)
    assert (prove.code, prove.members) == (PROVE, {"acr_values": "aal2"})
    assert (await refusal_of(verifier, old)).code == "token_invalid"
    assert (await verifier.check(ann.token)).aal == 2

    await house.accounts.withdraw(user, "admin", COMMAND)
    clock.advance(SECOND)
    assert (await verifier.check(new)).username == "ann"  # the gate decides, not the token


@for_admins
async def test_offline_the_audience_keeps_such_a_token_out(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, beside: Beside
) -> None:
    verifier = beside(None)
    ann = await signed_in(client, house, "ann", "admin")
    for _ in range(2):
        refusal = await refusal_of(verifier, ann.token)
        assert (refusal.code, refusal.members) == (PROVE, {"acr_values": "aal2"})
        assert verifier.recall(ann.token) is None
    await add_app(ann, clock)
    assert (await verifier.check(ann.token)).roles == {"user", "admin"}


async def test_a_verifier_of_another_audience_takes_neither(
    issuer: LittleServer, key: Key, clock: FakeClock
) -> None:
    issuer.publish(key.jwk)
    for freshness in (None, timedelta(0)):
        async with Verifier(
            issuer.address, freshness=freshness, audience="shop", clock=clock
        ) as verifier:
            for audience in ("gatelodge", audience_of_held_back("gatelodge")):
                token = key.sign(issuer.address, clock, aud=audience)
                assert (await refusal_of(verifier, token)).code == "token_invalid"
            held_back = key.sign(issuer.address, clock, aud=audience_of_held_back("shop"))
            if freshness is None:
                assert (await refusal_of(verifier, held_back)).code == PROVE


@pytest.mark.parametrize(
    ("status", "body", "refusal"),
    [
        (403, b'{"code": "second_factor_enrolment_required"}', ENROL),
        (401, b'{"code": "insufficient_user_authentication"}', PROVE),
        (401, b'{"code": "second_factor_enrolment_required"}', "token_invalid"),
        (401, b"[1]", "token_invalid"),
        (401, b'{"code": ["x"]}', "token_invalid"),
        (403, b'{"code": "insufficient_user_authentication"}', None),
        (403, b'{"code": "forbidden"}', None),
        (403, b"", None),
        (200, b'{"code": "second_factor_enrolment_required"}', None),
    ],
)
async def test_only_the_right_answer_says_so(
    issuer: LittleServer, key: Key, clock: FakeClock, status: int, body: bytes, refusal: str | None
) -> None:
    """Whatever else is no answer: nobody is let in, and nobody is signed out."""
    issuer.publish(key.jwk)
    issuer.say(ME, body, status=status)
    async with Verifier(issuer.address, freshness=timedelta(0), clock=clock) as verifier:
        with pytest.raises(Refusal) as found:
            await verifier.check(key.sign(issuer.address, clock))
    assert found.value.code == (refusal or "issuer_unavailable")
