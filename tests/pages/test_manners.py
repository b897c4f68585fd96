"""What holds for every page: headers, size, refusals, return addresses and the theme."""

import hashlib
import re
import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from gatelodge.app import House, build, create_app
from gatelodge.data_folder import DATABASE
from gatelodge.errors import ConfigurationError
from gatelodge.pages.html import STATIC
from gatelodge.settings import Settings
from tests.pages.reader import ACCEPT, Page, Reader
from tests.support.databases import migrated
from tests.support.people import PASSWORD

PUBLIC = ["/", "/sign-in", "/sign-up", "/forgot", "/setup", "/nowhere"]
OWN = [
    *("/account", "/account/profile", "/account/password", "/account/delete"),
    *("/account/email", "/boards/user", "/sign-in/again", "/sign-out"),
    *("/account/authenticator", "/account/authenticator/new"),
]
REFUSED = ["/boards/mod", "/boards/admin"]
MAX_PAGE = 60 * 1024
SWAGGER_UI = STATIC / "swagger-ui"


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("path", [*PUBLIC, *OWN, *REFUSED, "/api/docs"])
async def test_every_page_carries_the_headers_of_a_page(reader: Reader, path: str) -> None:
    """security.md, section 10: a policy with a nonce of this answer, and what goes with it."""
    response = (await reader.open(path)).response
    policy = response.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]{22})'", policy)

    assert nonce is not None
    assert policy == (
        f"default-src 'none'; script-src 'nonce-{nonce[1]}'; style-src 'nonce-{nonce[1]}'; "
        "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "object-src 'none'; frame-ancestors 'none'"
    )
    assert response.text.count(f'nonce="{nonce[1]}"') == response.text.count("nonce=") == 2
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "camera=()" in response.headers["permissions-policy"]
    assert "publickey-credentials-get=(self)" in response.headers["permissions-policy"]
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["content-language"] == "en-GB"

    again = (await reader.open(path)).response
    assert nonce[1] not in again.headers["content-security-policy"]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("path", [*PUBLIC, *OWN, *REFUSED])
async def test_a_page_weighs_little_and_names_no_other_host(reader: Reader, path: str) -> None:
    """At most 60 KiB and three requests, its picture in the browser's tab included."""
    page = await reader.open(path)
    loaded = [
        *(each.attrib["href"] for each in page.tree.iterfind(".//link")),
        *(each.attrib["src"] for each in page.tree.iterfind(".//*[@src]")),
    ]
    weight = len(page.response.content)
    for address in loaded:
        asset = await reader.ask(address)
        assert asset.status_code == 200
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        weight += len(asset.content)

    assert 1 + len(loaded) <= 3
    assert weight <= MAX_PAGE
    assert not re.search(r'(?:href|src|action)="(?:https?:)?//', page.response.text)
    print(f"{path}: {len(page.response.content)} bytes, {weight} with all that it loads")  # noqa: T201


@pytest.mark.usefixtures("ann")
async def test_what_a_page_costs_is_told(reader: Reader) -> None:
    """In CPU time of this process, client and server together; at most 5 ms is wished for."""
    for path in ("/", "/account", "/sign-up"):
        await reader.ask(path)
        begun = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(20):
            await reader.ask(path)
        ended = resource.getrusage(resource.RUSAGE_SELF)
        spent = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
        print(f"{path}: {spent / 20 * 1000:.2f} ms of CPU")  # noqa: T201


async def test_a_style_of_another_version_is_not_kept(reader: Reader) -> None:
    """During an upgrade, an old page may ask a new server."""
    for path in (
        "/static/style.css",
        "/static/style.css?v=0",
        "/static/logo",
        "/static/reference.js",
    ):
        response = await reader.ask(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-cache"


async def test_the_reference_loads_swagger_ui_from_this_server(reader: Reader) -> None:
    """Its files are kept for ever, and are what their makers published, with ours behind."""
    page = await reader.open("/api/docs")
    loaded = [
        *(each.attrib["href"] for each in page.tree.iterfind(".//link")),
        *(each.attrib["src"] for each in page.tree.iterfind(".//*[@src]")),
    ]
    assert [address.partition("?")[0] for address in loaded] == [
        *("/static/logo", "/static/reference.css", "/static/reference.js")
    ]
    contents = {}
    for address in loaded:
        asset = await reader.ask(address)
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert asset.headers["x-content-type-options"] == "nosniff"
        contents[address.partition("?")[0]] = asset
    script, style = contents["/static/reference.js"], contents["/static/reference.css"]
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert script.content.startswith((SWAGGER_UI / "swagger-ui-bundle.js").read_bytes())
    assert style.content.startswith((SWAGGER_UI / "swagger-ui.css").read_bytes())


def test_swagger_ui_is_as_its_makers_published_it() -> None:
    """Every file beside `ORIGIN.txt` has the digest that is written there."""
    origin = (SWAGGER_UI / "ORIGIN.txt").read_text()
    told = re.findall(r"^([0-9a-f]{64})  (\S+)$", origin, re.MULTILINE)
    there = {path.name for path in SWAGGER_UI.iterdir()} - {"ORIGIN.txt"}

    assert {name for _, name in told} == there
    for digest, name in told:
        assert hashlib.sha256((SWAGGER_UI / name).read_bytes()).hexdigest() == digest, name


# Browsers and programs


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (ACCEPT, True),
        ("text/html", True),
        ("text/*;q=0.9, application/json;q=0.8", True),
        ("text/html;q=0.8, application/json", False),
        ("application/json, text/plain, */*", False),
        ("application/json", False),
        ("*/*", False),
        ("text/html;q=0", False),
        ("text/html;q=nonsense, */*", False),
        (None, False),
    ],
)
async def test_a_program_gets_json_and_a_browser_a_page(
    client: httpx2.AsyncClient, accept: str | None, is_page: bool
) -> None:
    """This holds for the start page, where the tutorial's server greets, and for a missing page."""
    del client.headers["accept"]
    headers = {} if accept is None else {"Accept": accept}
    for path in ("/", "/nowhere"):
        response = await client.get(path, headers=headers)
        kind = "text/html; charset=utf-8" if is_page else "application/json"
        assert response.headers["content-type"] == kind
    if not is_page:
        assert (await client.get("/", headers=headers)).json() == {
            "message": "Welcome to Gatelodge."
        }


