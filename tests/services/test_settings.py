"""Settings: what was meant counts, and a value that is none ends the start with one sentence."""

from dataclasses import astuple
from pathlib import Path

import pytest
from pydantic import SecretStr

from gatelodge.errors import ConfigurationError
from gatelodge.letters.mail import message_of
from gatelodge.settings import Settings, read_settings, warn_of_unknown
from gatelodge.smtp_address import read_smtp_address
from tests.support.mails import a_mail


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
        ("PUBLIC_URL", "HTTPS://Example.com/Auth/", "public_url", "https://example.com/Auth"),
        ("ALLOWED_HOSTS", "https://A.example:443/, b.example.", "allowed_hosts", None),
        ("DATABASE", '"mongodb://db.example/x"', "database", "mongodb://db.example/x"),
        ("DATABASE", "MongoDB+SRV://db.example/X\r\n", "database", "mongodb+srv://db.example/X"),
        ("DATABASE", "'Data/my file.db'", "database", "Data/my file.db"),
        ("DATABASE", "~/x.db", "database", str(Path.home() / "x.db")),
        ("DATABASE", "SQLITE:///X.db", "database", "sqlite:///X.db"),
        ("DATA_DIR", "~/data", "data_dir", Path.home() / "data"),
        ("SECRET_KEY_FILE", "'~/key'", "secret_key_file", Path.home() / "key"),
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
        ("PUBLIC_URL", "https://a.example/b/../c"),
        ("PUBLIC_URL", "https://a.example/%61uth"),
        ("PUBLIC_URL", "https://a.example//auth"),
        ("PUBLIC_URL", "https://a.example/auth?next=1"),
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
    with pytest.raises(ConfigurationError, match=f"GATELODGE_{name} must "):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "abc", "must be a whole number. Accepted: 0 to 65535."),
        ("PORT", "-1", "must be at least 0. Accepted: 0 to 65535."),
        ("PORT", "65536", "must be at most 65535. Accepted: 0 to 65535."),
        ("PORT", "80.5", "must be a whole number. Accepted: 0 to 65535."),
        ("PORT", "9" * 5000, "has too many digits. Accepted: 0 to 65535."),
        ("WORKERS", "0", "must be at least 1. Accepted: 1 to 256."),
        ("SIGN_UP", "maybe", "must be 'open' or 'closed'."),
        ("LANGUAGE", "fr", "must be '', 'en' or 'de'."),
        ("SESSION_IDLE", "soon", "must be a number and s, m, h or d, such as 10m."),
        ("SESSION_IDLE", "-5m", "must be a number and s, m, h or d, such as 10m."),
        ("SESSION_IDLE", "31d", "must be at most 30d. Accepted: 1m to 30d."),
        ("REFRESH_GRACE", "90s", "must be at most 1m. Accepted: 0s to 1m."),
        ("SIGNING_KEY_LIFE", "90m", "must be at least 1d. Accepted: 1d or more."),
        ("SITE_NAME", "s" * 41, "must have at most 40 characters."),
        ("SITE_NAME", "\udcff", "must be a text in UTF-8."),
        (
            "COOKIE_NAME",
            "a b",
            "must be 1 to 40 letters a to z, digits, hyphens and underscores.",
        ),
        ("ACCENT_COLOR", "red", "must be written as #rgb or #rrggbb."),
        ("ACCESS_TOKEN_LIFE", "1h", "must be at most 15m, but for GATELODGE_PROFILE=tutorial."),
    ],
)
def test_a_wrong_value_is_told_with_the_name_of_the_setting_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"GATELODGE_{name}", value)
    with pytest.raises(ConfigurationError) as raised:
        read_settings()
    assert str(raised.value) == f"GATELODGE_{name} {sentence}"


def test_a_data_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("mine")
    for named in (file, tmp_path / "link"):
        if named != file:
            named.symlink_to(tmp_path / "nowhere")
        with pytest.raises(ConfigurationError) as raised:
            read_settings({"data_dir": named, "host": None})
        assert str(raised.value) == "--data-dir must be a folder, but there is a file of that name."
    assert read_settings(data_dir=tmp_path / "new").data_dir == tmp_path / "new"


