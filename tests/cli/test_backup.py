"""`gatelodge backup` and `gatelodge restore`, as an operator calls them."""

import contextlib
import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from gatelodge.audit import COMMAND, AuditLog, Event
from gatelodge.clock import SystemClock
from gatelodge.master_key import MasterKey
from gatelodge.stores import Stores, open_stores
from gatelodge.stores.sql.copies import SqlCopies
from gatelodge.transfer.refusals import FileTaken
from gatelodge.transfer.service import back_up
from tests.support.databases import migrated
from tests.support.mongod import wait_until
from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, Server, environment, run_command

REFUSED = 3
NOT_CONFIGURED = 4
UNAVAILABLE = 5
BEFORE = Path(__file__).parents[1] / "upgrades" / "before_0005"
ANOTHER_KEY = "Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyKdPz"


class Place:
    """A data folder and the commands on it, without a server."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.database = self.data / "gatelodge.db"
        self.key = self.data / "secret.key"
        self.environment = environment(folder, settings)

    def __call__(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        return run_command(*map(str, arguments), environment=self.environment, typed=typed)

    def add(self, name: str) -> None:
        made = self(
            "user", "create", name, f"{name}@example.com", "--password-stdin", typed=PASSWORD
        )
        assert made.returncode == 0, made.stderr

    def names(self) -> set[str]:
        """Return who is in the database, as a command says."""
        return {user["username"] for user in json.loads(self("user", "list", "--json").stdout)}

    def names_in_file(self) -> set[str]:
        """Return the same, as the file says."""
        with contextlib.closing(sqlite3.connect(self.database)) as opened:
            return {name for (name,) in opened.execute("SELECT username FROM users")}

    def prints(self) -> dict[str, str]:
        """Return what tells whether anything in the data folder has changed."""
        return {
            file.name: f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_mode:o}"
            for file in self.data.iterdir()
            if not file.name.endswith("-lock")
        }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place with a database in which Ann is, and a backup with its key."""
    place = Place(tmp_path_factory.mktemp("model"))
    migrated(place.database)
    place.add("ann")
    done = place("backup", place.folder / "ann.backup", "--with-secret-key")
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def place(tmp_path: Path, model: Place) -> Place:
    """Return a copy of its data folder."""
    shutil.copytree(model.data, tmp_path / "data")
    return Place(tmp_path)


@pytest.fixture
def file(tmp_path: Path, model: Place) -> Path:
    """Return a copy of its backup, without the key."""
    return Path(shutil.copy2(model.folder / "ann.backup", tmp_path))


@pytest.fixture
def file_with_key(file: Path, model: Place) -> Path:
    """Return a copy of its backup, with the key beside it."""
    shutil.copy2(model.folder / "ann.backup.key", file.parent)
    return file


def sound(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file)) as opened:
        return bool(opened.execute("PRAGMA integrity_check").fetchone() == ("ok",))


# Making one


def test_a_backup_is_one_private_file_and_all_that_the_command_says(place: Place) -> None:
    file = place.folder / "new.backup"

    done = place("backup", file)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"The database is in {file}.\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sound(file)
    assert {each.name for each in place.folder.iterdir()} == {"data", "new.backup"}


def test_a_backup_while_a_server_writes_has_everything_that_was_confirmed(tmp_path: Path) -> None:
    """And nothing by halves: it is sound, and each user in it has the events of its making."""
    with Server(tmp_path, workers=2, sign_ups_per_address="0") as server:
        stop = threading.Event()
        confirmed: list[str] = []

        def write(number: int) -> None:
            with httpx2.Client(base_url=server.url, timeout=30) as client:
                turn = 0
                while not stop.is_set():
                    name = f"user{number}x{turn}"
                    body = {"username": name, "email": f"{name}@a.example", "password": PASSWORD}
                    if client.post("/api/auth/signup", json=body).status_code == 200:
                        confirmed.append(name)
                    turn += 1

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        try:
            found = []
            for file in (tmp_path / "first.backup", tmp_path / "second.backup"):
                enough = len(confirmed) + 4
                wait_until(partial(reached, confirmed, enough), "nobody signs up", 30)
                before = set(confirmed)
                assert server.command("backup", str(file)).returncode == 0
                found.append((before, file))
        finally:
            stop.set()
            for writer in writers:
                writer.join()

    for before, file in found:
        assert sound(file)
        with contextlib.closing(sqlite3.connect(file)) as opened:
            users = dict(opened.execute("SELECT username, id FROM users"))
            roles = {user for (user,) in opened.execute("SELECT user_id FROM user_roles")}
        assert before <= set(users)
        assert set(users.values()) <= roles


