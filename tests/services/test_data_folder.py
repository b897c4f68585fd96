"""Who may enter the data folder, which has the database and the secret key."""

import os
from pathlib import Path

import pytest

from gatelodge.data_folder import keep_private
from tests.support.server import Server

OURS = (
    *("secret.key", "gatelodge.db", "gatelodge.db-wal", "gatelodge.db-shm"),
    *("breached-passwords", "breached-passwords-lock", "breached-passwords.runs"),
)


def a_folder(tmp_path: Path, mode: int, *names: str) -> Path:
    """Return a folder with these files."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    folder.chmod(mode)
    return folder


def mode_of(path: Path) -> int:
    """Return the permission bits of a path."""
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777, 0o701])
@pytest.mark.parametrize("names", [OURS, OURS[:1], OURS[1:2]])
def test_a_folder_of_the_servers_own_is_closed(
    tmp_path: Path, mode: int, names: tuple[str, ...]
) -> None:
    folder = a_folder(tmp_path, mode, *names)
    assert keep_private(folder) is None
    assert mode_of(folder) == 0o700


@pytest.mark.parametrize("other", [".bashrc", "letter.txt", "lost+found"])
def test_a_folder_with_other_files_is_left_alone_and_warned_of(tmp_path: Path, other: str) -> None:
    """It may be somebody's home, or be shared on purpose."""
    folder = a_folder(tmp_path, 0o755, *OURS, other)
    warning = (
        f"other users may enter the data folder {folder}: "
        "move the data to a folder of its own with mode 700"
    )
    assert keep_private(folder) == warning
    assert mode_of(folder) == 0o755


def test_a_folder_for_everybody_is_left_alone_and_warned_of(tmp_path: Path) -> None:
    """A sticky bit, as /tmp has, shows that it is for everybody, even if it has no other files."""
    folder = a_folder(tmp_path, 0o1777, *OURS)
    assert "other users may enter" in (keep_private(folder) or "")
    assert mode_of(folder) == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_left_alone_and_warned_of(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, 0o755, *OURS)
    os.chown(folder, 12345, -1)
    assert "other users may enter" in (keep_private(folder) or "")
    assert mode_of(folder) == 0o755


def test_a_folder_without_our_files_is_none_of_our_business(tmp_path: Path) -> None:
    """Here the data is in MongoDB, and the secret key is in a setting."""
    folder = a_folder(tmp_path, 0o755, "letter.txt")
    assert keep_private(folder) is None
    assert keep_private(tmp_path / "nowhere") is None
    assert mode_of(folder) == 0o755


def test_the_server_closes_its_folder_or_says_that_it_does_not(tmp_path: Path) -> None:
    own = tmp_path / "data"
    own.mkdir(mode=0o755)
    with Server(tmp_path, data_dir=str(own)) as server:
        assert "other users may enter" not in server.log.read_text()
    assert mode_of(own) == 0o700

    own.chmod(0o755)
    (own / "letter.txt").touch()
    server.start()
    server.stop()
    assert f"\n  other users may enter the data folder {own}: " in server.log.read_text()
