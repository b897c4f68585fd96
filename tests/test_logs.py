"""The lines of the log."""

import asyncio
import io
import json
import logging
import subprocess
import sys

from gatelodge.logs import BatchingHandler

FAILING = """
import logging
from gatelodge.logs import set_up_logs

set_up_logs("info")
log = logging.getLogger("gatelodge.cellar")
log.debug("cellar.seen")
try:
    raise ValueError("a\\nb")
except ValueError:
    log.exception("cellar.flooded", extra={"details": {"guest": "x\\u2028y\\n{", "at": ValueError}})
"""


WARNING_LIBRARY = """
import logging
from gatelodge.logs import set_up_logs

set_up_logs("debug")
logging.getLogger("cellar").info("tick")
logging.getLogger("cellar").warning("a\\nflood of %s", 7)
"""


def test_a_failure_is_one_line_with_its_details_and_its_traceback() -> None:
    """A line below the configured level is not written."""
    (line,) = written_by(FAILING)

    assert line.isascii()
    entry = json.loads(line)
    assert entry["event"] == "cellar.flooded"
    assert entry["level"] == "error"
    assert entry["guest"] == "x\u2028y\n{"
    assert entry["at"] == "<class 'ValueError'>"
    assert entry["exception"].startswith("Traceback")
    assert entry["exception"].endswith("ValueError: a\nb")


def test_what_a_library_has_to_say_is_a_line_like_ours() -> None:
    """Libraries are logged from the level `warning`, whatever the level of our own lines is."""
    (line,) = written_by(WARNING_LIBRARY)

    entry = json.loads(line)
    assert entry["event"] == "library.warned"
    assert entry["level"] == "warning"
    assert entry["logger"] == "cellar"
    assert entry["message"] == "a\nflood of 7"


async def test_a_loop_and_threads_that_log_at_once_lose_no_line() -> None:
    file = io.StringIO()
    log = logging.getLogger("cellar.of_threads")
    log.addHandler(BatchingHandler(file))

    def work() -> None:
        for number in range(2000):
            log.warning("%d", number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
        while not threads.done():
            log.warning("tick")
            await asyncio.sleep(0)
    finally:
        sys.setswitchinterval(interval)

    written = [line for line in file.getvalue().splitlines() if line != "tick"]
    assert sorted(written) == sorted(4 * [str(number) for number in range(2000)])


def written_by(program: str) -> list[str]:
    """Return the lines that a program writes to standard error."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    return done.stderr.splitlines()
