"""Two requests about one user reach two workers in the same instant.

What was ended stays ended, whoever was first, and one who can administer is left.
"""

import asyncio
import json

import pytest

from gatelodge.audit import COMMAND, Origin
from tests.contracts.builders import an_event
from tests.faults.pairs import (
    Ask,
    Pair,
    Race,
    change_password,
    delete,
    prove_again,
    refresh,
    run_races,
    sign_in,
    sign_out,
)
from tests.gate.houses import new_device


async def sign_out_everywhere_beside_a_change(pair: Pair) -> None:
    """Whichever is first: no token that was issued before, or by the change, lives on."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    change = change_password(ann)
    statuses = await pair.together(change, sign_out(ann, everywhere=True))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [ann.token, other.token]
    tokens += [change.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def sign_out_everywhere_beside_a_proof(pair: Pair) -> None:
    """From another device: neither the session of the proof lives on, nor its successor."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    proof = prove_again(ann)
    statuses = await pair.together(proof, sign_out(other, everywhere=True))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [ann.token, other.token]
    tokens += [proof.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def sign_out_beside_a_change(pair: Pair) -> None:
    """The session that changes the password is ended on another worker; its tokens are dead."""
    ann = await pair.device()
    change = change_password(ann)
    statuses = await pair.together(change, sign_out(ann))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [ann.token]
    tokens += [change.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def two_changes(pair: Pair) -> None:
    """On two devices, from the same password: one wins, and only its session goes on."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    statuses = await pair.together(change_password(ann), change_password(other))
    assert sorted(statuses) in ([200, 400], [200, 401])
    alive = [await pair.is_admitted(each.token) for each in (ann, other)]
    assert alive == [status == 200 for status in statuses]


async def two_last_administrators(pair: Pair) -> None:
    """Both delete themselves: one of them stays, and is told why."""
    ann, bob = await pair.device("admin"), await pair.device("admin")
    deletion = delete(ann), delete(bob)
    statuses = await pair.together(*deletion)
    assert min(statuses) == 200 < max(statuses)
    stays = statuses.index(max(statuses))
    assert deletion[stays].answer["code"] == "last_admin"
    assert await pair.house.accounts.has_admin()
    await pair.house.stores.users.remove((ann, bob)[stays].user.id, an_event(name="user.deleted"))


async def sign_in_beside_a_deletion(pair: Pair) -> None:
    """Whoever is signed in to an account that is deleted holds tokens that are worth nothing."""
    ann = await pair.device()
    entry = sign_in(ann)
    statuses = await pair.together(entry, delete(ann))
    assert statuses in {(200, 200), (401, 200)}
    if statuses[0] == 200:
        assert not await pair.is_admitted(entry.answer["accessToken"])
    assert not await pair.is_admitted(ann.token)


async def two_tabs_refresh(pair: Pair) -> None:
    """Both get tokens that work, of one session."""
    ann = await pair.device()
    opened = await pair.house.sessions.open(ann.user, ("pwd",), "bearer", Origin())
    tabs = refresh(opened.tokens), refresh(opened.tokens)
    assert await pair.together(*tabs) == (200, 200)
    assert tabs[0].answer["refreshToken"] == tabs[1].answer["refreshToken"]
    assert all([await pair.is_admitted(each.answer["accessToken"]) for each in tabs])


async def sign_out_beside_a_refresh(pair: Pair) -> None:
    """The session is over, whichever was first."""
    ann = await pair.device()
    opened = await pair.house.sessions.open(ann.user, ("pwd",), "bearer", Origin())
    trade = refresh(opened.tokens)
    headers = {"Authorization": f"Bearer {opened.tokens.access_token}"}
    statuses = await pair.together(trade, Ask("POST", "/api/auth/signout", headers))
    assert statuses in {(200, 200), (401, 200)}
    tokens = [opened.tokens.access_token]
    tokens += [trade.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def disabled_beside_a_change(pair: Pair) -> None:
    """An operator disables the user, and enables them again: no token of before lives on."""
    ann = await pair.device()
    change = change_password(ann)
    worker = pair.workers[sum(pair.outcomes.values()) % 2]
    status, disabled = await asyncio.gather(
        worker.request(change.method, change.path, change.headers, change.body),
        pair.house.accounts.disable(ann.user, COMMAND),
    )
    answer = json.loads(worker.body)
    pair.outcomes[status, int(disabled)] += 1
    assert (status in {200, 401}, disabled) == (True, True)
    found = await pair.house.accounts.get_by_username(ann.user.username)
    assert await pair.house.accounts.enable(found, COMMAND)
    tokens = [ann.token, *([answer["accessToken"]] if status == 200 else [])]
    assert not any([await pair.is_admitted(token) for token in tokens])


RACES: list[Race] = [
    sign_out_everywhere_beside_a_change,
    sign_out_beside_a_change,
    sign_out_everywhere_beside_a_proof,
    two_changes,
    two_last_administrators,
    sign_in_beside_a_deletion,
    two_tabs_refresh,
    sign_out_beside_a_refresh,
    disabled_beside_a_change,
]


async def test_whoever_is_first_what_was_ended_stays_ended(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_races(pair, RACES, capsys)
