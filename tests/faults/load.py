"""People who use a server all the time, and what the server has told them.

Each of them is an honest client: after 503 it sends the same request again, with the same token.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.people import PASSWORD
from tests.support.server import Server

OWNERS = 6
CHANGERS = 2
PAUSE_SECONDS = 0.1
COMMAND_SECONDS = 1.0
CHECK_SECONDS = 0.04
LONGEST_SECONDS = 60.0


@dataclass(eq=False)
class Owner:
    """A user with one device, and the tokens that the device was given last."""

    name: str
    access: str = ""
    refresh: str = ""
    served: int = 0
    passwords: list[str] = field(default_factory=lambda: [PASSWORD])

    def take(self, answer: httpx2.Response) -> None:
        """Keep the tokens of an answer."""
        self.access = answer.json()["accessToken"]
        self.refresh = answer.json()["refreshToken"]
        self.served += 1


@dataclass(frozen=True, slots=True)
class Answered:
    """One request, and when and how it was answered.

    Attributes:
        what: what was asked for.
        sent_at: when it was sent.
        answered_at: when the answer came.
        status: the status of the answer.
        retry_after: its header `Retry-After`, or None.
    """

    what: str
    sent_at: float
    answered_at: float
    status: int
    retry_after: str | None

    @property
    def took(self) -> float:
        """The seconds until the answer."""
        return self.answered_at - self.sent_at


class Load:
    """The people of one server, and what was answered.

    Attributes:
        answers: every request that was answered.
        registered: the names of those who were told that they are registered.
        owners: those who stay signed in all the time.
        left: the devices whose sign-out was acknowledged.
        perhaps_disabled: the names of those whom the operator has tried to disable.
        disabled: the names of those of whom the command said that they are disabled.
        surprises: answers that nobody may get.
    """

    def __init__(self, server: Server) -> None:
        """Begin with nobody."""
        self._server = server
        # Each request has its own connection: the server may close those that were idle.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(base_url=server.url, limits=limits, timeout=60)
        self._numbers = itertools.count()
        self._stopping = asyncio.Event()
        self.answers: list[Answered] = []
        self.registered: list[str] = []
        self.owners = [Owner(f"owner{number}") for number in range(OWNERS + CHANGERS)]
        self.left: list[Owner] = []
        self.perhaps_disabled: set[str] = set()
        self.disabled: list[str] = []
        self.surprises: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Sign the owners in, and let everybody use the server until the context ends."""
        async with asyncio.TaskGroup() as people:
            for owner in self.owners:
                await self.sign_up(owner.name)
                assert await self.open(owner), self.answers[-1]
            for owner in self.owners[:OWNERS]:
                people.create_task(self._stay(owner))
            for owner in self.owners[OWNERS:]:
                people.create_task(self._change_passwords(owner))
            for owner in self.owners[:2]:
                people.create_task(self._come_and_go(owner))
            people.create_task(self._newcomers())
            people.create_task(self._disable())
            people.create_task(self._check(people))
            try:
                yield self
            finally:
                self._stopping.set()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def everybody_was_served(self) -> None:
        """Return when a request that every owner sent after this call was done."""
        before = [owner.served for owner in self.owners]
        async with asyncio.timeout(LONGEST_SECONDS):
            while any(owner.served < n + 2 for owner, n in zip(self.owners, before, strict=True)):
                assert not self.surprises, self.surprises
                await asyncio.sleep(PAUSE_SECONDS)

    async def ask(
        self, what: str, path: str, body: dict[str, Any] | None = None, token: str = ""
    ) -> httpx2.Response:
        """Send a request, and note the answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        sent_at = time.monotonic()
        if body is None:
            answer = await self._client.get(path, headers=headers)
        else:
            answer = await self._client.post(path, json=body, headers=headers)
        wait = answer.headers.get("Retry-After")
        self.answers.append(Answered(what, sent_at, time.monotonic(), answer.status_code, wait))
        return answer

    async def sign_up(self, name: str) -> None:
        """Sign up, and note whether the server said that the user is registered."""
        wanted = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        answer = await self.ask("sign-up", "/api/auth/signup", wanted)
        if self._expected(answer):
            self.registered.append(name)

    async def sign_in(self, name: str, password: str) -> httpx2.Response:
        """Sign in, and return the answer."""
        wanted = {"username": name, "password": password}
        return await self.ask("sign-in", "/api/auth/signin", wanted)

    async def refresh(self, owner: Owner) -> httpx2.Response:
        """Trade the refresh token of a device, and return the answer."""
        return await self.ask("refresh", "/api/auth/refresh", {"refreshToken": owner.refresh})

    async def check(self, token: str) -> httpx2.Response:
        """Ask who an access token belongs to, and return the answer."""
        return await self.ask("check", "/api/test/user", token=token)

    def _expected(self, answer: httpx2.Response) -> bool:
        """Return whether a request succeeded; note any answer but success and 503."""
        if answer.status_code not in {200, 503}:
            self.surprises.append(f"{self.answers[-1].what}: {answer.status_code} {answer.text}")
        return answer.status_code == 200

    async def open(self, owner: Owner) -> bool:
        """Sign in on a device; return whether that succeeded."""
        answer = await self.sign_in(owner.name, owner.passwords[-1])
        if served := self._expected(answer):
            owner.take(answer)
        return served

    async def _pause(self, seconds: float = PAUSE_SECONDS) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _newcomers(self) -> None:
        """One new user after another signs up."""
        while not self._stopping.is_set():
            await self.sign_up(f"user{next(self._numbers)}")
            await self._pause()

    async def _stay(self, owner: Owner) -> None:
        """Refresh again and again, with the same token until there is a new one."""
        while not self._stopping.is_set():
            answer = await self.refresh(owner)
            if self._expected(answer):
                owner.take(answer)
            await self._pause()

    async def _change_passwords(self, owner: Owner) -> None:
        """Change the password again and again.

        After 503 it may be the old one or the new one.
        """
        while not self._stopping.is_set():
            wanted = {
                "currentPassword": owner.passwords[0],
                "newPassword": f"{next(self._numbers)} wild geese at dawn",
            }
            answer = await self.ask("password", "/api/auth/password", wanted, owner.access)
            if answer.status_code == 200:
                owner.take(answer)
                owner.passwords = [wanted["newPassword"]]
            elif answer.status_code == 503:
                owner.passwords.append(wanted["newPassword"])
            elif "current_password_wrong" in answer.text and len(owner.passwords) > 1:
                owner.passwords.pop(0)
            else:
                self._expected(answer)
            await self._pause()

    async def _come_and_go(self, owner: Owner) -> None:
        """Sign in on one more device, and sign out there; a device is known when it goes."""
        while not self._stopping.is_set():
            device = Owner(owner.name)
            if await self.open(device):
                await self.check(device.access)
                await self._sign_out(device)
            await self._pause()

    async def _sign_out(self, device: Owner) -> None:
        while not self.surprises:
            answer = await self.ask("sign-out", "/api/auth/signout", {}, device.access)
            if self._expected(answer):
                self.left.append(device)
                return
            await self._pause()

    async def _disable(self) -> None:
        """The operator disables one newcomer after another, by a command."""
        while not self._stopping.is_set():
            name = self.registered[-1]
            if name.startswith("user") and name not in self.disabled:
                self.perhaps_disabled.add(name)
                run = self._server.command
                if (await asyncio.to_thread(run, "user", "disable", name)).returncode == 0:
                    self.disabled.append(name)
            await self._pause(COMMAND_SECONDS)

    async def _check(self, people: asyncio.TaskGroup) -> None:
        """Ask for an owner at fixed intervals, whether the answers before have come or not."""
        for owner in itertools.cycle(self.owners[:OWNERS]):
            if self._stopping.is_set():
                return
            people.create_task(self._check_once(owner))
            await asyncio.sleep(CHECK_SECONDS)

    async def _check_once(self, owner: Owner) -> None:
        self._expected(await self.check(owner.access))