async def test_programs_are_refused_at_pages_in_json(client: httpx2.AsyncClient) -> None:
    response = await client.get("/account")

    assert (response.status_code, response.json()["code"]) == (401, "token_missing")


async def test_the_api_refuses_browsers_in_json_too(reader: Reader) -> None:
    """Under `/api` the `Accept` header makes no difference: every answer is JSON."""
    for path in ("/api/auth/me", "/api/nowhere"):
        assert (await reader.ask(path)).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "heading"),
    [
        ("GET", "/nowhere", 404, "Page not found"),
        ("PUT", "/sign-in", 405, "Not possible"),
        ("GET", f"/{'a' * 5000}", 414, "Too long"),
        ("GET", "/sign-in?next=/&next=/", 400, "That did not work"),
    ],
)
async def test_a_refusal_is_a_page_in_the_same_style(
    reader: Reader, method: str, path: str, status: int, heading: str
) -> None:
    response = await reader.client.request(method, path, headers=reader.headers)
    page = Page(response)

    assert (page.status, page.heading) == (status, heading)
    assert response.headers["x-request-id"] in page.text
    if status == 405:
        assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.usefixtures("ann")
async def test_another_host_and_a_mistake_of_ours_are_pages_too(
    reader: Reader, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = await reader.client.get("/", headers=reader.headers | {"Host": "evil.example"})
    assert Page(wrong).heading == "Wrong host"

    monkeypatch.delitem(house.pages.site.assets, "/static/logo")  # type: ignore[arg-type]
    broken = await reader.ask("/static/logo")
    assert (broken.status_code, Page(broken).heading) == (500, "Something went wrong")


@pytest.mark.usefixtures("ann")
async def test_a_database_that_is_away_is_a_page_that_says_so(reader: Reader, house: House) -> None:
    await house.stores.database.stop()
    try:
        page = Page(await reader.post("/sign-in", {"username": "ann", "password": PASSWORD}))
    finally:
        await house.stores.database.start()

    assert page.status == 503
    assert page.alert == "The database cannot be reached just now. Nothing was changed."
    assert page.response.headers["retry-after"]


# Return addresses


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    "address",
    [
        "/boards/user",
        "/account?a=b&c=%C3%A9",
        "/nowhere/else?next=//x",
        "/a:b@c",
        "/%5Cevil.example",
    ],
)
async def test_a_path_of_this_server_is_gone_back_to(reader: Reader, address: str) -> None:
    await reader.send("/sign-out")
    asked = httpx2.QueryParams(next=address)
    page = await reader.open(f"/sign-in?{asked}")
    assert page.form("/sign-in")["next"] == address
    assert any(link.startswith("/sign-up?next=/") for link in page.links)

    fields = page.form("/sign-in") | {"username": "ann", "password": PASSWORD}
    response = await reader.post("/sign-in", fields)

    assert (response.status_code, response.headers["location"]) == (303, address)


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "http://localhost:8080.evil.example/",
        "http://localhost:8080@evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\nSet-Cookie: a=b",
        "/\x7f",
        " /boards/user",
        "/boards/ user",
        "/é",
        "/" + "a" * 1024,
        "",
    ],
)
async def test_any_other_return_address_is_forgotten(reader: Reader, address: str) -> None:
    await reader.send("/sign-out")
    page = await reader.open(f"/sign-in?{httpx2.QueryParams(next=address)}")
    assert "next" not in page.form("/sign-in")

    response = await reader.post(
        "/sign-in", {"username": "ann", "password": PASSWORD, "next": address}
    )

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert (await reader.ask(f"/sign-in?{httpx2.QueryParams(next=address)}")).headers[
        "location"
    ] == "/"


