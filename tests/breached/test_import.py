"""Lines of SHA-1 and count become a list, or nothing is changed."""

import gzip
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatelodge.breached.lookup import ENTRY_BYTES, HEADER_BYTES, BreachedPasswords
from gatelodge.breached.refusals import ImportRunning, NoBreachedPasswords, NotABreachList
from gatelodge.breached.runs import WorkFiles
from gatelodge.breached.service import import_passwords, read_list, remove_passwords
from gatelodge.breached.source import Source
from gatelodge.errors import ConfigurationError
from tests.support.breached import digest, import_text, line, many
from tests.support.mongod import wait_until
from tests.support.run import forget, note

NUMBERS = 120_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the list will be."""
    return tmp_path / "data" / "breached-passwords"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of more lines than one block has, in no order."""
    file = tmp_path_factory.mktemp("large") / "large.txt"
    file.write_text(many(range(NUMBERS)))
    return file


def names(path: Path) -> set[str]:
    """Return what is in the data folder."""
    return {file.name for file in path.parent.iterdir()}


def imported(file: Path, path: Path, **given: int) -> bytes:
    """Import a file without an interruption, and return the bytes of the list."""
    with Source.open(str(file)) as source:
        import_passwords(source, 1, path, **given)
    return path.read_bytes()


# What is kept


def test_the_list_has_each_password_that_was_seen_often_enough(path: Path) -> None:
    text = line("seldom", 9) + line("often", 10) + line("always", 10**18) + line("never", 0)

    done = import_text(text, path, at_least=10)

    passwords = BreachedPasswords(path)
    assert (done.lines, done.entries, done.resumed_after) == (4, 2, 0)
    assert [passwords.has(each) for each in ("seldom", "often", "always", "never")] == [
        *(False, True, True, False)
    ]


def test_the_files_are_private_and_nothing_else_is_left(path: Path) -> None:
    import_text(line("anything"), path)

    assert names(path) == {"breached-passwords", "breached-passwords-lock"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_makes_the_files_for_the_owner_of_the_folder(path: Path) -> None:
    """Else the server could not read the list that an administrator imported."""
    path.parent.mkdir()
    os.chown(path.parent, 65534, 65534)

    import_text(line("anything"), path)

    assert {file.stat().st_uid for file in path.parent.iterdir()} == {65534}


def test_of_two_lines_of_one_password_the_higher_count_decides(path: Path) -> None:
    low, high = line("twice", 1), line("twice", 50)

    assert import_text(low + high + low, path, at_least=10).entries == 1
    assert import_text(high + low + high, path, at_least=1).entries == 1


@pytest.mark.parametrize(
    "written",
    [
        "".join,
        lambda lines: "".join(sorted(lines)),
        lambda lines: "".join(sorted(lines, reverse=True)),
        lambda lines: "".join(lines).lower(),
        lambda lines: "".join(lines).replace("\n", "\r\n"),
        lambda lines: "".join(lines).rstrip("\n"),
        lambda lines: "".join(lines).replace("\n", "\r\n")[:-1],
        lambda lines: "".join(lines * 2),
    ],
    ids=["mixed", "sorted", "backwards", "lower", "crlf", "no end", "half an end", "twice"],
)
def test_the_same_lines_make_the_same_file_however_they_are_written(
    path: Path, written: Callable[[list[str]], str]
) -> None:
    lines = many(range(50)).splitlines(keepends=True)
    expected = sorted(bytes.fromhex(each[:16]) for each in lines)

    import_text(written(lines), path, run=7)

    assert path.read_bytes()[HEADER_BYTES:] == b"".join(expected)


def test_blocks_and_runs_leave_no_trace(large: Path, path: Path) -> None:
    """Lines are cut by the ends of blocks, and one run follows the other."""
    in_many_runs = imported(large, path, run_entries=1)
    in_one_run = imported(large, path)

    assert in_many_runs == in_one_run
    assert len(in_one_run) == HEADER_BYTES + NUMBERS * ENTRY_BYTES


def test_entries_that_come_in_order_are_one_run(path: Path, large: Path, tmp_path: Path) -> None:
    """So the list that is published in order is not merged from thousands of pieces."""
    ordered = tmp_path / "ordered.txt"
    ordered.write_text("".join(sorted(large.read_text().splitlines(keepends=True))))
    runs: list[int] = []

    def look(_source: Source) -> None:
        journal = WorkFiles(path).read_journal()
        runs.append(len(journal.runs) if journal else 0)

    with Source.open(str(ordered)) as source:
        import_passwords(source, 1, path, look, run_entries=1)

    assert len(runs) > 3
    assert set(runs) == {1}


def test_digests_that_lie_close_together_are_merged(path: Path) -> None:
    """Runs are merged by value: it must not matter that all values are nearly the same."""
    numbers = [*range(3000), *range(1000, 4000)]
    random.Random(3).shuffle(numbers)
    text = "".join(f"{7:08x}{number:08x}{'0' * 24}:1\n" for number in numbers)

    assert import_text(text, path, run=10).entries == 4000


def test_a_gzip_file_is_read_by_its_name(path: Path) -> None:
    assert import_text(gzip.compress(many(range(9)).encode()), path, name="a.GZ").entries == 9


# What is refused


WRONG = [
    "",
    digest("x"),
    f"{digest('x')}:",
    f"{digest('x')}:many",
    f"{digest('x')}:-1",
    f"{digest('x')}:1.5",
    f"{digest('x')}: 1",
    f" {digest('x')}:1",
    f"{digest('x')}:1 ",
    f"{digest('x')};1",
    f"{digest('x')}:{10**19}",
    f"{digest('x')[5:]}:1",
    f"{digest('x')}0:1",
    f"G{digest('x')[1:]}:1",
    f"{digest('x')}:\N{ARABIC-INDIC DIGIT ONE}",
    f"{digest('x')}:1\r{digest('x')}:1",
    f"\0{digest('x')}:1",
    "a password" * 200_000,
]
ENDS = ["\n", "", "\n" + line("after")]


@pytest.mark.parametrize(
    ("wrong", "end"), [(wrong, end) for wrong in WRONG for end in ENDS if wrong + end]
)
def test_a_line_that_is_no_such_line_is_named_and_nothing_is_written(
    path: Path, wrong: str, end: str
) -> None:
    import_text(line("kept"), path)
    before = path.read_bytes()

    with pytest.raises(NotABreachList, match=r"list\.txt, line 4, is not the SHA-1") as refusal:
        import_text(many(range(3)) + wrong + end, path, run=1)

    assert "a password" not in refusal.value.message.replace("of a password in", "")
    assert path.read_bytes() == before
    assert names(path) == {"breached-passwords", "breached-passwords-lock"}


def test_the_number_of_a_line_is_right_far_down(path: Path, large: Path) -> None:
    with pytest.raises(NotABreachList, match=f"line {NUMBERS + 1}, is not"):
        import_text(large.read_text() + "end", path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (line("a", 4).encode(), "No line of .* has a count of 5 or more"),
        (b"\xef\xbb\xbf" + line("a", 9).encode(), "line 1, is not the SHA-1"),
    ],
)
def test_a_file_of_which_nothing_is_left_does_not_replace_the_list(
    path: Path, text: bytes, why: str
) -> None:
    import_text(line("kept"), path)

    with pytest.raises(NotABreachList, match=why):
        import_text(text, path, at_least=5)

    assert BreachedPasswords(path).has("kept")


