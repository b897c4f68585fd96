"""Second factors of the users of a test."""

import base64
from dataclasses import dataclass
from typing import Any

import httpx2

from gatelodge.credentials.totp import code_of, step_at
from gatelodge.testing import SoftwareAuthenticator
from tests.support.clock import FakeClock
from tests.support.people import Person

FACTORS = "/api/auth/factors"
TOTP = "/api/auth/signin/totp"
RECOVERY = "/api/auth/signin/recovery"
PASSKEY = "/api/auth/signin/passkey"


@dataclass
class App:
    """An authenticator app with one secret.

    Attributes:
        id: the id of the factor.
        secret: its secret.
        codes: the recovery codes that came with it.
    """

    id: str
    secret: bytes
    codes: list[str]

    def code(self, clock: FakeClock, *, steps: int = 0) -> str:
        """Return the code that the app shows so many steps from now."""
        return code_of(self.secret, step_at(clock.now()) + steps)


async def add_app(person: Person, clock: FakeClock, name: str = "Phone") -> App:
    """Set an app up as people do, and keep the new tokens. Its next code is one step later."""
    begun = await person.client.post(f"{FACTORS}/totp", headers=person.headers)
    assert begun.status_code == 200, begun.text
    secret = base64.b32decode(begun.json()["secret"])
    body = {
        "enrolment": begun.json()["enrolment"],
        "code": code_of(secret, step_at(clock.now())),
        "name": name,
    }
    answer = await person.client.post(f"{FACTORS}/totp/confirm", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    keep_tokens(person, answer)
    return App(answer.json()["factor"]["id"], secret, answer.json().get("recoveryCodes", []))


async def add_passkey(
    person: Person, authenticator: SoftwareAuthenticator, name: str = "MacBook"
) -> httpx2.Response:
    """Add a passkey as browsers do, and keep the new tokens."""
    asked = await person.client.post(f"{FACTORS}/passkey/options", headers=person.headers)
    assert asked.status_code == 200, asked.text
    body = {
        "challenge": asked.json()["challenge"],
        "credential": authenticator.create(asked.json()["publicKey"]),
        "name": name,
    }
    answer = await person.client.post(f"{FACTORS}/passkey", json=body, headers=person.headers)
    if answer.status_code == 200:
        keep_tokens(person, answer)
    return answer


async def by_passkey(
    client: httpx2.AsyncClient,
    authenticator: SoftwareAuthenticator,
    challenge: str | None = None,
    **more: Any,
) -> httpx2.Response:
    """Sign in by a passkey: alone, or to finish a sign-in that waits."""
    asked = await client.post(f"{PASSKEY}/options", json={"challenge": challenge})
    assert asked.status_code == 200, asked.text
    body = {
        "challenge": asked.json()["challenge"],
        "credential": authenticator.get(asked.json()["publicKey"]),
    }
    return await client.post(PASSKEY, json=body | more)


def keep_tokens(person: Person, answer: httpx2.Response) -> None:
    """Let a person go on with the tokens of an answer."""
    person.answer = {
        **person.answer,
        **{name: answer.json()[name] for name in ("accessToken", "refreshToken")},
    }
