"""The outbox: letters of a server in development as pages, for this machine only."""

import asyncio
import re
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from gatelodge.app import House, create_app
from gatelodge.data_folder import OUTBOX
from gatelodge.fastapi import Gatelodge
from gatelodge.letters.folder import FolderPost
from gatelodge.settings import Settings
from tests.pages.reader import ACCEPT, Reader
from tests.support.mails import a_mail, code_in
from tests.support.people import PASSWORD
from tests.support.server import Server

OUTBOXES = ["/dev/outbox", "/dev/outbox?letter=ltr_0mail", "/dev/outbox/html?letter=ltr_0mail"]
BASE = "http://localhost:8080"


@pytest.fixture
def outbox(settings: Settings) -> FolderPost:
    """Return the outbox of the house."""
    return FolderPost(settings.data_dir / OUTBOX)


async def deliver(outbox: FolderPost, **changes: str) -> None:
    """Put a letter into the outbox."""
    await outbox.deliver(a_mail(**changes))


async def until_kept(outbox: FolderPost) -> None:
    """Wait until the house has sent a letter, which it does in the background."""
    async with asyncio.timeout(10):
        while not await outbox.list_letters():  # noqa: ASYNC110 - a folder has no event
            await asyncio.sleep(0.02)


async def test_a_newcomer_finds_the_letter_and_follows_its_link(
    reader: Reader, house: House, outbox: FolderPost
) -> None:
    """From a sign-up to a verified address, without a mail program."""
    page = await reader.send("/sign-up", username="ann", email="ann@example.com", password=PASSWORD)
    assert page.status == 200
    await until_kept(outbox)

    listed = await reader.open("/dev/outbox")
    (shown,) = [link for link in listed.links if "letter=" in link]
    letter = await reader.open(shown)
    (link,) = {each for each in letter.links if "/verify-email?" in each}

    assert listed.heading == "Outbox"
    assert "ann@example.com" in listed.text
    assert code_in(letter.text)
    verify = await reader.open(link.removeprefix(house.settings.public_base))
    assert verify.heading == "Verify your e-mail address"


async def test_whoever_waits_for_a_letter_is_told_where_it_is(reader: Reader) -> None:
    page = await reader.send("/forgot", email="ann@example.com")

    assert page.path == "/reset-password"
    assert "/dev/outbox" in page.links
    assert "/dev/outbox" not in (await reader.open("/forgot")).links
    assert (await reader.open("/dev/outbox")).text.endswith("There is no letter yet.")


async def test_the_newest_letter_comes_first_and_is_not_kept_by_anybody(
    reader: Reader, outbox: FolderPost
) -> None:
    for number in range(3):
        await deliver(outbox, message_id=f"ltr_{number}@here", subject=f"Letter {number}")

    page = await reader.open("/dev/outbox")

    assert [link[-5:] for link in page.links if "letter=" in link] == ["ltr_2", "ltr_1", "ltr_0"]
    for path in ("/dev/outbox", "/dev/outbox?letter=ltr_0", "/dev/outbox/html?letter=ltr_0"):
        assert (await reader.ask(path)).headers["cache-control"] == "no-store"