@pytest.mark.parametrize("cut", [5, 40, -1])
def test_a_gzip_file_that_is_cut_off_is_refused(path: Path, cut: int) -> None:
    whole = gzip.compress(many(range(1000)).encode())

    with pytest.raises(NotABreachList, match="no complete gzip file"):
        import_text(whole[:cut], path, name="a.gz")
    with pytest.raises(NotABreachList, match="no complete gzip file"):
        import_text(many(range(9)), path, name="b.gz")

    assert not path.exists()


@pytest.mark.parametrize("name", ["nowhere.txt", "."])
def test_a_file_that_cannot_be_read_is_named(path: Path, tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ConfigurationError, match=f"{name} cannot be read: "),
        Source.open(str(tmp_path / name)) as source,
    ):
        import_passwords(source, 1, path)


def test_two_imports_do_not_run_at_once(path: Path, large: Path) -> None:
    """Nor is the list removed meanwhile."""
    refused = 0

    def try_another(_source: Source) -> None:
        nonlocal refused
        with pytest.raises(ImportRunning):
            import_text(line("other"), path)
        with pytest.raises(ImportRunning):
            remove_passwords(path)
        refused += 1

    with Source.open(str(large)) as source:
        done = import_passwords(source, 1, path, try_another)

    assert refused > 3
    assert done.entries == NUMBERS


# Interruptions


class Stopped(Exception):
    """An import is stopped in the middle."""


def stop_after(file: Path, path: Path, blocks: int, *, at_least: int = 1) -> None:
    """Begin to import a file, and stop after so many blocks; each makes a run."""
    left = blocks

    def stop(_source: Source) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stopped

    with pytest.raises(Stopped), Source.open(str(file)) as source:
        import_passwords(source, at_least, path, stop, run_entries=1)


def test_an_import_goes_on_where_it_was(large: Path, path: Path, tmp_path: Path) -> None:
    stop_after(large, path, 2)
    stop_after(large, path, 1)

    with Source.open(str(large)) as source:
        done = import_passwords(source, 1, path)

    assert 0 < done.resumed_after < done.lines == NUMBERS
    assert path.read_bytes() == imported(large, tmp_path / "other" / "list")


