"""The outbox of a server in development: letters become files, and are read back."""

import os
import stat
from pathlib import Path

import pytest

from gatelodge.data_folder import keep_private
from gatelodge.errors import ConfigurationError
from gatelodge.letters.folder import KEPT, FolderPost
from gatelodge.letters.post import Deferred, Undeliverable
from gatelodge.letters.posts import post_of, smtp_address_of
from gatelodge.letters.smtp import SmtpPost
from gatelodge.settings import Settings
from tests.support.clock import NOON
from tests.support.mails import a_mail


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "outbox"


@pytest.fixture
def outbox(folder: Path) -> FolderPost:
    return FolderPost(folder)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()] if folder.exists() else []


def link(folder: Path, elsewhere: Path) -> None:
    elsewhere.mkdir()
    folder.parent.mkdir()
    folder.symlink_to(elsewhere)


async def test_a_letter_is_read_back(outbox: FolderPost, folder: Path) -> None:
    mail = a_mail(subject="Grüße", headers={"List-Unsubscribe": "<https://a.example>"})
    await outbox.deliver(mail)

    (kept,) = await outbox.list_letters()
    assert kept == await outbox.find("ltr_0mail")
    assert (kept.id, kept.to, kept.subject) == ("ltr_0mail", mail.to, mail.subject)
    assert kept.at == NOON
    assert kept.text == mail.text
    assert kept.html == f"{mail.html}\n"
    assert kept.headers["List-Unsubscribe"] == "<https://a.example>"
    assert names_in(folder) == ["ltr_0mail.eml"]
    assert mode_of(folder / "ltr_0mail.eml") == 0o600
    assert mode_of(folder) == 0o700


async def test_a_letter_that_comes_twice_is_there_once(outbox: FolderPost) -> None:
    await outbox.deliver(a_mail(subject="First"))
    await outbox.deliver(a_mail(subject="Second"))

    assert [each.subject for each in await outbox.list_letters()] == ["Second"]


async def test_the_newest_letters_stay(outbox: FolderPost, folder: Path) -> None:
    await outbox.deliver(a_mail(message_id="ltr_old@a.example"))
    for number in range(KEPT - 1):
        file = folder / f"ltr_{number}.eml"
        file.write_bytes(b"Subject: x\n\n")
        os.utime(file, ns=(2 * 10**18, 2 * 10**18 + number))
    os.utime(folder / "ltr_old.eml", ns=(0, 0))
    await outbox.deliver(a_mail(message_id="ltr_new@a.example"))

    found = [each.id for each in await outbox.list_letters()]
    assert len(found) == KEPT
    assert found[0] == f"ltr_{KEPT - 2}"  # it is said to be from the year 2033
    assert "ltr_new" in found
    assert "ltr_old" not in found


async def test_there_is_no_letter_before_the_first(outbox: FolderPost) -> None:
    assert await outbox.list_letters() == []
    assert await outbox.find("ltr_0mail") is None


@pytest.mark.parametrize(
    "letter_id", ["", "..", "../secret", "../../etc/passwd", "a/b", "a\x00", "ltr_1.eml", "x" * 300]
)
async def test_an_id_leads_out_of_the_folder_nowhere(
    outbox: FolderPost, folder: Path, letter_id: str
) -> None:
    await outbox.deliver(a_mail())
    (folder.parent / "secret.eml").write_text("Subject: secret\n\n")

    assert await outbox.find(letter_id) is None


@pytest.mark.parametrize("message_id", ["../x@a.example", "a.b@a.example", "@a.example", "a@b@c"])
async def test_an_id_that_is_no_name_of_a_file_is_undeliverable(
    outbox: FolderPost, folder: Path, message_id: str
) -> None:
    with pytest.raises(Undeliverable):
        await outbox.deliver(a_mail(message_id=message_id))

    assert names_in(folder.parent) == []


async def test_a_letter_that_is_a_link_is_not_followed(outbox: FolderPost, folder: Path) -> None:
    await outbox.deliver(a_mail())
    secret = folder.parent / "secret"
    secret.write_text("Subject: secret\n\n")
    (folder / "ltr_1.eml").symlink_to(secret)
    os.mkfifo(folder / "ltr_2.eml")

    assert await outbox.find("ltr_1") is None
    assert await outbox.find("ltr_2") is None
    assert [each.id for each in await outbox.list_letters()] == ["ltr_0mail"]

    await outbox.deliver(a_mail(message_id="ltr_1@a.example"))
    assert secret.read_text() == "Subject: secret\n\n"
    assert not (folder / "ltr_1.eml").is_symlink()


async def test_a_folder_that_is_a_link_is_not_followed(outbox: FolderPost, folder: Path) -> None:
    elsewhere = folder.parent.parent / "elsewhere"
    link(folder, elsewhere)

    with pytest.raises(Deferred, match="outbox cannot be written") as refused:
        await outbox.deliver(a_mail())
    assert refused.value.is_general
    assert names_in(elsewhere) == []
    assert await outbox.list_letters() == []


async def test_a_file_that_is_no_letter_harms_nobody(outbox: FolderPost, folder: Path) -> None:
    await outbox.deliver(a_mail())
    (folder / "ltr_1.eml").write_bytes(
        b"Subject: =?x?q?=\nDate: never\nTo: ,,<\nContent-Type: text/plain; charset=klingon\n\n\xff"
    )
    (folder / "ltr_2.eml").write_bytes(os.urandom(2000))

    assert "ltr_0mail" in [each.id for each in await outbox.list_letters()]
    assert await outbox.find("ltr_1") is None


async def test_a_data_folder_with_an_outbox_is_still_ours(outbox: FolderPost, folder: Path) -> None:
    """Otherwise the start would warn that other people's files are there."""
    await outbox.deliver(a_mail())
    (folder.parent / "gatelodge.db").touch()
    folder.parent.chmod(0o755)

    assert keep_private(folder.parent) is None
    assert mode_of(folder.parent) == 0o700


# Which post the settings choose


def test_the_settings_choose_the_post(tmp_path: Path) -> None:
    public = "https://id.example.com"
    file = tmp_path / "url"
    file.write_text("smtps://u:p@h.example\n")
    file.chmod(0o600)

    assert post_of(Settings(public_url=public)) is None
    assert isinstance(post_of(Settings()), FolderPost)
    assert isinstance(post_of(Settings(public_url=public, smtp_url_file=file)), SmtpPost)
    address = smtp_address_of(Settings(smtp_url_file=file))
    assert (address.host, address.user, address.password) == ("h.example", "u", "p")


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("smtp://u:s3cret@h.example?starttls=off", 0o600, "must not have starttls=off"),
        ("smtp://u:s3cret@h.example", 0o644, "Others may read"),
        (None, 0o600, "is unusable"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start(
    tmp_path: Path, text: str | None, mode: int, told: str
) -> None:
    file = tmp_path / "url"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)

    with pytest.raises(ConfigurationError, match=told) as refused:
        post_of(Settings(smtp_url_file=file))
    assert "s3cret" not in str(refused.value)
