"""What `pip install` brings: the whole package, and metadata that the index takes."""

import email
import subprocess
import sys
import tarfile
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from gatelodge import __version__
from gatelodge.cli.main import _called_as
from scripts.check_wheel import faults

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    hatchling(REPOSITORY, "sdist", folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(source, filter="data")
    hatchling(next(source.iterdir()), "wheel", folder)
    return folder


def hatchling(project: Path, target: str, folder: Path) -> None:
    """Build one kind of package of a project into a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


def wheel_of(dist: Path) -> Path:
    """Return the wheel in a folder."""
    return next(dist.glob("*.whl"))


def metadata_of(dist: Path) -> Message:
    """Return what the wheel says about itself."""
    with ZipFile(wheel_of(dist)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_holds_the_whole_package_and_nothing_else(dist: Path) -> None:
    assert faults(wheel_of(dist)) == []


def test_a_wheel_that_lacks_a_file_or_has_one_too_many_is_found(dist: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    with ZipFile(wheel_of(dist)) as whole, ZipFile(other, "w") as changed:
        for name in whole.namelist():
            if not name.endswith((".po", "base.html")):
                changed.writestr(name, whole.read(name))
        changed.writestr("tests/conftest.py", "")

    assert faults(other) == [
        "gatelodge/locales/de/LC_MESSAGES/gatelodge.po is missing",
        "gatelodge/pages/templates/admin/base.html is missing",
        "gatelodge/pages/templates/base.html is missing",
        "tests/conftest.py is not of the package",
        "nothing is gatelodge/locales/*/LC_MESSAGES/gatelodge.po",
    ]


def test_the_index_takes_the_metadata_and_shows_the_readme(dist: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_the_metadata_names_no_address_that_does_not_exist(dist: Path) -> None:
    """There is no public one yet. This test ends when there is."""
    metadata = metadata_of(dist)

    assert metadata["Version"] == __version__
    assert metadata.get_all("Project-URL") is None
    assert metadata["Home-page"] is None


def test_the_module_is_the_program() -> None:
    command = [sys.executable, "-m", "gatelodge", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == f"gatelodge {__version__}\n"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (".venv/bin/gatelodge", ".venv/bin/gatelodge"),
        ("/opt/my tools/gatelodge", "'/opt/my tools/gatelodge'"),
        ("/usr/lib/gatelodge/__main__.py", f"{sys.executable} -m gatelodge"),
    ],
)
def test_hints_call_the_program_as_the_reader_did(path: str, hint: str) -> None:
    assert _called_as(path) == hint
