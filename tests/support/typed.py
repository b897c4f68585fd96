"""What mypy says of files that a reader may copy."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support import run

ROOT = Path(__file__).parents[2]


def faults_of(
    files: Sequence[Path], *, cache: str, config: str | Path = "", paths: Sequence[Path] = ()
) -> str:
    """Return what mypy, at its strictest, says against files, or an empty text.

    Args:
        files: all that are checked in this run.
        cache: where mypy keeps what it found out of the libraries. Runs with other settings need
            another one: each would throw away what the other has kept.
        config: the file with its settings, if there is one.
        paths: where else modules are.
    """
    path = os.pathsep.join(
        [str(ROOT / "src"), *map(str, paths), *filter(None, [os.environ.get("MYPYPATH")])]
    )
    with run.locked(f"mypy-{cache}"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mypy", "--strict", "--config-file", str(config)),
                *("--cache-dir", str(ROOT / ".mypy_cache" / cache), *map(str, files)),
            ],
            env=os.environ | {"MYPYPATH": path, "PYTHONPATH": path},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stdout + done.stderr if done.returncode else ""
