"""How long a list of breached passwords takes to import, and a look-up in it."""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

from bench.report import Row
from bench.sizes import Sizes
from gatelodge.breached.lookup import BreachedPasswords
from gatelodge.settings import Settings


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return what the import of a list in no order costs, and what look-ups in it do."""
    source = folder / "list.txt"
    with source.open("w") as file:
        file.writelines(_lines(sizes.breached))
    text = f"{sizes.breached:,} lines in no order, {source.stat().st_size / 1e6:,.0f} MB"
    seconds, memory = _import(source, folder / "data")
    made = Settings(data_dir=folder / "data").breached_file
    return [
        Row("breached list, import", seconds, "s", f"`gatelodge passwords import`; {text}"),
        Row("breached list, memory", memory / 1024 / 1024, "MiB", "highest RSS of the import"),
        Row("breached list, file", made.stat().st_size / 1e6, "MB"),
        *_look_ups(BreachedPasswords(made), sizes),
    ]


def _lines(count: int) -> Iterator[str]:
    for number in range(count):
        digest = hashlib.sha1(_password(number).encode(), usedforsecurity=False).hexdigest()
        yield f"{digest.upper()}:{number % 1000 + 1}\r\n"


def _password(number: int) -> str:
    return f"password{number}"


def _import(source: Path, folder: Path) -> tuple[float, int]:
    """Return the seconds that an import takes, and the bytes of memory."""
    began = time.perf_counter()
    program = [sys.executable, "-m", "gatelodge", "passwords", "import", str(source)]
    process = subprocess.Popen(
        [*program, "--data-dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program)
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def _look_ups(passwords: BreachedPasswords, sizes: Sizes) -> list[Row]:
    chosen = random.Random(1)
    taken, missed = [], 0
    for _ in range(sizes.look_ups):
        password = _password(chosen.randrange(sizes.breached))
        began = time.perf_counter()
        found = passwords.has(password)
        taken.append(1e6 * (time.perf_counter() - began))
        missed += not found
    cuts = quantiles(taken, n=100)
    of = f"{sizes.look_ups:,} passwords of the list, by one thread"
    return [
        Row("breached look-up, p50", cuts[49], "µs", of),
        Row("breached look-up, p99", cuts[98], "µs", of),
        Row("breached look-ups missed", missed, "", f"of {sizes.look_ups:,} passwords of the list"),
    ]
