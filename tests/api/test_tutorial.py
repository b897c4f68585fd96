"""What the clients of the tutorial send, and what they rely on."""

import asyncio
from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD, Person, signed_in

ANN = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}


async def sign_up(client: httpx2.AsyncClient, **changes: object) -> httpx2.Response:
    """Sign up as Ann, with these changes."""
    return await client.post("/api/auth/signup", json=ANN | changes)


async def test_a_newcomer_signs_up_signs_in_and_sees_the_boards(
    client: httpx2.AsyncClient, house: House
) -> None:
    """These are the steps of the tutorial, from the first page to the last."""
    response = await sign_up(client)
    assert (response.status_code, response.json()) == (
        200,
        {"message": "User was registered successfully!"},
    )

    response = await client.post("/api/auth/signin", json={"username": "ann", "password": PASSWORD})
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {"id", "username", "email", "roles", "accessToken", "refreshToken"}
    assert answer["roles"] == ["ROLE_USER"]
    assert answer["email"] == "ann@example.com"

    user = await house.accounts.get_by_username("ann")
    assert answer["id"] == user.id
    for header in (
        {"x-access-token": answer["accessToken"]},
        {"Authorization": f"Bearer {answer['accessToken']}"},
        {"Authorization": f"bearer {answer['accessToken']}"},
        {
            "x-access-token": answer["accessToken"],
            "Authorization": f"Bearer {answer['accessToken']}",
        },
    ):
        response = await client.get("/api/test/user", headers=header)
        assert (response.status_code, response.text) == (200, "User Content.")
        assert response.headers["content-type"].startswith("text/plain")


async def test_boards_refuse_with_the_words_and_codes_the_clients_know(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """No token: 403. Bad or expired token: 401. Missing role: 403."""
    ann = await signed_in(client, house, "ann")
    admin = await signed_in(client, house, "adele", "admin")
    await house.accounts.withdraw(await house.accounts.get_by_username("adele"), "user", COMMAND)

    async def asked(path: str, **headers: str) -> tuple[int, str]:
        response = await client.get(path, headers=headers)
        return response.status_code, response.json()["message"]

    assert await asked("/api/test/user") == (403, "No token provided!")
    assert await asked("/api/test/mod", Authorization="") == (403, "No token provided!")
    bad = {"x-access-token": "nonsense"}
    assert await asked("/api/test/admin", **bad) == (401, "Unauthorized!")
    assert await asked("/api/test/mod", **ann.headers) == (403, "Require Moderator Role!")
    assert await asked("/api/test/admin", **ann.headers) == (403, "Require Admin Role!")
    assert await asked("/api/test/mod", **admin.headers) == (403, "Require Moderator Role!")
    assert (await admin.get("/api/test/user")).text == "User Content."
    assert (await admin.get("/api/test/admin")).text == "Admin Content."

    clock.advance(timedelta(minutes=10))
    assert await asked("/api/test/user", **ann.headers) == (
        401,
        "Unauthorized! Access Token was expired!",
    )


async def test_the_public_board_ignores_a_bad_token(client: httpx2.AsyncClient) -> None:
    """Some clients send whatever token they have."""
    for headers in ({}, {"x-access-token": "nonsense"}, {"Authorization": "Bearer a b c"}):
        response = await client.get("/api/test/all", headers=headers)
        assert (response.status_code, response.text) == (200, "Public Content.")


async def test_two_different_tokens_at_once_are_refused(
    client: httpx2.AsyncClient, house: House
) -> None:
    """RFC 6750, section 2: a client must not use more than one way to send a token."""
    ann = await signed_in(client, house, "ann")
    response = await client.get(
        "/api/test/user", headers=ann.headers | {"x-access-token": "another"}
    )
    assert response.status_code == 400
    assert response.json()["code"] == "token_conflict"


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"email": "other@example.com"}, 400, "Failed! Username is already in use!"),
        ({"username": "ANN"}, 400, "Failed! Username is already in use!"),
        ({"username": "bob"}, 400, "Failed! Email is already in use!"),
        ({"username": "bob", "email": "ANN@Example.com"}, 400, "Failed! Email is already in use!"),
        ({"roles": ["nope"]}, 400, "Failed! Username is already in use!"),
        (
            {"username": "bob", "email": "b@example.com", "roles": ["user", "x", "y"]},
            400,
            "Failed! Role x does not exist!",
        ),
        (
            {"username": "bob", "email": "b@example.com", "roles": ["ROLE_USER"]},
            400,
            "Failed! Role ROLE_USER does not exist!",
        ),
        (
            {"username": "bob", "email": "b@example.com", "roles": ["Admin"]},
            400,
            "Failed! Role Admin does not exist!",
        ),
    ],
)
async def test_sign_up_refuses_in_the_tutorials_order(
    client: httpx2.AsyncClient, changes: dict[str, object], status: int, message: str
) -> None:
    """The username is checked first, then the e-mail address, then the roles."""
    assert (await sign_up(client)).status_code == 200
    response = await sign_up(client, **changes)
    assert (response.status_code, response.json()["message"]) == (status, message)