def test_each_wrong_value_has_a_line_that_names_it_as_the_operator_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("gatelodge_sign_up", "maybe")
    monkeypatch.setenv("GATELODGE_DELIVERY", "hunter2")
    monkeypatch.setenv("GATELODGE_CORS_ORIGINS", "https://a.example, *, null")
    monkeypatch.setenv("GATELODGE_TRUSTED_PROXIES", "10.0.0.7/33")

    with pytest.raises(ConfigurationError) as raised:
        read_settings({"port": "http", "profile": "tutor"}, hsts="on")

    networks = (
        "Entry 1 of GATELODGE_TRUSTED_PROXIES must be an address such as 10.0.0.7, or a network "
        "such as 10.0.0.0/8."
    )
    assert str(raised.value).splitlines() == [
        "--port must be a whole number. Accepted: 0 to 65535.",
        "GATELODGE_DELIVERY must be 'bearer' or 'cookie'.",
        "hsts must be 'off', 'host' or 'subdomains'.",
        *(
            f"Entry {number} of GATELODGE_CORS_ORIGINS must be written as http://host, "
            "http://host:port or https://host."
            for number in (2, 3)
        ),
        "--profile must be 'standard' or 'tutorial'.",
        "gatelodge_sign_up must be 'open' or 'closed'.",
        networks,
    ]


def test_settings_that_do_not_fit_together_are_told_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "ACCESS_TOKEN_LIFE": "1h",
        "COOKIE_SAME_SITE": "none",
        "COOKIE_DOMAIN": "other.example",
    }.items():
        monkeypatch.setenv(f"GATELODGE_{name}", value)

    with pytest.raises(ConfigurationError) as raised:
        read_settings()

    assert [line.split()[0] for line in str(raised.value).splitlines()] == [
        "GATELODGE_ACCESS_TOKEN_LIFE",
        "GATELODGE_COOKIE_SAME_SITE",
        "GATELODGE_COOKIE_DOMAIN",
    ]


