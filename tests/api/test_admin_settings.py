"""The settings in force, as administrators see them: secrets stay secret."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from gatelodge.accounts.permissions import SETTINGS_READ
from gatelodge.admin.settings import SettingsAdministration
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.settings import PREFIX, Settings, read_settings
from tests.support.people import signed_in

CANARY = "Zq7mCanaryQm8ZrTx0aWfYbN5uLhJ7pGcE2s"
SECRET_SETTINGS = [
    ("secret_key", CANARY),
    ("metrics_token", CANARY),
    ("smtp_url", f"smtp://{CANARY}:{CANARY}@mail.example.com:25"),
    ("smtp_url", f"smtps://ann:p@{CANARY}@mail.example.com"),
    ("database", f"mongodb://ann:{CANARY}@db.example/shop"),
    ("database", f"mongodb://ann:x#{CANARY}@db.example:27018,db2.example/shop?x=1"),
    ("database", f"mongodb+srv://{CANARY}:{CANARY}@db.example/?proxyPassword={CANARY}"),
]


def shown(settings: Settings) -> dict[str, Any]:
    """Return what is shown of settings, by the names of the variables without their start."""
    listed = SettingsAdministration(settings).list_settings()
    return {each.name.removeprefix(PREFIX): each for each in listed}


@pytest.mark.parametrize(("name", "value"), SECRET_SETTINGS)
def test_no_secret_is_ever_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    monkeypatch.setenv("GATELODGE_PUBLIC_URL", "https://id.example.com")
    settings = read_settings()
    assert CANARY in str(
        given.get_secret_value()
        if isinstance(given := getattr(settings, name), SecretStr)
        else given
    )

    seen = shown(settings)

    assert CANARY not in repr(seen)
    assert seen[name.upper()].origin == "environment"


def test_every_setting_that_is_a_secret_is_among_those() -> None:
    """Whoever adds one adds it to the test above."""
    secret = {
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in repr(field) or not field.repr
    }
    assert secret == {name for name, _ in SECRET_SETTINGS}


def test_an_address_is_shown_without_user_and_password() -> None:
    public = {"public_url": "https://id.example.com"}
    mail = shown(Settings(smtp_url=SecretStr("smtp://ann:pw@[::1]:25"), **public))["SMTP_URL"]
    database = shown(Settings(database="mongodb://ann:pw@db.example/shop", **public))["DATABASE"]

    assert (mail.value, mail.hidden) == ("smtp://[::1]:25", False)
    assert (database.value, database.hidden) == ("mongodb://db.example/shop", False)


def test_a_value_is_shown_as_one_would_write_it(tmp_path: Path) -> None:
    """Where a setting is left out, what holds in its place."""
    seen = shown(
        Settings(
            data_dir=tmp_path,
            session_life="2d",
            allowed_hosts="a.example, b.example",
            sign_in_by_code="on",
        )
    )
    values = {name: each.value for name, each in seen.items()}

    assert values["DATA_DIR"] == str(tmp_path)
    assert values["SESSION_LIFE"] == "2d"
    assert values["ALLOWED_HOSTS"] == "a.example, b.example"
    assert values["SIGN_IN_BY_CODE"] == "on"
    assert values["DATABASE"] == str(tmp_path / "gatelodge.db")
    assert values["PUBLIC_URL"] == "http://localhost:8080"
    assert values["EMAIL_VERIFICATION"] == "offered"
    assert values["HIDE_KNOWN_EMAILS"] == "off"
    assert values["MAIL_FROM"] == "Gatelodge <no-reply@localhost>"
    assert values["SECRET_KEY_FILE"] == str(tmp_path / "secret.key")
    assert int(values["HASH_THREADS"]) >= 1
    assert values["LANGUAGE"] is None
    assert seen["SESSION_LIFE"].default == "30d"
    assert seen["LANGUAGE"].default is None


def test_a_secret_in_a_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "smtp"
    public = {"public_url": "https://id.example.com"}
    in_files = shown(Settings(smtp_url_file=file, **public))
    without = shown(Settings(secret_key=SecretStr(CANARY), **public))

    for name in ("SMTP_URL", "SECRET_KEY"):
        assert (in_files[name].origin, in_files[name].hidden) == ("file", True)
    assert (without["SMTP_URL"].origin, without["SMTP_URL"].hidden) == ("default", False)
    assert (without["SECRET_KEY"].origin, without["SECRET_KEY"].hidden) == ("argument", True)
    assert without["METRICS_TOKEN"].hidden is False


async def test_whoever_may_see_settings_reads_all_of_them(
    client: httpx2.AsyncClient, house: House
) -> None:
    await house.roles.create("operator", "Runs it", (SETTINGS_READ,), COMMAND)
    olga = await signed_in(client, house, "olga", "operator")

    answer = (await olga.get("/api/admin/settings")).json()

    assert [each["name"] for each in answer["items"]] == [
        f"{PREFIX}{name.upper()}" for name in Settings.model_fields
    ]
    [key] = [each for each in answer["items"] if each["name"] == "GATELODGE_SECRET_KEY"]
    assert key == {
        "name": "GATELODGE_SECRET_KEY",
        "value": None,
        "hidden": True,
        "origin": "file",
        "default": None,
    }
    made = (house.settings.data_dir / "secret.key").read_text().strip()
    assert made
    assert made not in json.dumps(answer)
