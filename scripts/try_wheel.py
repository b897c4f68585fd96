"""Install a wheel as a stranger would, and start it: python scripts/try_wheel.py WHEEL.

A new virtual environment, an empty folder, nothing of this checkout and no setting of its
environment: what works here works after `pip install gatelodge`. Then the tests of an application
with Gatelodge inside run in a folder of their own, with the pytest plugin of the wheel.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from http.client import HTTPConnection
from pathlib import Path

PAGES = ("/healthz", "/", "/sign-in", "/.well-known/jwks.json", "/static/logo", "/api/docs")
START_SECONDS = 60

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "tests" / "testing" / "project"
TESTS_NEED = ("httpx2", "pytest", "pytest-asyncio", "pytest-xdist")


def main(wheel: Path) -> None:
    """Install, ask the version, serve, read what only files of the wheel can answer, and test."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        run([sys.executable, "-m", "venv", home / "venv"], cwd=home)
        python = home / "venv" / "bin" / "python"
        run([python, "-m", "pip", "install", "--quiet", wheel.resolve()], cwd=home)
        empty = home / "empty"
        empty.mkdir()
        print(run([python, "-m", "gatelodge", "--version"], cwd=empty).strip())
        serve(python, empty)
        test_application(python, home / "project")


def test_application(python: Path, folder: Path) -> None:
    """Run the tests of an application, with the plugin that pytest finds by itself."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    needed = [one for one in groups["test"] if one.rpartition(">=")[0] in TESTS_NEED]
    run([python, "-m", "pip", "install", "--quiet", *needed], cwd=folder.parent)
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for arguments in ([], ["-n", "2"]):
        command = [python, "-m", "pytest", "-q", *arguments]
        subprocess.run(command, cwd=folder, env=environment(), check=True)


def serve(python: Path, folder: Path) -> None:
    """Start the server in an empty folder, read some of its pages, and end it."""
    port = free_port()
    command = [python, "-m", "gatelodge", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment()) as server:
        try:
            wait_for(port, server)
            for path in PAGES:
                status = get(port, path)
                print(f"GET {path}: {status}")
                if status != 200:
                    sys.exit(f"{path} answers {status}")
        finally:
            server.terminate()
    if server.returncode:
        sys.exit(f"the server ended with {server.returncode}")


def run(command: list[object], *, cwd: Path) -> str:
    """Return what a command prints; end this program if it fails."""
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def environment() -> dict[str, str]:
    """Return this environment without what would let the checkout or its settings in."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GATELODGE_", "PYTHON"))
    }


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return once the server answers; end this program if it does not in time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            get(port, PAGES[0])
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the server did not start")


def get(port: int, path: str) -> int:
    """Return the status of one page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
