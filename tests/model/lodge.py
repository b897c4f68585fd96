"""The session service over real stores, for rules that are plain functions."""

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from gatelodge.audit import AuditLog
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.master_key import MasterKey
from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.service import SessionLimits, SessionService
from gatelodge.stores import Stores, open_stores
from gatelodge.tokens.access import AccessTokens
from gatelodge.tokens.keys import SigningKeys
from tests.support.clock import FakeClock

T = TypeVar("T")

LIFE = timedelta(hours=3)
IDLE = timedelta(hours=1)
GRACE = timedelta(seconds=10)
ACCESS_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Lodge:
    """The real service that the rules of a model use.

    Attributes:
        stores: real stores, opened once for all examples.
        service: the real service over these stores.
        clock: the time. It never goes back, not between examples either.
        runner: the event loop that everything runs in.
    """

    stores: Stores
    service: SessionService
    clock: FakeClock
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and return its result."""
        return self.runner.run(work)


@contextlib.contextmanager
def open_lodge(address: str) -> Iterator[Lodge]:
    """Yield the service over the empty database at this address."""
    stores, clock = open_stores(address), FakeClock()
    stores.database.migrate()
    with asyncio.Runner() as runner:
        runner.run(stores.database.start())
        try:
            service = runner.run(_service(stores, clock))
            yield Lodge(stores, service, clock, runner)
        finally:
            runner.run(stores.database.stop())


async def _service(stores: Stores, clock: FakeClock) -> SessionService:
    audit = AuditLog(stores.events, clock)
    master_key = MasterKey(secrets.token_bytes(32))
    keys = SigningKeys(stores.signing_keys, master_key, audit, clock, ACCESS_LIFE)
    await keys.ensure()
    return SessionService(
        stores.sessions,
        stores.users,
        RefreshTokens(secrets.token_bytes(32)),
        AccessTokens(keys, clock, "http://localhost:8080", "gatelodge", ACCESS_LIFE),
        audit,
        clock,
        SessionLimits(LIFE, IDLE, GRACE),
        SecondFactorPolicy(),
    )
