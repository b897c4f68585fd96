"""The order of the rooms: imports go down, and services import no web framework or driver."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
HOUSE = SOURCE / "gatelodge"

HOUSE_LIST = """
    cli
    routes
    testing
    asgi fastapi flask django
    embedded
    serving
    app
    foundation
    admin
    me factors health transfer doctor
    stores
    sign_in setup
    proofs
    sessions boards outbox
    pages verify
    web
    accounts gate subscriptions
    client letters
    credentials tokens
    audit local_users notification
    ids user settings strict_json tasks tallies master_key apart breached
    errors clock webhook_signature base64url logs data_folder i18n smtp_address domains
    methods marks quality machine hang_up hosts recent verdicts email_address palette turns
"""
"""The rooms, the highest first. An import goes to a lower line, or stays in its room."""

LEVELS = {room: level for level, line in enumerate(HOUSE_LIST.split("\n")) for room in line.split()}

WEB_FRAMEWORKS = {"fastapi", "starlette", "granian"}
DRIVERS = {"sqlalchemy", "sqlite3", "alembic", "pymongo", "bson"}
ONLY_WHEN_CHOSEN = {
    "aiosmtplib",
    "alembic",
    "fido2",
    "httpx2",
    "mako",
    "prometheus_client",
    "publicsuffixlist",
    "pygments",
    "pymongo",
    "rich",
}
ON_DRIVERS = {"stores", "local_users"}
"""Who knows a database driver. `local_users` works in the database of an application."""

DOORS = {"api.py", "pages.py", "passkey_pages.py", "asgi.py", "doors.py"}
WHOLLY_HTTP = {
    "web",
    "pages",
    "verify",
    "app",
    "serving",
    "asgi",
    "embedded",
    "fastapi",
    "flask",
    "django",
    "routes",
    "testing",
}


def modules() -> list[Path]:
    """Return every module of the package except its own `__init__.py`."""
    found = sorted(module for module in HOUSE.rglob("*.py") if module.parent != HOUSE)
    found += sorted(module for module in HOUSE.glob("*.py") if not module.stem.startswith("__"))
    assert len(found) > 100
    return found


def imports_of(module: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: Path) -> str:
    """Return the room of a module. A module directly in the package is its own room."""
    return module.relative_to(HOUSE).parts[0].removesuffix(".py")


def rooms_imported_by(module: Path) -> Iterator[str]:
    """Yield the rooms from which a module imports."""
    for name in imports_of(module):
        package, _, rest = name.partition(".")
        if package == "gatelodge" and rest and not rest.startswith("__"):
            yield rest.partition(".")[0]


def is_of(name: str, *packages: str) -> bool:
    """Say whether a full name is in one of these packages."""
    return any(name == package or name.startswith(package + ".") for package in packages)


every_module = pytest.mark.parametrize(
    "module", modules(), ids=lambda path: str(path.relative_to(HOUSE))
)


def test_every_room_is_in_the_list() -> None:
    """A new room needs its line in the list."""
    assert {room_of(module) for module in modules()} == set(LEVELS)


@every_module
def test_imports_go_down(module: Path) -> None:
    """A module imports from its own room, or from rooms on lower lines."""
    room = room_of(module)
    for other in rooms_imported_by(module):
        assert other == room or LEVELS[other] > LEVELS[room], f"{room} may not import {other}"


@every_module
def test_services_know_neither_the_web_nor_a_database(module: Path) -> None:
    """Doors know services, services know ports, adapters know ports."""
    room = room_of(module)
    is_door = module.name in DOORS or module.stem.endswith(("_api", "_pages"))
    for name in imports_of(module):
        if room not in WHOLLY_HTTP and not is_door:
            assert not is_of(name, *WEB_FRAMEWORKS), f"{module} knows a web framework: {name}"
        if room not in WHOLLY_HTTP | {"cli"} and not is_door:
            assert not is_of(name, "gatelodge.web", "gatelodge.pages"), f"{module}: {name}"
        if room not in ON_DRIVERS:
            assert not is_of(name, *DRIVERS), f"{module} knows a database driver: {name}"
        if room != "stores":
            assert not is_of(name, "gatelodge.stores.sql", "gatelodge.stores.mongo"), name
        if not is_door and room != "app":
            assert not name.startswith("gatelodge.") or not name.endswith((".api", ".pages")), name


def test_the_architecture_page_shows_the_same_list() -> None:
    """The page for newcomers and this test agree."""
    page = (HOUSE.parents[1] / "docs" / "architecture.md").read_text()
    shown = page.partition("```text\n")[2].partition("```")[0]
    names = [
        [word.removesuffix("/").removesuffix(".py") for word in line.split()]
        for line in shown.splitlines()
    ]
    assert names == [line.split() for line in HOUSE_LIST.strip().split("\n")]


def test_adapters_do_not_know_each_other() -> None:
    """Neither database adapter imports the other."""
    for adapter, other in (("sql", "mongo"), ("mongo", "sql")):
        for module in (HOUSE / "stores" / adapter).rglob("*.py"):
            for name in imports_of(module):
                assert not is_of(name, f"gatelodge.stores.{other}"), f"{module}: {name}"


def test_nobody_asks_which_store_it_is() -> None:
    """No code outside app.py and stores/ names a database."""
    allowed = {"stores", "cli", "serving", "settings"}
    for module in modules():
        if room_of(module) not in allowed:
            text = module.read_text().lower()
            code = "\n".join(line.partition("#")[0] for line in text.splitlines())
            assert "isinstance(store" not in code, module
            assert ".sql import" not in code, module


@pytest.mark.parametrize("room", ["gatelodge.client", "gatelodge.user"])
def test_an_application_beside_the_server_imports_nothing_of_it(room: str) -> None:
    """A worker that checks tokens must not pay for a web framework and a database."""
    program = f"import sys, {room}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )

    assert set(done.stdout.split()) & (WEB_FRAMEWORKS | DRIVERS | {"pydantic", "jwt"}) == set()


def test_a_command_imports_no_web_framework(tmp_path: Path) -> None:
    """Who runs a command waits for what it imports, and no command needs routes."""
    program = """
