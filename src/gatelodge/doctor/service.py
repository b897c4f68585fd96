"""Run all checks."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from gatelodge.clock import Clock
from gatelodge.doctor import database, machine, settings
from gatelodge.doctor.findings import Finding, worst_first
from gatelodge.errors import ConfigurationError, Refusal
from gatelodge.machine import Machine, open_files
from gatelodge.machine import read as read_machine
from gatelodge.master_key import MasterKey
from gatelodge.settings import Settings
from gatelodge.stores import Stores


def examine_settings(given: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Check the settings alone.

    Args:
        given: the settings.
        environment: the environment variables of this process.
    """
    found = [finding for check in settings.CHECKS for finding in check(given)]
    return worst_first([*found, *settings.check_variables(environment)])


def examine_machine(given: Settings, here: Machine, files: int) -> list[Finding]:
    """Check the computer and the files.

    Args:
        given: the settings.
        here: the cores and the memory that the server may use.
        files: how many files may be open.
    """
    folder = Path(given.database_file).absolute().parent if given.is_file else given.data_dir
    return worst_first(
        [
            *machine.check_open_files(files),
            *machine.check_cores(given, here),
            *machine.check_memory(given, here),
            *machine.check_disk(folder),
            *machine.check_modes(given),
        ]
    )


async def examine_database(
    stores: Stores, given: Settings, secret: MasterKey, clock: Clock, *, with_feed: bool = True
) -> list[Finding]:
    """Check a database that there is.

    Args:
        stores: its stores, which are started.
        given: the settings.
        secret: the secret key.
        clock: tells the current time.
        with_feed: whether to wait for the change feed, which may take seconds.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    state = await stores.database.examine(clock.now)
    keys = await stores.signing_keys.list_keys()
    feed = await database.check_feed(stores.feed, state) if with_feed else []
    return worst_first(
        [
            *database.check_clock(state),
            *database.check_topology(state),
            *database.check_secret_key(keys, secret),
            *database.check_keys(keys, given, clock.now()),
            *feed,
        ]
    )


async def examine_running(
    stores: Stores,
    given: Settings,
    secret: MasterKey,
    clock: Clock,
    environment: Mapping[str, str],
) -> list[Finding]:
    """Check everything from within a server; only the feed says by itself how it is.

    Args:
        stores: its stores, which are started.
        given: its settings.
        secret: the secret key.
        clock: tells the current time.
        environment: the environment variables of this process.

    Raises:
        StoreUnavailable: the database does not answer.
    """

    def look_at_files() -> list[Finding]:
        here = examine_machine(given, read_machine(), open_files())
        return [*examine_settings(given, environment), *here]

    around = await asyncio.to_thread(look_at_files)
    inside = await _examine_all_of_it(stores, given, secret, clock, with_feed=False)
    return worst_first([*around, *inside])


async def _examine_all_of_it(
    stores: Stores, given: Settings, secret: MasterKey, clock: Clock, *, with_feed: bool
) -> list[Finding]:
    """Check a database and what is in it; the caller sorts the findings."""
    found = await examine_database(stores, given, secret, clock, with_feed=with_feed)
    letters = await database.check_letters(stores.letters, clock.now())
    admins = await database.check_administrators(stores.users, given)
    roles = await database.check_roles(stores.roles, given)
    return [*found, *letters, *admins, *roles]


async def examine_what_there_is(
    stores: Stores, given: Settings, read_secret: Callable[[], MasterKey], clock: Clock
) -> list[Finding]:
    """Check the database, or say why it cannot be checked.

    Args:
        stores: the stores, not started yet.
        given: the settings.
        read_secret: returns the secret key, or raises ConfigurationError.
        clock: tells the current time.
    """
    try:
        if not stores.database.exists():
            return [
                Finding(
                    "note",
                    "database_missing",
                    f"There is no database at {given.database_place} yet.",
                    "The first start makes it.",
                )
            ]
        secret = read_secret()
        await stores.database.start()
        try:
            return await _examine_started(stores, given, secret, clock)
        finally:
            await stores.database.stop()
    except (Refusal, ConfigurationError) as error:
        return [
            Finding(
                "error",
                "database_unusable",
                str(error),
                "No server starts before that is done.",
            )
        ]


async def _examine_started(
    stores: Stores, given: Settings, secret: MasterKey, clock: Clock
) -> list[Finding]:
    """Check a database that perhaps no server of this version has migrated yet.

    Raises:
        ConfigurationError: it was made by a newer version.
        StoreUnavailable: it does not answer.
    """
    schema = await stores.database.schema()
    if schema == "older":
        return list(database.check_schema(schema))
    return worst_first(
        [
            *database.check_schema(schema),
            *await _examine_all_of_it(stores, given, secret, clock, with_feed=True),
        ]
    )
