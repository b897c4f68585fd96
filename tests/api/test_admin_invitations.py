"""What administrators have sent to users: invitations, and letters for passwords."""

import httpx2
import pytest

from gatelodge.accounts.permissions import USERS_IMPERSONATE, USERS_READ, USERS_WRITE
from gatelodge.app import House, build, create_app
from gatelodge.audit import COMMAND
from gatelodge.settings import Settings
from gatelodge.testing import SoftwareAuthenticator
from tests.support.factors import add_passkey, by_passkey
from tests.support.mailbox import Mailbox, delivered, token_in
from tests.support.people import Person, new_user, signed_in

USERS = "/api/admin/users"
INVITATIONS = f"{USERS}/invitations"
NEW = "eight wild geese at dawn"


@pytest.fixture
async def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


@pytest.fixture
async def root(client: httpx2.AsyncClient, house: House) -> Person:
    """Return an administrator who has just signed in."""
    return await signed_in(client, house, "chief", "admin")


async def test_an_invitation_is_listed_and_its_reader_makes_an_account(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox, root: Person
) -> None:
    body = {"email": " Ann@Example.com ", "roles": ["user", "moderator"]}
    made = await root.send("POST", INVITATIONS, body)
    assert made.status_code == 200
    await delivered(house)

    [listed] = (await root.get(INVITATIONS)).json()["items"]
    assert listed == made.json() | {"expiresAt": listed["expiresAt"]}
    assert (listed["email"], listed["by"]) == ("Ann@example.com", root.answer["id"])
    assert listed["expiresAt"] is not None
    form = {"token": token_in(mailbox), "username": "ann", "password": NEW}
    assert (await client.post("/api/auth/invitation", json=form)).status_code == 200
    assert (await root.get(INVITATIONS)).json()["items"] == []
    ann = Person("ann", client, password=NEW)
    await ann.sign_in()
    assert (await ann.get("/api/test/mod")).status_code == 200


