"""The CPU time and the memory of a server and its workers, read from outside."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CORES = tuple(sorted(os.sched_getaffinity(0)))
"""The cores that this program may use."""

SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
"""The core of a server that is measured on one core, and the core of its load."""

_PROCESS_CLOCK = 2
"""`CPUCLOCK_SCHED` of Linux: in a clock id, the CPU time that the scheduler counts."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """User and system time, in seconds.

    Attributes:
        total: the time of all threads.
        hashing: the time of the threads that hash passwords.
    """

    total: float
    hashing: float

    def __sub__(self, other: Self) -> "Cpu":
        return Cpu(self.total - other.total, self.hashing - other.hashing)

    def __truediv__(self, count: int) -> "Cpu":
        return Cpu(self.total / count, self.hashing / count)

    @property
    def rest(self) -> float:
        """The time of all other threads."""
        return self.total - self.hashing


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory, in bytes.

    Attributes:
        rss: a page that processes share counts in full for each of them.
        pss: a shared page is divided among the processes that share it.
    """

    rss: int
    pss: int


def family(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants, the process itself first."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in _of_task(task, "children").split()
    ]
    return [pid, *(member for child in sorted(children) for member in family(child))]


def _of_task(task: Path, name: str) -> str:
    """Return the text of a thread's file in /proc; empty once the thread has ended."""
    try:
        return (task / name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_seconds(pids: Collection[int]) -> float:
    """Return the user and system time that these processes have taken since they began.

    It is the sum that `/proc/<pid>/stat` shows, and includes threads that have ended. Its
    resolution is nanoseconds instead of hundredths of a second: clock_getcpuclockid(3).
    """
    return sum(time.clock_gettime((~pid << 3) | _PROCESS_CLOCK) for pid in pids)


def nice_cpu_seconds(pids: Collection[int]) -> float:
    """Return the CPU time of those living threads that have a higher nice value than their process.

    In Gatelodge these are the hashing threads, and no others.
    """
    return sum(_task_cpu_seconds(task) for pid in pids for task in _nice_tasks(pid))


def _nice_tasks(pid: int) -> list[Path]:
    usual = _niceness(Path(f"/proc/{pid}"))
    return [task for task in Path(f"/proc/{pid}/task").iterdir() if _niceness(task) > usual]


def _niceness(task: Path) -> int:
    """Return the nice value: field 19 of `stat` in proc(5).

    The name in field 2 may contain spaces and brackets, so fields are counted from behind it.
    """
    fields = _of_task(task, "stat").rpartition(")")[2].split()
    return int(fields[16]) if fields else 0


def _task_cpu_seconds(task: Path) -> float:
    return int((_of_task(task, "schedstat") or "0").split()[0]) / 1e9


def memory_of(pid: int) -> Memory:
    """Return the resident memory of one process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(rss=kib["Rss"] * 1024, pss=kib["Pss"] * 1024)


def open_sockets(pid: int) -> set[str]:
    """Return the names of the sockets that a process holds."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


def pin(pids: Collection[int], cores: Collection[int]) -> None:
    """Keep every thread of these processes on these cores. New threads inherit this."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(task.name), cores)


@contextmanager
def this_thread_on(core: int) -> Iterator[None]:
    """Keep the calling thread on one core while the context is open."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
