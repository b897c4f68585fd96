"""The example of notes: its own tests, as its reader runs them."""

import shutil
from pathlib import Path

import pytest

from tests.support.plugin import run_pytest

NOTES = Path(__file__).parents[2] / "examples" / "notes"


def test_the_tests_of_the_example_pass(tmp_path: Path) -> None:
    pytest.importorskip("sqlmodel", reason="the example needs SQLModel")
    folder = Path(shutil.copytree(NOTES, tmp_path / "notes"))

    done = run_pytest(folder, "--basetemp", str(tmp_path / "temporary"))

    assert done.returncode == 0, done.stdout
    assert not (folder / "gatelodge-data").exists()
    assert not (folder / "notes.db").exists()
