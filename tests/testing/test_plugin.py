"""The pytest plugin, in projects that run in a pytest of their own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatelodge.embedded.inside import Embedded
from gatelodge.testing.apps import UnusableApp, load_app, source_of
from tests.support.plugin import run_pytest
from tests.support.typed import faults_of

PROJECT = Path(__file__).parent / "project"
HEAVY = ("alembic", "anyio", "fastapi", "httpx2", "pydantic", "sqlalchemy", "starlette")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project, in a folder of its own."""
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


def files_in(folder: Path) -> set[Path]:
    """Return every file and folder below a folder."""
    return set(folder.rglob("*"))


def test_the_project_passes_on_two_processes_and_leaves_nothing_behind(
    project: Path, tmp_path: Path
) -> None:
    before, temporary = files_in(project), tmp_path / "temporary"

    done = run_pytest(project, "-n", "2", "--basetemp", str(temporary))

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert files_in(project) == before
    assert [path for path in files_in(temporary) if "gatelodge" in path.name] == []


def test_the_types_of_the_project_are_right() -> None:
    """Its tests are typed as their reader would type them."""
    assert faults_of([PROJECT], cache="strict") == ""


def test_the_fixtures_are_described(project: Path) -> None:
    shown = run_pytest(project, "--fixtures", "tests/test_time.py").stdout

    named = ("gatelodge", "gatelodge_app", "as_user", "signed_out", "revoke", "travel", "letters")
    named += ("totp_now", "authenticator")
    for name in named:
        assert f"\n{name} -- " in shown
    assert "Makes a user who is signed in, and returns their client." in shown
    assert "_gatelodge_database" not in shown


def test_an_error_in_a_template_is_raised_in_the_test(project: Path) -> None:
    """It would only be logged in use, and the letter tried again."""
    (project / "templates" / "letters" / "reset-password.txt").write_text("New\n\n{{ nothing }}\n")

    shown = run_pytest(project, "tests/test_letters.py::test_a_forgotten_password").stdout

    assert "ConfigurationError: the template letters/reset-password.txt" in shown
    assert "'nothing' is undefined" in shown


def test_the_plugin_imports_nothing_heavy() -> None:
    """It is imported in every project, even where nobody uses it."""
    program = "import sys, pytest, gatelodge.testing.plugin; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert [name for name in HEAVY if name in done.stdout.split()] == []


def test_nothing_of_it_works_outside_tests(project: Path) -> None:
    program = """
from pathlib import Path
from anyio.from_thread import start_blocking_portal
from noticeboard import app
from gatelodge.testing import GatelodgeFixture
from gatelodge.testing.staff import FreshDatabase

with start_blocking_portal() as portal:
    folder = Path("new")
    folder.mkdir()
    with GatelodgeFixture.opened(app, FreshDatabase(Path(__file__), "secret"), folder, portal):
        print("it works")
"""
    (project / "program.py").write_text(program)
    assert "PYTEST_CURRENT_TEST" in os.environ  # a server that a test has started inherits it

    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "RuntimeError: gatelodge.testing works only while pytest runs a test." in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Gatelodge does not know the application. Name it in the configuration of pytest"),
        ("noticeboard", "gatelodge_app = 'noticeboard': write it as module:name, like myapp:app."),
    ],
)
def test_whoever_names_no_application_is_told_how(project: Path, name: str, said: str) -> None:
    shown = run_pytest(project, "-o", f"gatelodge_app={name}", "tests/test_time.py", "-x").stdout

    assert said in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other_app", "'other_app': write it as module:name"),
        ("no_app:app", "'no_app:app': No module named 'no_app'"),
        ("other_app:app", "'other_app:app': module 'other_app' has no attribute 'app'"),
        ("other_app:__name__", "'other_app:__name__' is a str, not a FastAPI"),
        ("other_app:bare", "No Gatelodge is installed in the application"),
        ("other_app:remote", "The application asks a Gatelodge server beside it"),
    ],
)
def test_what_cannot_be_tested_is_refused(other_app: Path, name: str, said: str) -> None:
    with pytest.raises(UnusableApp, match=re.escape(said)):
        source_of(load_app(name, other_app))


def test_what_the_application_lacks_is_not_hidden(other_app: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="surely_missing"):
        load_app("other_app:broken", other_app)


@pytest.mark.parametrize("name", ["other_app:make", "other_app:outer"])
def test_a_function_and_a_mounted_application_are_found(other_app: Path, name: str) -> None:
    assert isinstance(source_of(load_app(name, other_app)), Embedded)


@pytest.fixture
def other_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a module with applications."""
    (tmp_path / "other_app.py").write_text(
        "from fastapi import FastAPI\n"
        "from gatelodge.fastapi import Gatelodge\n"
        "bare = FastAPI()\n"
        "def make(issuer: str | None = None) -> FastAPI:\n"
        "    app = FastAPI()\n"
        "    Gatelodge(issuer).install(app)\n"
        "    return app\n"
        "def remote() -> FastAPI:\n"
        "    return make('https://id.example.com')\n"
        "outer = FastAPI()\n"
        "outer.mount('/inner', make())\n"
        "def broken() -> FastAPI:\n"
        "    import surely_missing\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "other_app", raising=False)
    return tmp_path


def test_an_application_that_runs_too_early_is_refused(project: Path) -> None:
    """Its house has the real database."""
    (project / "test_early.py").write_text(
        "import noticeboard\n"
        "import pytest\n"
        "from fastapi.testclient import TestClient\n"
        "@pytest.fixture(autouse=True)\n"
        "def client():\n"
        "    with TestClient(noticeboard.app) as client:\n"
        "        yield client\n"
        "def test_it(client, as_user): ...\n"
    )

    shown = run_pytest(project, "test_early.py").stdout

    assert "RuntimeError: The application runs already, with its own database." in shown
