"""`gatelodge routes` as people and their build servers call it."""

import json
import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.server import GATELODGE, environment, run_command

REFUSED = 3
NOT_CONFIGURED = 4

NOTES = """
from typing import Annotated
from fastapi import FastAPI
from gatelodge.fastapi import CurrentUser, Gatelodge, public, require

auth = Gatelodge()
app = FastAPI(lifespan=auth.lifespan, openapi_url=None)
auth.install(app)

@app.get("/notes")
async def list_notes(user: CurrentUser) -> list[str]:
    return []

@app.delete("/notes/{id}", dependencies=[require(role="moderator")])
async def delete_note(id: int) -> None: ...

def create_app() -> FastAPI:
    return app
"""

HOLE = """
@app.post("/notes")
async def add_note() -> None: ...
"""


def routes(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `gatelodge routes` in a folder, to its end."""
    where = environment(folder, settings or {}) | {"PYTHONDONTWRITEBYTECODE": "1"}
    return run_command("routes", *arguments, environment=where, typed=typed, folder=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an application whose routes are all guarded."""
    (tmp_path / "notes.py").write_text(NOTES)
    return tmp_path


def test_guarded_routes_are_a_table_and_nothing_is_made(folder: Path) -> None:
    done = routes(folder, "check", "notes:app")

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[:3]] == [
        ["Method", "Path", "Who", "may", "call", "Where"],
        ["GET", "/notes", "signed", "in", "notes.list_notes"],
        ["DELETE", "/notes/{id}", "role", "moderator", "notes.delete_note"],
    ]
    assert done.stdout.rstrip().endswith("of Gatelodge: each has a rule.")
    assert [file.name for file in folder.iterdir()] == ["notes.py"]


def test_a_hole_ends_with_1_and_is_named_last(folder: Path) -> None:
    (folder / "notes.py").write_text(NOTES + HOLE)

    done = routes(folder, "check", "notes:app")

    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == [
        "POST /notes (notes.add_note): nobody says who may call it.",
        done.stdout.splitlines()[-1],
    ]
    assert done.stdout.rstrip().endswith("1 is not guarded.")
    assert routes(folder, "check", "notes:app", "--public", "/notes").returncode == 0


@pytest.mark.parametrize("how", [["notes:create_app()"], ["notes:create_app", "--factory"]])
def test_a_factory_is_called(folder: Path, how: list[str]) -> None:
    assert routes(folder, "check", *how).returncode == 0


def test_the_table_for_documentation_is_markdown(folder: Path) -> None:
    done = routes(folder, "check", "notes:app", "--table")

    assert done.stdout == (
        "| Method | Path | Who may call | Where |\n"
        "| --- | --- | --- | --- |\n"
        "| GET | `/notes` | signed in | `notes.list_notes` |\n"
        "| DELETE | `/notes/{id}` | role moderator | `notes.delete_note` |\n"
    )


def test_json_tells_programs_all_of_it(folder: Path) -> None:
    (folder / "notes.py").write_text(f"print('a word of my own')\n{NOTES}{HOLE}")

    rows = json.loads(routes(folder, "check", "notes:app", "--json").stdout)

    own = [row for row in rows if row["kind"] != "gatelodge"]
    assert len(rows) > len(own) + 20
    assert own[1:] == [
        {
            "method": "DELETE",
            "path": "/notes/{id}",
            "host": None,
            "rule": "role moderator",
            "access": {
                "public": False,
                "roles": [["moderator"]],
                "permissions": [],
                "fresh_seconds": None,
                "methods": [],
                "aal": 1,
            },
            "kind": "route",
            "reached": True,
            "problem": None,
            "where": "notes.delete_note",
        },
        {
            "method": "POST",
            "path": "/notes",
            "host": None,
            "rule": "nobody says who may call it",
            "access": None,
            "kind": "route",
            "reached": True,
            "problem": "nobody says who may call it",
            "where": "notes.add_note",
        },
    ]


# Reviews

CHANGED = {
    'role="moderator"': 'role=["moderator", "editor"]',
    "CurrentUser) ->": "CurrentUser, other: Editor) ->",
    "\nauth = ": "\nEditor = Annotated[object, require(role='editor')]\nauth = ",
}