def test_a_backup_overwrites_nothing(place: Place) -> None:
    file = place.folder / "taken"
    file.write_text("mine")
    key = place.folder / "new.backup.key"
    key.write_text("mine")

    for wanted in (file, place.folder, place.database):
        done = place("backup", wanted)
        assert (done.returncode, done.stdout) == (REFUSED, "")
        assert done.stderr == f"There is {wanted} already. Name a new file.\n"
    done = place("backup", place.folder / "new.backup", "--with-secret-key")
    assert done.returncode == REFUSED
    assert str(key) in done.stderr

    assert file.read_text() == key.read_text() == "mine"
    assert {each.name for each in place.folder.iterdir()} == {"data", "taken", "new.backup.key"}


def test_a_backup_that_cannot_be_written_leaves_no_file(place: Place) -> None:
    done = place("backup", place.folder / "no such folder" / "x")
    assert (done.returncode, done.stdout) == (NOT_CONFIGURED, "")
    assert done.stderr.endswith("x cannot be written: No such file or directory\n")

    done = subprocess.run(
        [GATELODGE, "backup", place.folder / "full"],
        env=place.environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, 40_960)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == NOT_CONFIGURED, done.stderr
    assert "could not be copied" in done.stderr
    assert [each.name for each in place.folder.iterdir()] == ["data"]


def test_a_backup_that_is_killed_leaves_no_file_of_that_name(place: Place) -> None:
    """Whoever looks for the newest backup would take it for one."""
    with contextlib.closing(sqlite3.connect(place.database)) as opened:
        opened.execute("CREATE TABLE much (data)")
        opened.execute("INSERT INTO much VALUES (zeroblob(100000000))")
        opened.commit()
    file = place.folder / "cut.backup"
    command = [GATELODGE, "backup", file, "--with-secret-key"]
    with subprocess.Popen(command, env=place.environment) as process:
        wait_until(lambda: list(place.folder.glob("cut.backup.*.part")), "no draft", 30)
        process.kill()

    left = [each.name for each in place.folder.iterdir() if each.name != "data"]
    assert left
    assert all(".part" in name for name in left)
    assert place("backup", file).returncode == 0
    assert sound(file)


@pytest.mark.parametrize("taken", ["x", "x.key"])
def test_of_two_backups_of_one_name_one_is_made(place: Place, taken: str) -> None:
    """Somebody else takes the name while the copy is written."""
    stores = open_stores(str(place.database))
    file = place.folder / "x"

    class Slow(SqlCopies):
        def write(self, file: Path) -> None:
            super().write(file)
            (place.folder / taken).write_text("mine")

    copies = Slow(place.database, "9999")
    key = MasterKey.from_file(place.key)
    with pytest.raises(FileTaken, match=f"There is {place.folder / taken} already"):
        back_up(copies, file, key, an_event(stores))

    assert (place.folder / taken).read_text() == "mine"
    assert {each.name for each in place.folder.iterdir()} == {"data", taken}


