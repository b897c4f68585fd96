"""`GATELODGE_SIGN_UP=closed`: nobody makes themselves an account, and no page leads there."""

import json

import httpx2
import pytest

from gatelodge.app import House
from tests.contracts.builders import an_event
from tests.pages.reader import Reader
from tests.support.people import PASSWORD, Person, new_user

pytestmark = pytest.mark.parametrize("settings", [{"sign_up": "closed"}], indirect=True)

SENTENCE = "Nobody can sign up here. Ask whoever runs this site for an account."
BODY = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        BODY | {"username": "bob"},  # is taken: the answer does not tell
        BODY | {"email": "bob@example.com"},
        BODY | {"username": "x", "email": "x", "password": "x"},
        BODY | {"roles": ["admin"]},
        BODY | {"roles": ["king"]},
    ],
)
async def test_every_sign_up_is_refused_alike(
    client: httpx2.AsyncClient, house: House, body: dict[str, object]
) -> None:
    await new_user(house, "bob")

    answer = await client.post("/api/auth/signup", json=body)

    assert answer.status_code == 403
    assert answer.json()["code"] == "sign_up_closed"
    assert answer.json()["message"] == SENTENCE
    users = await house.accounts.list_users(after=None, limit=9)
    assert [user.username for user in users] == ["bob"]


async def test_what_is_no_sign_up_at_all_is_still_told_so(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/auth/signup", json={"username": ["ann"]})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_refused_sign_ups_cost_no_hash_and_are_not_counted(
    client: httpx2.AsyncClient, house: House
) -> None:
    answers = [await client.post("/api/auth/signup", json=BODY) for _ in range(40)]

    assert {answer.status_code for answer in answers} == {403}
    assert await house.attempts.forgive_everybody(an_event()) == 0


async def test_the_page_says_so_and_shows_no_form(reader: Reader, house: House) -> None:
    for page in (await reader.open("/sign-up"), await reader.send("/sign-up", **BODY)):
        assert page.status == 403
        assert SENTENCE in page.text
        assert page.tree.find(".//input") is None
    empty = await reader.send("/sign-up", username="", email="", password="")
    assert (empty.status, empty.tree.find(".//input")) == (403, None)
    assert await house.accounts.list_users(after=None, limit=9) == []


async def test_no_page_leads_to_it(reader: Reader) -> None:
    for path in ("/", "/sign-in", "/sign-in?next=/account", "/nowhere", "/sign-up"):
        page = await reader.open(path)
        text = page.response.text.partition("<footer")[0]  # there, each page links to itself
        assert "sign-up" not in text.replace('action="/sign-up"', ""), path
    assert "create one" not in (await reader.open("/")).text


async def test_who_has_an_account_signs_in_as_ever(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    await new_user(house, "ann")
    assert (await Person("ann", client).sign_in()).status_code == 200
    home = await reader.send("/sign-in", username="ann", password=PASSWORD)
    assert home.heading == "Hello, ann"
    assert (await reader.open("/sign-up")).path == "/account"  # nobody who is signed in needs it


async def test_the_first_administrator_is_made_as_ever(reader: Reader, house: House) -> None:
    await reader.open(f"/setup?token={await house.setup.invite()}")
    made = {"username": "root", "email": "root@example.com", "password": PASSWORD}

    assert (await reader.send("/setup", **made)).heading == "Overview"


async def test_the_openapi_document_names_the_refusal(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    answers = document["paths"]["/api/auth/signup"]["post"]["responses"]

    assert "sign_up_closed" in json.dumps(answers["403"])
