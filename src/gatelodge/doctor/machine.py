"""Checks on the computer and the files."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from gatelodge.data_folder import NOT_FOR_KEYS, OTHERS, SECRET_KEY, is_open_to_others
from gatelodge.doctor.findings import Finding
from gatelodge.machine import Machine
from gatelodge.settings import Settings

ENOUGH_FILES = 10_500
"""The open files that 10,000 connections need (security.md, section 9), and some more."""

_MIB = 1 << 20
LEAST_DISK = 100 * _MIB
ENOUGH_DISK = 1024 * _MIB


def check_open_files(limit: int) -> Iterator[Finding]:
    """Every connection is an open file."""
    if limit < ENOUGH_FILES:
        yield Finding(
            "warning",
            "files_few",
            f"Only {limit} files may be open, which bounds the connections that are served at a "
            "time.",
            f"Allow {ENOUGH_FILES} or more (`ulimit -n`, LimitNOFILE of systemd, ulimits of "
            "Docker).",
        )


def check_cores(settings: Settings, here: Machine) -> Iterator[Finding]:
    """Workers and hashes beyond the cores take them from each other."""
    if settings.workers > here.cores:
        yield Finding(
            "warning",
            "workers_many",
            f"{settings.workers} workers share {here.cores} cores.",
            f"Set GATELODGE_WORKERS to {here.cores} at most.",
        )
    threads = settings.hash_threads * settings.workers
    if threads > here.cores:
        yield Finding(
            "warning",
            "hash_threads_many",
            f"{threads} threads hash passwords on {here.cores} cores: a flood of sign-ins slows "
            "everything.",
            "Leave GATELODGE_HASH_THREADS out, which keeps one core free.",
        )


def check_memory(settings: Settings, here: Machine) -> Iterator[Finding]:
    """All hashes at once must fit into the memory."""
    if here.memory_bytes is None:
        return
    threads = settings.hash_threads_per_worker * settings.workers
    needed = threads * settings.hash_memory * 1024
    if needed <= here.memory_bytes // 2:
        return
    yield Finding(
        "error" if needed > here.memory_bytes else "warning",
        "hash_memory_large",
        f"{threads} password hashes at once take {needed // _MIB} MiB of the "
        f"{here.memory_bytes // _MIB} MiB that this process may use.",
        "Lower GATELODGE_HASH_THREADS, GATELODGE_HASH_MEMORY or GATELODGE_WORKERS, or give more "
        "memory.",
    )


def check_disk(folder: Path) -> Iterator[Finding]:
    """A database that cannot grow refuses every sign-in.

    Args:
        folder: the folder of the SQLite file.
    """
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    if free < ENOUGH_DISK:
        yield Finding(
            "error" if free < LEAST_DISK else "warning",
            "disk_full",
            f"The disk of {folder} has {free // _MIB} MiB left; without space nobody can sign in.",
            "Free some space, or move the data to a larger disk.",
        )


def check_modes(settings: Settings) -> Iterator[Finding]:
    """Only the server's user should read the data."""
    key = settings.secret_key_file or settings.data_dir / SECRET_KEY
    if settings.secret_key is None and _mode(key) & NOT_FOR_KEYS:
        yield Finding(
            "error",
            "secret_key_open",
            f"Others may read the secret key file {key}; the server does not start with it.",
            f"Run: chmod 600 {key}",
        )
    url = settings.smtp_url_file
    if url is not None and _mode(url) & NOT_FOR_KEYS:
        yield Finding(
            "error",
            "smtp_url_open",
            f"Others may read the file {url}, which GATELODGE_SMTP_URL_FILE names; the server does "
            "not start with it.",
            f"Run: chmod 600 {url}",
        )
    if settings.is_file and _mode(Path(settings.database_file)) & OTHERS:
        yield Finding(
            "warning",
            "database_open",
            f"Others may read the database file {settings.database_file}.",
            f"Run: chmod 600 {settings.database_file}",
        )
    if is_open_to_others(settings.data_dir):
        yield Finding(
            "warning",
            "folder_open",
            f"Others may enter the data folder {settings.data_dir}.",
            f"Run: chmod 700 {settings.data_dir}; if others need it, move the data elsewhere",
        )


def _mode(file: Path) -> int:
    """Return the permissions of a file; none if it does not exist, or not as on POSIX."""
    try:
        return stat.S_IMODE(file.stat().st_mode) if os.name == "posix" else 0
    except OSError:
        return 0
