"""Forgotten passwords and addresses, as programs ask for them."""

import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House, build, create_app
from gatelodge.audit import COMMAND
from gatelodge.settings import Settings
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered, token_in
from tests.support.people import PASSWORD, Person, new_user, signed_in

NEW = "eight wild geese at dawn"
ANN = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


async def post(client: httpx2.AsyncClient, path: str, /, **body: Any) -> httpx2.Response:
    """Send a request without a token."""
    return await client.post(f"/api/auth{path}", json=body)


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]


async def test_a_forgotten_password_is_set_anew(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    """Nobody is signed in by that, and nothing else signs in any more."""
    ann = await signed_in(client, house, "ann")
    forgotten = await post(client, "/password/forgot", email="ANN@example.com")
    assert set(forgotten.json()) == {"message", "request"}
    await delivered(house)

    request, code = forgotten.json()["request"], mailbox.values()["code"]
    reset = await post(client, "/password/reset", request=request, code=code, password=NEW)

    assert reset.json() == {"message": "The password was changed. Every session has ended."}
    assert "set-cookie" not in reset.headers
    assert (await ann.get("/api/auth/me")).status_code == 401
    assert (await Person("ann", client).sign_in()).status_code == 401
    assert (await Person("ann", client, NEW).sign_in()).status_code == 200


async def test_no_answer_tells_whose_address_it_is(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    await signed_in(client, house, "ann")
    for path in ("/password/forgot", "/email/resend"):
        known = await post(client, path, email="ann@example.com")
        unknown = await post(client, path, email="nobody@example.com")
        assert known.status_code == unknown.status_code == 200
        assert known.json()["message"] == unknown.json()["message"]
        assert len(known.content) == len(unknown.content)
        ours = dict.fromkeys(("x-request-id", "content-length"), "")
        assert dict(known.headers) | ours == dict(unknown.headers) | ours
    await delivered(house)
    for answer in (known, unknown):
        request = answer.json()["request"]
        for _ in range(7):
            refused = await post(client, "/email/verify", request=request, code="AAAA-AAAA")
            assert code_of(refused) == (400, "code_invalid")
    assert {mail.to for mail in mailbox.mails} == {"ann@example.com"}


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"token": "x", "request": "y", "code": "z"},
        {"request": "y"},
        {"code": "z"},
        {"token": None, "code": "z"},
        {"token": 1},
        {"token": ["x"]},
    ],
    ids=repr,
)
async def test_a_proof_is_a_link_or_a_code(
    client: httpx2.AsyncClient, proof: dict[str, Any]
) -> None:
    for path, more in (("/password/reset", {"password": NEW}), ("/email/verify", {})):
        assert code_of(await post(client, path, **proof, **more)) == (400, "invalid_request")


@pytest.mark.parametrize("token", ["", "x", ".", "é.é", "A" * 256, "dXNy.\x00"])
async def test_what_is_no_link_is_refused(client: httpx2.AsyncClient, token: str) -> None:
    answers = [
        await post(client, "/password/reset", token=token, password=NEW),
        await post(client, "/email/verify", token=token),
        await post(client, "/email/verify", request=token, code="K7PQ-X4MD"),
    ]
    for each in answers:
        assert code_of(each) in {(400, "code_invalid"), (400, "invalid_request")}


