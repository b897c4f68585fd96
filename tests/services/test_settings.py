"""Settings: what was meant counts, and a value that is none ends the start with one sentence."""

import pytest

from gatelodge.errors import ConfigurationError
from gatelodge.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("name", "written", "field", "meant"),
    [
        ("PROFILE", "Tutorial\n", "profile", "tutorial"),
        ("PROFILE", '"tutorial"', "profile", "tutorial"),
        ("DELIVERY", "'cookie'", "delivery", "cookie"),
        ("LOG_LEVEL", " WARNING ", "log_level", "warning"),
        ("PORT", "9000\r\n", "port", 9000),
        ("HOST", ' "::1" ', "host", "::1"),
        ("SITE_NAME", "Ann's Garden", "site_name", "Ann's Garden"),
        ("PUBLIC_URL", "HTTPS://ID.Example.com:443/", "public_url", "https://id.example.com"),
        ("PUBLIC_URL", "http://[FD00:0:0::7]:8080", "public_url", "http://[fd00::7]:8080"),
        ("ALLOWED_HOSTS", "https://A.example:443/, b.example.", "allowed_hosts", None),
        ("CORS_ORIGINS", "capacitor://localhost, TAURI://localhost", "cors_origins", None),
    ],
)
def test_a_value_is_read_as_it_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, field: str, meant: object
) -> None:
    monkeypatch.setenv(f"GATELODGE_{name}", written)
    lists = {
        "allowed_hosts": ("a.example", "b.example"),
        "cors_origins": ("capacitor://localhost", "tauri://localhost"),
    }
    assert getattr(read_settings(), field) == (lists.get(field) if meant is None else meant)


@pytest.mark.parametrize("key", ["k" * 5 + "Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRy\n"])
def test_a_line_feed_is_no_part_of_a_secret(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("GATELODGE_SECRET_KEY", key)
    read = read_settings().secret_key
    assert read is not None
    assert read.get_secret_value() == key.strip()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "http://[fd00::7"),
        ("PUBLIC_URL", "http://[1:2:3]:8080"),
        ("PUBLIC_URL", "capacitor://localhost"),
        ("ALLOWED_HOSTS", "a.example/path/more"),
        ("ALLOWED_HOSTS", "a b.example"),
        ("ALLOWED_HOSTS", "[fd00::zz]"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "file://localhost"),
        ("CORS_ORIGINS", "javascript://localhost"),
        ("PORT", "8o8o"),
    ],
)
def test_what_is_no_value_of_its_kind_is_refused_by_the_name_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"GATELODGE_{name}", value)
    with pytest.raises(ConfigurationError, match=f"GATELODGE_{name}: "):
        read_settings()


def test_what_kubernetes_sets_by_itself_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service named gatelodge brings these variables into every container."""
    for name, value in {
        "GATELODGE_PORT": "tcp://10.96.12.7:8080",
        "GATELODGE_SERVICE_HOST": "10.96.12.7",
        "GATELODGE_PORT_8080_TCP_ADDR": "10.96.12.7",
    }.items():
        monkeypatch.setenv(name, value)
    assert read_settings().port == 8080


def test_a_password_in_the_address_of_the_database_is_never_shown() -> None:
    settings = Settings(database="mongodb://ann:s3cr3t@db.example/shop?replicaSet=rs0")
    assert "s3cr3t" not in repr(settings)
    assert settings.database_place == "mongodb://db.example/shop"