async def test_nothing_in_a_letter_runs_or_loads(reader: Reader, outbox: FolderPost) -> None:
    evil = "<script>alert(1)</script>"
    await deliver(
        outbox,
        subject=evil,
        text=f"{evil} javascript:alert(1) https://x.example/a?b=1&c=2 .\n",
        html=f"<!doctype html><html><head><title>x</title></head><body>{evil}</body></html>",
    )

    page = await reader.open("/dev/outbox?letter=ltr_0mail")
    html = await reader.ask("/dev/outbox/html?letter=ltr_0mail")

    assert evil not in page.response.text
    assert page.heading == evil
    assert [link for link in page.links if ":" in link] == ["https://x.example/a?b=1&c=2"]
    frame = page.one(".//iframe")
    assert frame.attrib["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert "frame-src 'self'" in page.response.headers["content-security-policy"]
    assert frame.attrib["src"] == "/dev/outbox/html?letter=ltr_0mail"
    policy = html.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src ")
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert '<head><base target="_blank">' in html.text


async def asked_by(
    house: House, path: str, peer: str = "127.0.0.1", **headers: str
) -> tuple[int, str]:
    """Return the status and the text of the answer, without what is new in each answer."""
    transport = httpx2.ASGITransport(app=create_app(house), client=(peer, 1234))
    given = {"Accept": ACCEPT} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        answer = await client.get(path, headers=given)
    return answer.status_code, _CHANGING.sub("", answer.text)


_CHANGING = re.compile(r'req_[0-9a-f]+|nonce="[^"]*"|(?<=next=)[^"]*|(?<=lang=)[^"&]*|/dev/[^"]*')


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_sees_the_outbox(house: House, outbox: FolderPost, peer: str) -> None:
    await deliver(outbox)

    for path in OUTBOXES:
        assert (await asked_by(house, path, peer))[0] == 200


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("192.0.2.7", {}),
        ("10.0.0.1", {}),
        ("2001:db8::1", {}),
        ("", {}),
        ("127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", {"X_Forwarded_For": ""}),
        ("127.0.0.1", {"X_Forwarded_Host": "localhost"}),
        ("127.0.0.1", {"X_Forwarded_Proto": "http"}),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"X_Real_IP": "127.0.0.1"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("127.0.0.1", {"Host": "evil.example"}),
        ("127.0.0.1", {"Origin": "http://localhost:3000"}),
        ("192.0.2.7", {"X_Forwarded_For": "127.0.0.1"}),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [{"allowed_hosts": ("*",)}, {"allowed_hosts": ("*",), "trusted_proxies": ("127.0.0.0/8",)}],
    indirect=True,
    ids=["without proxies", "with a trusted proxy"],
)
async def test_nobody_else_learns_that_there_is_an_outbox(
    house: House, outbox: FolderPost, peer: str, headers: dict[str, str]
) -> None:
    """A proxy on this machine is somebody else, trusted or not."""
    await deliver(outbox)
    nowhere = await asked_by(house, "/dev/inbox", peer, **headers)

    for path in OUTBOXES:
        assert await asked_by(house, path, peer, **headers) == nowhere

    assert nowhere[0] == 404


@pytest.mark.parametrize(
    "settings",
    [
        {"public_url": "https://id.example.com"},
        {"smtp_url": "smtp://localhost:9"},
        {"public_url": "https://id.example.com", "smtp_url": "smtp://localhost:9"},
    ],
    indirect=True,
)
async def test_a_server_that_is_not_in_development_has_no_outbox(
    house: House, outbox: FolderPost
) -> None:
    """Not even for a letter that is still in the folder; the hint is not shown either."""
    await deliver(outbox)

    for method in ("GET", "POST", "HEAD"):
        assert await statuses_of(house, method) == [404, 404, 404]
    status, page = await asked_by(house, "/reset-password", Cookie="gatelodge-reset-request=a")
    assert (status, "Set a new password" in page, "outbox" in page) == (200, True, False)


async def statuses_of(house: House, method: str) -> list[int]:
    """Return the statuses of the answers to this machine."""
    transport = httpx2.ASGITransport(app=create_app(house))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        return [(await client.request(method, path)).status_code for path in OUTBOXES]


async def test_a_letter_that_is_not_there_is_not_found(reader: Reader) -> None:
    for path in (*OUTBOXES[1:], "/dev/outbox?letter=../gatelodge", "/dev/outbox/html"):
        assert (await reader.ask(path)).status_code == 404


# Of a server, and inside an application


def test_a_server_says_where_its_letters_are(tmp_path: Path) -> None:
    with Server(tmp_path, trusted_proxies="127.0.0.1") as server:
        direct = httpx2.get(f"{server.url}/dev/outbox")
        proxied = httpx2.get(f"{server.url}/dev/outbox", headers={"X-Forwarded-For": "127.0.0.1"})
        said = server.log.read_text()

    assert (direct.status_code, proxied.status_code) == (200, 404)
    assert f"  letters: they stay here, and are shown at http://localhost:{server.port}" in said
    with Server(tmp_path, public_url="https://id.example.com") as server:
        assert "/dev/outbox" not in server.log.read_text().rpartition("Gatelodge ")[2]


@pytest.fixture(params=["", "/auth"])
async def inside(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Yield what the same application answers with a local and with a public address."""
    answers = []
    for number, given in enumerate(({}, {"public_url": "https://shop.example.com"})):
        auth = Gatelodge(data_dir=tmp_path / str(number), **given)
        app = FastAPI(lifespan=auth.lifespan)
        auth.install(app, prefix=request.param)
        app.get("/{rest:path}")(lambda rest: {"path": rest})
        transport = httpx2.ASGITransport(app=app)
        async with (
            auth.lifespan(app),
            httpx2.AsyncClient(transport=transport, base_url=BASE) as client,
        ):
            answer = await client.get(f"{request.param}/dev/outbox")
            answers.append(answer.headers["content-type"].partition(";")[0])
    return answers


async def test_an_application_has_the_outbox_while_its_address_is_local(inside: list[str]) -> None:
    """Elsewhere the path is the application's."""
    assert inside == ["text/html", "application/json"]
