"""An application with the house inside: who may call its routes, and what they are answered."""

from collections.abc import AsyncIterator
from datetime import timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from gatelodge.accounts.store import Role
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.fastapi import CurrentUser, Gatelodge, MaybeUser, User, current_user, public, require
from tests.contracts.builders import an_event
from tests.embedded.applications import ACCESS, BASE, REFRESH, Running, cookie_of, running
from tests.gate.houses import Counted, new_device, reading_through
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD, sign_in_browser

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Kind(Enum):
    """Roles as an application may name them."""

    EDITOR = "editor"
    ADMIN = "admin"


class Right(StrEnum):
    """Permissions as an application may name them."""

    WRITE = "notes:write"


def an_application(auth: Gatelodge) -> FastAPI:
    """Return an application with a route of each kind."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    editor = Annotated[User, auth.user(role=[Kind.EDITOR, Kind.ADMIN])]

    @app.get("/", dependencies=[public])
    async def home() -> str:
        return "home"

    @app.get("/greeting")
    async def greet(user: MaybeUser) -> str:
        return user.username if user else "nobody"

    @app.get("/me")
    def show(user: CurrentUser) -> dict[str, Any]:  # in a thread
        return {
            "subject": user.subject,
            "uuid": user.uuid,
            "email": user.email,
            "roles": sorted(user.roles),
            "permissions": sorted(user.permissions),
        }

    @app.post("/notes")
    async def write(user: CurrentUser) -> str:
        return user.username

    @app.delete("/notes/{number}", dependencies=[require(role="moderator")])
    async def delete(number: int) -> int:
        return number

    @app.put("/notes/{number}")
    async def edit(number: int, user: editor) -> str:  # type: ignore[valid-type]
        return str(user.username)  # type: ignore[attr-defined]

    @app.patch("/notes/{number}", dependencies=[require(permission=Right.WRITE)])
    async def patch(number: int) -> int:
        return number

    add_proofs(app)
    return app


def add_proofs(app: FastAPI) -> None:
    """Add routes that ask when and how somebody has signed in."""

    @app.get("/vault", dependencies=[require(aal=2, fresh=timedelta(minutes=5))])
    async def vault() -> str:
        return "gold"

    @app.get("/code", dependencies=[require(methods=("otp", "hwk"))])
    async def code(user: CurrentUser) -> list[str]:
        return sorted(user.methods)

    @app.get("/bank", dependencies=[require(fresh=timedelta(minutes=5))])
    async def bank() -> str:
        return "money"

    @app.get("/bank/{account}", dependencies=[require(fresh=timedelta(minutes=5))])
    async def account_of(account: str) -> str:
        return account


@pytest.fixture
async def site(auth: Gatelodge) -> AsyncIterator[Running]:
    """Yield the application, which runs."""
    async with running(an_application(auth), auth) as site:
        yield site


async def test_people_sign_up_and_use_the_application(site: Running) -> None:
    wanted = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    assert (await site.client.post("/api/auth/signup", json=wanted)).status_code == 200
    answer = await site.client.post("/api/auth/signin", json=wanted | {"email": None})
    del wanted["email"]
    answer = await site.client.post("/api/auth/signin", json=wanted)
    headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    me = (await site.client.get("/me", headers=headers)).json()
    assert (me["email"], me["roles"]) == ("ann@example.com", ["user"])
    assert me["subject"] == answer.json()["id"]
    assert UUID(me["uuid"]).version == 5
    assert "Sign in" in (await site.client.get("/sign-in", headers=BROWSER)).text


async def test_a_browser_is_led_to_the_sign_in_page_and_back(site: Running) -> None:
    asked = await site.client.get("/me?page=2", headers=BROWSER)
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=/me%3Fpage%3D2")
    assert asked.headers["cache-control"] == "no-store"
    form = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    posted = await site.client.post(
        "/sign-up", data=form | {"next": "/me?page=2"}, headers=BROWSER | {"Origin": BASE}
    )
    assert (posted.status_code, posted.headers["location"]) == (303, "/me?page=2")
    assert (await site.client.get("/me?page=2", headers=BROWSER)).json()["roles"] == ["user"]
    signed_in = await site.client.get("/sign-in", headers=BROWSER)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/")  # the application's


@pytest.mark.parametrize("carrier", ["bearer", "x-access-token", "cookie"])
async def test_a_token_is_taken_from_where_clients_put_it(site: Running, carrier: str) -> None:
    device = await new_device(site.house)
    headers = {
        "bearer": device.headers,
        "x-access-token": {"x-access-token": device.token},
        "cookie": cookie_of(device),
    }[carrier]
    for _ in range(2):
        assert (await site.client.get("/me", headers=headers)).status_code == 200
    assert (await site.client.get("/greeting", headers=headers)).json() == device.user.username


async def test_nobody_is_refused_in_the_form_of_the_application(site: Running) -> None:
    answer = await site.client.get("/me")
    assert answer.status_code == 401
    assert answer.json() == {"detail": {"code": "token_missing", "message": "No token provided!"}}
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatelodge"'
    assert (await site.client.get("/greeting")).json() == "nobody"
    assert (await site.client.get("/")).json() == "home"

    forged = {"Authorization": "Bearer not.a.token"}
    answer = await site.client.get("/me", headers=forged)
    assert (answer.status_code, answer.json()["detail"]["code"]) == (401, "token_invalid")
    assert (await site.client.get("/greeting", headers=forged)).json() == "nobody"
    two = {"Authorization": "Bearer a", "x-access-token": "b"}
    assert (await site.client.get("/me", headers=two)).status_code == 400


async def test_conditions_are_roles_permissions_and_their_enums(site: Running) -> None:
    await site.house.stores.roles.add(Role("editor", "", ("notes:write",)), an_event())
    plain = await new_device(site.house)
    moderator = await new_device(site.house, None, "moderator")
    editor = await new_device(site.house, None, "editor")

    async def answers(method: str) -> list[int]:
        return [
            (await site.client.request(method, "/notes/1", headers=each.headers)).status_code
            for each in (plain, moderator, editor)
        ]

    assert await answers("DELETE") == [403, 200, 403]
    assert await answers("PUT") == [403, 403, 200]
    assert await answers("PATCH") == [403, 403, 200]
    refused = await site.client.delete("/notes/1", headers=plain.headers)
    assert refused.json()["detail"]["code"] == "forbidden"


async def test_what_changes_counts_on_the_next_request(site: Running) -> None:
    house = site.house
    device = await new_device(house, None, "moderator")
    assert (await site.client.delete("/notes/1", headers=device.headers)).status_code == 200
    await house.accounts.withdraw(device.user, "moderator", COMMAND)
    assert (await site.client.delete("/notes/1", headers=device.headers)).status_code == 403
    user = await house.accounts.get_by_username(device.user.username)
    await house.accounts.disable(user, COMMAND)
    assert (await site.client.get("/me", headers=device.headers)).status_code == 401


async def test_a_warm_request_reads_nothing(site: Running) -> None:
    source = site.auth._source
    sessions = Counted(site.house.stores.sessions)
    source._house = reading_through(site.house, sessions)
    device = await new_device(site.house)
    for headers in (device.headers, cookie_of(device)) * 50:
        assert (await site.client.get("/me", headers=headers)).status_code == 200
    assert sessions.reads == 1


async def test_a_cookie_changes_something_only_from_pages_of_ours(site: Running) -> None:
    device = await new_device(site.house)
    carried = cookie_of(device)
    assert (await site.client.post("/notes", headers=carried)).status_code == 403
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = await site.client.post("/notes", headers=carried | evil)
    assert (answer.status_code, answer.json()["detail"]["code"]) == (403, "cross_site_request")
    ours = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert (await site.client.post("/notes", headers=carried | ours)).status_code == 200
    assert (await site.client.post("/notes", headers=device.headers | evil)).status_code == 200
    assert (await site.client.get("/me", headers=carried | evil)).status_code == 200


async def test_the_refresh_cookie_renews_the_session(site: Running, clock: FakeClock) -> None:
    await sign_in_browser(site.client, site.house, "ann")
    first = site.client.cookies[ACCESS]
    clock.advance(timedelta(minutes=11))
    answer = await site.client.get("/me")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert site.client.cookies[ACCESS] != first
    clock.advance(timedelta(minutes=11))
    assert (await site.client.delete("/notes/1", headers={"Origin": BASE})).status_code == 403
    clock.advance(timedelta(minutes=5))
    del site.client.cookies[REFRESH]
    assert (await site.client.get("/me")).status_code == 200  # the refusal had set new ones


async def test_a_fresh_proof_is_asked_for(site: Running, clock: FakeClock) -> None:
    device = await new_device(site.house)
    assert (await site.client.get("/bank", headers=device.headers)).status_code == 200
    clock.advance(timedelta(minutes=6))
    answer = await site.client.get("/bank", headers=device.headers)
    assert answer.status_code == 401
    assert answer.json()["detail"]["max_age"] == 300
    challenge = answer.headers["www-authenticate"]
    assert challenge.endswith('error="insufficient_user_authentication", max_age="300"')
    browser = await site.client.get("/bank?of=ann", headers=device.headers | BROWSER)
    assert browser.status_code == 303
    assert browser.headers["location"] == "/sign-in/again?next=/bank%3Fof%3Dann"
    posted = await site.client.post("/bank", headers=device.headers | BROWSER)
    assert posted.status_code == 405


@pytest.mark.parametrize("path", ["/bank/a%20b", "/bank/%C3%A4", "/bank/a%3Fb", "/bank/a?of=%26b"])
async def test_after_the_proof_a_browser_comes_back_to_any_path(
    site: Running, clock: FakeClock, path: str
) -> None:
    await sign_in_browser(site.client, site.house, "ann")
    clock.advance(timedelta(minutes=6))
    asked = await site.client.get(path, headers=BROWSER)
    back = asked.headers["location"].partition("?next=")[2]
    proved = await site.client.post(
        "/sign-in/again",
        data={"password": PASSWORD, "next": unquote(back)},
        headers=BROWSER | {"Origin": BASE},
    )
    assert (proved.status_code, proved.headers["location"]) == (303, path)
    assert (await site.client.get(path, headers=BROWSER)).status_code == 200


async def test_a_route_may_ask_how_somebody_has_signed_in(site: Running) -> None:
    """One method of several is enough; for a second level, one factor is not."""
    weak, strong = [
        (await new_device(site.house, methods=methods)).headers
        for methods in (("pwd",), ("pwd", "otp", "mfa"))
    ]
    assert (await site.client.get("/vault", headers=strong)).text == '"gold"'
    assert (await site.client.get("/code", headers=strong)).json() == ["mfa", "otp", "pwd"]
    answer = await site.client.get("/vault", headers=weak)
    assert (answer.status_code, answer.json()["detail"]["acr_values"]) == (401, "aal2")
    assert answer.headers["www-authenticate"].endswith('acr_values="aal2", max_age="300"')
    browser = await site.client.get("/vault", headers=weak | BROWSER)
    assert browser.status_code == 401  # the page would lead back here at once
    answer = await site.client.get("/code", headers=weak)
    assert answer.json()["detail"]["code"] == "insufficient_user_authentication"


async def test_a_test_replaces_the_user(site: Running) -> None:
    device = await new_device(site.house, None, "moderator")
    user = await site.auth._source.find(_connection(site, device.headers))
    site.app.dependency_overrides[current_user] = lambda: user
    assert (await site.client.get("/me")).json()["subject"] == device.user.id
    assert (await site.client.delete("/notes/1")).status_code == 200
    assert (await site.client.put("/notes/1")).status_code == 403


def _connection(site: Running, headers: dict[str, str]) -> Request:
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": pairs})


async def test_the_document_tells_how_to_authenticate(site: Running) -> None:
    document = (await site.client.get("/openapi.json")).json()
    again = (await site.client.get("/openapi.json")).json()
    assert again == document
    schemes = document["components"]["securitySchemes"]
    assert schemes["gatelodge"]["scheme"] == "bearer"
    assert (schemes["gatelodge-cookie"]["in"], schemes["gatelodge-cookie"]["name"]) == (
        "cookie",
        ACCESS,
    )
    either = [{"gatelodge": []}, {"gatelodge-cookie": []}]
    paths = document["paths"]
    assert paths["/me"]["get"]["security"] == either
    assert paths["/notes/{number}"]["delete"]["security"] == either
    assert paths["/greeting"]["get"]["security"] == [*either, {}]
    assert "security" not in paths["/"]["get"]
    assert not any(path.startswith("/api/auth") for path in paths)
    ours = (await site.client.get("/api/openapi.json")).json()["paths"]
    assert {path.split("/")[2] for path in ours if path.startswith("/api/")} == {
        *("admin", "auth", "openapi.json"),
    }


async def test_sub_applications_routers_streams_and_tasks(auth: Gatelodge) -> None:
    app = FastAPI(lifespan=auth.lifespan)
    done: list[str] = []
    inner, outer, sub = APIRouter(), APIRouter(prefix="/outer"), FastAPI()

    @inner.get("/deep")
    async def deep(user: CurrentUser) -> str:
        return user.username

    @sub.get("/inside")
    async def inside(user: CurrentUser) -> JSONResponse:
        return JSONResponse(user.username)

    @app.get("/stream", dependencies=[require(role="user")])
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    @app.post("/task")
    async def task(user: CurrentUser, tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: done.append(user.username))

    outer.include_router(inner, prefix="/inner")
    app.include_router(outer)
    app.mount("/sub", sub)
    auth.install(app)
    async with running(app, auth) as site:
        device = await new_device(site.house)
        for path in ("/outer/inner/deep", "/sub/inside", "/stream"):
            assert (await site.client.get(path)).status_code == 401
            answer = await site.client.get(path, headers=device.headers)
            assert answer.status_code == 200, path
        await site.client.post("/task", headers=device.headers)
        assert done == [device.user.username]
        # A mounted application has exception handlers and cookies of its own.
        await sign_in_browser(site.client, site.house, "ann")
        del site.client.cookies[ACCESS]
        assert (await site.client.get("/sub/inside")).json() == "ann"
        assert ACCESS in site.client.cookies


@pytest.mark.parametrize("where", ["/auth", "/a/b"])
async def test_the_routes_may_be_below_a_path(auth: Gatelodge, where: str) -> None:
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app, prefix=where)

    @app.get("/me")
    async def show(user: CurrentUser) -> str:
        return user.username

    @app.get("/sign-in")
    async def own() -> str:
        return "the application's"

    async with running(app, auth) as site:
        assert site.house.settings.public_url == BASE + where
        assert (await site.client.get("/sign-in")).json() == "the application's"
        page = await site.client.get(f"{where}/sign-in", headers=BROWSER)
        assert f'action="{where}/sign-in"' in page.text
        assert 'class="brand"' in page.text
        assert 'href="/" class="brand"' in page.text  # the application's start page
        asked = await site.client.get("/me", headers=BROWSER)
        assert asked.headers["location"] == f"{where}/sign-in?next=/me"
        lead = await site.client.get("/.well-known/change-password")
        assert lead.headers["location"] == f"{where}/account/password"
        assert (await site.client.get(f"{where}/.well-known/jwks.json")).status_code == 200
        assert (await site.client.get(f"{where}/nothing")).json() == {"detail": "Not Found"}
        assert (await site.client.get("/api/test/all")).status_code == 404


async def test_an_application_below_a_path_of_another_one(auth: Gatelodge) -> None:
    inside = FastAPI()
    auth.install(inside)

    @inside.get("/me")
    async def show(user: CurrentUser) -> str:
        return user.username

    outside = FastAPI(lifespan=auth.lifespan)
    outside.mount("/app", inside)
    async with running(outside, auth) as site:
        device = await new_device(site.house)
        answer = await site.client.get("/app/me", headers=device.headers)
        assert answer.json() == device.user.username
        asked = await site.client.get("/app/me", headers=BROWSER)
        assert asked.headers["location"].endswith("/sign-in?next=/app/me")
        assert (await site.client.get("/app/sign-in", headers=BROWSER)).status_code == 200


async def test_only_some_parts(auth: Gatelodge) -> None:
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app, parts=("api", "keys"))
    async with running(app, auth) as site:
        assert (await site.client.get("/sign-in")).status_code == 404
        assert (await site.client.get("/.well-known/jwks.json")).status_code == 200
        assert (await site.client.post("/api/auth/signin", json={})).status_code == 400


@pytest.mark.parametrize("prefix", ["", "/auth"])
async def test_pages_lead_to_the_console_only_where_it_is_installed(
    tmp_path: Path, prefix: str
) -> None:
    """The menu with the user's name has an entry for whoever may administer."""
    for number, parts in enumerate((("pages",), ("pages", "admin"))):
        auth = Gatelodge(data_dir=tmp_path / str(number))
        app = FastAPI(lifespan=auth.lifespan)
        auth.install(app, prefix=prefix, parts=parts)  # type: ignore[arg-type]
        async with running(app, auth) as site:
            await sign_in_browser(site.client, site.house, "root", "admin")
            page = await site.client.get(f"{prefix}/account", headers=BROWSER)
            assert page.status_code == 200
            assert (f'href="{prefix}/admin"' in page.text) == ("admin" in parts)
            console = await site.client.get(f"{prefix}/admin/users", headers=BROWSER)
            assert console.status_code == (200 if "admin" in parts else 404)