@pytest.mark.parametrize("roles", [["admin"], ["moderator"], ["user", "admin"]])
async def test_nobody_makes_themselves_an_admin(
    client: httpx2.AsyncClient, house: House, roles: list[str]
) -> None:
    """The tutorial allows it. Here it is refused, and no user is created."""
    response = await sign_up(client, roles=roles)
    assert (response.status_code, response.json()["code"]) == (403, "role_not_grantable")
    assert await house.stores.users.find_by_username("ann") is None


@pytest.mark.parametrize("roles", [None, [], ["user"], ["user", "user"]])
async def test_everybody_who_signs_up_is_a_user(
    client: httpx2.AsyncClient, house: House, roles: list[str] | None
) -> None:
    """The role is granted once, whether `roles` is missing, null, empty or given."""
    assert (await sign_up(client, roles=roles)).status_code == 200
    assert (await house.accounts.get_by_username("ann")).roles == ("user",)


async def test_unknown_user_wrong_password_and_disabled_user_look_alike(
    client: httpx2.AsyncClient, house: House
) -> None:
    """All three get the same refusal, with the same headers."""
    ann = await signed_in(client, house, "ann")
    bob = await signed_in(client, house, "bob")
    await house.accounts.disable(await house.accounts.get_by_username("bob"), COMMAND)

    async def refused(username: str, password: str) -> tuple[object, ...]:
        response = await client.post(
            "/api/auth/signin", json={"username": username, "password": password}
        )
        body = response.json()
        assert body.pop("request_id") == response.headers.pop("x-request-id")
        assert body["accessToken"] is None
        return response.status_code, body, dict(response.headers)

    wrong = await refused(ann.name, "not the password")
    assert wrong[0] == 401
    assert wrong == await refused("nobody-at-all", PASSWORD)
    assert wrong == await refused(bob.name, PASSWORD)
    assert wrong == await refused("x" * 900, PASSWORD)


async def test_a_change_by_the_operator_counts_on_the_next_request(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The token was issued before the role was taken, or before the user was disabled."""
    await signed_in(client, house, "boss", "admin")
    ann = await signed_in(client, house, "ann", "moderator", "admin")
    user = await house.accounts.get_by_username("ann")
    assert (await ann.get("/api/test/mod")).status_code == 200

    await house.accounts.withdraw(user, "moderator", COMMAND)
    assert (await ann.get("/api/test/mod")).status_code == 403
    assert (await ann.get("/api/test/admin")).status_code == 200

    await house.accounts.disable(user, COMMAND)
    assert (await ann.get("/api/test/user")).status_code == 401
    await house.accounts.enable(user, COMMAND)
    assert (await ann.get("/api/test/user")).status_code == 401, "the old session stays ended"
    await ann.sign_in()
    assert (await ann.get("/api/test/user")).status_code == 200


async def test_me_says_who_calls(client: httpx2.AsyncClient, house: House) -> None:
    """The answer has the name, the address, the roles, the permissions and the session."""
    ann = await signed_in(client, house, "ann", "moderator")
    me = (await ann.get("/api/auth/me")).json()
    assert me["username"] == "ann"
    assert me["roles"] == ["user", "moderator"]
    assert me["permissions"] == ["account:manage", "boards:moderate"]
    assert me["session"]["id"].startswith("ses_")
    response = await client.get("/api/auth/me")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="gatelodge"'


@pytest.mark.real_hash
async def test_fifty_sign_ups_of_one_name_make_one_user(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The unique index decides, in one process too."""
    answers = await asyncio.gather(
        *(
            sign_up(client, username=name, email=f"{n}@example.com")
            for n, name in enumerate(["ann", "Ann", "ANN"] * 16)
        )
    )
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 1
    assert set(codes) == {200, 400}
    assert len(await house.stores.users.list_users(after=None, limit=10)) == 1


async def test_the_root_greets(client: httpx2.AsyncClient) -> None:
    """The server of the tutorial does so too."""
    response = await client.get("/", headers={"accept": "application/json"})
    assert response.json()["message"].startswith("Welcome to")


async def test_a_person_of_another_name_is_another_person(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Two users have two different ids."""
    ann = await signed_in(client, house, "ann")
    bob = Person("bob", client)
    assert (await bob.sign_up()).status_code == 200
    await bob.sign_in()
    assert ann.answer["id"] != bob.answer["id"]