async def test_who_signs_up_gets_a_letter_and_the_answer_of_the_tutorial(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    answer = await client.post(
        "/api/auth/signup", json=ANN, headers={"Accept-Language": "de-AT, en;q=0.5"}
    )
    assert answer.json() == {"message": "User was registered successfully!"}
    await delivered(house)
    assert mailbox.kinds() == [("ann@example.com", "verify-email")]
    assert mailbox.values()["language"] == "de-AT"

    verified = await post(client, "/email/verify", token=token_in(mailbox))

    assert verified.json() == {"message": "The address is verified.", "email": "ann@example.com"}
    person = Person("ann", client)
    await person.sign_in()
    assert (await person.get("/api/auth/me")).json()["emailVerified"] is True


OPENLY = {"email_verification": "required", "hide_known_emails": "off"}


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
@pytest.mark.parametrize("delivery", [None, "bearer", "cookie"])
async def test_no_answer_to_a_sign_up_tells_whose_address_it_is(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox, delivery: str | None
) -> None:
    """Nor does any answer to what a stranger does next: they are equal, byte for byte."""
    await house.accounts.verify_email(await new_user(house, "ann"), COMMAND)

    async def story(name: str, email: str) -> list[tuple[int, dict[str, str], bytes]]:
        form = {"username": name, "email": email, "password": NEW}
        sign_in = {"password": NEW, "delivery": delivery}
        other = form | {"email": "other@example.org"}
        answers = [
            await post(client, "/signup", **form, delivery=delivery),
            await post(client, "/signin", username=name, **sign_in),
            await post(client, "/signin", username=email, **sign_in),
            await post(client, "/signup", **form),
            await post(client, "/signup", **other),
            await post(client, "/email/resend", email=email),
        ]
        request = answers[0].json()["request"]
        answers.append(await post(client, "/email/verify", request=request, code="AAAA-AAAA"))
        await delivered(house)
        answers.append(await post(client, "/email/verify", request=request, code="AAAA-AAAA"))
        same = re.compile(rb"(ltr|req)_[\w.-]+")
        varies = {"x-request-id", "date"}
        return [
            (
                each.status_code,
                {name: value for name, value in each.headers.items() if name not in varies},
                same.sub(rb"\1", each.content),
            )
            for each in answers
        ]

    new = await story("bobby", "bob@example.com")
    assert new == await story("annie", "ann@example.com")
    assert [kind for _, kind in mailbox.kinds()] == [
        "verify-email",
        "verify-email",
        "sign-up-known-address",
    ]
    assert [status for status, _, _ in new] == [200, 401, 401, 400, 400, 200, 400, 400]


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_the_answer_to_the_letter_of_a_sign_up_makes_the_user(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    answer = await post(client, "/signup", **ANN)
    person = Person("ann", client)
    assert code_of(await person.sign_in()) == (401, "invalid_credentials")
    await delivered(house)
    proof = {"request": answer.json()["request"], "code": mailbox.values()["code"]}

    verified = await post(client, "/email/verify", **proof)

    assert verified.json() == {"message": "The address is verified.", "email": "ann@example.com"}
    assert (await person.sign_in()).status_code == 200
    assert (await person.get("/api/auth/me")).json()["emailVerified"] is True
    assert code_of(await post(client, "/email/verify", **proof)) == (400, "code_invalid")


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_who_was_slower_is_told_by_the_answer_to_the_letter(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    links = []
    for name in ("ann", "bob"):
        email = f"{name}@example.com"
        await post(client, "/signup", username=name, email=email, password=PASSWORD)
        await delivered(house)
        links.append(token_in(mailbox))
    await house.accounts.create(NewUser("ann", "a@example.org", PASSWORD), COMMAND)
    await house.accounts.create(NewUser("robert", "bob@example.com", PASSWORD), COMMAND)

    outcomes = [await post(client, "/email/verify", token=link) for link in links]

    assert [code_of(each) for each in outcomes] == [
        (400, "username_taken"),
        (400, "email_taken"),
    ]


@pytest.mark.parametrize("settings", [OPENLY], indirect=True)
@pytest.mark.parametrize("delivery", [None, "bearer", "cookie"])
async def test_where_it_is_required_nobody_is_signed_in_before(
    client: httpx2.AsyncClient,
    house: House,
    mailbox: Mailbox,
    clock: FakeClock,
    delivery: str | None,
) -> None:
    answer = await post(client, "/signup", **ANN, delivery=delivery)
    assert set(answer.json()) == {"message", "request"}
    assert "set-cookie" not in answer.headers
    clock.advance(timedelta(seconds=1))
    person = Person("ann", client)
    refused = await person.sign_in()
    assert code_of(refused) == (401, "email_not_verified")
    assert refused.json()["accessToken"] is None
    wrong = await Person("ann", client, "wrong").sign_in()
    assert code_of(wrong) == (401, "invalid_credentials")

    await delivered(house)
    code = mailbox.values()["code"]
    await post(client, "/email/verify", request=refused.json()["request"], code=code)

    assert (await person.sign_in()).status_code == 200


@pytest.mark.parametrize("settings", [{"email_verification": "off"}], indirect=True)
async def test_where_it_is_off_nobody_is_written_to(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    assert (await post(client, "/signup", **ANN)).status_code == 200
    await delivered(house)
    assert mailbox.mails == []


async def test_another_address_needs_the_caller_and_a_young_sign_in(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    wanted = {"email": "ann@new.example"}
    assert (await post(client, "/email", **wanted)).status_code == 401
    answer = await client.post("/api/auth/email", json=wanted, headers=ann.headers)
    assert set(answer.json()) == {"message", "request"}
    await delivered(house)

    code = mailbox.values()["code"]
    changed = await post(client, "/email/verify", request=answer.json()["request"], code=code)

    assert changed.json()["email"] == "ann@new.example"
    me = (await ann.get("/api/auth/me")).json()
    assert (me["email"], me["emailVerified"]) == ("ann@new.example", True)


async def test_no_host_of_a_request_reaches_a_link(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    """Links have the configured address. A wrong host gets no answer at all."""
    await signed_in(client, house, "ann")
    body = {"email": "ann@example.com"}
    poisoned = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    await client.post("/api/auth/password/forgot", json=body, headers=poisoned)
    refused = await client.post(
        "/api/auth/password/forgot", json=body, headers={"Host": "evil.example"}
    )
    await delivered(house)

    assert refused.status_code == 421
    assert len(mailbox.mails) == 1
    assert mailbox.values()["link"].startswith("http://localhost:8080/reset-password?token=")


@pytest.mark.parametrize("settings", [{"public_url": "https://id.example"}], indirect=True)
async def test_without_mail_nobody_is_promised_a_letter(house: House, settings: Settings) -> None:
    bare = build(settings, house.clock)
    transport = httpx2.ASGITransport(app=create_app(bare), raise_app_exceptions=False)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="https://id.example") as client,
        bare.open(),
    ):
        answers = [
            await post(client, path, email="ann@example.com")
            for path in ("/password/forgot", "/email/resend")
        ]
        assert [code_of(each) for each in answers] == [(403, "mail_off")] * 2
        assert (await post(client, "/signup", **ANN)).status_code == 200


async def test_neither_codes_nor_links_are_logged_or_stored_readably(
    client: httpx2.AsyncClient,
    house: House,
    mailbox: Mailbox,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    await signed_in(client, house, "ann")
    answer = await post(client, "/password/forgot", email="ann@example.com")
    assert await house.letters.send_next()
    code, link = mailbox.values()["code"], token_in(mailbox)
    request = answer.json()["request"].partition(".")[2]
    await post(client, "/password/reset", token=link, password=NEW)

    stored = b"".join(each.read_bytes() for each in settings.data_dir.iterdir() if each.is_file())
    for secret in (code, code.replace("-", ""), link.partition(".")[2], request):
        assert secret not in caplog.text
        assert secret.encode() not in stored
