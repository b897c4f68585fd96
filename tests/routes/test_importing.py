"""How an application is imported by its name, and what is said of one that cannot be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelodge.errors import ConfigurationError
from gatelodge.routes.importing import import_application

MODULES = {
    "rt_good": "def app(): ...\n\nclass box: inner = app\n\ndef make(): return app\n",
    "rt_broken": "\n\n1 / 0\n",
    "rt_needs": "import absent\n",
    "rt_ends": "raise SystemExit(7)\n",
    "rt_wants": "def make(what): ...\n",
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in a folder with modules, which is not on the Python path."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "factory"),
    [
        ("rt_good:app", False),
        ("rt_good:box.inner", False),
        ("rt_good:make()", False),
        ("rt_good:make", True),
    ],
)
def test_an_application_is_found_in_the_current_folder(name: str, factory: bool) -> None:
    assert import_application(name, factory=factory).__name__ == "app"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rt_good", "'rt_good' names no application: write \"module:attribute\"."),
        ("rt_good:", "'rt_good:' names no application: write \"module:attribute\"."),
        ("rt_missing:app", "There is no module rt_missing in "),
        ("rt_good.missing:app", "There is no module rt_good.missing in "),
        ("rt_good:missing", "rt_good has no missing."),
        ("rt_good:box.missing", "rt_good has no box.missing."),
        ("rt_good:__name__", "rt_good:__name__ is no application but a str."),
        ("rt_broken:app", "rt_broken cannot be imported: ZeroDivisionError: division by zero ("),
        ("rt_needs:app", "rt_needs cannot be imported: ModuleNotFoundError: No module named 'ab"),
        ("rt_ends:app", "rt_ends cannot be imported: SystemExit: 7 ("),
        ("rt_wants:make()", "rt_wants:make() cannot be called: TypeError: make() missing 1"),
    ],
)
def test_one_that_cannot_be_imported_is_explained(name: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        import_application(name)

    said = str(raised.value)
    assert said.startswith(sentence)
    assert "\n" not in said
    assert ("rt_broken.py, line 3)" in said) == name.startswith("rt_broken")
