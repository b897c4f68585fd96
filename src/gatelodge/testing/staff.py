"""The house in which a test makes and changes users: a second one, beside that of the application.

It has the same database, settings and clock, and an event loop and a thread of its own. Nothing is
open in the application, which may run in another loop, or not yet. Its gate learns of every change
as it learns of those of another process: before the next request.
"""

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal
from pydantic import SecretStr

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.roles import USER
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import Rights
from gatelodge.accounts.store import User as StoredUser
from gatelodge.app import House, build
from gatelodge.audit import COMMAND, Event, Origin
from gatelodge.credentials.factors import FACTOR_PREFIX, Factor, FactorId, adding, of_kind
from gatelodge.credentials.totp import code_of, new_secret, step_at
from gatelodge.data_folder import DATABASE
from gatelodge.embedded.handlers import Handlers
from gatelodge.embedded.inside import user_of
from gatelodge.embedded.user import User
from gatelodge.ids import UserId, new_id
from gatelodge.letters.service import LetterService
from gatelodge.methods import Methods
from gatelodge.settings import read_settings
from gatelodge.testing.letters import Catcher, Letter
from gatelodge.tokens.pair import Delivery, TokenPair

ADDRESS = "http://testserver"
"""The address of the application in tests: that of Starlette's `TestClient`."""

NO_MAIL_SERVER = "smtp://letters.invalid"
"""The application has mail, and nobody asks this server: letters are caught (`letters.py`)."""

_HERE = Origin(address="127.0.0.1", user_agent="pytest")


@dataclass(frozen=True, slots=True)
class FreshDatabase:
    """A database with roles and a signing key, and without users; each test gets a copy of it.

    Attributes:
        file: the database.
        secret_key: what its signing key is encrypted with.
    """

    file: Path
    secret_key: str = field(repr=False)

    @classmethod
    @contextlib.contextmanager
    def made(cls, folder: Path, portal: BlockingPortal) -> "Iterator[FreshDatabase]":
        """Make it in a new folder; this takes about a second, once in each process.

        The folder is deleted when the context ends.
        """
        fresh = cls(folder / DATABASE, secrets.token_urlsafe(32))
        with _deleted_afterwards(folder):
            house = build(read_settings().model_copy(update=fresh.settings_in(folder)))
            house.stores.database.migrate()
            with portal.wrap_async_context_manager(house.open()):
                pass
            yield fresh

    def settings_in(self, folder: Path) -> dict[str, Any]:
        """Return the settings that differ in a test, for a house with its data in this folder.

        The cheapest hash that argon2id takes costs a millisecond. No operator can have it.
        """
        return {
            "data_dir": folder,
            "database": "",
            "secret_key": SecretStr(self.secret_key),
            "secret_key_file": None,
            "smtp_url": SecretStr(NO_MAIL_SERVER),
            "smtp_url_file": None,
            "public_url": ADDRESS,
            "allowed_hosts": ("*",),
            "cookie_domain": "",
            "cookie_same_site": "lax",
            "passkey_domain": "",
            "passkey_origins": (),
            "hash_memory": 8,
            "hash_passes": 1,
            "hash_threads": 1,
        }

    @contextlib.contextmanager
    def copied(self, folder: Path) -> Iterator[None]:
        """Put a copy into a new folder, which is deleted when the context ends."""
        with _deleted_afterwards(folder):
            shutil.copyfile(self.file, folder / DATABASE)
            (folder / DATABASE).chmod(0o600)
            yield


