"""A database of its own for each test."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_DATABASE", f"sqlite:///{tmp_path}/notes.db")
