"""The machine and the versions that the figures were measured on."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

from bench.process import CORES

_PACKAGES = ("gatelodge", "granian", "fastapi", "uvloop", "argon2-cffi")


def facts() -> dict[str, str]:
    """Return the facts that a reader needs to compare two runs."""
    return {
        "processor": f"{_processor()}, {len(CORES)} of {os.cpu_count()} cores",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " before the run",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "sqlite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
