"""Users with a second factor."""

from typing import Any

from pyotp import TOTP

from gatelodge.testing import (
    AsUser,
    Client,
    GatelodgeFixture,
    Letters,
    SoftwareAuthenticator,
    TotpNow,
    Travel,
    UserClient,
)

SIGN_IN, FACTORS = "/api/auth/signin", "/api/auth/factors"


def asked(client: Client, user: UserClient) -> dict[str, Any]:
    """Sign in with the password, and return the question for the second factor."""
    given = {"username": user.user.username, "password": user.password}
    answer = client.post(SIGN_IN, json=given)
    assert answer.status_code == 401
    question: dict[str, Any] = answer.json()
    return question


def test_a_sign_in_with_an_authenticator_app(
    as_user: AsUser, signed_out: Client, totp_now: TotpNow
) -> None:
    ada = as_user("admin")
    code = totp_now(ada)
    question = asked(signed_out, ada)
    assert question["methods"] == ["totp"]

    given = {"challenge": question["challenge"], "code": code}
    tokens = signed_out.post(f"{SIGN_IN}/totp", json=given).json()

    bearer = {"Authorization": f"Bearer {tokens['accessToken']}"}
    assert signed_out.post("/burn", headers=bearer).is_success


def test_a_code_works_once(
    as_user: AsUser, signed_out: Client, totp_now: TotpNow, travel: Travel
) -> None:
    ada = as_user()
    used = totp_now(ada)

    def status(code: str) -> int:
        given = {"challenge": asked(signed_out, ada)["challenge"], "code": code}
        return signed_out.post(f"{SIGN_IN}/totp", json=given).status_code

    assert status(used) == 200
    assert totp_now(ada) == used
    assert status(used) == 400
    travel(seconds=30)
    assert status(used) == 400
    assert status(totp_now(ada)) == 200


def test_the_newest_app_counts(
    as_user: AsUser, gatelodge: GatelodgeFixture, letters: Letters
) -> None:
    """Also one that the user sets up by the API."""
    ada, bob = as_user(methods=("pwd", "otp", "mfa")), as_user()
    first = gatelodge.totp_now(ada)
    assert letters.last(kind="factor-added").to == ada.user.email

    begun = ada.post(f"{FACTORS}/totp").json()
    app = TOTP(begun["secret"])
    assert gatelodge.totp_now(ada.user.subject) == first
    given = {"enrolment": begun["enrolment"], "code": app.at(gatelodge.now), "name": "New"}
    assert ada.post(f"{FACTORS}/totp/confirm", json=given).is_success

    assert gatelodge.totp_now(ada.user) == app.at(gatelodge.now)
    gatelodge.totp_now(bob)
    assert letters.last(to=bob.user.email).kind == "factor-added"


def test_a_sign_in_with_a_passkey(
    as_user: AsUser, signed_out: Client, authenticator: SoftwareAuthenticator
) -> None:
    ada = as_user("admin")
    begun = ada.post(f"{FACTORS}/passkey/options").json()
    made = authenticator.create(begun["publicKey"])
    given = {"challenge": begun["challenge"], "credential": made, "name": "Laptop"}
    assert ada.post(f"{FACTORS}/passkey", json=given).is_success

    question = signed_out.post(f"{SIGN_IN}/passkey/options", json={}).json()
    signed = authenticator.get(question["publicKey"])
    answer = {"challenge": question["challenge"], "credential": signed}
    tokens = signed_out.post(f"{SIGN_IN}/passkey", json=answer).json()

    bearer = {"Authorization": f"Bearer {tokens['accessToken']}"}
    assert signed_out.post("/burn", headers=bearer).is_success
