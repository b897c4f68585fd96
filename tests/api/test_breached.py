"""Breached passwords are refused wherever somebody chooses one, and told of at sign-in."""

import asyncio
import os
from pathlib import Path
from typing import Any

import bcrypt
import httpx2
import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.breached.service import remove_passwords
from gatelodge.credentials.refusals import RejectedPassword
from tests.support.breached import import_text, line
from tests.support.logs import lines_logged
from tests.support.people import Person, new_user, signed_in
from tests.support.server import Server

BREACHED = "iloveyou2025"
GOOD = "correct horse battery"
SENTENCE = (
    "That password is in a list of passwords that were stolen from other sites. "
    "Please choose another."
)
OFF = pytest.mark.parametrize("settings", [{"breached_at_sign_in": "off"}], indirect=True)
MUST = pytest.mark.parametrize("settings", [{"breached_at_sign_in": "change"}], indirect=True)


@pytest.fixture(autouse=True)
def breached(house: House) -> Path:
    """Return the list, which has one password."""
    import_text(line(BREACHED), house.settings.breached_file)
    return house.settings.breached_file


def refusal(answer: httpx2.Response) -> tuple[int, str, str, str | None]:
    told = answer.json()
    return answer.status_code, told["code"], told["message"], told.get("field")


async def test_a_sign_up_is_refused(client: httpx2.AsyncClient, house: House) -> None:
    ann = Person("ann", client, BREACHED)

    assert refusal(await ann.sign_up()) == (400, "password_rejected", SENTENCE, "password")
    assert await house.stores.users.find_by_username("ann") is None
    ann.password = BREACHED.upper()
    assert (await ann.sign_up()).status_code == 200


