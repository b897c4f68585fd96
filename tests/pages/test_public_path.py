"""A server below a path: proxies pass the path on, or cut it off."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.errors import ConfigurationError
from gatelodge.settings import Settings
from tests.pages.reader import Reader
from tests.support.people import PASSWORD
from tests.support.settings import hashing_cheaply

ORIGIN = "https://example.com"
PATH = "/auth"


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings of a server below a path."""
    return hashing_cheaply(Settings(data_dir=tmp_path, public_url=ORIGIN + PATH), request)


@pytest.fixture(params=["passed on", "cut off"])
async def client(house: House, request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client of a proxy in front of the server; nothing is at other paths."""
    app = create_app(house)

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        assert path == PATH or path.startswith(f"{PATH}/"), f"{path} is not below {PATH}"
        if request.param == "cut off":
            scope["path"] = path.removeprefix(PATH) or "/"
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(app=proxy)
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def test_every_link_form_and_file_is_below_the_path(
    client: httpx2.AsyncClient, reader: Reader
) -> None:
    seen, queue = set(), [f"{PATH}/"]
    await reader.send(f"{PATH}/sign-up", username="ann", email="ann@example.com", password=PASSWORD)
    while queue:
        address = queue.pop()
        if address in seen:
            continue
        seen.add(address)
        page = await reader.open(address)
        assert page.status == 200, address
        for element in page.tree.iter():
            for name in ("href", "src", "action", "data-document"):
                found = element.get(name, "")
                if not found or found.startswith(("#", "otpauth:")):
                    continue
                assert found.startswith(f"{PATH}/"), f"{address}: {found}"
                if element.tag == "a" and not found.startswith(f"{PATH}/api/"):
                    queue.append(found)
                elif element.tag in {"link", "img", "script"}:
                    assert (await client.get(found)).status_code == 200
    assert {f"{PATH}/account", f"{PATH}/account/delete", f"{PATH}/boards/user"} <= seen
    assert f"{PATH}/account/authenticator/new" in seen


async def test_people_come_back_to_where_they_were_going(reader: Reader) -> None:
    await reader.send(f"{PATH}/sign-up", username="ann", email="ann@example.com", password=PASSWORD)
    gone = await reader.send(f"{PATH}/sign-out")
    assert (gone.path, gone.notice) == (f"{PATH}/", "You are signed out.")

    page = await reader.open(f"{PATH}/account?from=there")
    assert page.path == f"{PATH}/sign-in"
    filled = page.form(f"{PATH}/sign-in")
    assert filled["next"] == f"{PATH}/account?from=there"
    wrong = await reader.send(
        f"{PATH}/sign-in", **filled | {"username": "ann", "password": "no such password"}
    )
    assert (wrong.path, wrong.form(f"{PATH}/sign-in")["username"]) == (f"{PATH}/sign-in", "ann")
    back = await reader.send(
        f"{PATH}/sign-in", **filled | {"username": "ann", "password": PASSWORD}
    )
    assert (back.path, back.heading) == (f"{PATH}/account", "Your account")

    saved = await reader.send(f"{PATH}/account/profile", name="Ann of Green Gables")
    assert (saved.path, saved.notice) == (f"{PATH}/account", "Your profile is saved.")
    refused = await reader.send(f"{PATH}/account/profile", name="x" * 101)
    assert refused.path == f"{PATH}/account/profile"

    deleted = await reader.send(f"{PATH}/account/delete")
    assert (deleted.path, deleted.notice) == (f"{PATH}/", "Your account is deleted.")


async def test_another_application_of_the_host_is_a_place_to_go_on_to(reader: Reader) -> None:
    posted = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    answer = await reader.post(f"{PATH}/sign-up", posted | {"next": "/notes?page=2"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/notes?page=2")


async def test_what_programs_read_names_the_path(client: httpx2.AsyncClient, house: House) -> None:
    keys = await client.get(f"{PATH}/.well-known/jwks.json")
    assert keys.status_code == 200
    change = await client.get(f"{PATH}/.well-known/change-password")
    assert change.headers["location"] == f"{PATH}/account/password"
    document = (await client.get(f"{PATH}/api/openapi.json")).json()
    assert document["servers"] == [{"url": ORIGIN + PATH}]

    browser = {"Accept": "text/html", "X-Forwarded-Proto": "https"}
    asked = {"X-Forwarded-Host": "example.com", "X-Forwarded-Uri": "/notes"}
    answer = await client.get(f"{PATH}/api/auth/verify?redirect=1", headers=browser | asked)
    assert answer.headers["location"] == f"{ORIGIN}{PATH}/sign-in?next=%2Fnotes"

    body = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    await client.post(f"{PATH}/api/auth/signup", json=body)
    answer = await client.post(f"{PATH}/api/auth/signin", json=body | {"email": None})
    assert answer.status_code == 400  # the field is not known
    del body["email"]
    token = (await client.post(f"{PATH}/api/auth/signin", json=body)).json()["accessToken"]
    claims = await house.access_tokens.verify(token)
    assert claims.issuer == ORIGIN + PATH


async def test_guessed_addresses_and_languages_stay_below_the_path(reader: Reader) -> None:
    assert (await reader.ask(f"{PATH}/login")).headers["location"] == f"{PATH}/sign-in"
    page = await reader.open(f"{PATH}/sign-in?next=/notes")
    german = next(each for each in page.links if "language=de" in each)
    assert german == f"{PATH}/sign-in?next=%2Fnotes&language=de"
    assert (await reader.open(german)).heading == "Anmelden"


async def test_the_setup_cookie_is_for_the_setup_page(reader: Reader, house: House) -> None:
    secret = await house.setup.invite()
    answer = await reader.ask(f"{PATH}/setup?token={secret}")
    assert answer.headers["location"] == f"{PATH}/setup"
    assert f"Path={PATH}/setup;" in answer.headers["set-cookie"]
    made = await reader.fill_in(
        f"{PATH}/setup", username="root1", email="root1@example.com", password=PASSWORD
    )
    assert (made.path, made.heading) == (f"{PATH}/admin/overview", "Overview")


@pytest.mark.parametrize("path", ["/account", "/api", "/static"])
def test_a_path_that_the_server_has_itself_is_refused(house: House, path: str) -> None:
    taken = house.settings.model_copy(update={"public_url": f"{ORIGIN}{path}"})
    public = type(house.public_address)(ORIGIN, path)
    with pytest.raises(ConfigurationError, match="pages of its own"):
        create_app(house.replaced(settings=taken, public_address=public))
