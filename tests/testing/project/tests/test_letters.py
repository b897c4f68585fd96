"""What users get by e-mail."""

import logging

import pytest
from starlette.testclient import TestClient

from gatelodge.testing import AsUser, Client, GatelodgeFixture, Letters, Travel

NEW = "eight wild geese at dawn"


def ask(client: Client, email: str = "ada@example.com") -> str:
    """Ask for a new password, and return what this client needs for the code."""
    answer = client.post("/api/auth/password/forgot", json={"email": email})
    assert answer.is_success
    return str(answer.json()["request"])


def test_a_forgotten_password(as_user: AsUser, signed_out: Client, letters: Letters) -> None:
    as_user(username="ada", email="ada@example.com")
    answer = signed_out.post("/api/auth/password/forgot", json={"email": "ada@example.com"})

    code = letters.last(to="ada@example.com").code

    given = {"request": answer.json()["request"], "code": code, "password": NEW}
    assert signed_out.post("/api/auth/password/reset", json=given).is_success
    sign_in = {"username": "ada", "password": NEW}
    assert signed_out.post("/api/auth/signin", json=sign_in).is_success


def test_a_link_leads_to_the_application(
    as_user: AsUser, signed_out: Client, letters: Letters
) -> None:
    as_user(username="ada", email="Ada@example.com")
    ask(signed_out)

    letter = letters.last(to="ada@EXAMPLE.com", kind="reset-password")

    assert (letter.to, letter.subject) == ("Ada@example.com", "A new password for Noticeboard")
    assert letter.link.startswith("http://testserver/reset-password?token=")
    assert letter.link in letter.text
    assert letter.code in letter.html
    page = signed_out.get(letter.link, headers={"Accept": "text/html"})
    assert "Set a new password" in page.text


def test_new_users_are_asked_to_verify_their_address(signed_out: Client, letters: Letters) -> None:
    form = {"username": "ben", "email": "ben@example.com", "password": NEW}
    assert signed_out.post("/api/auth/signup", json=form).is_success

    token = letters.last().link.partition("?token=")[2]

    answer = signed_out.post("/api/auth/email/verify", json={"token": token})
    assert answer.json()["email"] == "ben@example.com"


def test_letters_come_in_the_order_in_which_they_were_asked_for(
    as_user: AsUser, signed_out: Client, letters: Letters
) -> None:
    """The clock stands still meanwhile."""
    names = [f"user-{number}" for number in range(1, 13)]
    for name in names:
        as_user(username=name)
        ask(signed_out, f"{name}@example.com")

    assert [each.to for each in letters.all()] == [f"{name}@example.com" for name in names]
    assert letters.last().to == "user-12@example.com"
    assert len(letters.all(to="user-3@example.com")) == 1


def test_whoever_has_no_account_gets_no_letter(signed_out: Client, letters: Letters) -> None:
    ask(signed_out, "nobody@example.com")

    assert letters.all() == []
    with pytest.raises(LookupError, match="Sent: none at all"):
        letters.last(to="nobody@example.com")


def test_users_are_told_what_happened(
    as_user: AsUser, gatelodge: GatelodgeFixture, letters: Letters, travel: Travel
) -> None:
    ada = as_user(username="ada")
    gatelodge.grant(ada, "editor")

    letter = letters.last(to="ada@example.com", kind="role-granted")
    assert letter.values["role"] == "editor"
    assert "/stop?token=" in letter.link
    with pytest.raises(LookupError, match=r"role-granted to .* has no code"):
        letter.code  # noqa: B018 - it raises

    gone = ada.request("DELETE", "/api/auth/me", json={"password": ada.password})
    assert gone.is_success
    with pytest.raises(LookupError, match="Sent: role-granted to ada"):
        letters.last(kind="account-deleted")
    travel(seconds=15)
    assert letters.last().kind == "account-deleted"


def test_the_application_sends_letters_of_its_own(as_user: AsUser, letters: Letters) -> None:
    ada = as_user(name="Ada")
    assert ada.post("/notices/7/share?email=ben@example.com").is_success

    letter = letters.last(to="ben@example.com")
    assert (letter.kind, letter.subject) == ("notice-shared", "Ada shows you a notice")
    assert letter.link == "https://board.example.com/notices/7"
    assert "Look at this." in letter.text
    assert "Read it" in letter.html
    assert ada.post("/notices/7/share?email=ben").json()["detail"]["code"] == "email_invalid"


def test_a_link_expires(
    as_user: AsUser, signed_out: Client, letters: Letters, travel: Travel
) -> None:
    as_user(username="ada")
    ask(signed_out)
    token = letters.last().link.partition("?token=")[2]

    travel(minutes=10)

    late = signed_out.post("/api/auth/password/reset", json={"token": token, "password": NEW})
    assert late.json()["code"] == "code_invalid"


def test_nothing_is_sent_unless_a_test_asks(
    gatelodge: GatelodgeFixture, as_user: AsUser, caplog: pytest.LogCaptureFixture
) -> None:
    """Above all nothing to a mail server, and the application sends nothing by itself."""
    as_user(username="ada")
    with caplog.at_level(logging.INFO), TestClient(gatelodge.app) as client:
        client.post("/api/auth/password/forgot", json={"email": "ada@example.com"})

    assert "letter." not in caplog.text
    assert [each.kind for each in gatelodge.letters.all()] == ["reset-password"]
