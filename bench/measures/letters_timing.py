"""What the time of an answer tells about an address that a letter is asked for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from bench.mail_sink import MailSink
from bench.measures.timing import Pair, Store
from bench.mongod import Mongod
from bench.people import PASSWORD
from bench.report import Row
from bench.server import Gatelodge, StandIn
from bench.sizes import Sizes

_NAMES = 500
"""Names of each kind, at most: an address gets three letters of a kind in six hours, and those that
are sent are what could show."""

_FORGOTTEN = Pair("forgotten password: unknown, known", "nobody-e", "known", 200, _NAMES)
_LETTERS = (
    _FORGOTTEN,
    Pair("letter sent again: unknown, known", "nobody-f", "known", 200, _NAMES),
    Pair("sign-up: new address, known address", "new", "known", 200, _NAMES),
)
_WAITING = replace(_FORGOTTEN, name="control that waits for the mail server", other="forgetful")


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return A for each pair of kinds, on each database."""
    rows = _rows(Store("SQLite", folder / "sqlite", {}), sizes.pairs)
    if "MongoDB" not in sizes.databases:
        return rows
    with Mongod(folder / "mongod") as mongod:
        store = Store("MongoDB", folder / "mongodb", {"database": mongod.url})
        return rows + _rows(store, sizes.pairs)


def _rows(store: Store, pairs: int) -> list[Row]:
    """Measure every pair, while letters are sent to a mail server beside."""
    with MailSink() as sink:
        given = store.settings | {
            "email_verification": "required",
            "hide_known_emails": "on",
            "mail_from": "no-reply@example.com",
            "sign_ups_per_address": "0",
            "smtp_url": sink.url,
        }
        # Where known addresses are hidden, a sign-up alone makes no user.
        with Gatelodge(store.folder, **given | {"hide_known_emails": "off"}) as server:
            for number in range(min(_NAMES, pairs)):
                for name in (f"known-{number}", f"forgetful-{number}"):
                    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
                    server.post("/api/auth/signup", body)
        with Gatelodge(store.folder, **given) as server:
            rows = [
                store.row(server, request, pair, pairs)
                for request, pair in zip((_forgot, _send_again, _SignUp()), _LETTERS, strict=True)
            ]
        with StandIn(store.folder, "waiting", **given) as server:
            return [*rows, store.row(server, _forgot, _WAITING, pairs)]


def _forgot(name: str) -> tuple[str, str, str]:
    return _about("/api/auth/password/forgot", {"email": f"{name}@example.com"})


def _send_again(name: str) -> tuple[str, str, str]:
    return _about("/api/auth/email/resend", {"email": f"{name}@example.com"})


@dataclass(slots=True)
class _SignUp:
    """Signs up with a username that nobody has.

    Both kinds have as many addresses, which come again. So both get the same number of letters, and
    what is sent beside does not slow down the next sign-up of one kind only.
    """

    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self, name: str) -> tuple[str, str, str]:
        """Return path, content type and body."""
        username, email = f"u{next(self.numbers):06}", f"{name}@example.com"
        body = {"username": username, "email": email, "password": PASSWORD}
        return _about("/api/auth/signup", body)


def _about(path: str, body: Mapping[str, str]) -> tuple[str, str, str]:
    return path, "application/json", json.dumps(body)