@contextlib.contextmanager
def _deleted_afterwards(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user who has just been signed in."""

    user: User
    tokens: TokenPair


@dataclass(frozen=True, slots=True)
class Staff:
    """Makes and changes users in a house that is open in the running event loop.

    Attributes:
        house: the house.
        handlers: the functions of the application that are told what has happened.
        catcher: takes the letters.
    """

    house: House
    handlers: Handlers
    catcher: Catcher

    async def subscribe(self) -> None:
        """Let what happens be told to the functions, and by letters."""
        events = {**self.handlers.events, **self.house.notice_events()}
        await self.house.subscriptions.subscribe(events)

    async def send(self) -> list[Letter]:
        """Send all letters that are due, and return all that were sent so far.

        Letters that were asked for come first, and those that events cause then.

        Raises:
            ConfigurationError: a letter cannot be written.
        """
        letters = replace(
            self.house.letters,
            post=self.catcher,
            writing=self.catcher,
            authors=self.house.authors(),
        )
        await self._drain(letters)
        await self.house.subscriptions.tell_now(self.house.notice_handlers())
        await self._drain(letters)
        return list(self.catcher.caught)

    async def _drain(self, letters: LetterService) -> None:
        while await letters.send_next():
            if (trouble := self.catcher.trouble) is not None:
                self.catcher.trouble = None
                raise trouble

    async def tell(self) -> int:
        """Tell the functions what has happened; return how often one was told."""
        return await self.house.subscriptions.tell_now(self.handlers.functions)

    async def make(
        self, wanted: NewUser, permissions: Collection[str], name: str, *, email_verified: bool
    ) -> StoredUser:
        """Return a new user, who holds the role `user` too.

        Raises:
            Refusal: as for `AccountService.prepare`, or a role or permission cannot have this name.
        """
        accounts = self.house.accounts
        roles = await self.roles_for(wanted.roles, permissions)
        user = await accounts.prepare(replace(wanted, roles=(USER, *roles)))
        verified_at = self.house.clock.now() if email_verified else None
        user = replace(user, name=name, email_verified_at=verified_at)
        return await accounts.add(user, "user.created", COMMAND)

    async def roles_for(self, roles: Collection[str], permissions: Collection[str]) -> list[str]:
        """Return roles that bring these permissions; make those that do not exist.

        A new role permits what is asked for. What no role brings then is what another new role is
        for, so that the roles that existed before stay as they are.

        Raises:
            InvalidRoleName, InvalidPermission: a role or permission cannot have this name.
        """
        held, service = list(roles), self.house.roles
        known = {role.name for role in await service.list_roles()}
        for name in dict.fromkeys(held):
            if name not in known:
                await service.create(name, "", tuple(permissions), COMMAND)
        rights = Rights.of((USER, *held), await service.list_roles())
        if missing := sorted({*permissions} - rights.permissions):
            digest = hashlib.sha256(" ".join(missing).encode()).hexdigest()
            return [*held, *await self.roles_for([f"permits-{digest[:12]}"], missing)]
        return held

    async def sign_in(self, user_id: str, delivery: Delivery, methods: Methods) -> SignedIn:
        """Open a session for a user.

        Raises:
            NoSuchUser: there is no user of this id.
            ValueError: the user is disabled.
        """
        house, user = self.house, await self.get(user_id)
        if user.disabled_at is not None:
            raise ValueError(f"{user.username} is disabled: gatelodge.enable(user) comes first.")
        opened = await house.sessions.open(user, methods, delivery, _HERE)
        principal = await house.gate.authenticate(opened.tokens.access_token)
        return SignedIn(user_of(principal), opened.tokens)

    async def get(self, user_id: str) -> StoredUser:
        """Return a user.

        Raises:
            NoSuchUser: there is no user of this id.
        """
        user = await self.house.stores.users.find(UserId(user_id))
        if user is None:
            raise NoSuchUser
        return user

    async def totp_now(self, user_id: str) -> str:
        """Return the code that the newest authenticator app of a user shows; see the fixture.

        Raises:
            NoSuchUser: there is no user of this id.
        """
        user = await self.get(user_id)
        apps = of_kind(user.factors, "totp")
        app = apps[-1] if apps else await self._add_app(user)
        secret = self.house.second_factors.unseal(app.id, app.sealed_secret or b"")
        return code_of(secret, step_at(self.house.clock.now()))

    async def _add_app(self, user: StoredUser) -> Factor:
        """Give a user an authenticator app whose present code is not used yet."""
        now = self.house.clock.now()
        factor_id = FactorId(new_id(FACTOR_PREFIX, now))
        app = Factor(
            factor_id,
            "totp",
            "Phone",
            now,
            counter=step_at(now) - 1,
            sealed_secret=self.house.second_factors.seal(factor_id, new_secret()),
        )
        detail = {"factor": app.id, "kind": app.kind}
        event = self.house.audit.event("factor.added", COMMAND, target=user.id, detail=detail)
        change = self.house.stores.factors.change(user.id, adding(app, limit=1), event)
        await self.house.audit.logged(event, change)
        return app

    async def revoke(self, user_id: str) -> None:
        """End every session of a user."""
        await self.house.sessions.sign_out_everywhere((await self.get(user_id)).id, COMMAND)

    async def disable(self, user_id: str) -> None:
        """Disable a user, even the last administrator: a test begins without any."""
        user, event = await self._change(user_id, "user.disabled")
        change = self.house.stores.users.disable(user.id, self.house.clock.now(), event)
        await self.house.audit.logged(event, change)

    async def enable(self, user_id: str) -> None:
        """Enable a user again."""
        await self.house.accounts.enable(await self.get(user_id), COMMAND)

    async def delete(self, user_id: str) -> None:
        """Delete a user, even the last administrator."""
        user, event = await self._change(user_id, "user.deleted")
        await self.house.audit.logged(event, self.house.stores.users.remove(user.id, event))

    async def grant(self, user_id: str, role: str) -> None:
        """Grant a role to a user, and make the role if it does not exist."""
        user = await self.get(user_id)
        await self.roles_for([role], ())
        await self.house.accounts.grant(user, role, COMMAND)

    async def take(self, user_id: str, role: str) -> None:
        """Take a role from a user, even the last administrator."""
        user, event = await self._change(user_id, "role.withdrawn", role=role)
        await self.house.audit.logged(event, self.house.stores.users.withdraw(user.id, role, event))

    async def _change(self, user_id: str, name: str, **detail: str) -> tuple[StoredUser, Event]:
        """Return a user, and the event of a change."""
        user = await self.get(user_id)
        return user, self.house.audit.event(name, COMMAND, target=user.id, detail=detail)
