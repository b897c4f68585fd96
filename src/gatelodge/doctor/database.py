"""Checks on the database."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.store import RoleStore, User, UserStore
from gatelodge.clock import to_milliseconds
from gatelodge.credentials.factors import second_factors
from gatelodge.doctor.findings import Finding
from gatelodge.errors import ConfigurationError
from gatelodge.gate.feed import ChangeFeed
from gatelodge.ids import id_from_bytes
from gatelodge.letters.store import LETTER_PREFIX, Letter, LetterStore
from gatelodge.master_key import MasterKey
from gatelodge.settings import Settings
from gatelodge.stores import DatabaseState, Schema
from gatelodge.tokens.key_ring import SEAL_PURPOSE
from gatelodge.tokens.store import SigningKey
from gatelodge.verdicts import is_meant

LEEWAY = timedelta(seconds=30)
"""How far clocks may differ (security.md, section 3)."""

NOTABLE = timedelta(seconds=2)
_OVERDUE = timedelta(days=1)
WAITS_LONG = timedelta(hours=1)
_LATELY = timedelta(days=1)
_MAX_COUNTED = 1000
_AT_A_TIME = 250
FEED_SECONDS = 5.0
"""How long the feed may take for its first answer."""


def check_schema(schema: Schema) -> Iterator[Finding]:
    """A new version migrates the database at its first start, a large one in pieces."""
    if schema == "older":
        yield Finding(
            "note",
            "database_older",
            "The database is of an older version. Nothing in it can be checked before it is "
            "migrated.",
            "Back it up, then start a server (docs/guides/upgrading.md).",
        )
    if schema == "unfinished":
        yield Finding(
            "note",
            "database_unfinished",
            "A migration of the database is not finished: lists and searches may be slow until "
            "all indexes are made.",
            "Run `gatelodge migrate`; the next start of a server does the same.",
        )


def check_clock(state: DatabaseState) -> Iterator[Finding]:
    """Tokens and waits are dated by this machine's clock."""
    late = state.clock_behind
    if abs(late) <= NOTABLE:
        return
    seconds = f"{abs(late) / timedelta(seconds=1):,.0f} seconds"
    where = "behind" if late > timedelta(0) else "ahead of"
    measure = "the newest record" if state.kind == "file" else "the database's clock"
    yield Finding(
        "error" if abs(late) > LEEWAY else "warning",
        "clock_off",
        f"This machine's clock is {seconds} {where} {measure}: sessions and tokens end at the "
        "wrong time.",
        "Let chrony, systemd-timesyncd or another NTP client set the clock.",
    )


