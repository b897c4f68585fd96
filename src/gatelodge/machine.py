"""The cores and the memory that this process may use, with the limits of its container."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroup v1 writes a number about as large as this for no limit


@dataclass(frozen=True, slots=True)
class Machine:
    """The cores and the memory of this process.

    Attributes:
        cores: how many cores it may use, at least 1.
        memory_bytes: how much memory it may use, or None if there is no limit.
    """

    cores: int
    memory_bytes: int | None


def read(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> Machine:
    """Return the limits of this process, from its CPU affinity and its control groups.

    The limits of a group also hold for the groups below it, so the smallest one counts. Source: the
    kernel's `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`.

    Args:
        cgroups: the folder at which control groups of version 1 or 2 are mounted.
        own: the file that names the control groups of this process.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    quotas: list[float] = [cores]
    memory: list[int] = []
    for folder in _folders(cgroups, own):
        quotas += [quota for quota in (_quota_v2(folder), _quota_v1(folder)) if quota]
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _number(folder / name)
            if limit is not None and 0 < limit < _UNLIMITED:
                memory.append(limit)
    return Machine(max(1, math.ceil(min(quotas))), min(memory) if memory else None)


def open_files() -> int:
    """Return how many files this process may have open."""
    if os.name != "posix":
        return _UNLIMITED
    import resource  # noqa: PLC0415 - only on POSIX

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _folders(cgroups: Path, own: Path) -> list[Path]:
    """Return the folders of the control groups of this process, and of all groups above them."""
    folders = {cgroups, cgroups / "cpu", cgroups / "cpu,cpuacct", cgroups / "memory"}
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return sorted(folders)
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder = cgroups / controllers / path.lstrip("/")
        while folder != cgroups and cgroups in folder.parents:
            folders.add(folder)
            folder = folder.parent
    return sorted(folders)


def _quota_v2(folder: Path) -> float | None:
    words = _words(folder / "cpu.max")
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _quota_v1(folder: Path) -> float | None:
    quota = _number(folder / "cpu.cfs_quota_us")
    period = _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _number(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if words and words[0].lstrip("-").isdigit() else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