# Wrong use


async def test_wrong_use_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Is public_url meant"):
        Gatelodge(public_ur="x")
    auth = Gatelodge(data_dir=tmp_path)
    app = FastAPI()
    app.get("/me", dependencies=[require(role="user")])(lambda: "me")
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE)
    with pytest.raises(RuntimeError, match=r"Call auth\.install\(app\)"):
        await client.get("/me")
    with pytest.raises(RuntimeError, match=r"Call auth\.install\(app\) before"):
        async with auth.lifespan(app):
            pass
    for prefix in ("auth", "/auth/"):
        with pytest.raises(ValueError, match="must be a path"):
            auth.install(app, prefix=prefix)
    with pytest.raises(ValueError, match="no part 'page'"):
        auth.install(app, parts=("page",))  # type: ignore[arg-type]
    app = an_application(auth)
    with pytest.raises(RuntimeError, match="installed already"):
        auth.install(FastAPI())
    with pytest.raises(RuntimeError, match="Another Gatelodge"):
        Gatelodge().install(app)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE)
    for path in ("/me", "/sign-in"):
        with pytest.raises(RuntimeError, match=r"lifespan=auth\.lifespan"):
            await client.get(path)


async def test_a_route_that_nobody_could_reach_is_refused_at_the_start(auth: Gatelodge) -> None:
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/sign-in")(lambda: "mine")
    auth.install(app)
    with pytest.raises(RuntimeError, match="a route /sign-in, and so has Gatelodge"):
        async with running(app, auth):
            pass


@pytest.mark.parametrize("conditions", [{}, {"role": ""}, {"role": ["a", ""]}, {"role": []}])
def test_a_requirement_needs_a_condition(conditions: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs a condition|is empty"):
        require(**conditions)


async def test_it_can_run_again(auth: Gatelodge) -> None:
    app = an_application(auth)
    houses: list[House] = []
    for _ in range(2):
        async with running(app, auth) as site:
            houses.append(site.house)
            device = await new_device(site.house)
            assert (await site.client.get("/me", headers=device.headers)).status_code == 200
    assert houses[0] is not houses[1]


async def test_of_two_processes_one_prints_the_link(
    tmp_path: Path, clock: FakeClock, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        auth = Gatelodge(data_dir=tmp_path, clock=clock)
        async with running(an_application(auth), auth):
            pass
    assert capfd.readouterr().err.count(f"{BASE}/setup?token=") == 1
    clock.advance(timedelta(minutes=1))
    auth = Gatelodge(data_dir=tmp_path, clock=clock)
    async with running(an_application(auth), auth):
        pass
    assert capfd.readouterr().err.count(f"{BASE}/setup?token=") == 1
