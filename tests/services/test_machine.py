"""The limits of a container count, not those of its host."""

from pathlib import Path

import pytest

from gatelodge.machine import Machine, read
from gatelodge.settings import hash_threads_for

MIB = 1 << 20


def groups(tmp_path: Path, own: str, files: dict[str, str]) -> Machine:
    """Return what a process reads whose control groups have these files."""
    for name, content in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "own").write_text(own)
    return read(tmp_path / "cgroup", tmp_path / "own")


@pytest.mark.parametrize(
    ("own", "files", "memory"),
    [
        ("0::/\n", {"cpu.max": "100000 100000\n", "memory.max": "268435456\n"}, 256 * MIB),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, None),
        ("0::/a\n", {"a/cpu.max": "90000 100000", "a/memory.max": "max\n"}, None),
        (
            "4:memory:/d\n3:cpu,cpuacct:/d\n",
            {
                "cpu,cpuacct/d/cpu.cfs_quota_us": "100000",
                "cpu,cpuacct/d/cpu.cfs_period_us": "100000",
                "memory/d/memory.limit_in_bytes": "134217728",
            },
            128 * MIB,
        ),
        (
            "3:cpu:/d\n",  # as seen inside a container: the group is mounted as the root
            {
                "cpu/cpu.cfs_quota_us": "80000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            None,
        ),
    ],
)
def test_a_quota_of_one_core_is_one_core(
    tmp_path: Path, own: str, files: dict[str, str], memory: int | None
) -> None:
    assert groups(tmp_path, own, files) == Machine(1, memory)


@pytest.mark.parametrize("content", ["", "max\n", "max 100000", "-1 100000 3", "\xff", "x y z"])
def test_what_cannot_be_read_limits_nothing(tmp_path: Path, content: str) -> None:
    free = read(tmp_path / "nowhere", tmp_path / "nothing")
    assert groups(tmp_path, "0::/\n", {"cpu.max": content, "memory.max": content}) == free


@pytest.mark.parametrize(
    ("here", "workers", "threads"),
    [
        (Machine(1, None), 1, 1),
        (Machine(2, None), 1, 1),
        (Machine(8, None), 1, 7),
        (Machine(8, None), 4, 1),
        (Machine(64, 512 * MIB), 1, 6),
        (Machine(64, 512 * MIB), 4, 1),
        (Machine(64, 16 * MIB), 1, 1),
    ],
)
def test_hashes_leave_a_core_and_three_quarters_of_the_memory(
    here: Machine, workers: int, threads: int
) -> None:
    assert hash_threads_for(here, workers, hash_memory_kib=19456) == threads
