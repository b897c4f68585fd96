"""Figures that a test prints at the end of the run."""

from collections.abc import Iterable

import pytest

NAME = "figures"
"""The name of the property, as in `record_property`, that holds one line."""


def summarize(reporter: pytest.TerminalReporter) -> None:
    """Print the lines of all tests."""
    reports = reporter.stats.get("passed", []) + reporter.stats.get("failed", [])
    lines = [line for report in reports for line in _lines(report.user_properties)]
    if lines:
        reporter.section("figures")
    for line in lines:
        reporter.line(line)


def _lines(properties: Iterable[tuple[str, object]]) -> list[str]:
    return [str(value) for name, value in properties if name == NAME]
