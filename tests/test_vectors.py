"""Tests pass in a clone without the published test vectors, and say that these did not run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import vectors

REPOSITORY = Path(__file__).parents[1]
FILE = "wycheproof/json_web_key_test.json"


def test_vectors_that_were_named_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(vectors.VARIABLE, str(tmp_path))

    with pytest.raises(pytest.fail.Exception, match="TEST_VECTORS is set"):
        vectors.read(FILE)

    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text('{"numberOfTests": 0}')
    assert vectors.read(FILE) == {"numberOfTests": 0}


@pytest.mark.parametrize("value", [None, ""])
def test_vectors_that_nobody_named_may_be_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None
) -> None:
    monkeypatch.delenv(vectors.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(vectors.VARIABLE, value)
    monkeypatch.setattr(vectors, "BESIDE_THE_REPOSITORY", tmp_path)

    with pytest.raises(pytest.skip.Exception, match="no published test vectors"):
        vectors.read(FILE)


def test_a_strangers_run_passes_and_says_that_the_vectors_did_not_run(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(REPOSITORY / "tests" / "support", clone / "tests" / "support")
    for name in ("pyproject.toml", "tests/conftest.py", "tests/test_wycheproof.py"):
        shutil.copy(REPOSITORY / name, clone / name)
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment.pop(vectors.VARIABLE, None)

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_wycheproof.py"],
        cwd=clone,
        env=environment | {"CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    assert "published test vectors DID NOT RUN" in run.stdout
    assert "passed" not in run.stdout