def test_what_kubernetes_sets_by_itself_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service named gatelodge brings these variables into every container."""
    for name, value in {
        "GATELODGE_PORT": "tcp://10.96.12.7:8080",
        "GATELODGE_SERVICE_HOST": "10.96.12.7",
        "GATELODGE_PORT_8080_TCP_ADDR": "10.96.12.7",
    }.items():
        monkeypatch.setenv(name, value)
    assert read_settings().port == 8080


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_port_of_kubernetes_is_no_port_whatever_its_protocol(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setenv("GATELODGE_PORT", f"{protocol}://10.96.12.7:8080")
    assert read_settings().port == 8080


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("GATELODGE_PUBLIC_URI", "GATELODGE_PUBLIC_URL"),
        ("GATELODGE_TRUSTED_PROXY", "GATELODGE_TRUSTED_PROXIES"),
        ("GATELODGE_SECRETKEY", "GATELODGE_SECRET_KEY"),
        ("GATELODGE_COOKIE_SAMESITE", "GATELODGE_COOKIE_SAME_SITE"),
        ("gatelodge_databse", "GATELODGE_DATABASE"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_setting_that_was_meant(
    written: str, meant: str
) -> None:
    warning = warn_of_unknown({written: "s3cr3t", "GATELODGE_PORT": "8080"})

    assert warning == f"{written} (is {meant} meant?) is no setting, and is ignored."


def test_a_variable_that_is_like_no_setting_is_named_alone() -> None:
    found = {"GATELODGE_XYZZY": "1", "GATELODGE_PUBLIC_URI": "2", "HOME": "/", "GATELODGE": "3"}

    assert warn_of_unknown(found) == (
        "GATELODGE_PUBLIC_URI (is GATELODGE_PUBLIC_URL meant?), GATELODGE_XYZZY are no settings, "
        "and are ignored."
    )


def test_the_names_of_variables_cannot_forge_lines_and_a_hundred_of_them_fill_one() -> None:
    found = {f"GATELODGE_\n\x1b[31m{number:03}": "" for number in range(100)}

    warning = warn_of_unknown(found)

    assert warning is not None
    assert warning.isascii()
    assert warning.isprintable()
    assert warning.endswith(" and 90 more are no settings, and are ignored.")


def test_every_setting_is_known_in_any_case_of_letters() -> None:
    names = [f"GATELODGE_{name.upper()}" for name in Settings.model_fields]

    assert warn_of_unknown(dict.fromkeys([*names, *(name.lower() for name in names)], "")) is None


@pytest.mark.parametrize(
    "variable",
    [
        "GATELODGE_PORT=tcp://10.96.12.7:8080",
        "GATELODGE_SERVICE_HOST=10.96.12.7",
        "GATELODGE_SERVICE_PORT=8080",
        "GATELODGE_SERVICE_PORT_HTTP=8080",
        "GATELODGE_PORT_8080_TCP=tcp://10.96.12.7:8080",
        "GATELODGE_PORT_8080_TCP_PROTO=tcp",
        "GATELODGE_PORT_8080_TCP_PORT=8080",
        "GATELODGE_PORT_8080_TCP_ADDR=10.96.12.7",
        "GATELODGE_MONGODB_SERVICE_HOST=10.96.12.8",  # of a service named `gatelodge-mongodb`
        "GATELODGE_MONGODB_PORT=tcp://10.96.12.8:27017",
        "GATELODGE_MONGODB_PORT_27017_TCP_ADDR=10.96.12.8",
    ],
)
def test_what_kubernetes_sets_by_itself_is_not_warned_of(variable: str) -> None:
    name, _, value = variable.partition("=")

    assert warn_of_unknown({name: value}) is None


def test_what_only_looks_like_a_variable_of_kubernetes_is_warned_of() -> None:
    for name in ("GATELODGE_SERVICE", "GATELODGE_PORT_8080", "GATELODGE_MONGODB_PORT"):
        assert warn_of_unknown({name: "8080"}) is not None


@pytest.mark.parametrize("password", ["s3cr3t", "s3#cr3t", "%40s3cr3t", "s3@cr3t", "s3/cr3t"])
def test_a_password_in_the_address_of_the_database_is_never_shown(password: str) -> None:
    """Not a part of it either."""
    settings = Settings(database=f"mongodb://ann:{password}@db.example/shop?replicaSet=rs0")
    assert "s3" not in repr(settings)
    assert settings.database_place == "mongodb://db.example/shop"


@pytest.mark.parametrize("path", ["./data/a@b.db", "sqlite:///a@b.db"])
def test_the_path_of_a_database_is_shown_as_it_is(path: str) -> None:
    assert Settings(database=path).database_place == path


def test_a_setting_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_WORKERS", "2")
    monkeypatch.setenv("gatelodge_site_name", "Lodge")
    monkeypatch.setenv("GATELODGE_PORT", "9000")
    monkeypatch.setenv("GATELODGE_LANGUAGE", "")
    settings = read_settings({"port": "9001", "host": None}, profile="tutorial")

    origins = {
        name: settings.source_of(name)
        for name in ("workers", "site_name", "port", "host", "profile", "language", "hsts")
    }
    assert origins == {
        "workers": "environment",
        "site_name": "environment",
        "port": "command_line",
        "host": "default",
        "profile": "argument",
        "language": "default",
        "hsts": "default",
    }
    assert settings.source_of("access_token_life") == "profile"
    monkeypatch.setenv("GATELODGE_ACCESS_TOKEN_LIFE", "1h")
    assert read_settings(profile="tutorial").source_of("access_token_life") == "environment"
    assert settings.model_copy(update={"port": 1}).source_of("port") == "command_line"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 587, "starttls", "", "")),
        ("SMTP://Mail.Example.com:25/", ("mail.example.com", 25, "starttls", "", "")),
        ("smtps://u:p@mail.example.com", ("mail.example.com", 465, "at once", "u", "p")),
        ("smtp://a%40b:p%2F%3a%25@h.example", ("h.example", 587, "starttls", "a@b", "p/:%")),
        ("smtp://ann@b.example:p@ss:w@h.example", ("h.example", 587, "starttls", "ann", None)),
        ("smtp://localhost:1025", ("localhost", 1025, "none", "", "")),
        ("smtp://[::1]:25", ("::1", 25, "none", "", "")),
        ("smtp://127.0.0.1?starttls=on", ("127.0.0.1", 587, "starttls", "", "")),
        ("smtp://127.0.0.1:25/?starttls=off", ("127.0.0.1", 25, "none", "", "")),
        ("smtp://h.example?starttls=on", ("h.example", 587, "starttls", "", "")),
    ],
)
def test_the_address_of_a_mail_server_is_read(
    written: str, meant: tuple[str, int, str, str, str | None]
) -> None:
    if meant[4] is None:
        meant = (*meant[:3], "ann@b.example", "p@ss:w")
    assert astuple(read_smtp_address(written)) == meant


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("mail.example.com:587", "must be written as smtp://"),
        ("http://s3cret@mail.example.com", "must be written as smtp://"),
        ("smtp://", "must be written as smtp://"),
        ("smtp://u:s3cret@h.example:99999", "must be written as smtp://"),
        ("smtp://u:s3cret@h.example/path", "must be written as smtp://"),
        ("smtp://u:s3cret@h\r\n.example", "must be written as smtp://"),
        ("smtp://u:s3cret@[12345]", "IPv6"),
        ("smtp://s3cret@h.example", "both a user name and a password"),
        ("smtp://:s3cret@h.example", "both a user name and a password"),
        ("smtp://u:s3cret%0d%0a@h.example", "printable"),
        ("smtp://u:s3cret@h.example?starttls=off", "must not have starttls=off"),
        ("smtp://u:s3cret@h.example?starttls=maybe", "nothing after the port but"),
        ("smtp://u:s3cret@h.example?tls=off", "nothing after the port but"),
        ("smtps://u:s3cret@h.example?starttls=on", "TLS begins at once"),
    ],
)
def test_an_address_of_no_mail_server_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, written: str, told: str
) -> None:
    monkeypatch.setenv("GATELODGE_SMTP_URL", written)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()

    assert str(refused.value).startswith("GATELODGE_SMTP_URL must ")
    assert told in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_address_of_the_mail_server_is_not_shown_by_repr() -> None:
    given = Settings(smtp_url=SecretStr("smtp://u:s3cret@h.example"))

    assert "s3cret" not in f"{given!r} {given}"


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ({"public_url": "https://id.example.com"}, "Gatelodge <no-reply@id.example.com>"),
        ({"site_name": "Ann's <b>"}, "Ann's <b> <no-reply@localhost>"),
        ({"site_name": "A\u200bB\xa0C\u202e"}, "A B C <no-reply@localhost>"),
        ({"public_url": "http://127.0.0.1:8080"}, "Gatelodge <no-reply@localhost>"),
        ({"public_url": "https://192.0.2.1"}, ""),
        ({"public_url": "https://192.0.2.1", "mail_from": "a@b.example"}, "a@b.example"),
        ({"mail_from": "Bücher <a@bücher.example>"}, "Bücher <a@bücher.example>"),
    ],
)
def test_whom_letters_are_from(given: dict[str, str], sender: str) -> None:
    assert Settings(**given).sender == sender  # type: ignore[arg-type]
    assert not sender or message_of(a_mail(sender=sender))


@pytest.mark.parametrize(
    "sender",
    ["Ann", "Ann <ann>", "a@b.example, c@d.example", "A\r\nBcc: e@f.example <a@b.example>"],
)
def test_a_sender_without_an_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    monkeypatch.setenv("GATELODGE_MAIL_FROM", sender)
    with pytest.raises(ConfigurationError, match=r"^GATELODGE_MAIL_FROM must be an e-mail address"):
        read_settings()


def test_letters_by_smtp_need_a_sender() -> None:
    with pytest.raises(ConfigurationError, match=r"^GATELODGE_MAIL_FROM must be set"):
        read_settings(public_url="https://192.0.2.1", smtp_url="smtp://h.example")


def test_signing_in_by_e_mail_needs_a_mail_server() -> None:
    public = "https://id.example.com"
    with pytest.raises(ConfigurationError, match="sign_in_by_code needs a mail server"):
        read_settings(public_url=public, sign_in_by_code="on")

    assert read_settings(public_url=public).sign_in_by_code == "off"
    assert read_settings(sign_in_by_code=" On ").sign_in_by_code == "on"


def test_two_addresses_of_mail_servers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must not be set beside GATELODGE_SMTP_URL"):
        read_settings(smtp_url="smtp://h.example", smtp_url_file=tmp_path / "url")


@pytest.mark.parametrize(
    ("given", "post"),
    [
        ({}, "folder"),
        ({"public_url": "http://127.0.0.1:9000"}, "folder"),
        ({"public_url": "https://id.example.com"}, "none"),
        ({"public_url": "https://id.example.com", "smtp_url": "smtp://h.example"}, "smtp"),
        ({"smtp_url": "smtp://localhost"}, "smtp"),
    ],
)
def test_how_letters_are_delivered(given: dict[str, str], post: str) -> None:
    assert read_settings(given).post == post


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("https://id.example.com", "id.example.com"),
        ("http://192.0.2.1", "[192.0.2.1]"),
        ("http://[fd00::7]:8080", "[IPv6:fd00::7]"),
    ],
)
def test_the_name_towards_mail_servers(public_url: str, name: str) -> None:
    assert Settings(public_url=public_url).mail_host == name