def test_a_compressed_file_goes_on_too(large: Path, path: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.gz"
    file.write_bytes(gzip.compress(large.read_bytes(), 1))
    stop_after(file, path, 2)

    with Source.open(str(file)) as source:
        done = import_passwords(source, 1, path)

    assert 0 < done.resumed_after < done.lines == NUMBERS
    assert path.read_bytes() == imported(large, tmp_path / "other" / "list")


def test_what_was_written_after_the_journal_is_forgotten(
    large: Path, path: Path, tmp_path: Path
) -> None:
    """A process that is killed may have written half a run."""
    stop_after(large, path, 2)
    files = WorkFiles(path)
    with files.runs.open("ab") as runs:
        runs.write(b"half of a run")
    files.draft.write_bytes(b"half of a list")

    assert imported(large, path) == imported(large, tmp_path / "other" / "list")


def spoil_journal(files: WorkFiles) -> None:
    files.journal.write_text("{")


def spoil_runs(files: WorkFiles) -> None:
    files.runs.write_bytes(files.runs.read_bytes()[:-1])


def lose_runs(files: WorkFiles) -> None:
    files.runs.unlink()


@pytest.mark.parametrize("spoil", [spoil_journal, spoil_runs, lose_runs])
def test_an_import_whose_work_is_damaged_begins_anew(
    large: Path, path: Path, spoil: Callable[[WorkFiles], None]
) -> None:
    stop_after(large, path, 2)
    spoil(WorkFiles(path))

    with Source.open(str(large)) as source:
        done = import_passwords(source, 1, path)

    assert (done.resumed_after, done.entries) == (0, NUMBERS)


def test_another_file_or_another_count_begins_anew(large: Path, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(many(range(100, 200)))
    stop_after(large, path, 2)

    with Source.open(str(other)) as source:
        assert import_passwords(source, 1, path).entries == 100

    stop_after(large, path, 2, at_least=2)
    with Source.open(str(large)) as source:
        done = import_passwords(source, 100, path)
    assert (done.resumed_after, done.entries) == (0, NUMBERS // 100)


_PROGRAM = """
import sys
from pathlib import Path
from gatelodge.breached.service import import_passwords
from gatelodge.breached.source import Source

with Source.open(sys.argv[1]) as source:
    done = import_passwords(source, 1, Path(sys.argv[2]), run_entries=1)
print(done.resumed_after)
"""


def start_import(source: str, path: Path, **given: int) -> "subprocess.Popen[bytes]":
    """Start an import in a process of its own, which writes a run after each block."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, source, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **given,
    )
    note(process.pid)
    return process


def journal_lines(path: Path) -> int:
    """Return how many lines are done for good."""
    journal = WorkFiles(path).read_journal()
    return journal.lines if journal else 0


def kill(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End a process, and wait for its end."""
    process.send_signal(how)
    process.communicate(timeout=60)
    forget(process.pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_killed_again_and_again_loses_nothing(
    large: Path, path: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """The lines come through a pipe, so that each process is surely killed in the middle."""
    lines, done, killed = large.read_bytes(), 0, 0
    for share in (0.4, 0.6, 0.8):
        process = start_import("-", path, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(lines[: int(share * len(lines))])
        process.stdin.flush()
        wait_until(lambda before=done: journal_lines(path) > before, "nothing was saved")
        kill(process, how)
        assert not path.exists()
        killed += journal_lines(path) > done
        done = journal_lines(path)

    process = start_import("-", path, stdin=subprocess.PIPE)
    output, errors = process.communicate(lines, timeout=60)
    forget(process.pid)

    assert (killed, errors) == (3, b"")
    assert int(output) == done
    assert path.read_bytes() == imported(large, tmp_path / "other" / "list")


def test_other_lines_on_standard_input_are_refused_once(large: Path, path: Path) -> None:
    """They cannot be read again from their beginning. The next call starts over."""
    lines = large.read_bytes()
    process = start_import("-", path, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(lines[: len(lines) // 2])
    process.stdin.flush()
    wait_until(lambda: journal_lines(path) > 0, "nothing was saved")
    kill(process, signal.SIGKILL)

    other = many(range(NUMBERS, NUMBERS + 50_000)).encode()
    for expected in (b"does not begin as in the import that was interrupted", b""):
        process = start_import("-", path, stdin=subprocess.PIPE)
        _, errors = process.communicate(other, timeout=60)
        forget(process.pid)
        assert expected in errors
        assert bool(expected) == (process.returncode != 0)

    assert read_list(path).header.count == 50_000


# Removing it


def test_the_list_is_removed_with_what_an_import_has_left(path: Path, large: Path) -> None:
    import_text(line("kept"), path)
    stop_after(large, path, 2)

    remove_passwords(path)

    assert names(path) == {"breached-passwords-lock"}
    with pytest.raises(NoBreachedPasswords):
        remove_passwords(path)
