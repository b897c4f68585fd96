"""Runs pytest in a project, with the plugin of this checkout."""

import os
import subprocess
import sys
from pathlib import Path

PLUGINS = ("gatelodge.testing.plugin", "pytest_asyncio.plugin", "anyio.pytest_plugin", "xdist")


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, and return how it ended and what it printed."""
    loaded = [word for name in PLUGINS for word in ("-p", name)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *loaded, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