async def test_an_invitation_that_is_withdrawn_works_no_more(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox, root: Person
) -> None:
    made = (await root.send("POST", INVITATIONS, {"email": "ann@example.com"})).json()
    await delivered(house)

    gone = await root.send("DELETE", f"{INVITATIONS}/{made['id']}")

    assert (gone.status_code, gone.json()) == (200, {"id": made["id"]})
    form = {"token": token_in(mailbox), "username": "ann", "password": NEW}
    assert (await client.post("/api/auth/invitation", json=form)).status_code == 400
    for unknown in (made["id"], "0" * 64, "odd", "%00", "x" * 300):
        answer = await root.send("DELETE", f"{INVITATIONS}/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "invitation_not_found")


async def test_who_could_not_give_the_roles_neither_replaces_nor_withdraws_an_invitation(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    await house.roles.create("helper", "", ("account:manage", USERS_READ, USERS_WRITE), COMMAND)
    eve = await signed_in(client, house, "eve", "helper")
    body = {"email": "ann@example.com", "roles": ["user", "admin"]}
    made = (await root.send("POST", INVITATIONS, body)).json()

    for answer in (
        await eve.send("POST", INVITATIONS, {"email": "ANN@example.com"}),
        await eve.send("DELETE", f"{INVITATIONS}/{made['id']}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "role_not_grantable")
    assert [each["id"] for each in (await eve.get(INVITATIONS)).json()["items"]] == [made["id"]]


async def test_an_administrator_withdraws_what_only_a_command_gives(
    house: House, root: Person
) -> None:
    await house.roles.create("viewer", "", (USERS_IMPERSONATE,), COMMAND)
    for name in ("ann", "bob"):
        await house.invitations.invite(f"{name}@example.com", ["viewer"], COMMAND)
    ann, _ = (await root.get(INVITATIONS)).json()["items"]

    gone = await root.send("DELETE", f"{INVITATIONS}/{ann['id']}")
    replaced = await root.send("POST", INVITATIONS, {"email": "bob@example.com"})

    assert (gone.status_code, replaced.status_code) == (200, 200)
    [listed] = (await root.get(INVITATIONS)).json()["items"]
    assert (listed["email"], listed["roles"]) == ("bob@example.com", ["user"])


async def test_an_address_that_has_an_account_is_not_invited(house: House, root: Person) -> None:
    await new_user(house, "ann")
    for email, code in (("ANN@example.com", "email_taken"), ("ann", "email_invalid")):
        answer = await root.send("POST", INVITATIONS, {"email": email})
        assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_user_who_is_made_without_a_password_sets_one_and_the_letter_comes_again(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox, root: Person
) -> None:
    """The first letter may have gone to a wrong address, which is put right."""
    body = {"username": "ann", "email": "anm@example.com", "invite": True}
    made = (await root.send("POST", USERS, body)).json()
    assert not made["hasPassword"]
    answer = await root.send("PATCH", f"{USERS}/{made['id']}", {"email": "ann@example.com"})
    assert answer.status_code == 200
    required = await root.send("POST", f"{USERS}/{made['id']}/require-new-password")
    assert (required.status_code, required.json()["code"]) == (409, "no_password")

    assert (await root.send("POST", f"{USERS}/{made['id']}/password-letter")).status_code == 200
    await delivered(house)

    assert ("ann@example.com", "set-password") in mailbox.kinds()
    form = {"token": token_in(mailbox), "password": NEW}
    assert (await client.post("/api/auth/password/reset", json=form)).status_code == 200
    assert (await Person("ann", client, password=NEW).sign_in()).status_code == 200


async def test_a_letter_for_a_new_password_needs_an_enabled_user(
    house: House, mailbox: Mailbox, root: Person
) -> None:
    ann = await new_user(house, "ann")
    path = f"{USERS}/{ann.id}/password-letter"

    sent = await root.send("POST", path)
    await delivered(house)
    await house.accounts.disable(ann, COMMAND)
    refused = await root.send("POST", path)

    assert (sent.status_code, sent.json()) == (200, {"id": ann.id})
    assert mailbox.kinds() == [("ann@example.com", "reset-password")]
    assert (refused.status_code, refused.json()["code"]) == (409, "user_disabled")


async def test_a_passkey_does_not_lead_around_a_password_that_must_be_set(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """It proves enough for a new one at once, though the password alone does not."""
    ann = await signed_in(client, house, "ann")
    authenticator = SoftwareAuthenticator(house.settings.public_origin)
    assert (await add_passkey(ann, authenticator)).status_code == 200
    user = await house.accounts.get_by_username("ann")
    await root.send("POST", f"{USERS}/{user.id}/require-new-password")

    by_password = (await ann.sign_in()).json()
    assert by_password["code"] == "second_factor_required"
    second = await by_passkey(client, authenticator, by_password["challenge"])
    alone = await by_passkey(client, authenticator)
    for answer in (second, alone):
        assert (answer.status_code, answer.json()["code"]) == (401, "password_must_change")
        assert "set-cookie" not in answer.headers
    form = {"token": alone.json()["token"], "password": NEW}
    assert (await client.post("/api/auth/password/reset", json=form)).status_code == 200

    assert (await by_passkey(client, authenticator)).status_code == 200


@pytest.mark.parametrize("settings", [{"public_url": "https://id.example"}], indirect=True)
async def test_without_mail_nothing_is_sent_and_nobody_is_made(
    house: House, settings: Settings
) -> None:
    bare = build(settings, house.clock)
    transport = httpx2.ASGITransport(app=create_app(bare), raise_app_exceptions=False)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="https://id.example") as client,
        bare.open(),
    ):
        root = await signed_in(client, bare, "chief", "admin")
        for path, body in (
            (USERS, {"username": "bob", "email": "bob@example.com", "invite": True}),
            (INVITATIONS, {"email": "bob@example.com"}),
            (f"{USERS}/{root.answer['id']}/password-letter", None),
        ):
            answer = await root.send("POST", path, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "mail_off"), path
        assert await bare.stores.users.find_by_username("bob") is None
