"""The console's pages of signing keys."""

from datetime import timedelta

import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD, sign_in_browser

KEYS = "/admin/keys"


@pytest.fixture
async def kim(reader: Reader, house: House) -> str:
    """Return the id of somebody who may see to keys, whom the reader is signed in as."""
    await house.roles.create("key-keeper", "", ["keys:manage"], COMMAND)
    return (await sign_in_browser(reader.client, house, "kim", "key-keeper")).id


async def test_the_next_key_is_published_after_a_question(
    reader: Reader, house: House, kim: str
) -> None:
    first = await reader.open(KEYS)
    assert "One key so far" in first.text
    question = await reader.open(f"{KEYS}/rotate")
    assert "No token becomes invalid" in question.text

    made = await reader.send(f"{KEYS}/rotate")
    again = await reader.send(f"{KEYS}/rotate")

    assert "The next key is published" in made.notice
    assert "published" in made.text
    assert "published already" in again.notice
    assert "There is nothing to do" in (await reader.open(f"{KEYS}/rotate")).text
    assert len(await house.signing_keys.list_keys()) == 2


async def test_a_key_that_leaked_is_dropped_and_nobody_is_signed_out(
    reader: Reader, house: House, kim: str
) -> None:
    """Not even whoever drops it: the cookies renew themselves."""
    [key] = await house.signing_keys.list_keys()
    question = await reader.open(f"{KEYS}/retire?key={key.kid}")
    assert "Every access token that it signed is invalid at once." in question.text
    assert "Nobody is signed out" in question.text

    gone = await reader.send(f"{KEYS}/retire", **question.form(f"{KEYS}/retire"))

    assert (gone.status, gone.path) == (200, KEYS)
    assert "The key is dropped." in gone.notice
    old, new = await house.signing_keys.list_keys()
    assert old.gone_at == house.clock.now()
    assert new.gone_at is None
    assert f"{KEYS}/retire?key={new.kid}" in gone.links
    assert f"{KEYS}/retire?key={old.kid}" not in gone.links


async def test_a_key_that_signs_no_more_or_not_yet_says_so_before_it_is_dropped(
    reader: Reader, house: House, kim: str
) -> None:
    [first] = await house.signing_keys.list_keys()
    next_key = await house.signing_keys.rotate(COMMAND)

    page = await reader.open(f"{KEYS}/retire?key={next_key.kid}")
    assert "It has signed nothing yet" in page.text
    await reader.send(f"{KEYS}/retire", key=next_key.kid)
    page = await reader.open(f"{KEYS}/retire?key={next_key.kid}")
    assert "nothing changes" in page.text
    assert (await reader.open(KEYS)).status == 200
    assert first.kid in (await reader.open(KEYS)).text


async def test_both_acts_ask_for_a_proof_of_the_last_minutes(
    reader: Reader, house: House, clock: FakeClock, kim: str
) -> None:
    [key] = await house.signing_keys.list_keys()
    clock.advance(timedelta(minutes=6))

    for path in (f"{KEYS}/rotate", f"{KEYS}/retire?key={key.kid}"):
        assert (await reader.open(path)).path == "/sign-in/again"
    assert (await reader.send(f"{KEYS}/rotate")).path == "/sign-in/again"
    assert (await reader.send(f"{KEYS}/retire", key=key.kid)).path == "/sign-in/again"
    assert await house.signing_keys.list_keys() == [key]

    asked = await reader.open(f"{KEYS}/retire?key={key.kid}")
    back = await reader.send(
        "/sign-in/again", next=asked.form("/sign-in/again")["next"], password=PASSWORD
    )
    assert back.heading == "Drop this key?"


@pytest.mark.parametrize("key", ["", "key_x", "%00", "%ff", "a" * 900])
async def test_a_key_that_there_is_not_is_not_found(reader: Reader, kim: str, key: str) -> None:
    assert (await reader.open(f"{KEYS}/retire?key={key}")).status == 404


async def test_others_find_no_keys(reader: Reader, house: House) -> None:
    await sign_in_browser(reader.client, house, "ben", "moderator")

    assert (await reader.open(KEYS)).status == 403