def test_a_backup_needs_no_hard_links(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and some network disks have none."""
    stores = open_stores(str(place.database))

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    back_up(stores.database.copies, place.folder / "x", None, an_event(stores))
    assert sound(place.folder / "x")
    with pytest.raises(FileTaken):
        back_up(stores.database.copies, place.folder / "x", None, an_event(stores))
    assert {each.name for each in place.folder.iterdir()} == {"data", "x"}


def an_event(stores: Stores) -> Event:
    return AuditLog(stores.events, SystemClock()).event("database.backed_up", COMMAND)


def test_the_database_tells_of_its_backups_and_of_the_restore(place: Place) -> None:
    """Each in the database in which an auditor looks for it."""
    file = place.folder / "x"
    assert place("backup", file, "--with-secret-key").returncode == 0
    made = {"file": str(file), "secret_key": "yes"}
    assert newest_event(place.database) == ("database.backed_up", "command", "success", made)
    assert newest_event(file)[3] != made

    assert place("restore", file).returncode == 0
    restored = ("database.restored", "command", "success", {"file": str(file)})
    assert newest_event(place.database) == restored
    assert newest_event(file)[0] != "database.restored"
    assert place.names() == {"ann"}


def newest_event(database: Path) -> tuple[str, str, str, dict[str, str]]:
    with contextlib.closing(sqlite3.connect(database)) as opened:
        query = "SELECT name, actor, outcome, detail FROM events ORDER BY id DESC LIMIT 1"
        name, actor, outcome, detail = opened.execute(query).fetchone()
    return name, actor, outcome, json.loads(detail)


def test_a_backup_whose_event_cannot_be_kept_says_so_and_stays(place: Place) -> None:
    with contextlib.closing(sqlite3.connect(place.database)) as opened:
        opened.execute(
            "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT raise(ABORT, 'full'); END"
        )
        opened.commit()

    done = place("backup", place.folder / "x")

    assert (done.returncode, done.stdout) == (UNAVAILABLE, "")
    assert done.stderr == (
        f"The database is in {place.folder / 'x'}. The event could not be stored: full.\n"
    )
    assert sound(place.folder / "x")


def test_a_damaged_database_makes_no_backup(place: Place) -> None:
    damage(place.database)

    done = place("backup", place.folder / "x")

    assert done.returncode in {REFUSED, NOT_CONFIGURED}
    assert "Traceback" not in done.stderr
    assert not (place.folder / "x").exists()


def test_there_is_nothing_to_copy_where_there_is_no_database(tmp_path: Path) -> None:
    done = Place(tmp_path)("backup", tmp_path / "x")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("There is no Gatelodge database at")
    assert list(tmp_path.iterdir()) == []


# The way back


def test_a_full_cycle_brings_back_the_state_of_the_backup_and_keeps_the_one_before(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ann.backup"
    with Server(tmp_path) as server:
        assert sign_up(server, "ann") == 200
        assert server.command("backup", str(file)).returncode == 0
        assert sign_up(server, "bob") == 200
    place = Place(tmp_path)

    done = place("restore", file, "--json")

    assert done.returncode == 0, done.stderr
    (aside,) = [Path(each) for each in json.loads(done.stdout)["set_aside"]]
    assert aside.name.startswith("gatelodge.db.20")
    assert place.names() == {"ann"}
    with Server(tmp_path) as server:
        assert sign_in(server, "ann") == 200
        assert sign_in(server, "bob") == 401
    assert file.is_file()
    there = place("user", "show", "bob", "--database", aside)
    assert there.returncode == 0, there.stderr


def test_the_log_of_a_killed_server_goes_aside_with_its_database(tmp_path: Path) -> None:
    """Left there, SQLite would merge it into the restored file, and spoil it."""
    file = tmp_path / "ann.backup"
    server = Server(tmp_path).start()
    assert sign_up(server, "ann") == 200
    assert server.command("backup", str(file)).returncode == 0
    assert sign_up(server, "bob") == 200
    server.kill()
    place = Place(tmp_path)
    assert (place.data / "gatelodge.db-wal").stat().st_size > 0

    done = place("restore", file, "--json")

    assert done.returncode == 0, done.stderr
    aside = [Path(each) for each in json.loads(done.stdout)["set_aside"]]
    assert [each.name.rpartition("Z")[2] for each in aside] == ["", "-wal", "-shm"]
    assert place.names() == {"ann"}
    shown = place("user", "list", "--json", "--database", aside[0])
    assert {user["username"] for user in json.loads(shown.stdout)} == {"ann", "bob"}


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_restored_under_a_running_server(tmp_path: Path, workers: int) -> None:
    file = tmp_path / "ann.backup"
    with Server(tmp_path, workers=workers) as server:
        assert sign_up(server, "ann") == 200
        assert server.command("backup", str(file)).returncode == 0

        done = server.command("restore", str(file))

        assert (done.returncode, done.stdout) == (REFUSED, "")
        assert done.stderr == (
            "A server or a command uses this database. Stop it, and try again.\n"
        )
        assert sign_up(server, "bob") == 200
        os.kill(server.worker or 0, signal.SIGKILL)  # the server itself still runs
        assert server.command("restore", str(file)).returncode == REFUSED
    assert Place(tmp_path).names() == {"ann", "bob"}
    assert not list((tmp_path / "data").glob("*restoring*"))
    assert Place(tmp_path)("restore", file).returncode == 0


def test_nothing_is_restored_while_another_program_has_the_database_open(
    place: Place, file: Path
) -> None:
    """Such as a server of the version before, which does not hold our lock."""
    with program_with(place.database):
        before = place.prints()
        done = place("restore", file)
        assert place.prints() == before

    assert done.returncode == REFUSED
    assert done.stderr == "A program has this database open. End it first.\n"
    assert place("restore", file).returncode == 0


def test_nobody_begins_while_a_database_is_being_replaced(place: Place) -> None:
    with (place.data / "gatelodge.db-lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for arguments in (["user", "list"], ["migrate"], ["serve", "--port", "0"]):
            done = place(*arguments)
            assert done.returncode == NOT_CONFIGURED
            assert "is being restored at this moment" in done.stderr
    assert place.names() == {"ann"}


BAD = ["text", "empty", "truncated", "damaged", "folder", "missing", "other", "newer", "log", "own"]


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_sound_backup_is_refused_before_anything_is_touched(
    place: Place, file: Path, kind: str
) -> None:
    file = place.database if kind == "own" else file
    spoil(file, kind)
    before = place.prints()

    done = place("restore", file)

    assert (done.returncode, done.stdout) == (REFUSED, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert place.prints() == before
    assert kind == "own" or place.names_in_file() == {"ann"}


@pytest.mark.parametrize("kind", ["text", "other"])
def test_what_is_not_ours_is_not_replaced(place: Place, file: Path, kind: str) -> None:
    theirs = place.folder / "theirs"
    shutil.copy(file, theirs)
    spoil(theirs, kind)
    before = theirs.read_bytes()

    done = place("restore", file, "--database", theirs)

    assert (done.returncode, done.stdout) == (NOT_CONFIGURED, "")
    assert "is no database of Gatelodge" in done.stderr
    assert theirs.read_bytes() == before


@pytest.mark.parametrize("kind", ["damaged", "truncated", "stale log"])
def test_a_spoilt_database_is_what_a_backup_is_for(place: Place, file: Path, kind: str) -> None:
    if kind == "stale log":
        place.database.with_name("gatelodge.db-wal").write_bytes(b"\x37\x7f\x06\x82" * 4096)
    else:
        spoil(place.database, kind)

    done = place("restore", file)

    assert done.returncode == 0, done.stderr
    assert place.names() == {"ann"}


def test_a_link_to_the_database_stays_one_and_is_held_like_it(place: Place, file: Path) -> None:
    """SQLite keeps the log beside the file that the link names, and so do we the lock."""
    link = place.folder / "link.db"
    link.symlink_to(place.database)
    place.add("bob")
    with (place.data / "gatelodge.db-lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert place("restore", file, "--database", link).returncode == REFUSED

    done = place("restore", file, "--database", link, "--json")

    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert place.names_in_file() == {"ann"}
    (aside,) = json.loads(done.stdout)["set_aside"]
    assert Path(aside).parent == place.data
    assert {each.name for each in place.folder.iterdir()} == {"ann.backup", "data", "link.db"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_restores_belongs_to_whom_the_folder_belongs(
    place: Place, file_with_key: Path
) -> None:
    """Else the server's own user could not open it."""
    new = Place(place.folder / "new")
    new.data.mkdir(mode=0o700, parents=True)
    os.chown(new.data, 12_345, 12_346)

    done = new("restore", file_with_key, "--with-secret-key")

    assert done.returncode == 0, done.stderr
    owners = {(each.stat().st_uid, each.stat().st_gid) for each in new.data.iterdir()}
    assert owners == {(12_345, 12_346)}
    assert {each.name for each in new.data.iterdir()} == {
        *("gatelodge.db", "gatelodge.db-lock", "secret.key")
    }


def test_a_backup_of_a_version_before_is_restored(tmp_path: Path) -> None:
    """The next start brings it up to date."""
    told = json.loads((BEFORE / "sqlite.held.json").read_text())
    file = tmp_path / "old.backup"
    with contextlib.closing(sqlite3.connect(file)) as opened:
        opened.executescript((BEFORE / "sqlite.sql").read_text())
    place = Place(tmp_path, secret_key=told["secret_key"])

    done = place("restore", file)

    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(place.database)) as opened:
        (told_of,) = opened.execute("SELECT count(*) FROM events WHERE name LIKE '%.restored'")
    assert told_of == (1,)
    assert {"ann", "bob", "frank"} <= place.names()


