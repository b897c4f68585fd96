"""The lines of the log."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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
    handler = BatchingHandler(file)
    log.addHandler(handler)

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

    handler.drain()
    written = [line for line in file.getvalue().splitlines() if line != "tick"]
    assert sorted(written) == sorted(4 * [str(number) for number in range(2000)])


def test_a_reader_that_stands_still_costs_lines_and_no_time() -> None:
    """What was dropped is counted in a line of its own, as soon as somebody reads again."""
    reading, writing = os.pipe()
    log = logging.getLogger("gatelodge")
    with os.fdopen(writing, "w") as file, os.fdopen(reading) as reader:
        handler = BatchingHandler(file)
        log.addHandler(handler)
        for _ in range(20_000):
            log.warning("x" * 79)  # far more than the pipe holds
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(reader.readlines)
            handler.drain()
            log.removeHandler(handler)
            handler.drain()
            file.close()
            lines = [line.strip() for line in read.result()]

    assert lines.count("log.dropped") == 1
    assert 10_000 <= lines.count("x" * 79) < 20_000


def test_a_line_for_people_has_time_level_and_event() -> None:
    """Nothing that was typed by somebody ends it or begins another."""
    (line,) = written_by(
        FOR_PEOPLE.replace("FORM", "text")  # standard error is no terminal here
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d  info     cellar\.seen  guest=\"x\\u2028y\\n\"", line)


FOR_PEOPLE = """
import logging
from gatelodge.logs import set_up_logs

set_up_logs("info", "FORM")
log = logging.getLogger("gatelodge.cellar")
log.info("cellar.seen", extra={"details": {"guest": "x\\u2028y\\n", "nobody": None}})
"""


def written_by(program: str) -> list[str]:
    """Return the lines that a program writes to standard error."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    return done.stderr.splitlines()