async def test_a_page_asks_to_sign_in_and_leads_back(reader: Reader) -> None:
    """The return address has the query. After a form, it is the page with the form."""
    for path, back in (
        ("/account", "/account"),
        ("/boards/user?a=b&c=d", "/boards/user%3Fa%3Db%26c%3Dd"),
    ):
        response = await reader.ask(path)
        assert (response.status_code, response.headers["location"]) == (
            303,
            f"/sign-in?next={back}",
        )
    for path, back in (
        ("/account/password", "/account/password"),
        ("/account/sign-out", "/account"),
    ):
        response = await reader.post(path, {})
        assert response.headers["location"] == f"/sign-in?next={back}"


# Other settings


@dataclass
class Elsewhere:
    """Makes readers for servers with other settings."""

    folder: Path

    async def reader(self, **settings: object) -> AsyncIterator[Reader]:
        """Yield a reader."""
        migrated(self.folder / DATABASE)
        house = build(Settings(data_dir=self.folder, **settings))  # type: ignore[arg-type]
        async with house.serve():
            origin = house.settings.public_origin
            transport = httpx2.ASGITransport(app=create_app(house))
            async with httpx2.AsyncClient(transport=transport, base_url=origin) as client:
                yield Reader(client)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    """Return an object that makes readers for other servers."""
    return Elsewhere(tmp_path)


async def test_name_logo_and_colour_are_the_operators(elsewhere: Elsewhere, tmp_path: Path) -> None:
    logo = tmp_path / "mark.png"
    logo.write_bytes(b"\x89PNG\r\n")
    async for reader in elsewhere.reader(site_name="Ümläut & Co", logo=logo, accent_color="#Fd0"):
        page = await reader.open("/")
        assert page.heading == "Welcome to Ümläut & Co"
        assert page.title == "Welcome · Ümläut & Co"
        image = await reader.ask(page.one(".//img").attrib["src"])
        assert (image.headers["content-type"], image.content) == ("image/png", b"\x89PNG\r\n")
        assert image.headers["content-security-policy"].endswith("; sandbox")
        style = (await reader.ask(page.one(".//link[@rel='stylesheet']").attrib["href"])).text
        assert "--accent:#ffdd00;--on-accent:#000000;" in style


@pytest.mark.parametrize(
    ("name", "content"),
    [("mark.exe", b""), ("mark.svg", b"x" * 40_000), ("missing.png", None)],
)
def test_a_logo_that_cannot_be_used_stops_the_start(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    logo = tmp_path / name
    if content is not None:
        logo.write_bytes(content)
    with pytest.raises(ConfigurationError, match="GATELODGE_LOGO"):
        build(Settings(data_dir=tmp_path, logo=logo))


@pytest.mark.parametrize("colour", ["red", "#12", "#12345g", "#123456;}", "url(x)", "none"])
def test_an_accent_that_is_no_colour_is_refused(colour: str) -> None:
    with pytest.raises(ValueError, match="must be written as #rgb"):
        Settings(accent_color=colour)


async def test_a_template_of_the_operator_takes_the_place_of_ours(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """It can extend the template that it replaces."""
    (tmp_path / "home.html").write_text(
        '{% extends "gatelodge/home.html" %}{% block title %}{{ site.name }} <3{% endblock %}'
    )
    async for reader in elsewhere.reader(templates_dir=tmp_path):
        assert (await reader.open("/")).title == "Gatelodge <3 · Gatelodge"
        assert (await reader.open("/sign-in")).heading == "Sign in"
    with pytest.raises(ConfigurationError, match="GATELODGE_TEMPLATES_DIR"):
        build(Settings(data_dir=tmp_path, templates_dir=tmp_path / "nowhere"))


async def test_a_form_may_lead_back_to_a_configured_origin(elsewhere: Elsewhere) -> None:
    """The policy of the page allows this origin and no other."""
    app = "https://app.example"
    async for reader in elsewhere.reader(cors_origins=(app,)):
        await reader.sign_up("ann")
        await reader.send("/sign-out")
        page = await reader.open(f"/sign-in?next={app}/start")
        policy = page.response.headers["content-security-policy"]
        assert f"form-action 'self' {app};" in policy
        fields = {"username": "ann", "password": PASSWORD}
        response = await reader.post("/sign-in", page.form("/sign-in") | fields)
        assert response.headers["location"] == f"{app}/start"
        await reader.send("/sign-out")
        for other in (f"{app}.evil.example/", f"{app}:444/", app, "https://app.example@evil/"):
            page = await reader.open(f"/sign-in?next={other}")
            assert "next" not in page.form("/sign-in")


async def test_with_tls_the_cookies_belong_to_the_host_alone(elsewhere: Elsewhere) -> None:
    async for reader in elsewhere.reader(public_url="https://id.example"):
        response = await reader.post(
            "/sign-up", {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
        )
        cookies = response.headers.get_list("set-cookie")
        assert [each.partition("=")[0] for each in cookies] == [
            "__Host-gatelodge-access",
            "__Host-gatelodge-refresh",
            "__Host-gatelodge-device",
            "__Host-gatelodge-page",
        ]
        assert all(each.startswith("__Host-") and "; Secure" in each for each in cookies)
        assert (await reader.open("/")).heading == "Hello, ann"