# The secret key


def test_the_secret_key_comes_back_on_request(place: Place, file_with_key: Path) -> None:
    key = file_with_key.with_name("ann.backup.key")
    assert key.read_text() == place.key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    new = Place(place.folder / "new machine")

    done = new("restore", file_with_key, "--with-secret-key")

    assert done.returncode == 0, done.stderr
    assert new.key.read_text() == key.read_text()
    assert stat.S_IMODE(new.data.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in new.data.iterdir()} == {0o600}
    assert new.names() == {"ann"}


def test_a_backup_with_the_secret_key_warns(place: Place) -> None:
    done = place("backup", place.folder / "x", "--with-secret-key", "--json")

    assert json.loads(done.stdout)["secret_key"] == str(place.folder / "x.key")
    assert done.stderr.startswith(f"Warning: {place.folder / 'x.key'} is the secret key.")
    assert place.key.read_text().strip() not in done.stdout + done.stderr


def test_a_backup_of_another_key_is_refused_since_nobody_could_start_with_it(
    place: Place, file_with_key: Path
) -> None:
    file = file_with_key
    other = Place(place.folder / "other")
    other.add("bob")
    before = other.prints()

    done = other("restore", file)

    assert done.returncode == REFUSED
    assert done.stderr.startswith("The backup was made with another secret key")
    assert other.prints() == before
    done = other("restore", file, "--with-secret-key", "--json")
    assert done.returncode == 0, done.stderr
    assert any("/secret.key.20" in each for each in json.loads(done.stdout)["set_aside"])
    assert other.names() == {"ann"}


