"""Users as a test makes them."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from gatelodge.accounts.service import USER, NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND, Origin
from gatelodge.methods import BY_PASSWORD, Methods
from gatelodge.web.cookie_jar import cookie_jar

PASSWORD = "correct horse battery"

HERE = Origin(address="127.0.0.1", user_agent="python-httpx2")
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

    async def send(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Send a request with the token, and a body as JSON if there is one."""
        return await self.client.request(method, path, json=body, headers=self.headers)


async def signed_in(client: httpx2.AsyncClient, house: House, name: str, *roles: str) -> Person:
    """Return somebody who holds these roles besides `user`, and is signed in.

    The services make the user and open the session: for tests in which somebody only has to be
    there. The password is theirs, so that they may sign in once more.
    """
    user = await new_user(house, name, *roles)
    tokens = (await house.sessions.open(user, BY_PASSWORD, "bearer", HERE)).tokens
    answer = {
        "id": user.id,
        "accessToken": tokens.access_token,
        "refreshToken": tokens.refresh_token,
    }
    return Person(name, client, answer=answer)


async def sign_in_browser(client: httpx2.AsyncClient, house: House, name: str, *roles: str) -> User:
    """Make the same, whose browser is the client: its cookies are what signs it in."""
    user = await new_user(house, name, *roles)
    await let_in(client, house, user)
    return user


async def let_in(
    client: httpx2.AsyncClient, house: House, user: User, methods: Methods = BY_PASSWORD
) -> None:
    """Give the cookies of a new session to a browser."""
    scope: dict[str, Any] = {}
    now = await house.stores.users.find(user.id)
    signed_in = await house.sessions.open(now or user, methods, "cookie", HERE)
    house.delivery.set_cookies(scope, signed_in.tokens)
    headers = [(name.decode(), value.decode()) for name, value in cookie_jar(scope).headers]
    answer = httpx2.Response(200, headers=headers, request=httpx2.Request("GET", client.base_url))
    client.cookies.extract_cookies(answer)


async def new_user(house: House, name: str, *roles: str) -> User:
    """Return somebody who holds these roles besides `user`."""
    wanted = NewUser(name, f"{name}@example.com", PASSWORD, (USER, *roles))
    return await house.accounts.create(wanted, COMMAND)


async def signed_in_by_the_door(
    client: httpx2.AsyncClient, house: House, name: str, *roles: str
) -> Person:
    """Return the same, but who has signed up and signed in as people do."""
    person = Person(name, client)
    assert (await person.sign_up()).status_code == 200
    user = await house.accounts.get_by_username(name)
    for role in roles:
        await house.accounts.grant(user, role, COMMAND)
    assert (await person.sign_in()).status_code == 200
    return person
