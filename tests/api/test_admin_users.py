"""Users by the API of the administration: found, made, edited and acted on, over each database."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.permissions import (
    SESSIONS_END,
    USERS_DELETE,
    USERS_IMPERSONATE,
    USERS_READ,
    USERS_WRITE,
)
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.ids import USER_PREFIX, new_id
from tests.support.clock import NOON, FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, Person, new_user, signed_in

USERS = "/api/admin/users"
NEW = "eight wild geese at dawn"
NOBODY = new_id(USER_PREFIX, NOON)
HELPS = ("account:manage", USERS_READ, USERS_WRITE)


@pytest.fixture
def house(house_anywhere: House) -> House:
    """Return the house over each kind of database."""
    return house_anywhere


@pytest.fixture
async def root(client: httpx2.AsyncClient, house: House) -> Person:
    """Return an administrator who has just signed in."""
    return await signed_in(client, house, "chief", "admin")


async def helper(
    client: httpx2.AsyncClient, house: House, *permissions: str, name: str = "helper"
) -> Person:
    """Return somebody whose role permits what helps with users, and this besides."""
    await house.roles.create(name, "", (*HELPS, *permissions), COMMAND)
    return await signed_in(client, house, name, name)


async def act(person: Person, method: str, path: str, body: object = None) -> httpx2.Response:
    """Send a request below the path of users."""
    return await person.send(method, f"{USERS}{path}", body)


async def done(person: Person, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Do the same, which succeeds; return the answer."""
    answer = await act(person, method, path, body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(
    person: Person, method: str, path: str, body: object = None
) -> tuple[int, str, str | None]:
    """Do the same, which is refused; return status, code and field."""
    answer = await act(person, method, path, body)
    problem = answer.json()
    return answer.status_code, problem["code"], problem.get("field")


async def listed(person: Person, query: str = "") -> list[str]:
    """Return the usernames of all pages of a list."""
    names: list[str] = []
    cursor = ""
    while True:
        page = await done(person, "GET", f"?{query}&limit=2{cursor}")
        assert (page["count"] is None) == bool(cursor)
        names += [each["username"] for each in page["items"]]
        if page["next"] is None:
            return names
        cursor = f"&cursor={page['next']}"


async def events(house: House, name: str) -> list[tuple[str | None, str | None, dict[str, str]]]:
    """Return who did what to whom, of the events of this name."""
    found = await newest(house.stores.events, 200)
    return [(each.actor, each.target, dict(each.detail)) for each in found if each.name == name]


# Lists


async def test_users_are_found_by_all_that_one_may_know_of_them(
    client: httpx2.AsyncClient, house: House, root: Person, clock: FakeClock
) -> None:
    clock.advance(timedelta(minutes=2))
    ann = await signed_in(client, house, "ann", "moderator")
    clock.advance(timedelta(minutes=2))
    bob = await new_user(house, "bob")
    await house.accounts.verify_email(bob, COMMAND)
    await house.accounts.disable(bob, COMMAND)
    now = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    assert await listed(root) == ["bob", "ann", "chief"]
    assert await listed(root, "descending=false") == ["chief", "ann", "bob"]
    assert await listed(root, "order=username") == ["ann", "bob", "chief"]
    assert await listed(root, "order=username&descending=true") == ["chief", "bob", "ann"]
    assert await listed(root, "order=last_sign_in") == ["ann", "chief", "bob"]
    assert await listed(root, "text=AN") == ["ann"]
    assert await listed(root, "text=bob@ex") == ["bob"]
    assert await listed(root, "role=moderator") == ["ann"]
    assert await listed(root, "role=no such role") == []
    assert await listed(root, "enabled=false") == ["bob"]
    assert await listed(root, "verified=true") == ["bob"]
    assert await listed(root, "factor=none") == ["bob", "ann", "chief"]
    assert await listed(root, "factor=passkey") == []
    assert await listed(root, f"createdFrom={now}") == ["bob"]
    assert await listed(root, f"createdBefore={now}") == ["ann", "chief"]
    assert await listed(root, f"signedInBefore={now}&enabled=true") == ["ann", "chief"]
    assert await listed(root, f"signedInFrom={now}") == []
    first = await done(root, "GET", "?limit=1")
    assert first["count"]["number"] == 3  # on MongoDB, nobody says whether that is exact
    later = await done(root, "GET", f"?limit=1&count=true&cursor={first['next']}")
    assert later["count"]["number"] == 3
    assert later["items"][0]["id"] == ann.answer["id"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("factor=fingerprint", "factor"),
        ("order=random", "order"),
        ("enabled=maybe", "enabled"),
        ("createdFrom=yesterday", "createdFrom"),
        ("createdBefore=2026-01-31", "createdBefore"),
        ("createdBefore=1700000000", "createdBefore"),
        ("signedInFrom=2026-01-31T12:00:00", "signedInFrom"),
        ("signedInBefore=0001-01-01T00:00:00%2B14:00", "signedInBefore"),
        ("createdFrom=2026-02-30T00:00:00Z", "createdFrom"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=%20", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=W10", "cursor"),
        ("text=a&text=b", "text"),
        (f"text={'a' * 321}", "text"),
    ],
)
async def test_a_query_that_nobody_understands_is_refused(
    root: Person, query: str, field: str
) -> None:
    assert await refused(root, "GET", f"?{query}") == (400, "invalid_request", field)


