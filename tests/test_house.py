"""The few arrows between the rooms of the house."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
HOUSE = SOURCE / "gatelodge"

WEB_FRAMEWORKS = {"fastapi", "starlette", "granian"}
DRIVERS = {"sqlalchemy", "sqlite3", "alembic", "pymongo", "bson"}
ONLY_WHEN_CHOSEN = {"alembic", "mako", "prometheus_client", "pygments", "pymongo", "rich"}
DOORS = {"api.py", "pages.py", "asgi.py"}


def modules() -> list[Path]:
    """Return every module of the package."""
    found = sorted(HOUSE.rglob("*.py"))
    assert len(found) > 40
    return found


def imports_of(module: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: Path) -> str:
    """Return the room, or the module's own name at the top of the house."""
    return module.relative_to(HOUSE).parts[0]


def is_of(name: str, *packages: str) -> bool:
    """Say whether a full name belongs to one of the packages."""
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_arrows_point_one_way(module: Path) -> None:
    """Doors know services, services know ports, adapters know ports; only app.py knows all."""
    room = room_of(module)
    inside = module.name
    for name in imports_of(module):
        if room not in {"web", "app.py", "serving.py"} and inside not in DOORS:
            assert not is_of(name, *WEB_FRAMEWORKS), f"{module} knows a web framework: {name}"
            if room != "cli.py":
                assert not is_of(name, "gatelodge.web"), f"{module} knows the web: {name}"
        if room != "stores":
            assert not is_of(name, *DRIVERS), f"{module} knows a database driver: {name}"
            assert not is_of(name, "gatelodge.stores.sql", "gatelodge.stores.mongo"), name
        if room not in {"app.py", "serving.py", "cli.py"}:
            assert not is_of(name, "gatelodge.app"), f"{module} knows app.py"
        if inside not in DOORS | {"app.py"}:
            assert not name.startswith("gatelodge.") or not name.endswith((".api", ".pages")), name


def test_adapters_do_not_know_each_other() -> None:
    """Neither database adapter imports the other."""
    for adapter, other in (("sql", "mongo"), ("mongo", "sql")):
        for module in (HOUSE / "stores" / adapter).rglob("*.py"):
            for name in imports_of(module):
                assert not is_of(name, f"gatelodge.stores.{other}"), f"{module}: {name}"


def test_nobody_asks_which_store_it_is() -> None:
    """No code outside app.py and stores/ names a database."""
    allowed = {"stores", "cli.py", "serving.py", "settings.py"}
    for module in modules():
        if room_of(module) not in allowed:
            text = module.read_text().lower()
            code = "\n".join(line.partition("#")[0] for line in text.splitlines())
            assert "isinstance(store" not in code, module
            assert ".sql import" not in code, module


def test_a_server_has_imported_only_what_was_chosen(tmp_path: Path) -> None:
    """What some servers or commands need is no part of every server's memory and start."""
    program = """
import sys
from pathlib import Path
import gatelodge.cli.main
from gatelodge.apart import do_apart
from gatelodge.app import build, create_app
from gatelodge.serving import prepare
from gatelodge.settings import Settings

house = build(Settings(data_dir=Path(sys.argv[1])))
create_app(house)
do_apart(lambda: prepare(house))
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
