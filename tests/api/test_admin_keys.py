"""The API for signing keys: which sign and verify, the next one, and one that leaked."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.tokens.keys import PUBLISH_LEAD
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import HERE, Person, signed_in

KEYS = "/api/admin/keys"


@pytest.fixture
async def keeper(client: httpx2.AsyncClient, house: House) -> Person:
    """Return somebody who may see to keys, and nothing else."""
    await house.roles.create("key-keeper", "", ["keys:manage"], COMMAND)
    return await signed_in(client, house, "kim", "key-keeper")


async def renewed(house: House, person: Person) -> Person:
    """Return somebody with a token that is signed now."""
    user = await house.accounts.get_by_username(person.name)
    refresh = str(person.answer["refreshToken"])
    tokens = (await house.sessions.refresh(refresh, HERE)).tokens
    person.answer = {"id": user.id, "accessToken": tokens.access_token} | {
        "refreshToken": tokens.refresh_token
    }
    return person


async def post(person: Person, path: str) -> httpx2.Response:
    """Post without a body."""
    return await person.send("POST", f"{KEYS}{path}")


async def states(person: Person) -> list[str]:
    """Return the states of the keys, the newest first."""
    return [each["state"] for each in (await person.get(KEYS)).json()["items"]]


async def test_keys_are_rotated_without_ending_a_token(
    house: House, keeper: Person, clock: FakeClock
) -> None:
    first = (await keeper.get(KEYS)).json()["items"]
    rotated = (await post(keeper, "/rotate")).json()
    again = (await post(keeper, "/rotate")).json()

    assert [each["state"] for each in first] == ["signing"]
    assert "rivate" not in (await keeper.get(KEYS)).text
    assert rotated["made"] is True
    assert again == rotated | {"made": False}
    assert await states(keeper) == ["published", "signing"]
    events = await newest(house.stores.events, 10)
    added = {(each.actor, each.target) for each in events if each.name == "signing_key.added"}
    assert (keeper.answer["id"], rotated["key"]["id"]) in added
    clock.advance(PUBLISH_LEAD)
    await house.signing_keys.ensure()
    assert await states(keeper) == ["signing", "retired"]
    clock.advance(timedelta(minutes=4))
    await renewed(house, keeper)
    clock.advance(timedelta(minutes=8))
    assert await states(keeper) == ["signing", "gone"]


async def test_a_key_that_leaked_ends_its_tokens_and_no_session(
    house: House, keeper: Person, clock: FakeClock
) -> None:
    """The caller's own token too."""
    [key] = (await keeper.get(KEYS)).json()["items"]
    began = clock.now()
    clock.advance(timedelta(minutes=1))

    answer = (await post(keeper, f"/{key['id']}/retire")).json()

    assert answer["key"]["state"] == "gone"
    assert answer["was"] == "signing"
    assert answer["tokensEndedFrom"] == began.isoformat().replace("+00:00", "Z")
    assert answer["tokensEndedUntil"] == clock.now().isoformat().replace("+00:00", "Z")
    assert "access tokens that it signed are invalid" in answer["message"]
    assert (await keeper.get(KEYS)).json()["code"] == "token_invalid"
    await renewed(house, keeper)
    now = (await keeper.get(KEYS)).json()["items"]
    assert [each["state"] for each in now] == ["signing", "gone"]
    assert now[0]["id"] == answer["signsNow"]


async def test_a_key_that_has_signed_nothing_ends_no_token(keeper: Person) -> None:
    next_key = (await post(keeper, "/rotate")).json()["key"]["id"]

    answer = (await post(keeper, f"/{next_key}/retire")).json()
    again = (await post(keeper, f"/{next_key}/retire")).json()

    assert (answer["was"], answer["tokensEndedFrom"]) == ("published", None)
    assert (again["was"], again["tokensEndedUntil"]) == ("gone", None)
    assert "No valid token" in answer["message"]
    assert (await keeper.get(KEYS)).status_code == 200


async def test_changes_need_a_proof_of_the_last_five_minutes(
    keeper: Person, clock: FakeClock
) -> None:
    [key] = (await keeper.get(KEYS)).json()["items"]
    clock.advance(timedelta(minutes=5, seconds=1))

    for path in ("/rotate", f"/{key['id']}/retire"):
        answer = await post(keeper, path)
        assert answer.status_code == 401
        assert answer.json()["code"] == "insufficient_user_authentication"
    assert (await keeper.get(KEYS)).json()["items"] == [key]


@pytest.mark.parametrize("key", ["key_x", "%ff", "%00", "🔑", "a" * 3000])
async def test_a_key_that_nobody_knows_is_not_found(keeper: Person, key: str) -> None:
    answer = await post(keeper, f"/{key}/retire")

    assert (answer.status_code, answer.json()["code"]) == (404, "key_not_found")
    assert await states(keeper) == ["signing"]


async def test_others_see_no_keys(client: httpx2.AsyncClient, house: House) -> None:
    [key] = await house.signing_keys.list_keys()
    ben: Any = await signed_in(client, house, "ben", "moderator")

    for answer in (
        await ben.get(KEYS),
        await post(ben, "/rotate"),
        await post(ben, f"/{key.kid}/retire"),
    ):
        assert answer.status_code == 403
    assert await house.signing_keys.list_keys() == [key]