def test_a_key_that_is_set_is_not_replaced_behind_the_operators_back(
    place: Place, file_with_key: Path
) -> None:
    file = file_with_key
    elsewhere = Place(place.folder / "elsewhere", secret_key=ANOTHER_KEY)
    done = elsewhere("restore", file, "--with-secret-key")
    assert done.returncode == NOT_CONFIGURED
    assert done.stderr.startswith("GATELODGE_SECRET_KEY or GATELODGE_SECRET_KEY_FILE is set")
    assert not elsewhere.database.exists()

    right = Place(place.folder / "right", secret_key=place.key.read_text())
    assert right("restore", file, "--with-secret-key").returncode == 0
    assert not right.key.exists()
    assert right.names() == {"ann"}


def test_a_restore_says_that_the_key_is_missing(place: Place, file: Path) -> None:
    new = Place(place.folder / "new")

    done = new("restore", file)

    assert done.returncode == 0
    assert done.stderr.startswith("Warning: there is no secret key in")
    missing = new("restore", file, "--with-secret-key")
    assert missing.returncode == REFUSED
    assert missing.stderr.startswith("There is no secret key beside the backup")


# MongoDB


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_mongodb_is_copied_by_its_own_tools(tmp_path: Path, command: str) -> None:
    done = Place(tmp_path)(command, tmp_path / "x", "--database", "mongodb://127.0.0.1:1/shop")

    assert (done.returncode, done.stdout) == (NOT_CONFIGURED, "")
    assert done.stderr == (
        "Gatelodge copies SQLite files only: for MongoDB, use mongodump and mongorestore.\n"
    )


# What the tests need


def reached(confirmed: list[str], enough: int) -> bool:
    return len(confirmed) >= enough


def sign_up(server: Server, name: str) -> int:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    return httpx2.post(f"{server.url}/api/auth/signup", json=body, timeout=20).status_code


def sign_in(server: Server, name: str) -> int:
    body = {"username": name, "password": PASSWORD}
    return httpx2.post(f"{server.url}/api/auth/signin", json=body, timeout=20).status_code


def damage(file: Path) -> None:
    """Overwrite every page but the first."""
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(4096)
        opened.write(os.urandom(size - 4096))


def spoil(file: Path, kind: str) -> None:
    """Make something of this kind from a backup."""
    if kind == "text":
        file.write_text("Dear Sir or Madam, " * 1000)
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "truncated":
        os.truncate(file, file.stat().st_size // 2)
    elif kind == "damaged":
        damage(file)
    elif kind == "log":
        file.with_name(f"{file.name}-wal").write_bytes(b"x" * 100)
    elif kind in {"folder", "missing"}:
        file.unlink()
        if kind == "folder":
            file.mkdir()
    elif kind == "other":
        file.unlink()
        with contextlib.closing(sqlite3.connect(file)) as opened:
            opened.execute("CREATE TABLE users (name)")
    elif kind == "newer":
        with contextlib.closing(sqlite3.connect(file)) as opened:
            opened.execute("UPDATE alembic_version SET version_num = '9999'")
            opened.commit()


@contextlib.contextmanager
def program_with(file: Path) -> Iterator[None]:
    """Let another process have read from a database that it keeps open."""
    program = (
        "import sqlite3, sys\n"
        "opened = sqlite3.connect(sys.argv[1])\n"
        "opened.execute('SELECT count(*) FROM users').fetchone()\n"
        "print('reading', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [os.environ.get("PYTHON", "python3"), "-c", program, file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        yield
        process.communicate()