def changes_after(folder: Path, before: str, after: str) -> tuple[int, dict[str, str]]:
    """Return the exit code of a review, and what it says of each route."""
    (folder / "notes.py").write_text(before)
    (folder / "old.json").write_text(routes(folder, "check", "notes:app", "--json").stdout)
    (folder / "notes.py").write_text(after)
    done = routes(folder, "check", "notes:app", "--diff", "old.json", "--json")
    rows = json.loads(done.stdout)
    return done.returncode, {f"{row['method']} {row['path']}": row["change"] for row in rows}


def test_a_review_shows_what_changed_and_refuses_a_weaker_rule(folder: Path) -> None:
    after = NOTES
    for old, new in CHANGED.items():
        after = after.replace(old, new)

    assert changes_after(folder, NOTES, after) == (
        1,
        {"GET /notes": "stricter", "DELETE /notes/{id}": "weaker"},
    )


def test_a_review_accepts_what_is_new_gone_or_stricter(folder: Path) -> None:
    guarded = HOLE.replace('"/notes"', '"/more/{of:path}", dependencies=[public]')
    after = NOTES.replace("@app.delete", "@app.patch").replace("/{id}", "/{number}")

    assert changes_after(folder, NOTES + HOLE, after + guarded) == (
        0,
        {
            "POST /notes": "gone",
            "POST /more/{of:path}": "new",
            "DELETE /notes/{id}": "gone",
            "PATCH /notes/{number}": "new",
        },
    )


def test_a_hole_that_gets_a_rule_is_stricter_and_one_that_is_renamed_is_the_same(
    folder: Path,
) -> None:
    after = NOTES.replace("{id}", "{number}").replace("delete_note(id", "delete_note(number")
    guarded = HOLE.replace("add_note()", "add_note(user: CurrentUser)")

    assert changes_after(folder, NOTES + HOLE, after + guarded) == (0, {"POST /notes": "stricter"})


def test_a_file_that_is_no_report_is_refused(folder: Path) -> None:
    for name in ("notes.py", "missing.json"):
        done = routes(folder, "check", "notes:app", "--diff", name)

        assert (done.returncode, done.stdout) == (NOT_CONFIGURED, "")
        assert done.stderr.startswith(name)


# Applications that cannot be imported


def test_an_application_that_cannot_be_imported_ends_with_4(folder: Path) -> None:
    done = routes(folder, "check", "missing:app")

    assert (done.returncode, done.stdout) == (NOT_CONFIGURED, "")
    assert done.stderr == f"There is no module missing in {folder} or on the Python path.\n"


# Proofs


def test_a_proof_without_a_yes_calls_nothing(folder: Path) -> None:
    (folder / "notes.py").write_text("raise AssertionError\n")

    done = routes(folder, "prove", "notes:app")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "is real" in done.stderr
    assert done.stderr.endswith("Say --yes if that is what you want.\n")


def test_a_proof_in_a_terminal_asks(folder: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        done = subprocess.run(
            [GATELODGE, "routes", "prove", "notes:app"],
            cwd=folder,
            env=environment(folder, {}),
            stdin=theirs,
            capture_output=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert (done.returncode, done.stdout.strip()) == (REFUSED, b"")
    assert b"Call the routes? [y/N]" in done.stderr


def test_a_proof_names_a_route_that_does_not_keep_its_rule(folder: Path) -> None:
    lie = "\nfrom gatelodge.fastapi import current_user\n"
    lie += "app.dependency_overrides[current_user] = lambda: None\n"
    (folder / "notes.py").write_text(NOTES + lie)

    done = routes(folder, "prove", "notes:app", "--yes", "--skip", "/notes/*")

    refused = "nobody, somebody signed out, somebody disabled, a refresh token"
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "GET /notes (signed in): the guard is overridden: signed in.",
        f"GET /notes (signed in): admits {refused} (200), whom its rule refuses.",
        "DELETE /notes/{id} (role moderator): the guard is overridden: signed in.",
        "6 calls of 1 route, 1 skipped: 2 do not keep a rule.",
    ]
    assert not (folder / "data").exists()


def test_a_proof_of_an_application_that_keeps_its_rules_ends_with_0(folder: Path) -> None:
    done = routes(folder, "prove", "notes:create_app()", "--yes", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"routes": 2, "calls": 14, "skipped": 0, "findings": []}
    assert [file.name for file in folder.iterdir()] == ["notes.py"]
