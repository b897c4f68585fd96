"""The forks that stand for commands behave as the commands do."""

import subprocess
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, environment


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        ("--version", ""),
        ("user list", ""),
        ("user list --limit abc", ""),
        ("nonsense", ""),
        ("user create ann ann@example.com --password-stdin", PASSWORD),
        ("doctor --json", ""),
    ],
)
def test_a_fork_says_what_a_new_process_says(tmp_path: Path, arguments: str, typed: str) -> None:
    called = [str(GATELODGE), *arguments.split()]
    where = environment(Path(), {"PORT": "0"})
    (real := tmp_path / "real").mkdir()
    (forked := tmp_path / "forked").mkdir()

    expected = subprocess.run(
        called, cwd=real, env=where, input=typed, capture_output=True, text=True, check=False
    )
    done = warm.command(called, where, forked, typed, seconds=60)

    assert (done.returncode, done.stdout, done.stderr) == (
        expected.returncode,
        expected.stdout,
        expected.stderr,
    )
    assert [path.name for path in forked.rglob("*")] == [path.name for path in real.rglob("*")]


def test_a_fork_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    called = [str(GATELODGE), "serve", "--port", "0"]
    with pytest.raises(subprocess.TimeoutExpired):
        warm.command(called, environment(tmp_path, {}), tmp_path, "", seconds=0.5)


def test_what_python_reads_at_its_start_is_no_matter_for_a_fork(tmp_path: Path) -> None:
    where = environment(tmp_path, {})

    assert warm.can_run(where)
    assert not warm.can_run(where | {"PYTHONIOENCODING": "ascii"})
    assert not warm.can_run(where | {"LC_ALL": "C"})
