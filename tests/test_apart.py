"""Work in a separate process."""

import os
import signal
import subprocess
import sys

import pytest

from gatelodge.apart import run_in_child
from gatelodge.errors import ConfigurationError, StoreUnavailable
from tests.support.mongod import wait_until
from tests.support.run import runs

SLOW = """
import os, time
from gatelodge.apart import run_in_child

def work():
    print(os.getpid(), flush=True)
    time.sleep(60)

run_in_child(work)
"""

AT_ONCE = f"""
import os, signal
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
{SLOW}"""
"""The same; the signal comes when the child is there, and nobody knows of it yet."""


def test_the_answer_comes_back_and_what_it_needed_does_not() -> None:
    """A module that only the work needs is not imported in this process."""

    def work() -> int:
        import tabnanny  # noqa: F401, PLC0415 - nothing else imports it

        return os.getpid()

    assert run_in_child(work) != os.getpid()
    assert "tabnanny" not in sys.modules


def test_a_refusal_arrives_as_it_was_raised() -> None:
    def misconfigured() -> None:
        raise ConfigurationError("The database is too new.")

    def unavailable() -> None:
        raise StoreUnavailable(retry_after=7)

    with pytest.raises(ConfigurationError, match=r"^The database is too new\.$"):
        run_in_child(misconfigured)
    with pytest.raises(StoreUnavailable) as refused:
        run_in_child(unavailable)
    assert refused.value.retry_after == 7


def test_what_nobody_foresaw_is_told_where_it_happened(capfd: pytest.CaptureFixture[str]) -> None:
    """This process ends too, with an exit code that shows the failure."""

    def broken() -> None:
        raise ZeroDivisionError("in the cellar")

    with pytest.raises(SystemExit) as ended:
        run_in_child(broken)

    assert ended.value.code == 1
    assert "ZeroDivisionError: in the cellar" in capfd.readouterr().err


def test_somebody_who_kills_the_child_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^Signal 9 ended the process"):
        run_in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


@pytest.mark.parametrize("program", [SLOW, AT_ONCE], ids=["while it works", "as it begins"])
def test_the_child_ends_with_this_process(program: str) -> None:
    """This happens when a service manager stops a server that is still preparing."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline() or 0)
        if program == SLOW:
            parent.terminate()

        assert parent.wait(10) == 128 + signal.SIGTERM

    wait_until(lambda: not runs(child), "the child goes on without its parent")