@pytest.mark.parametrize(
    "text", ["%00", "%ED%A0%80", "\u202e", "'; DROP TABLE users", "$where", "%"]
)
async def test_no_text_is_too_odd_to_look_for(root: Person, text: str) -> None:
    assert (await act(root, "GET", f"?text={text}&role={text}")).status_code in {200, 400}


async def test_a_user_is_shown_without_secrets(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann", "moderator")

    shown = await done(root, "GET", f"/{ann.answer['id']}")

    assert shown["permissions"] == ["account:manage", "boards:moderate"]
    assert (shown["hasPassword"], shown["enabled"], shown["must"]) == (True, True, [])
    assert "argon2" not in str(shown)
    assert await refused(root, "GET", f"/{NOBODY}") == (404, "user_not_found", None)
    assert await refused(root, "GET", "/usr_odd%00") == (404, "user_not_found", None)
    assert await refused(root, "GET", "/ann") == (404, "not_found", None)


# How far one reaches


async def test_who_may_see_users_sees_whom_they_reach_and_acts_on_nobody_else(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Everything that changes a user is refused in the same way; nothing is changed."""
    eve = await helper(client, house, USERS_DELETE, SESSIONS_END)
    mod = await signed_in(client, house, "mod", "moderator")
    ann = await new_user(house, "ann")

    page = await done(eve, "GET", "")
    reached = {each["username"]: each["reached"] for each in page["items"]}
    assert reached == {"ann": True, "mod": False, "helper": True, "chief": False}
    for target in (mod.answer["id"], root.answer["id"]):
        before = await done(root, "GET", f"/{target}")
        for method, path, body in (
            ("PATCH", "", {"name": "Eve"}),
            ("PATCH", "", {"email": "eve@evil.example"}),
            ("DELETE", "", None),
            ("POST", "/roles", {"role": "user"}),
            ("DELETE", "/roles/user", None),
            ("POST", "/disable", {}),
            ("POST", "/enable", None),
            ("POST", "/sign-out", None),
            ("POST", "/reset-factors", None),
            ("POST", "/password-letter", None),
            ("POST", "/require-new-password", None),
        ):
            assert await refused(eve, method, f"/{target}{path}", body) == (
                403,
                "out_of_reach",
                None,
            ), path
        assert await done(root, "GET", f"/{target}") == before
    assert (await done(eve, "POST", f"/{ann.id}/disable", {}))["changed"]


async def test_who_is_no_administrator_gives_only_what_they_have(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Neither to others nor to themselves, neither at once nor by a letter."""
    eve = await helper(client, house)
    ann = await new_user(house, "ann")
    await house.roles.create("beta", "Sees what is new.", (), COMMAND)
    await house.roles.create("viewer", "", (USERS_READ,), COMMAND)
    await house.roles.create("ghost", "", (USERS_IMPERSONATE,), COMMAND)
    not_hers = (403, "role_not_grantable", "roles")

    for role in ("moderator", "admin", "beta", "ghost"):
        for target in (ann.id, eve.answer["id"]):
            assert await refused(eve, "POST", f"/{target}/roles", {"role": role}) == not_hers
        new = {"username": "newcomer", "email": "n@example.com", "password": NEW, "roles": [role]}
        assert await refused(eve, "POST", "", new) == not_hers
        invitation = {"email": "n@example.com", "roles": ["user", role]}
        assert await refused(eve, "POST", "/invitations", invitation) == not_hers
    assert (await done(eve, "POST", f"/{ann.id}/roles", {"role": "viewer"}))["changed"]
    assert await refused(root, "POST", f"/{ann.id}/roles", {"role": "ghost"}) == not_hers
    assert await refused(eve, "POST", f"/{ann.id}/roles", {"role": "none"}) == (
        400,
        "role_unknown",
        "roles",
    )


async def test_a_mailbox_is_given_only_by_who_could_give_all_roles_of_its_user(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Whoever has the mailbox becomes the user: a role that permits nothing may be worth much."""
    eve = await helper(client, house)
    ann = await new_user(house, "ann")
    await house.roles.create("beta", "Sees what is new.", (), COMMAND)
    await house.accounts.grant(ann, "beta", COMMAND)

    for body in ({"email": "eve@evil.example"}, {"emailVerified": True}):
        assert await refused(eve, "PATCH", f"/{ann.id}", body) == (403, "out_of_reach", None)
    assert (await done(eve, "PATCH", f"/{ann.id}", {"username": "anna"}))["username"] == "anna"
    assert (await done(root, "PATCH", f"/{ann.id}", {"email": "a@x.example"}))["email"]


# Making users


async def test_a_user_is_made_with_roles_and_signs_in(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    made = await done(
        root,
        "POST",
        "",
        {
            "username": " Support ",
            "email": "Help@Example.com",
            "name": "Help Desk",
            "roles": ["user", "moderator"],
            "password": NEW,
            "emailVerified": True,
        },
    )

    assert (made["username"], made["name"]) == ("Support", "Help Desk")
    assert (made["roles"], made["emailVerified"]) == (["user", "moderator"], True)
    support = Person("Support", client, password=NEW)
    assert (await support.sign_in()).status_code == 200
    assert (await support.get("/api/test/mod")).status_code == 200
    created = (root.answer["id"], made["id"], {"roles": "user moderator"})
    assert created in await events(house, "user.created")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid_request", "username"),
        ({"password": "short"}, "password_rejected", "password"),
        ({"password": NEW, "invite": True}, "invalid_request", "password"),
        ({"email": "nobody"}, "email_invalid", "email"),
        ({"email": "CHIEF@example.com"}, "email_taken", "email"),
        ({"username": "chief"}, "username_taken", "username"),
        ({"username": "a b"}, "username_invalid", "username"),
        ({"name": "\u202e"}, "name_invalid", "name"),
        ({"roles": ["nobody"]}, "role_unknown", "roles"),
        ({"roles": "admin"}, "invalid_request", "roles"),
        ({"id": NOBODY}, "invalid_request", "id"),
        ({"username": 7}, "invalid_request", "username"),
    ],
)
async def test_a_user_who_cannot_be_made_is_refused(
    root: Person, body: dict[str, object], code: str, field: str
) -> None:
    whole = (
        {"username": "newcomer", "email": "n@example.com", "password": NEW} | body if body else {}
    )

    assert await refused(root, "POST", "", whole) == (400, code, field)


async def test_only_an_administrator_gives_reserved_usernames(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    eve = await helper(client, house)
    ann = await new_user(house, "ann")
    body = {"username": "security", "email": "n@example.com", "password": NEW}

    for answer in (
        await refused(eve, "POST", "", body),
        await refused(eve, "PATCH", f"/{ann.id}", {"username": "security"}),
    ):
        assert answer == (400, "username_invalid", "username")
    assert await done(root, "PATCH", f"/{ann.id}", {"username": "security"})


# Editing


async def test_a_user_is_edited_and_signs_in_by_the_new_names(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Disabled ones too; what is left out stays."""
    ann = await signed_in(client, house, "ann")
    path = f"/{ann.answer['id']}"
    await done(root, "POST", f"{path}/disable", {"reason": "Left."})

    named = await done(root, "PATCH", path, {"name": " Ann Lee ", "username": "ann.lee"})
    moved = await done(root, "PATCH", path, {"email": "Ann@New.example", "emailVerified": True})
    kept = await done(root, "PATCH", path, {"email": "ANN@new.example"})
    other = await done(root, "PATCH", path, {"email": "ann@other.example"})

    assert (named["name"], named["username"], named["email"]) == (
        "Ann Lee",
        "ann.lee",
        "ann@example.com",
    )
    assert (moved["name"], moved["email"], moved["emailVerified"]) == (
        "Ann Lee",
        "Ann@new.example",
        True,
    )
    assert (kept["email"], kept["emailVerified"]) == ("ANN@new.example", True)
    assert (other["email"], other["emailVerified"]) == ("ann@other.example", False)
    assert (other["enabled"], other["disabledReason"]) == (False, "Left.")
    await done(root, "POST", f"{path}/enable")
    for name in ("ann.lee", "ann@other.example"):
        assert (await Person(name, client).sign_in()).status_code == 200
    assert await events(house, "user.renamed") == [
        (
            root.answer["id"],
            ann.answer["id"],
            {"changed": "name username", "username": "ann.lee", "former": "ann"},
        )
    ]


async def test_nothing_is_changed_if_one_value_cannot_be_had(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann, _ = await new_user(house, "ann"), await new_user(house, "bob")
    before = await done(root, "GET", f"/{ann.id}")

    for body, code, field in (
        ({"username": "anna", "email": "BOB@example.com"}, "email_taken", "email"),
        ({"username": "BOB", "email": "a@x.example"}, "username_taken", "username"),
        ({"name": "Ann", "username": "a"}, "username_invalid", "username"),
        ({"name": "\u202e", "email": "a@x.example"}, "name_invalid", "name"),
        ({"username": "anna", "email": "nowhere"}, "email_invalid", "email"),
    ):
        assert await refused(root, "PATCH", f"/{ann.id}", body) == (400, code, field)
    assert (await refused(root, "PATCH", f"/{ann.id}", {}))[:2] == (400, "invalid_request")
    for name in ("roles", "id", "must", "passwordHash", "disabledAt"):
        answer = await refused(root, "PATCH", f"/{ann.id}", {name: "x"})
        assert answer == (400, "invalid_request", name)
    assert await done(root, "GET", f"/{ann.id}") == before


# Proofs


async def test_what_could_be_abused_needs_a_new_proof_and_what_helps_at_once_does_not(
    client: httpx2.AsyncClient, house: House, root: Person, clock: FakeClock
) -> None:
    ann = await new_user(house, "ann")
    clock.advance(timedelta(minutes=6))
    path = f"/{ann.id}"
    bulk = {"ids": [ann.id]}

    for method, under, body in (
        ("POST", "", {"username": "newcomer", "email": "n@example.com", "password": NEW}),
        ("POST", "/invitations", {"email": "n@example.com"}),
        ("PATCH", path, {"username": "anna"}),
        ("PATCH", path, {"email": "a@x.example"}),
        ("PATCH", path, {"name": "Ann", "emailVerified": True}),
        ("DELETE", path, None),
        ("POST", f"{path}/roles", {"role": "moderator"}),
        ("DELETE", f"{path}/roles/user", None),
        ("POST", f"{path}/reset-factors", None),
        ("POST", f"{path}/require-new-password", None),
        ("POST", "/bulk", bulk | {"act": "grant", "role": "moderator"}),
        ("POST", "/bulk", bulk | {"act": "withdraw", "role": "user"}),
        ("POST", "/bulk", bulk | {"act": "delete"}),
        ("POST", "/bulk", bulk | {"act": "reset_factors"}),
        ("POST", "/bulk", bulk | {"act": "require_new_password"}),
    ):
        answer = await refused(root, method, under, body)
        assert answer[:2] == (401, "insufficient_user_authentication"), (method, under, body)
    for method, under, body in (
        ("PATCH", path, {"name": "Ann"}),
        ("POST", f"{path}/disable", {}),
        ("POST", f"{path}/enable", None),
        ("POST", f"{path}/sign-out", None),
        ("POST", "/bulk", bulk | {"act": "disable", "reason": "Spam."}),
        ("POST", "/bulk", bulk | {"act": "enable"}),
        ("POST", "/bulk", bulk | {"act": "sign_out"}),
    ):
        assert (await act(root, method, under, body)).status_code == 200, (method, under, body)
    assert (await done(root, "GET", path))["roles"] == ["user"]


# What takes effect on the next request


async def test_a_role_that_is_given_or_taken_counts_from_the_next_request_on(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann")
    path = f"/{ann.answer['id']}/roles"
    assert (await ann.get("/api/test/mod")).status_code == 403

    given = await done(root, "POST", path, {"role": "moderator"})
    assert (await ann.get("/api/test/mod")).status_code == 200
    assert (given["changed"], given["user"]["roles"]) == (True, ["user", "moderator"])
    assert not (await done(root, "POST", path, {"role": "moderator"}))["changed"]

    taken = await done(root, "DELETE", f"{path}/moderator")
    assert (await ann.get("/api/test/mod")).status_code == 403
    assert (taken["changed"], taken["user"]["roles"]) == (True, ["user"])
    assert not (await done(root, "DELETE", f"{path}/moderator"))["changed"]
    assert await refused(root, "DELETE", f"{path}/%00") == (400, "role_unknown", "roles")


async def test_an_administrator_takes_what_only_a_command_gives(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Whoever sees too much must not have to be left so until somebody is at the machine."""
    await house.roles.create("viewer", "", (USERS_IMPERSONATE,), COMMAND)
    ann = await signed_in(client, house, "ann", "viewer")
    path = f"/{ann.answer['id']}/roles"

    taken = await done(root, "DELETE", f"{path}/viewer")

    assert (taken["changed"], taken["user"]["roles"]) == (True, ["user"])
    given = await refused(root, "POST", path, {"role": "viewer"})
    assert given == (403, "role_not_grantable", "roles")


async def test_who_is_disabled_is_out_at_the_next_request_and_the_reason_is_kept(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann")
    ann_id = ann.answer["id"]
    path = f"/{ann_id}"

    out = await done(root, "POST", f"{path}/disable", {"reason": " Sends spam. "})

    assert (await ann.get("/api/auth/me")).status_code == 401
    assert (await ann.sign_in()).status_code == 401
    assert (out["changed"], out["user"]["disabledReason"]) == (True, "Sends spam.")
    assert not (await done(root, "POST", f"{path}/disable"))["changed"]
    assert (await events(house, "user.disabled"))[0] == (
        root.answer["id"],
        ann_id,
        {"reason": "Sends spam."},
    )
    back = await done(root, "POST", f"{path}/enable")
    assert (back["user"]["enabled"], back["user"]["disabledReason"]) == (True, None)
    assert (await ann.sign_in()).status_code == 200
    for reason in ("x" * 257, "a\nb", "a\u202eb", "\u2028"):
        body = {"reason": f"a{reason}z"}
        answer = await refused(root, "POST", f"{path}/disable", body)
        assert answer == (400, "reason_invalid", "reason")
    assert (await ann.get("/api/auth/me")).status_code == 200


async def test_sessions_end_at_once_and_one_may_sign_in_again(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    """Also for who may end sessions and nothing else."""
    ann = await signed_in(client, house, "ann")
    await house.roles.create("ender", "", ("account:manage", SESSIONS_END), COMMAND)
    ender = await signed_in(client, house, "ender", "ender")

    await done(ender, "POST", f"/{ann.answer['id']}/sign-out")

    assert (await ann.get("/api/auth/me")).status_code == 401
    assert (await ann.sign_in()).status_code == 200
    assert await refused(ender, "POST", f"/{ann.answer['id']}/disable") == (403, "forbidden", None)


async def test_who_must_set_a_new_password_is_led_to_it_at_the_next_sign_in(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann")
    path = f"/{ann.answer['id']}"

    must = await done(root, "POST", f"{path}/require-new-password")

    assert must["user"]["must"] == ["set_password"]
    assert (await ann.get("/api/auth/me")).status_code == 401
    told = (await ann.sign_in()).json()
    assert (told["code"], told["accessToken"]) == ("password_must_change", None)
    body = {"token": told["token"], "password": PASSWORD}
    same = await client.post("/api/auth/password/reset", json=body)
    assert (same.status_code, same.json()["code"]) == (400, "password_rejected")
    reset = await client.post("/api/auth/password/reset", json=body | {"password": NEW})
    assert reset.status_code == 200
    assert (await Person("ann", client, password=NEW).sign_in()).status_code == 200
    assert (await done(root, "GET", path))["must"] == []


async def test_a_user_is_deleted_and_the_names_are_free(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann = await signed_in(client, house, "ann")
    path = f"/{ann.answer['id']}"

    assert await done(root, "DELETE", path) == {"id": ann.answer["id"]}

    assert (await ann.get("/api/auth/me")).status_code == 401
    assert await refused(root, "DELETE", path) == (404, "user_not_found", None)
    assert (await ann.sign_up()).status_code == 200


# Oneself, and the last administrator


async def test_nobody_disables_or_deletes_themselves_here(root: Person, house: House) -> None:
    await new_user(house, "other", "admin")
    me = root.answer["id"]

    assert await refused(root, "POST", f"/{me}/disable") == (409, "not_yourself", None)
    assert await refused(root, "DELETE", f"/{me}") == (409, "not_yourself", None)
    assert (await done(root, "PATCH", f"/{me}", {"name": "Me"}))["name"] == "Me"


async def test_the_last_administrator_stays(root: Person, house: House) -> None:
    path = f"/{root.answer['id']}/roles/admin"
    assert await refused(root, "DELETE", path) == (409, "last_admin", None)

    await new_user(house, "other", "admin")

    answer = await act(root, "DELETE", path)
    assert answer.status_code == 200
    assert await refused(root, "GET", "") == (403, "forbidden", None)


# Many at once


async def test_an_act_on_many_reports_each(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    ann, bob = await new_user(house, "ann"), await new_user(house, "bob")
    await house.accounts.disable(bob, COMMAND)
    ids = [ann.id, bob.id, NOBODY, "odd", root.answer["id"], ann.id]

    report = await done(root, "POST", "/bulk", {"ids": ids, "act": "disable", "reason": "Spam."})

    told = [(each["id"], each["done"], each["changed"], each["code"]) for each in report["items"]]
    assert told == [
        (ann.id, True, True, None),
        (bob.id, True, False, None),
        (NOBODY, False, False, "user_not_found"),
        ("odd", False, False, "user_not_found"),
        (root.answer["id"], False, False, "not_yourself"),
    ]
    assert report["items"][2]["message"] == "There is no such user."
    assert (await done(root, "GET", f"/{ann.id}"))["disabledReason"] == "Spam."
    assert (await done(root, "GET", f"/{bob.id}"))["disabledReason"] is None


@pytest.mark.parametrize(
    ("act_", "more"),
    [
        ("enable", {}),
        ("sign_out", {}),
        ("grant", {"role": "moderator"}),
        ("withdraw", {"role": "user"}),
        ("require_new_password", {}),
        ("reset_factors", {}),
        ("delete", {}),
    ],
)
async def test_each_act_is_that_on_one_user(
    house: House, root: Person, act_: str, more: dict[str, str]
) -> None:
    ann = await new_user(house, "ann")
    await house.accounts.disable(ann, COMMAND)

    report = await done(root, "POST", "/bulk", {"ids": [ann.id], "act": act_, **more})

    changed = act_ != "reset_factors"
    assert report["items"] == [
        {"id": ann.id, "done": True, "changed": changed, "code": None, "message": None}
    ]
    now = await house.stores.users.find(ann.id)
    assert (now is None) == (act_ == "delete")
    if now is not None:
        assert (now.disabled_at is None) == (act_ == "enable")
        assert now.roles == {"grant": ("user", "moderator"), "withdraw": ()}.get(act_, ("user",))
        assert bool(now.must) == (act_ == "require_new_password")
        assert now.epoch == 1 + (act_ in {"sign_out", "require_new_password"})


async def test_an_act_on_many_needs_its_own_permission_and_reach(
    client: httpx2.AsyncClient, house: House, root: Person
) -> None:
    eve = await helper(client, house)
    mod, ann = await new_user(house, "mod", "moderator"), await new_user(house, "ann")

    for act_ in ("delete", "sign_out"):
        answer = await refused(eve, "POST", "/bulk", {"ids": [ann.id], "act": act_})
        assert answer == (403, "forbidden", None)
    report = await done(eve, "POST", "/bulk", {"ids": [mod.id, ann.id], "act": "disable"})
    assert [each["code"] for each in report["items"]] == ["out_of_reach", None]
    report = await done(eve, "POST", "/bulk", {"ids": [ann.id], "act": "grant", "role": "admin"})
    assert [each["code"] for each in report["items"]] == ["role_not_grantable"]
    assert await house.stores.users.find(ann.id) is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": [], "act": "promote"}, "act"),
        ({"ids": [7], "act": "disable"}, "ids"),
        ({"ids": ["x"] * 201, "act": "disable"}, "ids"),
        ({"ids": [], "act": "grant"}, "role"),
        ({"ids": [], "act": "disable", "role": "user"}, "role"),
        ({"ids": [], "act": "enable", "reason": "x"}, "reason"),
    ],
)
async def test_a_malformed_act_on_many_is_refused(
    root: Person, body: dict[str, object], field: str
) -> None:
    assert await refused(root, "POST", "/bulk", body) == (400, "invalid_request", field)


async def test_two_hundred_users_are_acted_on_in_one_request(house: House, root: Person) -> None:
    ids = [(await house.stores.users.list_users(after=None, limit=1))[0].id]
    ids = [new_id(USER_PREFIX, NOON) for _ in range(199)] + ids

    report = await done(root, "POST", "/bulk", {"ids": ids, "act": "disable"})

    assert [each["id"] for each in report["items"]] == ids
