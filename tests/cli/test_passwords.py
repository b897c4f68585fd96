"""`gatelodge passwords import`, `show` and `remove`, as an operator calls them."""

import gzip
import json
import resource
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatelodge.breached.lookup import HEADER_BYTES
from tests.support.breached import line, many
from tests.support.mongod import wait_until
from tests.support.run import forget, note
from tests.support.server import GATELODGE, environment, run_before_terminal, run_command

REFUSED = 3
NOT_CONFIGURED = 4
INTERRUPTED = 130


class Place:
    """A data folder without a server and without a database."""

    def __init__(self, folder: Path) -> None:
        self.environment = environment(folder, {})
        self.list = folder / "data" / "breached-passwords"
        self.source = folder / "list.txt"
        self.source.write_text(many(range(100)))

    def __call__(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        return run_command(
            "passwords", *map(str, arguments), environment=self.environment, typed=typed
        )

    def printed(self, *arguments: object, typed: str = "") -> str:
        """Run a command that succeeds, and return what it prints."""
        done = self(*arguments, typed=typed)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refused(self, *arguments: object, code: int) -> str:
        """Run a command that is refused, and return the sentence."""
        done = self(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        return done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place, and a file of a hundred lines whose counts are 1 to 100."""
    return Place(tmp_path)


def test_a_list_is_made_shown_and_removed(place: Place) -> None:
    """No database is needed, and none is made."""
    assert place.printed("import", place.source, "--at-least", "91") == (
        "New passwords are compared with 10 breached ones, of 100 lines.\n"
    )
    assert place.printed("show").startswith(
        "10 breached passwords, each seen at least 91 times; imported 20"
    )
    assert {file.name for file in place.list.parent.iterdir()} == {
        *("breached-passwords", "breached-passwords-lock")
    }
    assert place.printed("remove") == (
        "Removed. New passwords are compared with the most common ones only.\n"
    )
    assert place.refused("show", code=REFUSED) == "There is no list of breached passwords.\n"
    assert place.refused("remove", code=REFUSED) == "There is no list of breached passwords.\n"


def test_programs_get_json(place: Place) -> None:
    assert json.loads(place.printed("import", place.source, "--json")) == {
        "file": str(place.list),
        "lines": 100,
        "resumed_after": 0,
        "entries": 100,
        "at_least": 1,
    }
    shown = json.loads(place.printed("show", "--json"))
    at = datetime.fromisoformat(shown.pop("imported_at"))
    assert timedelta(0) <= datetime.now(UTC) - at < timedelta(minutes=1)
    assert shown == {
        "file": str(place.list),
        "bytes": HEADER_BYTES + 800,
        "entries": 100,
        "at_least": 1,
    }
    assert json.loads(place.printed("remove", "--json")) == {"removed": str(place.list)}


def test_lines_come_from_standard_input_or_from_a_gzip_file(place: Place) -> None:
    place.printed("import", "-", typed=place.source.read_text())
    from_input = place.list.read_bytes()
    compressed = place.source.with_suffix(".gz")
    compressed.write_bytes(gzip.compress(place.source.read_bytes()))
    place.printed("import", compressed)

    assert place.list.read_bytes() == from_input


def test_what_cannot_be_imported_is_refused_in_a_sentence(place: Place) -> None:
    place.source.write_text(line("a") + "secret password\n")
    assert place.refused("import", place.source, code=REFUSED) == (
        f"{place.source}, line 2, is not the SHA-1 of a password in 40 hex digits, a colon and a "
        "count. Nothing was imported.\n"
    )
    assert place.refused("import", "nowhere", code=NOT_CONFIGURED) == (
        "nowhere cannot be read: No such file or directory.\n"
    )
    assert place("import", place.source, "--at-least", "0").returncode == 2
    assert not place.list.exists()


def test_a_damaged_list_is_told_by_show_and_by_the_doctor(place: Place) -> None:
    place.printed("import", place.source)
    place.list.write_bytes(place.list.read_bytes()[:-1])

    sentence = place.refused("show", code=NOT_CONFIGURED)
    assert "cannot be used: it has 839 bytes instead of 840. Import it again" in sentence
    done = run_command("doctor", "--json", environment=place.environment)
    found = {each["code"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["breached_passwords_unusable"]["message"] in sentence
    assert "no_breached_passwords" not in found


def test_a_full_disk_is_told_and_the_import_goes_on_later(place: Place) -> None:
    place.source.write_text(many(range(2000)))
    done = subprocess.run(
        [GATELODGE, "passwords", "import", place.source],
        env=place.environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (NOT_CONFIGURED, "")
    assert "cannot be written to" in done.stderr
    assert not place.list.exists()

    assert "2,000 breached ones, of 2,000 lines" in place.printed("import", place.source)


def half_imported(place: Place, text: str) -> "subprocess.Popen[bytes]":
    """Start an import from standard input, which has got the text and waits for more."""
    process = subprocess.Popen(
        [GATELODGE, "passwords", "import", "-"],
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    note(process.pid)
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.flush()
    wait_until(lambda: place.list.with_name("breached-passwords.runs").exists(), "did not begin")
    return process


def test_ctrl_c_says_how_to_go_on_and_a_second_import_is_refused_meanwhile(place: Place) -> None:
    text = place.source.read_text()
    process = half_imported(place, text[: len(text) // 2])
    try:
        assert place.refused("import", place.source, code=REFUSED) == (
            "An import of breached passwords is running already. Nothing was changed.\n"
        )
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        forget(process.pid)

    assert process.returncode == INTERRUPTED
    assert errors.decode() == "Interrupted. The same command goes on where it was.\n"
    assert "of 100 lines" in place.printed("import", "-", typed=text)


def test_a_terminal_shows_how_far_it_is(place: Place) -> None:
    place.source.write_text(many(range(100_000)))
    printed, shown = run_before_terminal(
        "passwords", "import", str(place.source), environment=place.environment
    )

    assert printed.endswith("of 100,000 lines.\n")
    assert " %), " in shown
    assert shown.startswith("\r")
    assert shown.endswith("\r\n")
