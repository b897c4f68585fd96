"""The examples are typed as strictly as the code of a careful reader."""

from pathlib import Path

import pytest

from tests.support.typed import faults_of

ROOT = Path(__file__).parents[2]
DJANGO = ROOT / "examples" / "django"
PLAIN = sorted({*(ROOT / "examples").glob("*/*.py")} - {*DJANGO.glob("*.py")})


def test_mypy_takes_every_example() -> None:
    pytest.importorskip("sqlmodel", reason="an example needs SQLModel")

    assert faults_of(PLAIN, cache="strict") == ""


def test_mypy_takes_every_file_of_the_django_example() -> None:
    """With the plugin of django-stubs, which imports the settings of the example."""
    files = sorted([*DJANGO.glob("*.py"), *DJANGO.glob("notes/*.py")])

    assert faults_of(files, cache="django", config=DJANGO / "mypy.ini", paths=[DJANGO]) == ""
