"""The master key: which texts are refused, where it is kept, and what it protects."""

import errno
import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatelodge.errors import ConfigurationError
from gatelodge.master_key import MasterKey

TEXT = "kD3v-Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyMw"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:31],
        "x" * 64,
        "changeme" * 4,
        "this-is-my-very-SECRET-key-in-production",
        "please-put-an-example-value-here-1234567890",
        "abcdefgh12" * 4,
        "01101001100101101001011001101001100",
    ],
)
def test_a_short_or_guessable_text_is_refused_with_the_way_to_make_a_better_one(
    text: str,
) -> None:
    with pytest.raises(ConfigurationError, match=r"secrets\.token_urlsafe\(32\)"):
        MasterKey.from_text(text)


def test_random_texts_are_taken() -> None:
    for make in (secrets.token_urlsafe, secrets.token_hex):
        for _ in range(50):
            MasterKey.from_text(make(32))


def test_nothing_shows_the_secret() -> None:
    key = MasterKey.from_text(TEXT)
    key.derive("refresh-tokens")

    assert repr(key) == "MasterKey()"


def test_each_purpose_has_its_own_key_which_is_the_same_next_time() -> None:
    key, again = MasterKey.from_text(TEXT), MasterKey.from_text(TEXT)
    other = MasterKey.from_text(TEXT[::-1])

    derived = {key.derive(purpose) for purpose in ("refresh-tokens", "signing-keys", "cursors")}

    assert len(derived) == 3
    assert {len(one) for one in derived} == {32}
    assert again.derive("cursors") == key.derive("cursors")
    assert other.derive("cursors") != key.derive("cursors")


def test_derivation_is_hkdf_sha256_and_never_changes() -> None:
    """If a release derived keys in another way, all sessions and signing keys would be lost."""
    derived = MasterKey.from_text(TEXT).derive("signing-keys")

    assert derived.hex() == "32c3419a69c8e2cb47f6aa9eb229f23e3decba200030e41104d4142ba5533f26"


def test_what_is_sealed_opens_only_for_its_purpose_in_its_context_unchanged() -> None:
    key = MasterKey.from_text(TEXT)
    sealed = key.seal("signing-keys", b"private", b"key_1")

    assert key.unseal("signing-keys", sealed, b"key_1") == b"private"
    assert b"private" not in sealed
    assert key.seal("signing-keys", b"private", b"key_1") != sealed
    for purpose, text, context in (
        ("refresh-tokens", sealed, b"key_1"),
        ("signing-keys", sealed, b"key_2"),
        ("signing-keys", sealed[:-1], b"key_1"),
        ("signing-keys", b"\x02" + sealed[1:], b"key_1"),
        ("signing-keys", sealed[:5], b"key_1"),
        ("signing-keys", b"", b"key_1"),
    ):
        with pytest.raises(ConfigurationError, match="secret key does not match the database"):
            key.unseal(purpose, text, context)


def test_another_master_key_opens_nothing() -> None:
    sealed = MasterKey.from_text(TEXT).seal("signing-keys", b"private", b"key_1")

    with pytest.raises(ConfigurationError, match="GATELODGE_SECRET_KEY"):
        MasterKey.from_text(TEXT[::-1]).unseal("signing-keys", sealed, b"key_1")


def test_the_file_is_made_once_for_its_owner_only_and_holds_the_settings_text(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data" / "secret.key"

    made = MasterKey.from_file(path)

    assert MasterKey.from_file(path) == made
    assert MasterKey.from_text(path.read_text().strip()) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_many_that_start_at_once_end_with_one_key(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"

    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: MasterKey.from_file(path), range(64)))

    assert {key.secret for key in keys} == {path.read_bytes().strip()}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o650, 0o666])
def test_a_file_that_others_may_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "secret.key"
    MasterKey.from_file(path)
    path.chmod(mode)

    with pytest.raises(ConfigurationError, match=f"chmod 600 {path}"):
        MasterKey.from_file(path)


def test_a_file_that_its_group_may_read_is_taken(tmp_path: Path) -> None:
    """Orchestrators mount secrets so: of mode 0440, and of the server's group."""
    path = tmp_path / "secret.key"
    key = MasterKey.from_file(path)
    path.chmod(0o440)
    assert MasterKey.from_file(path).secret == key.secret


def test_a_file_system_without_hard_links_has_one_key_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_names: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "secret.key"

    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: MasterKey.from_file(path), range(64)))

    assert {key.secret for key in keys} == {path.read_bytes().strip()}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_holds_no_good_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    for content in (b"", b"changeme\n", b"\xff\xfe" * 40):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigurationError):
            MasterKey.from_file(path)


def test_a_file_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the directory should be")

    with pytest.raises(ConfigurationError, match=r"data/secret\.key"):
        MasterKey.from_file(tmp_path / "data" / "secret.key")
