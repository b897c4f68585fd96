"""Whether a password is on the list: no false negative, and a list that changes at any time."""

import hashlib
import logging
import os
import shutil
import threading
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.breached.lookup import (
    ENTRY_BYTES,
    HEADER_BYTES,
    BreachedFile,
    BreachedPasswords,
    Header,
)
from gatelodge.breached.refusals import NoBreachedPasswords
from gatelodge.breached.service import read_list
from gatelodge.errors import ConfigurationError
from tests.support.breached import import_text, line, many

KEYS = st.integers(0, 2**64 - 1)
NEAR = st.integers(0, 40_000)
SETS = st.sets(
    KEYS | NEAR | NEAR.map(lambda key: 2**64 - 1 - key) | NEAR.map(lambda key: 2**63 + key)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the list will be."""
    return tmp_path / "data" / "breached-passwords"


def write(path: Path, keys: set[int], at_least: int = 1) -> None:
    """Write a list of these entries, as the format says."""
    body = b"".join(key.to_bytes(ENTRY_BYTES) for key in sorted(keys))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(Header(len(keys), at_least, zlib.crc32(body)).to_bytes() + body)


def has(file: BreachedFile, key: int) -> bool:
    return file.has(key.to_bytes(ENTRY_BYTES) + bytes(12))


# Finding


@given(SETS, st.integers(1, 3000), KEYS)
def test_every_entry_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, some: set[int], row: int, begin: int
) -> None:
    """Also where digests are not spread evenly, as those of passwords are."""
    path = tmp_path_factory.mktemp("lists") / "list"
    keys = some | {min(begin + number, 2**64 - 1) for number in range(row)}
    write(path, keys)
    file = BreachedFile(path)

    asked = some | {begin, min(begin + row - 1, 2**64 - 1), 0, 2**64 - 1}
    asked |= {max(0, key - 1) for key in asked} | {min(2**64 - 1, key + 1) for key in asked}
    assert {key for key in asked if has(file, key)} == asked & keys


@pytest.mark.parametrize("count", [0, 1, 2, 511, 512, 513, 5000])
def test_lists_of_every_size_are_searched(path: Path, count: int) -> None:
    keys = {number * (2**64 // 5000) + 7 for number in range(count)}
    write(path, keys)
    file = BreachedFile(path)

    assert all(has(file, key) for key in keys)
    assert not any(has(file, key + 1) or has(file, key - 1) for key in keys)
    assert not has(file, 2**64 - 1)


def test_a_look_up_reads_two_blocks_as_a_rule(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may have to come from the disk."""
    write(path, {int.from_bytes(hashlib.sha256(b"%d" % n).digest()[:8]) for n in range(200_000)})
    file = BreachedFile(path)
    reads = 0
    pread = os.pread

    def counted(descriptor: int, size: int, at: int) -> bytes:
        nonlocal reads
        reads += 1
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", counted)
    for number in range(2000):
        assert file.has(hashlib.sha256(b"%d" % (100 * number)).digest())

    assert reads / 2000 < 2.1


def test_a_password_is_looked_up_as_typed_and_in_nfc(path: Path) -> None:
    """The lists have what sites had stored, in whatever form it was typed."""
    composed, typed = (
        "cr\u00e8me br\u00fbl\u00e9e",
        unicodedata.normalize("NFD", "cr\u00e8me br\u00fbl\u00e9e 2"),
    )
    import_text(line(composed) + line(typed), path)
    passwords = BreachedPasswords(path)

    assert passwords.has(composed)
    assert passwords.has(unicodedata.normalize("NFD", composed))
    assert passwords.has(typed)
    assert not passwords.has(unicodedata.normalize("NFC", typed))
    assert not passwords.has(composed.upper())


# Files that cannot be used


def cut(whole: bytes) -> bytes:
    return whole[:-1]


def cut_in_header(whole: bytes) -> bytes:
    return whole[: HEADER_BYTES - 1]


def lengthened(whole: bytes) -> bytes:
    return whole + bytes(ENTRY_BYTES)


def emptied(_whole: bytes) -> bytes:
    return b""


def foreign(whole: bytes) -> bytes:
    return b"SQLite format 3\0" + whole


def of_another_version(whole: bytes) -> bytes:
    return whole[:8] + (2).to_bytes(4) + whole[12:]


def with_another_count(whole: bytes) -> bytes:
    return whole[:20] + b"\1" + whole[21:]


UNUSABLE = {
    cut: "bytes instead of",
    cut_in_header: "no list of breached passwords",
    lengthened: "bytes instead of",
    foreign: "no list of breached passwords",
    of_another_version: "version 2 of the format",
    with_another_count: "its header is damaged",
    emptied: "no list of breached passwords",
}


@pytest.mark.parametrize(
    ("spoil", "why"), UNUSABLE.items(), ids=[each.__name__ for each in UNUSABLE]
)
def test_a_file_that_cannot_be_used_is_refused_and_says_why(
    path: Path,
    spoil: Callable[[bytes], bytes],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server goes on without the list, and logs it once."""
    import_text(many(range(9)), path)
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(ConfigurationError, match=why) as refusal:
        BreachedFile(path)
    assert str(path) in str(refusal.value)
    assert "gatelodge passwords import" in str(refusal.value)

    passwords = BreachedPasswords(path)
    assert [passwords.has("password1") for _ in range(3)] == [False] * 3
    assert [each.message for each in caplog.records] == ["breached_passwords.unusable"]


def test_a_changed_entry_is_found_when_the_whole_file_is_read(path: Path) -> None:
    import_text(many(range(70_000)), path)
    assert read_list(path).header.count == 70_000
    whole = bytearray(path.read_bytes())
    whole[-9] ^= 1
    path.write_bytes(whole)

    with pytest.raises(ConfigurationError, match="its checksum is another one"):
        read_list(path)


def test_a_file_that_is_not_there_is_no_fault(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    passwords = BreachedPasswords(path)

    assert not passwords.is_there()
    assert not passwords.has("password1")
    with pytest.raises(NoBreachedPasswords):
        read_list(path)
    assert caplog.records == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_text(many(range(9)), path)
    path.chmod(0)

    assert not BreachedPasswords(path).has("password1")
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


# Files that change


def open_files() -> int:
    """Return how many files this process has open; 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def test_another_file_is_noticed_at_the_next_look_up(path: Path) -> None:
    passwords = BreachedPasswords(path)
    assert not passwords.has("password1")

    import_text(line("password1"), path)
    assert passwords.has("password1")
    import_text(line("password2"), path)
    assert (passwords.has("password1"), passwords.has("password2")) == (False, True)
    path.unlink()
    assert not passwords.has("password2")


def test_a_file_that_is_overwritten_in_its_place_kills_nobody(path: Path) -> None:
    """`cp` shortens the file first. Memory that maps it would then end the process (SIGBUS)."""
    import_text(many(range(5000)), path)
    passwords, file = BreachedPasswords(path), BreachedFile(path)
    assert passwords.has("password1")
    os.truncate(path, HEADER_BYTES)

    assert not passwords.has("password1")
    with pytest.raises(OSError, match="ends too early"):
        file.has(hashlib.sha1(b"password1", usedforsecurity=False).digest())


def test_threads_look_up_while_files_take_each_others_place(path: Path, tmp_path: Path) -> None:
    """What is in every list is found at every moment; files are closed, and none too early."""
    import_text(many(range(3000)), path)
    others = [Path(shutil.copy(path, tmp_path / f"{number}")) for number in range(200)]
    passwords, missed, stop = BreachedPasswords(path), [], threading.Event()
    before = open_files()

    def look() -> None:
        number = 0
        while not stop.is_set():
            number = (number + 1) % 3000
            if not passwords.has(f"password{number}"):
                missed.append(number)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for other in others:
        other.replace(path)
        assert passwords.has("password7")
    stop.set()
    for thread in threads:
        thread.join()

    assert missed == []
    assert open_files() <= before + 1
