"""The example of a shop that leaves its own login, as its reader runs it."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import bcrypt
import pytest
from argon2 import PasswordHasher

from tests.support.examples import plain_environment

MOVING = Path(__file__).parents[2] / "examples" / "moving"
ANN, BOB, EVE, ODD = (uuid4() for _ in range(4))
PASSWORD = "correct horse battery"

PROGRAM = """
import sys
from fastapi.testclient import TestClient
from shop import app

def sign_in(client, name, password):
    body = {"username": name, "password": password}
    return client.post("/api/auth/signin", json=body)

with TestClient(app, base_url="http://localhost:8000") as client:
    for name in ("ann@example.com", "bob@example.com"):
        answer = sign_in(client, name, "correct horse battery")
        assert answer.status_code == 200, answer.text
        token = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
        print(*client.get("/orders", headers=token).json())
        print(client.get("/api/auth/me", headers=token).json()["emailVerified"])
        assert sign_in(client, name, "another horse").status_code == 401
    assert sign_in(client, "eve@example.com", "correct horse battery").status_code == 401
    new = {"username": "newcomer", "email": "new@example.com", "password": "correct horse battery"}
    assert client.post("/api/auth/signup", json=new).status_code == 200
    token = sign_in(client, "newcomer", "correct horse battery").json()["accessToken"]
    assert client.get("/orders", headers={"Authorization": f"Bearer {token}"}).json() == []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the shop, whose customers have not moved."""
    folder = Path(shutil.copytree(MOVING, tmp_path / "moving"))
    run(folder, "-c", "from shop import Base, engine; Base.metadata.create_all(engine)")
    argon2 = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=4).hash(PASSWORD)
    costly = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    customers = [
        (ANN, "ann@example.com", argon2, True, True),
        (BOB, "bob@example.com", costly, True, False),
        (EVE, "eve@example.com", argon2, False, True),
        (ODD, "odd@example.com", "pbkdf2_sha256$1$salt$hash", True, True),
    ]
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        for key, *values in customers:
            database.execute(
                "INSERT INTO customers (id, email, hashed_password, is_active, is_verified) "
                "VALUES (?, ?, ?, ?, ?)",
                (key.hex, *values),
            )
            order = (f"what {values[0]} ordered", key.hex)
            database.execute("INSERT INTO orders (what, customer_id) VALUES (?, ?)", order)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of the shop."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=plain_environment() | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def moved(folder: Path) -> dict[UUID, str | None]:
    """Return which account each customer has."""
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        rows = database.execute("SELECT id, gatelodge_id FROM customers").fetchall()
    return {UUID(key): account for key, account in rows}


def test_customers_move_with_their_passwords_and_keep_their_rows(folder: Path) -> None:
    tried = run(folder, "move.py", "--try")
    assert tried.returncode == 1, tried.stderr
    assert set(moved(folder).values()) == {None}
    assert not (folder / "gatelodge-data").exists()
    first = run(folder, "move.py")
    for each in (tried, first):
        assert each.returncode == 1
        assert "odd@example.com: A password hash is argon2id" in each.stderr
        assert each.stderr.count("@example.com") == 1
    assert [key for key, account in moved(folder).items() if account is None] == [ODD]

    done = run(folder, "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *("what ann@example.com ordered", "True"),
        *("what bob@example.com ordered", "False"),
    ]
    assert len(moved(folder)) == 5


def test_who_was_moving_when_a_run_broke_off_is_named_and_nobody_is_linked(folder: Path) -> None:
    """An account of that name may be anybody's."""
    run(folder, "move.py")
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        database.execute("UPDATE customers SET gatelodge_id = NULL WHERE id = ?", (ANN.hex,))
    again = run(folder, "move.py")
    assert again.returncode == 1
    assert "ann@example.com: Failed! Username is already in use!" in again.stderr
    assert moved(folder)[ANN] is None
