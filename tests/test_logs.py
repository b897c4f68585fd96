"""What a log line is."""

import json
import subprocess
import sys

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


def test_a_failure_is_one_line_with_its_details_and_its_traceback() -> None:
    """And what is less urgent than the level set is not written."""
    done = subprocess.run(
        [sys.executable, "-c", FAILING], stderr=subprocess.PIPE, text=True, check=True
    )

    (line,) = done.stderr.splitlines()
    assert line.isascii()
    entry = json.loads(line)
    assert entry["event"] == "cellar.flooded"
    assert entry["level"] == "error"
    assert entry["guest"] == "x\u2028y\n{"
    assert entry["at"] == "<class 'ValueError'>"
    assert entry["exception"].startswith("Traceback")
    assert entry["exception"].endswith("ValueError: a\nb")
