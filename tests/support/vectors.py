"""Test vectors that others publish: no part of this repository, used where they lie.

`TEST_VECTORS` names their folder; without it, `../shared/vectors` is tried. Where neither is
there, the tests that need them are skipped, and the end of the run says so. Vectors of our own
making cover the same classes in every run (`tests/support/malformed.py`).
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "TEST_VECTORS"
BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[3] / "shared" / "vectors"
COUNTED = "vectors"
"""The property of a test that says what it ran; `summarize` prints it."""


def read(name: str) -> Any:
    """Return the JSON of a file with vectors.

    Skips the test that asks where the file is not there; fails it where `TEST_VECTORS` is set.
    """
    named = os.environ.get(VARIABLE)
    path = (Path(named) if named else BESIDE_THE_REPOSITORY) / name
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    if named:
        pytest.fail(f"{VARIABLE} is set, and there is no {path}")
    pytest.skip(f"no published test vectors: {VARIABLE} is not set, and there is no {path}")


def summarize(reporter: pytest.TerminalReporter) -> None:
    """Print what the tests with published vectors ran, and loudly that they ran nothing."""
    reports = reporter.stats.get("passed", []) + reporter.stats.get("failed", [])
    ran = [line for report in reports for line in _counted(report.user_properties)]
    skipped = [
        report
        for report in reporter.stats.get("skipped", [])
        if "no published test vectors" in str(report.longrepr)
    ]
    if skipped:
        reporter.section("published test vectors DID NOT RUN", sep="!", red=True, bold=True)
        reporter.line(
            f"{len(skipped)} tests were skipped: {VARIABLE} is not set, and ../shared/vectors is "
            f"not there. Vectors of our own making cover the same classes of malformed tokens."
        )
    elif ran:
        reporter.section("published test vectors")
    for line in ran:
        reporter.line(line)


def _counted(properties: Iterable[tuple[str, object]]) -> list[str]:
    return [str(value) for name, value in properties if name == COUNTED]