import sys
from gatelodge.cli.main import app

user = ["ada", "ada@example.com", "--password-stdin", "--data-dir", sys.argv[1]]
app(["user", "create", *user], standalone_mode=False)
app(["letters", "list", "--json", "--data-dir", sys.argv[1]], standalone_mode=False)
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        input="correct horse battery\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    imported = set(done.stdout.split())
    assert "sqlalchemy" in imported
    assert imported & (WEB_FRAMEWORKS | {"jinja2", "prometheus_client", "pymongo"}) == set()


def test_a_test_letter_needs_neither_a_web_framework_nor_a_database(tmp_path: Path) -> None:
    """An operator may send one before the first start."""
    program = """
import sys
from gatelodge.cli.main import app

app(["letters", "send-test", "a@example.com", "--data-dir", sys.argv[1]], standalone_mode=False)
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert "jinja2" in done.stdout.split()
    assert set(done.stdout.split()) & (WEB_FRAMEWORKS | DRIVERS) == set()


def test_a_server_has_imported_only_what_was_chosen(tmp_path: Path) -> None:
    """Modules that only some servers or commands need must not cost every server memory or time."""
    program = """
import sys
from pathlib import Path
import gatelodge.cli.main
from gatelodge.apart import run_in_child
from gatelodge.app import build, create_app
from gatelodge.serving import prepare
from gatelodge.settings import Settings

house = build(Settings(data_dir=Path(sys.argv[1])))
create_app(house)
run_in_child(lambda: prepare(house, 1024))
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    imported = set(done.stdout.split())
    assert (tmp_path / "gatelodge.db").exists()
    assert "sqlalchemy" in imported
    assert imported & ONLY_WHEN_CHOSEN == set()