def check_topology(state: DatabaseState) -> Iterator[Finding]:
    """A change is confirmed by a majority of the members."""
    if state.kind == "standalone":
        yield Finding(
            "warning",
            "mongodb_standalone",
            "MongoDB is a single server and no replica set: nothing survives its disk, and each "
            "token check reads the database.",
            "Make a replica set of three members (docs/guides/mongodb.md).",
        )
    if state.kind == "sharded":
        yield Finding(
            "note",
            "mongodb_sharded",
            "Behind mongos, each token check reads the database.",
            "Use a replica set, if one is enough.",
        )
    if state.kind != "replica_set":
        return
    voting = state.members + state.arbiters
    majority = voting // 2 + 1
    if state.members < majority + 1:
        yield Finding(
            "warning",
            "mongodb_majority",
            f"The replica set has {_counted(state.members, 'member')} with data and "
            f"{_counted(state.arbiters, 'arbiter')}. A change needs {majority} with data: when one "
            "is lost, nobody can sign in.",
            "Use three members with data, and no arbiter.",
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def check_keys(keys: Sequence[SigningKey], settings: Settings, now: datetime) -> Iterator[Finding]:
    """A running server makes the next key by itself."""
    signing = [key for key in keys if key.retires_at is None or key.retires_at > now]
    if not signing:
        return
    age = now - max(key.not_before for key in signing)
    if age > settings.signing_key_life + _OVERDUE:
        yield Finding(
            "warning",
            "key_old",
            f"The signing key is {age.days} days old, and was due after "
            f"{settings.signing_key_life.days}: no server has run meanwhile, or none could write.",
            "Start a server, or run `gatelodge keys rotate`.",
        )


def check_secret_key(keys: Sequence[SigningKey], secret: MasterKey) -> Iterator[Finding]:
    """The signing keys are encrypted with the secret key."""
    for key in keys:
        if key.gone_at is not None:
            continue
        try:
            secret.unseal(SEAL_PURPOSE, key.sealed_private_key, key.kid.encode())
        except ConfigurationError as error:
            yield Finding(
                "error", "secret_key_wrong", str(error), "No server starts before that is done."
            )
            return


async def check_feed(feed: ChangeFeed, state: DatabaseState) -> list[Finding]:
    """While the feed is lost, each token check reads the database."""
    if state.kind not in {"file", "replica_set"}:
        return []
    await feed.follow(lambda _changed: None)
    try:
        deadline = time.monotonic() + FEED_SECONDS
        while not feed.catch_up():
            if time.monotonic() > deadline:
                return [
                    Finding(
                        "warning",
                        "feed_lost",
                        "The change feed does not answer: each token check reads the database.",
                        "Let MongoDB's user open change streams (the role readWrite is enough).",
                    )
                ]
            await asyncio.sleep(0.05)
    finally:
        await feed.leave()
    return []


async def check_letters(letters: LetterStore, now: datetime) -> list[Finding]:
    """Letters that do not leave show that no server runs, or that the mail server is at fault."""
    before = _first_id(now - WAITS_LONG)
    waiting = await letters.list_letters(before=before, limit=_MAX_COUNTED, states=["waiting"])
    ended = await letters.list_letters(before=None, limit=_MAX_COUNTED, states=["given_up"])
    given_up = [each for each in ended if each.ended_at and now - each.ended_at <= _LATELY]
    findings = []
    if waiting:
        findings.append(
            Finding(
                "warning",
                "letters_waiting",
                f"{_many(waiting)} waited for more than an hour.{_last_error(waiting)}",
                "Start a server if none runs. `gatelodge letters send-test ADDRESS` says what the "
                "mail server answers.",
            )
        )
    if given_up:
        findings.append(
            Finding(
                "note",
                "letters_given_up",
                f"{_many(given_up)} been given up in the last day.{_last_error(given_up)}",
                "Look at `gatelodge letters list --state given_up`; `gatelodge letters retry "
                "LETTER` sends one after all.",
            )
        )
    return findings


async def check_administrators(users: UserStore, settings: Settings) -> list[Finding]:
    """Whoever learns the password of an administrator is one, unless there is a second factor."""
    if settings.second_factor == "off":
        return []
    holders = await users.list_holders(ADMIN, limit=_MAX_COUNTED)
    enabled: list[User] = []
    for start in range(0, len(holders), _AT_A_TIME):
        held = await users.find_many(holders[start : start + _AT_A_TIME])
        enabled += [each for each in held.values() if each.disabled_at is None]
    without = [each for each in enabled if not second_factors(each.factors)]
    if not without:
        return []
    must = settings.second_factor == "required" or ADMIN in settings.second_factor_required_for
    have = "has" if len(without) == 1 else "have"
    number = f"{len(without):,} of {_counted(len(enabled), 'administrator')} {have}"
    message = f"{number} no second factor: whoever learns such a password can sign in with it"
    code = "admins_without_second_factor"
    if must:
        remedy = "Let them sign in and add one, before somebody else does."
        return [Finding("note", code, f"{message}, and add one of their own.", remedy)]
    remedy = "Set GATELODGE_SECOND_FACTOR_REQUIRED_FOR=admin."
    return [Finding("warning", code, f"{message}.", remedy)]


async def check_roles(roles: RoleStore, settings: Settings) -> list[Finding]:
    """A misspelt role asks nobody for a second factor."""
    known = {role.name for role in await roles.list_roles()}
    return [
        Finding(
            "warning",
            "second_factor_role_unknown",
            f"GATELODGE_SECOND_FACTOR_REQUIRED_FOR names {name}, but there is no such role."
            f"{is_meant(name, known)}",
            "Correct the name, or make the role: gatelodge role create.",
        )
        for name in settings.second_factor_required_for
        if name not in known
    ]


def _first_id(at: datetime) -> str:
    """Return the lowest id of a letter that is asked for at this instant."""
    return id_from_bytes(LETTER_PREFIX, to_milliseconds(at).to_bytes(6) + bytes(16))


def _many(letters: Sequence[Letter]) -> str:
    number = len(letters)
    told = f"{number:,} letters or more" if number == _MAX_COUNTED else _counted(number, "letter")
    return f"{told} {'has' if number == 1 else 'have'}"


def _last_error(letters: Sequence[Letter]) -> str:
    errors = [each.error for each in letters if each.error]
    return f" The last error: {errors[0].rstrip('.')}." if errors else ""
