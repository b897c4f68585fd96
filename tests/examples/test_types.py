"""The examples are typed as strictly as the code of a careful reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DJANGO = ROOT / "examples" / "django"
EXAMPLES = sorted([*(ROOT / "examples").glob("*/*.py"), *DJANGO.glob("notes/*.py")])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_mypy_takes_every_example(example: Path) -> None:
    if example.parent.name == "notes":
        pytest.importorskip("sqlmodel", reason="the example needs SQLModel")
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

    assert done.returncode == 0, done.stdout + done.stderr
