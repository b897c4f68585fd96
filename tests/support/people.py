"""Users as a test makes them."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from gatelodge.accounts.service import USER, NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND, Origin
from gatelodge.credentials.methods import BY_PASSWORD
from gatelodge.web.cookie_jar import cookie_jar

PASSWORD = "correct horse battery"

HERE = Origin(address="127.0.0.1", user_agent="python-httpx")
"""Where requests of a test come from."""


@dataclass
class Person:
    """Somebody with an account, and what they hold after signing in."""

    name: str
    client: httpx2.AsyncClient
    password: str = PASSWORD
    answer: dict[str, object] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The access token of the latest sign-in."""
        return str(self.answer["accessToken"])

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries it."""
        return {"Authorization": f"Bearer {self.token}"}

    async def sign_up(self) -> httpx2.Response:
        """Sign up with an address made of the name."""
        return await self.client.post(
            "/api/auth/signup",
            json={
                "username": self.name,
                "email": f"{self.name}@example.com",
                "password": self.password,
            },
        )

    async def sign_in(self) -> httpx2.Response:
        """Sign in, and keep what comes back."""
        response = await self.client.post(
            "/api/auth/signin", json={"username": self.name, "password": self.password}
        )
        self.answer = response.json()
        return response

    async def get(self, path: str) -> httpx2.Response:
        """Ask for a path with the token."""
        return await self.client.get(path, headers=self.headers)


async def signed_in(client: httpx2.AsyncClient, house: House, name: str, *roles: str) -> Person:
    """Return somebody who has signed up, was granted these roles besides `user`, and signed in."""
    person = Person(name, client)
    assert (await person.sign_up()).status_code == 200
    user = await house.accounts.get_by_username(name)
    for role in roles:
        await house.accounts.grant(user, role, COMMAND)
    assert (await person.sign_in()).status_code == 200
    return person
