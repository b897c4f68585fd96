"""The examples are typed as strictly as the code of a careful reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DJANGO = ROOT / "examples" / "django"
EXAMPLES = sorted([*(ROOT / "examples").glob("*/*.py"), *DJANGO.glob("notes/*.py")])


def test_mypy_takes_every_example() -> None:
    """One after the other: what mypy finds out of the libraries is read once, and kept."""
    pytest.importorskip("sqlmodel", reason="an example needs SQLModel")
    faults = {str(each): said for each in EXAMPLES if (said := faults_of(each))}

    assert faults == {}


def faults_of(example: Path) -> str:
    """Return what mypy says against a file, or an empty text."""
    path = os.pathsep.join([str(ROOT / "src"), str(DJANGO), os.environ.get("MYPYPATH", "")])
    config = str(DJANGO / "mypy.ini") if example.is_relative_to(DJANGO) else ""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", config, example],
        env=os.environ | {"MYPYPATH": path, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""
