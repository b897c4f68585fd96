"""Run the application on Granian: prepare everything in this process, then start the workers."""

import asyncio
import contextlib
import errno
import gc
import multiprocessing
import os
import resource
import socket
import sys
from datetime import timedelta

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from gatelodge import __version__, machine
from gatelodge.apart import run_in_child
from gatelodge.app import House, build, create_app
from gatelodge.data_folder import keep_private
from gatelodge.errors import ConfigurationError, Refusal
from gatelodge.logs import set_up_logs, tell
from gatelodge.settings import Settings
from gatelodge.setup.service import LIFE
from gatelodge.web.shell import MAX_HEADERS_BYTES, App

HEADER_READ_MILLISECONDS = 10_000
BACKLOG = 4096
"""The maximum number of connections that wait in the kernel until a worker accepts them."""

MAX_CONNECTIONS = 20_000
"""The maximum number of open connections of one worker; it accepts no more than these."""

TOLD_AT_START = frozenset({"cookies_stay_behind", "files_few", "variables_unknown"})
"""The warnings of the doctor that the start prints; it prints all errors."""

KILL_SECONDS = 4
"""Seconds for running requests after the signal to stop; orchestrators kill after ten."""

SERVER_LOGS = {"handlers": {}, "loggers": {"_granian": {"handlers": [], "propagate": True}}}
"""Granian's log lines go to our log handler."""


def run_server(settings: Settings, *, command: str) -> None:
    """Serve until a signal ends the server.

    Args:
        settings: the settings, as read from the environment and the command's arguments.
        command: the program's name as the user typed it, for hints in the start-up message.

    Raises:
        ConfigurationError: the secret key, the database or the port cannot be used.
    """
    set_up_logs(settings.log_level, settings.log_format)
    settings = settings.model_copy(update={"port": _free_port(settings)})
    files = raise_open_files_limit()
    house = build(settings)
    app = create_app(house)
    house.ceremonies.warm_up()
    with house.stores.database.hold():  # the workers are forked, and hold it too
        invitation, trouble = run_in_child(lambda: prepare(house, files))
        warnings = [keep_private(settings.data_dir), *trouble]
        lines = _welcome(settings, command, warnings=warnings, invitation=invitation)
        with contextlib.suppress(OSError):  # the server works without a terminal
            print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - the start-up message
        _serve(settings, app)


def _serve(settings: Settings, app: App) -> None:
    gc.enable()
    gc.collect()
    gc.freeze()  # else each worker's garbage collection would copy this memory
    multiprocessing.set_start_method(
        "fork"
    )  # workers share the imported modules and the built services
    server_of(settings).serve(target_loader=lambda: app, wrap_loader=False)


def prepare(house: House, files: int) -> tuple[str | None, list[str]]:
    """Migrate the database, and look around.

    Args:
        house: the house, not open.
        files: how many files may be open.

    Returns:
        The secret of the setup link, or None (see `SetupService`); and what the doctor says that an
        operator must know at the start.
    """
    house.stores.database.migrate(tell)

    async def look_around() -> tuple[str | None, list[str]]:
        async with house.open():
            return await house.setup.invite(), await _find_trouble(house, files)

    return asyncio.run(look_around())


async def _find_trouble(house: House, files: int) -> list[str]:
    from gatelodge.doctor import service as doctor  # noqa: PLC0415 - only this process needs it

    settings = house.settings
    found = doctor.examine_settings(settings, os.environ)
    found += doctor.examine_machine(settings, machine.read(), files)
    with contextlib.suppress(Refusal):  # the workers wait for the database
        found += await doctor.examine_database(
            house.stores, settings, house.master_key, house.clock, with_feed=False
        )
    return [
        f"{'error: ' if each.level == 'error' else ''}{each.message} {each.remedy}"
        for each in found
        if each.level == "error" or each.code in TOLD_AT_START
    ]


def server_of(settings: Settings, target: str = "gatelodge") -> MPServer:
    """Return the HTTP server, not yet started.

    Args:
        settings: address, port and number of workers.
        target: the name of an application factory; used only if `serve` gets no loader.
    """
    return MPServer(
        target,
        factory=True,
        address=_address_of(settings.host)[1],
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,  # detecting HTTP/2 has no timeout: silent connections would stay open
        websockets=False,
        backlog=BACKLOG,
        backpressure=MAX_CONNECTIONS,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_READ_MILLISECONDS, max_buffer_size=2 * MAX_HEADERS_BYTES
        ),
        log_level=LogLevels.warning,
        log_dictconfig=SERVER_LOGS,
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_SECONDS,
    )


def _free_port(settings: Settings) -> int:
    """Return the port to listen on: the setting, or a port that is free now if the setting is 0.

    A port on which another program listens is refused. The workers open the port so that they can
    share it; without this check, they would share it with the other program too.

    Raises:
        ConfigurationError: the port is taken, this user may not use it, or the host is no address
            of this machine.
    """
    family, address = _address_of(settings.host)
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, settings.port))
        except OSError as error:
            blame = "host" if error.errno == errno.EADDRNOTAVAIL else "port"
            raise ConfigurationError(
                f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
                f"Choose another one with --{blame}."
            ) from error
        port: int = probe.getsockname()[1]
        return port


def _address_of(host: str) -> tuple[socket.AddressFamily, str]:
    """Return the family and the network address of a host name, or of an address in brackets.

    Raises:
        ConfigurationError: the host has no address.
    """
    name = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"GATELODGE_HOST: {host} is no address of this machine. Write one such as 127.0.0.1, "
            "0.0.0.0 or ::, or a name such as localhost."
        ) from error
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, str(address[0])


def raise_open_files_limit() -> int:
    """Raise the limit of open files to the maximum that is allowed, and return it.

    Every connection is an open file. The usual soft limit of 1,024 is for programs that use
    `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, 1 << 20) if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _welcome(
    settings: Settings, command: str, *, warnings: list[str | None], invitation: str | None
) -> list[str]:
    database = f"SQLite in {settings.database_address}" if settings.is_file else "MongoDB"
    lines = [
        f"Gatelodge {__version__} answers on {settings.public_base}",
        f"  database: {database}",
    ]
    if settings.post == "folder":
        lines.append(
            f"  letters: they stay here, and are shown at {settings.public_base}/dev/outbox"
        )
    if not settings.secure:
        lines.append(
            "  no TLS: for development, or behind a proxy with GATELODGE_PUBLIC_URL=https://…"
        )
    if settings.tutorial:
        lines.append(
            "  tutorial profile: CORS with credentials for localhost:8081, :3000, :4200, :5173; "
            "sign-in sets cookies too; /api/auth/refreshtoken keeps the presented token; access "
            "tokens live a day unless GATELODGE_ACCESS_TOKEN_LIFE says otherwise"
        )
    lines += [f"  {warning}" for warning in warnings if warning]
    if invitation is not None:
        minutes = LIFE // timedelta(minutes=1)
        lines += [
            f"  There is no administrator yet. This link makes one, within {minutes} minutes:",
            f"    {settings.public_base}/setup?token={invitation}",
            "  So does this command, in another terminal:",
            f"    {command} user create NAME EMAIL --admin",
        ]
    return lines