async def test_a_change_of_the_password_is_refused(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The current password is right, so nothing is counted; the old one stays."""
    ann = await signed_in(client, house, "ann")

    async def change(new: str) -> httpx2.Response:
        body = {"currentPassword": ann.password, "newPassword": new}
        return await client.post("/api/auth/password", json=body, headers=ann.headers)

    assert refusal(await change(BREACHED)) == (400, "password_rejected", SENTENCE, "newPassword")
    assert (await ann.sign_in()).status_code == 200
    assert (await change("another horse battery")).status_code == 200


async def test_operators_cannot_set_one_either(house: House) -> None:
    wanted = NewUser("bob", "bob@example.com", BREACHED)
    with pytest.raises(RejectedPassword, match="stolen"):
        await house.accounts.create(wanted, COMMAND)
    user = await house.accounts.create(NewUser("bob", "bob@example.com", GOOD), COMMAND)
    with pytest.raises(RejectedPassword, match="stolen"):
        await house.accounts.set_password(user, BREACHED, COMMAND)


async def _with_breached_password(house: House, breached: Path) -> User:
    """Return a user whose password got onto the list later."""
    remove_passwords(breached)
    user = await house.accounts.create(NewUser("ann", "ann@example.com", BREACHED), COMMAND)
    import_text(line(BREACHED), breached)
    return user


async def _sign_in(client: httpx2.AsyncClient, password: str) -> tuple[int, list[Any]]:
    """Return the status, and what was logged of breached passwords."""
    with lines_logged() as lines:
        answer = await Person("ann", client, password).sign_in()
    assert not any(password in str(logged) for logged in lines)
    return answer.status_code, [each for name, each in lines if name == "password.breached"]


async def test_a_sign_in_is_let_in_and_logged(
    client: httpx2.AsyncClient, house: House, breached: Path
) -> None:
    user = await _with_breached_password(house, breached)

    status, [logged] = await _sign_in(client, BREACHED)

    assert status == 200
    assert (logged["actor"], logged["target"], logged["ip"]) == (user.id, user.id, "127.0.0.1")
    assert await _sign_in(client, "wrong horse battery") == (401, [])


async def test_a_sign_in_with_another_password_is_not_logged(
    client: httpx2.AsyncClient, house: House
) -> None:
    await new_user(house, "ann")
    assert await _sign_in(client, GOOD) == (200, [])


@OFF
async def test_the_warning_can_be_turned_off(
    client: httpx2.AsyncClient, house: House, breached: Path
) -> None:
    """New passwords are refused all the same."""
    await _with_breached_password(house, breached)

    assert await _sign_in(client, BREACHED) == (200, [])
    assert (await Person("bob", client, BREACHED).sign_up()).status_code == 400


@MUST
async def test_a_breached_password_must_be_changed_before_anybody_is_signed_in(
    client: httpx2.AsyncClient, house: House, breached: Path
) -> None:
    """The server has no mail. Whoever does not know the password is told what everybody is."""
    user = await _with_breached_password(house, breached)
    ann = Person("ann", client, BREACHED)

    with lines_logged() as lines:
        answer = await ann.sign_in()

    told = answer.json()
    assert refusal(answer)[:2] == (401, "password_must_change")
    assert set(told) == {"code", "message", "accessToken", "token", "request_id"}
    assert told["accessToken"] is None
    assert "set-cookie" not in answer.headers
    [logged] = [each for name, each in lines if name == "password.breached"]
    assert logged["target"] == user.id
    assert not any(told["token"] in str(each) for each in lines)
    wrong = await Person("ann", client, "wrong horse battery").sign_in()
    nobody = await Person("nobody", client, BREACHED).sign_in()
    assert refusal(wrong) == refusal(nobody)
    assert set(wrong.json()) == {"code", "message", "accessToken", "request_id"}

    body = {"token": told["token"], "password": BREACHED}
    again = await client.post("/api/auth/password/reset", json=body)
    assert refusal(again) == (400, "password_rejected", SENTENCE, "password")
    reset = await client.post("/api/auth/password/reset", json=body | {"password": GOOD})

    assert (reset.status_code, "set-cookie" in reset.headers) == (200, False)
    assert (await ann.sign_in()).status_code == 401
    assert (await Person("ann", client, GOOD).sign_in()).status_code == 200


@MUST
async def test_a_breached_password_is_no_failed_try(
    client: httpx2.AsyncClient, house: House, breached: Path
) -> None:
    """Eleven of them lock nobody out: the password was right."""
    await _with_breached_password(house, breached)
    for _ in range(11):
        answer = await Person("ann", client, BREACHED).sign_in()
        assert refusal(answer)[:2] == (401, "password_must_change")

    await house.accounts.set_password(await house.accounts.get_by_username("ann"), GOOD, COMMAND)
    assert (await _sign_in(client, GOOD)) == (200, [])


@MUST
async def test_other_passwords_sign_in_where_breached_ones_do_not(
    client: httpx2.AsyncClient, house: House
) -> None:
    await new_user(house, "ann")
    assert await _sign_in(client, GOOD) == (200, [])


async def test_a_hash_that_is_brought_up_to_date_is_not_refused(
    client: httpx2.AsyncClient, house: House, breached: Path
) -> None:
    """It is no new password: the user would be locked out, or keep a weak hash for ever."""
    user = await _with_breached_password(house, breached)
    weaker = bcrypt.hashpw(BREACHED.encode(), bcrypt.gensalt(10)).decode()
    await house.stores.users.replace_password_hash(user.id, user.password_hash, weaker)

    assert (await _sign_in(client, BREACHED))[0] == 200

    now = await house.stores.users.find(user.id)
    assert now is not None
    assert now.password_hash != weaker


async def test_a_damaged_list_stops_nobody(
    client: httpx2.AsyncClient, house: House, breached: Path
) -> None:
    os.truncate(breached, 8)
    with lines_logged() as lines:
        assert (await Person("ann", client, BREACHED).sign_up()).status_code == 200
        assert (await Person("bob", client, BREACHED).sign_up()).status_code == 200

    [error] = [each["error"] for name, each in lines if name == "breached_passwords.unusable"]
    assert "is no list of breached passwords" in error


def test_running_workers_notice_an_import_and_a_removal(tmp_path: Path) -> None:
    """By the commands, beside a server of two workers."""
    file = tmp_path / "list.txt"
    file.write_text(line(BREACHED))

    async def sign_up_many(server: Server, begin: str) -> set[int]:
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
            crowd = [Person(f"{begin}{number}", client, BREACHED) for number in range(8)]
            return {each.status_code for each in await asyncio.gather(*map(Person.sign_up, crowd))}

    with Server(tmp_path, workers=2, sign_ups_per_address="0") as server:
        assert asyncio.run(sign_up_many(server, "before")) == {200}
        assert server.command("passwords", "import", str(file)).returncode == 0
        assert asyncio.run(sign_up_many(server, "with")) == {400}
        assert server.command("passwords", "remove").returncode == 0
        assert asyncio.run(sign_up_many(server, "after")) == {200}
